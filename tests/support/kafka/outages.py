"""Random outages of a broker, and the check of its topics after them."""

import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.support.kafka.broker import Broker
from tests.support.kafka.settings import KafkaSettings
from tests.support.kafka.topics import all_messages_in

ENDED_WITHIN_S = 120


@dataclass
class Outages:
    """Pauses, kills and restarts of a broker for the length of a block.

    Between two of them the broker runs for a time out of `up_s`; each lasts for one out of
    `down_s`, or as long as a start takes.
    """

    broker: Broker
    kafka: KafkaSettings
    rng: random.Random
    up_s: tuple[float, float] = (1, 8)
    down_s: tuple[float, float] = (0.2, 6)
    had: Counter[str] = field(default_factory=Counter[str])

    def __enter__(self) -> Self:
        self._leaving, self._left = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="outages", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        assert self._left.wait(ENDED_WITHIN_S)

    def _run(self) -> None:
        self._go_on()
        self._left.set()
        # The broker ends with the thread that started it, and is still needed.
        threading.Event().wait()

    def _go_on(self) -> None:
        harms = {
            "paused": (self.broker.pause, self.broker.resume),
            "killed": (self.broker.kill, self.broker.start),
            "stopped": (self.broker.stop, self.broker.start),
        }
        while not self._leaving.wait(self.rng.uniform(*self.up_s)):
            name = self.rng.choice(sorted(harms))
            harm, mend = harms[name]
            harm()
            self._leaving.wait(self.rng.uniform(*self.down_s))
            mend()
            self.had[name] += 1

    def assert_published(self, newest: Mapping[str, int]) -> dict[str, int]:
        """Check that the topics hold each user's events up to the newest, each topic in order.

        Returns how many records there are, and how many of them are there for another time.
        """
        records, found = 0, defaultdict[str, set[int]](set)
        for topic in (self.kafka.tasks, self.kafka.reminders):
            held = defaultdict[str, list[int]](list)
            for message in all_messages_in(
                self.kafka.bootstrap_servers, topic, within_s=ENDED_WITHIN_S
            ):
                event = json.loads(message.value() or b"")
                held[event["user_id"]].append(event["seq"])
            for user_id, seqs in held.items():
                once = list(dict.fromkeys(seqs))
                assert once == sorted(once), f"{topic} is out of order: {once}"
                assert not found[user_id] & set(once)
                found[user_id] |= set(once)
                records += len(seqs)
        for user_id, seq in newest.items():
            assert found[user_id] == set(range(1, seq + 1))
        return {"records": records, "doubled": records - sum(map(len, found.values()))}
