"""Half a minute of load while Kafka comes and goes: all is kept, nobody hears of it (E4, L5)."""

import random
import sys
from collections.abc import Generator
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.broker import Broker
from tests.support.kafka_here import KafkaHere, kafka_with
from tests.support.ordeal import JWT_SECRET, Ordeal
from tests.support.outages import Outages
from tests.support.roles import consumers_workers, delivery
from tests.support.system import System
from tests.support.topics import Topics

USERS = 20


@pytest.fixture
def kafka(own_broker: Broker) -> KafkaHere:
    return kafka_with(Topics(own_broker.bootstrap_servers), own_broker.bootstrap_servers)


@pytest.fixture
def system(kafka: KafkaHere, tmp_path: Path) -> Generator[System]:
    running = System(
        tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2", **kafka.settings
    )
    running.start()
    yield running
    running.kill()


@pytest.mark.timeout(300)
def test_what_was_acknowledged_reaches_kafka_the_audit_and_every_client(
    own_broker: Broker, kafka: KafkaHere, system: System
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    victims = [consumers_workers, delivery, delivery]
    rng.shuffle(victims)
    outages = Outages(own_broker, kafka, random.Random(seed), up_s=(0.5, 2), down_s=(0.2, 3))
    ordeal = Ordeal(USERS, [(rng.uniform(2, 6), victim) for victim in victims], outages)

    try:
        ordeal.run(system, rng)
    finally:
        ordeal.show()

    # No process of the API was harmed.
    assert ordeal.figures["what their senders heard"] == {
        "201": ordeal.figures["writes acknowledged"]
    }
    assert system.stop() == 0
