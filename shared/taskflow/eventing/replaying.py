"""Advancing replays, step by step: each step is recorded, and the next one goes on behind it.

So a replay lasts as long as it takes, whatever the time of one run: whoever is killed has lost the
step that it was at, and somebody else takes the replay on (docs/decisions/0025).
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol
from uuid import UUID, uuid4

from taskflow import clock
from taskflow.domain.errors import NoKafka
from taskflow.domain.events import Cause, Event, is_of_task
from taskflow.domain.replay import Replay, Target, TaskState, differing_fields
from taskflow.domain.tasks import Task
from taskflow.domain.upcasting import NewerSchemaVersion
from taskflow.eventing.cron import CronRun
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    events,
    publication_store,
    replay_store,
    run,
    see_one_snapshot,
    task_store,
)
from taskflow.storage.replay_store import (
    Difference,
    RebuiltTask,
    ReplayNotHeld,
    RequestedReplay,
)

COMPARED_MAX = 500
"""Rebuilt tasks in one step; some megabytes at their largest."""

LOOKED_AT_MAX = 5_000
"""Live tasks in one step, of which only those that were not rebuilt are read."""

PUBLISHED_MAX = 500
"""Events in one step to the topic; some megabytes at their largest."""

SHARE = 0.5
"""How much of the time a replay into shadow tables works: it gives way to who use the database."""

HELD_ELSEWHERE_PAUSE_S = 1.0
"""How soon to look again at a replay that somebody else advances."""

REFUSED_PAUSE_S = 5.0
"""How soon to try again what Kafka does not take."""

RENEW_S = replay_store.HELD_FOR.total_seconds() / 4


class Publish(Protocol):
    """Publishes events again, in order; returns how many Kafka has, as `ReplayProducer` does."""

    def __call__(
        self,
        happened: Sequence[Event],
        replay_id: UUID,
        is_over: Callable[[], bool],
        meanwhile: Callable[[], None],
    ) -> int:
        """Publish them."""
        ...


class Worker:
    """Advances replays during one run of whoever does so: a cron function, or a command."""

    def __init__(
        self,
        cron_run: CronRun,
        cause: Cause,
        publish: Publish | None,
        *,
        on_step: Callable[[RequestedReplay], None] = lambda _: None,
    ) -> None:
        """Work until `cron_run` is over; `on_step` hears of each step how far the replay has come.

        Without `publish` there is no Kafka, and replays to the topic are left waiting.
        """
        self._run = cron_run
        self._cause = cause
        self._publish = publish
        self._on_step = on_step
        self._holder = uuid4()
        self._renewed_s = 0.0
        self.targets: Sequence[Target] = ["shadow"] if publish is None else ["shadow", "topic"]

    def advance_all(self) -> None:
        """Advance the replays that are not done, oldest first, until none is left or time is over.

        Raises DatabaseUnavailable and LockTimeout.
        """
        self._while(lambda: run(self._is_any_running, self._cause))

    def advance_one(self, replay_id: UUID) -> RequestedReplay:
        """Advance one replay, or wait for who does, until it is done, cancelled, or time is over.

        Return it as it is then. Raises ReplayNotFound, DatabaseUnavailable and LockTimeout.
        """

        def is_running() -> bool:
            replay = self._get(replay_id)
            self._on_step(replay)
            return replay.state == "running"

        self._while(is_running, only=replay_id)
        return self._get(replay_id)

    def _while(self, is_wanted: Callable[[], bool], only: UUID | None = None) -> None:
        hold = partial(replay_store.hold, holder=self._holder, targets=self.targets, only=only)
        try:
            while True:
                replay = run(partial(hold, now=clock.now()), self._cause)
                if replay is not None:
                    with suppress(ReplayNotHeld):
                        self._advance(replay)
                elif not is_wanted():
                    return
                if self._run.is_over():
                    return
                if replay is None:
                    self._run.rest(HELD_ELSEWHERE_PAUSE_S)
        finally:
            with suppress(DatabaseUnavailable, LockTimeout):
                run(partial(replay_store.release, holder=self._holder), self._cause)

    def _advance(self, replay: RequestedReplay) -> None:
        """Take a replay's steps until it is done or time is over. Raises ReplayNotHeld."""
        while replay.state == "running":
            began_s = clock.monotonic_s()
            before = replay
            replay = self._to_topic(replay) if replay.target == "topic" else self._shadow(replay)
            self._on_step(replay)
            if replay.state != "running" or self._run.is_over():
                return
            took_s = clock.monotonic_s() - began_s
            self._run.rest(_pause_s(before, replay, took_s))

    def _shadow(self, replay: RequestedReplay) -> RequestedReplay:
        step = {
            "events": _rebuild,
            "rebuilt-tasks": _compare_rebuilt,
            "live-tasks": _compare_live,
        }[replay.phase]

        def work(tx: Transaction) -> RequestedReplay:
            see_one_snapshot(tx)
            advanced = step(tx, replay)
            replay_store.save(tx, advanced, self._holder, now=clock.now())
            return advanced

        return run(work, self._cause)

    def _to_topic(self, replay: RequestedReplay) -> RequestedReplay:
        if self._publish is None:
            raise NoKafka
        found, again = run(partial(_published_before, replay=replay), self._cause)
        count = 0
        if again:
            self._renewed_s = clock.monotonic_s()
            count = self._publish(again, replay.id, self._run.is_over, self._renew_in_time)
        settled = found[: found.index(again[count])] if count < len(again) else found
        advanced = _behind(replay, settled) if found else replay.done(now=clock.now())
        if settled or not found:
            save = partial(replay_store.save, replay=advanced, holder=self._holder, now=clock.now())
            run(save, self._cause)
        return advanced

    def _renew_in_time(self) -> None:
        now_s = clock.monotonic_s()
        if now_s > self._renewed_s + RENEW_S:
            self._renewed_s = now_s
            with suppress(DatabaseUnavailable, LockTimeout):
                run(partial(replay_store.renew, holder=self._holder), self._cause)

    def _is_any_running(self, tx: Transaction) -> bool:
        return replay_store.is_any_running(tx, self.targets)

    def _get(self, replay_id: UUID) -> RequestedReplay:
        return run(partial(replay_store.get, replay_id=replay_id), self._cause)


