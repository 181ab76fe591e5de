"""Scale-out by cells: the quality of labels, rates through Flink, and a simulation of the costs."""
