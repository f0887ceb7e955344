"""Kafka, the transport: records, topics, publishing, and reading them; the only user of librdkafka.

`confluent_kafka` is imported where a connection is made, so that a function that never makes one
starts without it.
"""
