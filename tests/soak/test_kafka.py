"""Minutes of load with outages of Kafka and kills of all processes; see test_kafka_outages.py."""

import random
import sys
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.kafka.broker import Broker
from tests.support.kafka.outages import Outages
from tests.support.kafka.settings import kafka_settings
from tests.support.kafka.topics import Topics
from tests.support.load.chaos import JWT_SECRET, VICTIMS, ChaosRun
from tests.support.processes.system import System

USERS = 200
KILLS_OF_EACH = 10
BETWEEN_KILLS_S = 0.5, 11


@pytest.mark.soak
def test_acknowledged_writes_reach_kafka_the_audit_and_every_client(
    own_broker: Broker, tmp_path: Path
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    servers = own_broker.bootstrap_servers
    kafka = kafka_settings(Topics(servers), servers)
    system = System(
        tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2", **kafka.environment
    )
    system.start()
    victims = [victim for victim in VICTIMS for _ in range(KILLS_OF_EACH)]
    rng.shuffle(victims)
    kills = [(rng.uniform(*BETWEEN_KILLS_S), victim) for victim in victims]
    chaos = ChaosRun(USERS, kills, Outages(own_broker, kafka, random.Random(seed)))

    try:
        chaos.run(system, rng)
        assert system.stop() == 0
    finally:
        chaos.show()
        system.kill()