def _pause_s(before: RequestedReplay, after: RequestedReplay, took_s: float) -> float:
    if after.target == "shadow":
        return took_s * (1 / SHARE - 1)
    if after.events_done == before.events_done:
        return REFUSED_PAUSE_S
    return max(0.0, (after.events_done - before.events_done) / after.events_per_s - took_s)


def _next_events(tx: Transaction, replay: RequestedReplay, limit: int) -> list[Event]:
    if replay.user_id is not None:
        return events.after(tx, replay.user_id, replay.after_seq, limit=limit)
    return events.page(
        tx, replay.after_user, replay.after_seq, from_seq=replay.from_seq, limit=limit
    )


def _published_before(
    tx: Transaction, *, replay: RequestedReplay
) -> tuple[list[Event], list[Event]]:
    """Return the next events, and those of them that are to be published again."""
    found = _next_events(tx, replay, min(PUBLISHED_MAX, replay.events_per_s))
    # The publisher brings the others, for the first time.
    published = publication_store.published(tx, {event.user_id for event in found})
    again = [event for event in _kept(tx, found) if event.seq <= published.get(event.user_id, 0)]
    return found, again


def _kept(tx: Transaction, found: Sequence[Event]) -> list[Event]:
    """Return those of these events that are not about to be erased."""
    deleted = replay_store.deletions(tx, {event.user_id for event in found})
    return [event for event in found if event.seq >= deleted.get(event.user_id, 0)]


def _behind(replay: RequestedReplay, settled: Sequence[Event]) -> RequestedReplay:
    """Return a replay as it goes on behind these events, which came next."""
    if not settled:
        return replay
    last = settled[-1]
    return replace(
        replay,
        after_user=last.user_id,
        after_seq=last.seq,
        events_done=replay.events_done + len(settled),
    )


def _rebuild(tx: Transaction, replay: RequestedReplay) -> RequestedReplay:
    """Apply the next events to the shadow tasks."""
    found = _next_events(tx, replay, events.READ_MAX)
    if not found:
        return replay.in_phase("rebuilt-tasks")
    rebuilt, newer = Replay(), 0
    newest: dict[str, Event] = {}
    for event in _kept(tx, found):
        try:
            rebuilt.apply(json.loads(event.record_json()))
        except NewerSchemaVersion:
            newer += 1
        else:
            if is_of_task(event.event_type):
                newest[event.aggregate_id] = event
    replay_store.save_rebuilt(
        tx,
        replay.id,
        [
            RebuiltTask(UUID(task_id), event.user_id, event.seq, rebuilt.states[task_id])
            for task_id, event in newest.items()
        ],
    )
    advanced = _behind(replay, found)
    return replace(advanced, events_newer=replay.events_newer + newer)


