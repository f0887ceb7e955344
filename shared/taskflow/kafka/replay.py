"""Rebuilding the tasks from what the topic still holds, and comparing them with the tables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from taskflow import clock
from taskflow.domain.events import Cause, Topic
from taskflow.domain.replay import Replay, differing_fields
from taskflow.domain.tasks import Task
from taskflow.domain.upcasting import NewerSchemaVersion
from taskflow.kafka.reader import Place, TopicsReader
from taskflow.kafka.records import Record, is_addressed
from taskflow.kafka.topics import name_of
from taskflow.storage import run, task_store

READ_MAX = 1000
READ_S = 1.0
PROGRESS_S = 2.0
CAUGHT_UP_WITHIN_S = 20.0
"""What was changed while this ran is looked for in Kafka for so long, after the rest was read."""

SILENT_MAX_S = 30.0

_CAUSE = Cause(correlation_id="taskflow replay", traceparent="", actor="", origin="")

Progress = Callable[[int, int], None]
"""Hears how many records have been read, and how many there are."""


class KafkaStoppedAnswering(Exception):
    """Kafka did not give the rest of what it said it has."""


@dataclass(slots=True)
class Comparison:
    """How the rebuilt tasks compare with the live ones, by task id."""

    records: int = 0
    unreadable: int = 0
    newer: int = 0
    """Refused: their schema version is newer than what this code reads."""
    doubled: int = 0
    same: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The fields that differ."""
    only_live: list[str] = field(default_factory=list[str])
    """Not in Kafka: not published yet, or older than what it keeps."""
    only_rebuilt: list[str] = field(default_factory=list[str])

    @property
    def is_equal(self) -> bool:
        """Say whether the rebuilt state is the live one, and nothing was refused."""
        return not (self.newer or self.differing or self.only_live or self.only_rebuilt)


def compare_with_kafka(progress: Progress) -> Comparison:
    """Rebuild every task from the topic's beginning, and compare it with the tables.

    What changes meanwhile is read too. Raises BrokerUnavailable, KafkaStoppedAnswering and
    DatabaseUnavailable.
    """
    replay, result = Replay(), Comparison()
    reader = TopicsReader([name_of(Topic.TASKS)], start="beginning")
    try:
        reader.assign()
        reading = _Reading(reader, replay, result)
        reading.to_the_end(progress)
        unsettled = _compare_all(replay, result)
        deadline_s = clock.monotonic_s() + CAUGHT_UP_WITHIN_S
        while unsettled and clock.monotonic_s() < deadline_s:
            reading.to_the_end(progress)
            reading.a_little()
            unsettled = _compare_again(replay, result, unsettled)
    finally:
        reader.close()
    result.doubled = replay.doubled
    return result


class _Reading:
    def __init__(self, reader: TopicsReader, replay: Replay, result: Comparison) -> None:
        self._reader = reader
        self._replay = replay
        self._result = result
        self._next = reader.beginnings()

    def to_the_end(self, progress: Progress) -> None:
        """Read up to where the topic ends now."""
        ends = self._reader.ends()
        heard_s = said_s = clock.monotonic_s()
        while left := self._left(ends):
            now_s = clock.monotonic_s()
            if self.a_little():
                heard_s = now_s
            elif now_s > heard_s + SILENT_MAX_S:
                raise KafkaStoppedAnswering
            if now_s > said_s + PROGRESS_S:
                said_s = now_s
                progress(self._result.records, self._result.records + left)
        progress(self._result.records, self._result.records)

    def a_little(self) -> int:
        """Read what comes next; return how much it was."""
        records = self._reader.read(READ_MAX, READ_S)
        for record in records:
            self._next[record.topic, record.partition] = record.offset + 1
            self._result.records += 1
            self._apply(record)
        return len(records)

    def _apply(self, record: Record) -> None:
        if is_addressed(record.headers):
            # It may outlive the first copies of what came after it, and is no news. What a replay
            # has published again counts: it went on to the end of the user's stream.
            return
        # Anybody may have written to the topic: what is not an event of ours is passed over.
        try:
            self._replay.apply(json.loads(record.value))
        except NewerSchemaVersion:
            self._result.newer += 1
        except (ValueError, KeyError, TypeError, AttributeError):
            self._result.unreadable += 1

    def _left(self, ends: dict[Place, int]) -> int:
        return sum(max(0, end - self._next[place]) for place, end in ends.items())


def _compare_all(replay: Replay, result: Comparison) -> list[UUID]:
    """Compare all tasks; return those whose events may still be on their way."""
    unseen = set(replay.states)
    unsettled: list[UUID] = []
    after: UUID | None = None
    while page := _page(after):
        for task in page:
            unseen.discard(str(task.id))
            if not _compare(replay, result, task):
                unsettled.append(task.id)
        after = page[-1].id
    result.only_rebuilt = sorted(unseen)
    return unsettled


def _compare_again(replay: Replay, result: Comparison, ids: Sequence[UUID]) -> list[UUID]:
    result.only_live.clear()
    unsettled: list[UUID] = []
    for start in range(0, len(ids), task_store.PAGE_MAX):
        some = ids[start : start + task_store.PAGE_MAX]
        for task in run(lambda tx, some=some: task_store.with_ids(tx, some), _CAUSE):
            result.differing.pop(str(task.id), None)
            if not _compare(replay, result, task):
                unsettled.append(task.id)
    return unsettled


def _compare(replay: Replay, result: Comparison, task: Task) -> bool:
    """Compare one task; say whether that is the last word on it."""
    rebuilt = replay.states.get(str(task.id))
    if rebuilt is None:
        result.only_live.append(str(task.id))
        return False
    if different := differing_fields(rebuilt, task):
        result.differing[str(task.id)] = different
        # The newer one may be on either side: the task was read at another time.
        return rebuilt.version == task.version
    result.same += 1
    return True


def _page(after: UUID | None) -> list[Task]:
    return run(lambda tx: task_store.page_of_all(tx, after=after), _CAUSE)
