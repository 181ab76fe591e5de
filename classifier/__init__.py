"""The packages of user_classifier.py, one per subject; each imports only from packages listed below it.

commands        commands that end by themselves: --check, --dry-run, --explore-k, --export, --print-config
users           users and their rows: input changelog, user table, output topic, committed offsets
cells           the same for --cells: the number of users per cell, and labels of cells
loop            what the run loop needs of users and of cells: the Intake and Changes protocols; when a step is due
reports         summary, plot, metrics, progress bar, JSON log
clustering      scaling, K-means on points and weights, the number of clusters
serialization   Schema Registry and Confluent's Avro wire format
kafka           clients, topics, consuming from given offsets, the transactions of a step
config          options, configuration file, client properties
errors, stop, outage, label_names, stdio, formatting, row
                small modules that every package may use
"""

__version__ = "0.1.0"