def _compare_rebuilt(tx: Transaction, replay: RequestedReplay) -> RequestedReplay:
    """Compare the next of the rebuilt tasks with the live ones."""
    page = replay_store.rebuilt_after(tx, replay.id, replay.after_task, limit=COMPARED_MAX)
    if not page:
        # From a later event on, it is nothing that other tasks have none.
        is_whole = replay.from_seq == 1
        return replay.in_phase("live-tasks") if is_whole else replay.done(now=clock.now())
    # Of an account that was deleted meanwhile, events and tasks go bit by bit.
    deleted = replay_store.deletions(tx, {each.user_id for each in page})
    kept = [each for each in page if each.user_id not in deleted]
    # What a step has rebuilt beside the erasure would outlive it.
    erased = [each.task_id for each in page if each.user_id in deleted]
    replay_store.drop_rebuilt(tx, replay.id, erased)
    live = {task.id: task for task in task_store.with_ids(tx, [each.task_id for each in kept])}
    found: list[Difference] = []
    for each in kept:
        task = live.get(each.task_id)
        if task is None:
            found.append(Difference(each.task_id, each.user_id, "only-rebuilt"))
        elif different := _differing(tx, each.state, each.seq, task):
            found.append(Difference(each.task_id, each.user_id, "differs", different))
    return _compared(tx, replay, page[-1].task_id, found, same=len(kept) - len(found))


def _compare_live(tx: Transaction, replay: RequestedReplay) -> RequestedReplay:
    """Look among the next of the live tasks for those that were not rebuilt."""
    page = replay_store.live_tasks_after(tx, replay.after_task, limit=LOOKED_AT_MAX)
    if not page:
        return replay.done(now=clock.now())
    deleted = replay_store.deletions(tx, set(page.values()))
    own = [
        task_id
        for task_id, user_id in page.items()
        if replay.user_id in (None, user_id) and user_id not in deleted
    ]
    missing = sorted(set(own) - replay_store.which_are_rebuilt(tx, replay.id, own))
    # Each may be large.
    read = missing[:COMPARED_MAX]
    found: list[Difference] = []
    for task in task_store.with_ids(tx, read):
        # It may have been created after its user's events were read.
        state = _caught_up(tx, task, None, 0)
        if state is None:
            found.append(Difference(task.id, task.user_id, "only-live"))
        elif different := differing_fields(state, task):
            found.append(Difference(task.id, task.user_id, "differs", different))
    last = read[-1] if len(read) < len(missing) else max(page)
    return _compared(tx, replay, last, found, same=len(read) - len(found))


def _compared(
    tx: Transaction,
    replay: RequestedReplay,
    last: UUID,
    found: Sequence[Difference],
    *,
    same: int,
) -> RequestedReplay:
    replay_store.add_differences(tx, replay, found)
    kinds = [each.kind for each in found]
    return replace(
        replay,
        after_task=last,
        tasks_same=replay.tasks_same + same,
        tasks_differing=replay.tasks_differing + kinds.count("differs"),
        tasks_only_live=replay.tasks_only_live + kinds.count("only-live"),
        tasks_only_rebuilt=replay.tasks_only_rebuilt + kinds.count("only-rebuilt"),
    )


def _differing(tx: Transaction, state: TaskState, seq: int, task: Task) -> list[str]:
    """Return the fields in which a live task differs from one that was rebuilt up to `seq`."""
    if task.version > state.version:
        # It was changed after its user's events were read.
        state = _caught_up(tx, task, state, seq) or state
    return differing_fields(state, task)


def _caught_up(tx: Transaction, task: Task, state: TaskState | None, seq: int) -> TaskState | None:
    """Return the state of a task after its events behind `seq`, as this transaction sees them.

    Those of a newer schema version are left out, so that it differs.
    """
    replay, task_id = Replay(), str(task.id)
    if state is not None:
        replay.states[task_id] = state
    while True:
        found = events.history(tx, task.user_id, task_id, after_seq=seq, limit=events.READ_MAX)
        for event in found:
            with suppress(NewerSchemaVersion):
                replay.apply(json.loads(event.record_json()))
        if not events.may_have_more(found):
            return replay.states.get(task_id)
        seq = found[-1].seq
