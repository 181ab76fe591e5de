"""The parts of user_classifier.py, one package per subject; each imports only from packages listed below it.

commands        what ends by itself: --check, --dry-run and --explore-k, --export, --print-config
users           users and their rows: input changelog, user table, output topic, offsets
cells           the same for --cells: cells in which Flink has counted users
loop            what the run loop needs of either: the Intake and Changes protocols, when a step is due
reports         summary, plot, metrics, progress bar, JSON log
clustering      scaling, K-means on points and weights, the number of clusters
serialization   Schema Registry and Confluent's Avro wire format
kafka           clients, topics, consuming from given offsets, one transaction per step
config          options, configuration file, client properties
errors, stop, outage, label_names, stdio, formatting, row
                small modules that every package may use
"""

__version__ = "0.1.0"
