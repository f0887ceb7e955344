"""An Apache Kafka for the tests: installed, started, interrupted, with topics for each test."""
