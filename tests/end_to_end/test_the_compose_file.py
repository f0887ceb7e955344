"""The compose file: its Kafka listens where the comment says, as strict as that of the tests."""

import yaml

from tests.support.paths import ROOT

COMPOSE = ROOT / "compose.yaml"


def test_the_broker_advertises_where_the_comment_says_it_is() -> None:
    kafka = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]

    assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092" in COMPOSE.read_text()
    assert "--advertise-kafka-addr=127.0.0.1:9092" in kafka["command"]
    assert kafka["ports"] == ["127.0.0.1:9092:9092"]


def test_the_broker_creates_no_topic_by_itself() -> None:
    kafka = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]

    assert "--set=redpanda.auto_create_topics_enabled=false" in kafka["command"]


def test_the_image_is_pinned_and_has_a_health_check() -> None:
    kafka = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]

    name, tag = kafka["image"].split(":")
    assert (name, tag[:1], tag.count(".")) == ("redpandadata/redpanda", "v", 2)
    assert kafka["healthcheck"]["test"][0] == "CMD-SHELL"
