"""Beyond one machine: what cells cost and what they lose. Quality of labels, rates through Flink, and a simulation."""
