"""Half a minute of load with outages of Kafka: no write is lost and no client sees it (E4, L5)."""

import random
import sys
from collections.abc import Generator
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.kafka.broker import Broker
from tests.support.kafka.outages import Outages
from tests.support.kafka.settings import KafkaSettings, kafka_settings
from tests.support.kafka.topics import Topics
from tests.support.load.chaos import JWT_SECRET, ChaosRun
from tests.support.processes.roles import consumers_workers, delivery
from tests.support.processes.system import System

USERS = 20


@pytest.fixture
def kafka(own_broker: Broker) -> KafkaSettings:
    return kafka_settings(Topics(own_broker.bootstrap_servers), own_broker.bootstrap_servers)


@pytest.fixture
def system(kafka: KafkaSettings, tmp_path: Path) -> Generator[System]:
    running = System(
        tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2", **kafka.environment
    )
    running.start()
    yield running
    running.kill()


@pytest.mark.timeout(300)
def test_acknowledged_writes_reach_kafka_the_audit_and_every_client(
    own_broker: Broker, kafka: KafkaSettings, system: System
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    victims = [consumers_workers, delivery, delivery]
    rng.shuffle(victims)
    outages = Outages(own_broker, kafka, random.Random(seed), up_s=(0.5, 2), down_s=(0.2, 3))
    chaos = ChaosRun(USERS, [(rng.uniform(2, 6), victim) for victim in victims], outages)

    try:
        chaos.run(system, rng)
    finally:
        chaos.show()

    # No process of the API was harmed.
    assert chaos.figures["answers to writes"] == {"201": chaos.figures["writes acknowledged"]}
    assert system.stop() == 0
