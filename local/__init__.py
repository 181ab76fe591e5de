"""The pipeline on one machine: Kafka, Schema Registry and Flink as ordinary processes, without Docker or a system Java.

services  one background process each: Kafka, Schema Registry, Flink; and the files they need
sql       Confluent Cloud's SQL on open-source Flink
own_data  purchases from a file

Imports run from services to sql to the modules in this folder, and from there to own_data and the command line.
"""
