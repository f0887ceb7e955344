"""Minutes of load while Kafka and all processes of ours are harmed; see test_kafka_outages.py."""

import random
import sys
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.broker import Broker
from tests.support.kafka_here import kafka_with
from tests.support.ordeal import JWT_SECRET, VICTIMS, Ordeal
from tests.support.outages import Outages
from tests.support.system import System
from tests.support.topics import Topics

USERS = 200
KILLS_OF_EACH = 10
BETWEEN_KILLS_S = 0.5, 11


@pytest.mark.soak
def test_what_was_acknowledged_reaches_kafka_the_audit_and_every_client(
    own_broker: Broker, tmp_path: Path
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    servers = own_broker.bootstrap_servers
    kafka = kafka_with(Topics(servers), servers)
    system = System(tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2", **kafka.settings)
    system.start()
    victims = [victim for victim in VICTIMS for _ in range(KILLS_OF_EACH)]
    rng.shuffle(victims)
    kills = [(rng.uniform(*BETWEEN_KILLS_S), victim) for victim in victims]
    ordeal = Ordeal(USERS, kills, Outages(own_broker, kafka, random.Random(seed)))

    try:
        ordeal.run(system, rng)
        assert system.stop() == 0
    finally:
        ordeal.show()
        system.kill()
