"""Sending what is due outside: held, sent outside any transaction, and recorded (decision 0028).

Each channel has places of its own, so that one that hangs delays no other; half of them are for
destinations that were quick, so that those that are slow or fail delay no others either.
"""

import logging
import math
import random
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from taskflow import clock, metrics
from taskflow.domain import notifications, quiet_hours, reminders
from taskflow.domain.destinations import (
    ENDED_BY_USER,
    EXPIRES_AFTER,
    GIVES_UP_AFTER,
    REFUSED,
    TELLS,
    UNSURE_MAX,
    UNSURE_PAUSE_S,
    Channel,
    Destination,
    State,
    retry_pause_s,
)
from taskflow.domain.errors import DestinationNotFound, ReminderNotFound
from taskflow.domain.events import Cause, EventType, NewEvent
from taskflow.domain.notifications import Notification
from taskflow.domain.reminders import Reminder
from taskflow.eventing.cron import CronRun
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.process import draining
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    dead_letter_store,
    destination_store,
    outbound_store,
    refusal_store,
    reminder_store,
    run,
    task_changes,
)
from taskflow.storage.outbound_store import Change, PendingMessage

PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 5.0
"""The shortest and the longest time until it is looked again what is due."""

ALL_PAUSE_MIN_S, ALL_PAUSE_MAX_S = 1.0, 60.0
"""How long a channel is left alone after its provider took nothing: the first time, and at most."""

ROUND_S = 20.0
"""How long a place goes on with what it holds: the rest is let go, in good time before the hold
ends."""

DOUBTS_MAX = 3
"""After how many destinations in a row what may be of all is taken as being so."""

DISABLED = "nothing is sent there any more"
"""Why messages to a destination are cancelled that was disabled."""

TOO_OLD = "it is too old to tell anything of use"
"""Why a message fails that nobody tried to send in EXPIRES_AFTER."""

MISTAKEN = "TaskFlow could not write or read it, which is logged"
"""Why a message waits whose sending raised what nobody foresaw."""

RECORDED_AGAIN_S = 0.5
"""How soon to try again to record what was sent, while the database is away."""

RENEWED_AFTER_S = 1.0
"""How old a hold gets until it is looked whether it holds still, and is renewed."""

_log = logging.getLogger(__name__)

Sent = tuple[Sequence[PendingMessage], Outcome]
"""What one sending has come to: several messages may share it."""

Send = Callable[[Destination, Sequence[PendingMessage]], Iterator[Sent]]
"""Sends messages to a destination, one after the other or together, and tells of each sending.

Whoever calls may end it after any; it raises nothing for what a provider may do.
"""

_Settled = tuple[PendingMessage, Change]
"""A message, and what becomes of it."""


class Pause:
    """Since when a channel's provider takes nothing, and until when it is left alone."""

    def __init__(self) -> None:
        """Make that of a channel which goes well."""
        self.failures = 0
        self._doubts = set[UUID]()
        self._until_s = 0.0

    def is_on(self) -> bool:
        """Say whether the provider is to be left alone."""
        return clock.monotonic_s() < self._until_s

    def note(self, destination_id: UUID, outcome: Outcome) -> Outcome:
        """Take note of what the provider said to one destination; return it, of all if it is so."""
        match outcome:
            case Deferred(may_be_of_all=True):
                self._doubts.add(destination_id)
                if len(self._doubts) >= DOUBTS_MAX:
                    outcome = replace(outcome, of_all=True)
            case _:
                self._doubts.clear()
        match outcome:
            case Deferred(of_all=True):
                self.failures += 1
                longest = ALL_PAUSE_MIN_S * 2.0 ** min(self.failures - 1, 30)
                pause_s = min(ALL_PAUSE_MAX_S, longest) * (1 + random.random()) / 2  # noqa: S311 - to spread
                pause_s = max(pause_s, outcome.retry_after_s or 0.0)
                self._until_s = clock.monotonic_s() + pause_s
            case _:
                self.failures = 0
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """How the messages of a channel are sent.

    `open_provider` gives what sends, for as long as a place goes on; `places` do so at once, each
    with at most `destinations_max` at a time and `messages_max` of each. Where each destination
    has a server of its own, one that takes longer than `quick_s` is slow. All runs of a process
    have no more places together than `slots`.
    """

    channel: Channel
    open_provider: Callable[[], AbstractContextManager[Send]]
    places: int
    destinations_max: int
    messages_max: int
    quick_s: float = math.inf
    pause: Pause = field(default_factory=Pause)
    slots: threading.Semaphore | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """A destination that a place holds since `at_s`, with its messages that were due then.

    It `is_refused` where its owner wants to be asked nothing.
    """

    destination: Destination
    messages: Sequence[PendingMessage]
    holder: UUID
    at_s: float
    is_refused: bool


class Delivery:
    """The sending of what is due during one run of a cron function."""

    def __init__(self, cron_run: CronRun, cause: Cause, lanes: Sequence[Lane]) -> None:
        """Send by these lanes until the run is over."""
        self._run = cron_run
        self._cause = cause
        self._lanes = {lane.channel: _Places(lane, cron_run, cause) for lane in lanes}

    def send_all(self) -> None:
        """Send what is due, and what gets due, until the run is over.

        Raises DatabaseUnavailable and LockTimeout where nothing could be read at all.
        """
        has_read = False
        try:
            while True:
                due, is_behind = dict[Channel, datetime](), self._follow()
                try:
                    due = run(partial(destination_store.due, channels=self._lanes), self._cause)
                    has_read = True
                except (DatabaseUnavailable, LockTimeout):
                    if not has_read:
                        raise
                now = clock.now()
                for channel, at in due.items():
                    if at <= now:
                        self._lanes[channel].fill()
                if self._run.is_over():
                    return
                if not is_behind:
                    waits_s = [(at - now).total_seconds() for at in due.values() if at > now]
                    self._run.rest_until_commit(PAUSE_MIN_S, min([PAUSE_MAX_S, *waits_s]))
        finally:
            for places in self._lanes.values():
                places.join()

    def _follow(self) -> bool:
        """Have some webhooks given what has happened; say whether there may be more of them."""
        if Channel.WEBHOOK not in self._lanes:
            return False
        try:
            followed = run(partial(outbound_store.follow, now=clock.now()), self._cause)
        except (DatabaseUnavailable, LockTimeout):
            # What there is to send does not wait for it.
            return False
        return followed == outbound_store.FOLLOWING_MAX


class _Places:
    """The places of a lane, each a thread while there is something to send."""

    def __init__(self, lane: Lane, cron_run: CronRun, cause: Cause) -> None:
        self._lane = lane
        self._run = cron_run
        self._cause = cause
        self._threads: list[threading.Thread | None] = [None] * lane.places

    def fill(self) -> None:
        """Have all places look for what is due, unless the channel is left alone."""
        if self._lane.pause.is_on():
            return
        # After its provider took nothing, one place tries whether it takes something again.
        places = 1 if self._lane.pause.failures else len(self._threads)
        for number in range(places):
            thread = self._threads[number]
            if thread is None or not thread.is_alive():
                if self._lane.slots is not None and not self._lane.slots.acquire(blocking=False):
                    # Other runs have them: a tick has come twice.
                    return
                # The last ones, at least one, take those that are slow or fail, too.
                takes_all = number >= len(self._threads) // 2 or places == 1
                work = partial(self._work, takes_all=takes_all)
                thread = threading.Thread(target=work, name=self._lane.channel, daemon=True)
                self._threads[number] = thread
                thread.start()

    def join(self) -> None:
        """Wait until the places are empty."""
        for thread in self._threads:
            if thread is not None:
                thread.join()

    def _work(self, *, takes_all: bool) -> None:
        try:
            while self._round(takes_all=takes_all) and not self._is_over():
                pass
        except (DatabaseUnavailable, LockTimeout):
            # What was held is let go by the time; the run goes on looking.
            _log.warning("messages by %s can't be read or recorded at present", self._lane.channel)
        except Exception:  # noqa: BLE001 - a place that ends is filled again
            _log.exception("messages by %s could not be sent", self._lane.channel)
        finally:
            if self._lane.slots is not None:
                self._lane.slots.release()

    def _is_over(self) -> bool:
        return self._run.is_over() or self._lane.pause.is_on()

    def _round(self, *, takes_all: bool) -> bool:
        """Send to some destinations; say whether there were any."""
        holder = uuid4()
        left = run(partial(self._hold, holder=holder, takes_all=takes_all), self._cause)
        if not left:
            return False
        ends_s = clock.monotonic_s() + ROUND_S
        try:
            with self._lane.open_provider() as send:
                while left:
                    self._send(send, left.pop(0))
                    if self._is_over() or clock.monotonic_s() >= ends_s:
                        break
        finally:
            if left:
                ids = [each.destination.id for each in left]
                with suppress(DatabaseUnavailable, LockTimeout):
                    run(partial(_let_go, holder=holder, destination_ids=ids), self._cause)
        return True

    def _hold(self, tx: Transaction, *, holder: UUID, takes_all: bool) -> list[_Held]:
        lane, now = self._lane, clock.now()
        found = destination_store.hold(
            tx,
            lane.channel,
            holder,
            now=now,
            limit=lane.destinations_max,
            takes_all=takes_all,
        )
        ids = [destination.id for destination in found]
        due = outbound_store.due(tx, ids, now=now, limit=lane.messages_max) if ids else []
        by_destination = {
            destination_id: list(messages)
            for destination_id, messages in groupby(due, key=lambda each: each.destination_id)
        }
        questions = {message.destination_id for message in due if not message.is_of_event}
        asked = [destination for destination in found if destination.id in questions]
        refused = refusal_store.refused(tx, asked) if asked else frozenset[UUID]()
        at_s = clock.monotonic_s()
        return [
            _Held(
                destination,
                by_destination.get(destination.id, []),
                holder,
                at_s,
                is_refused=destination.id in refused,
            )
            for destination in found
        ]

    def _send(self, send: Send, held: _Held) -> None:
        """Send one destination's messages, and record each sending before the next one."""
        destination = held.destination
        changes, wanted = _judged(held, now=clock.now())
        if changes or not wanted or clock.monotonic_s() >= held.at_s + RENEWED_AFTER_S:
            begin = partial(_begin, held=held, changes=changes, has_more=bool(wanted))
            if not run(begin, self._cause):
                # Somebody else has it by now, or its user has removed it or switched it off.
                return
        sending = self._sending(send, destination, wanted)
        left = len(wanted)
        while left:
            began_s = clock.monotonic_s()
            sent, said = next(sending)
            is_quick = clock.monotonic_s() - began_s <= self._lane.quick_s
            outcome = self._note(said, sent)
            left -= len(sent)
            # One that fails or is slow has its next turn after those that wait.
            is_last = (
                not left
                or not is_quick
                or isinstance(outcome, Deferred)
                or (isinstance(outcome, Rejected) and outcome.is_gone)
                or draining().is_set()
                or clock.monotonic_s() >= held.at_s + ROUND_S
            )
            record = partial(
                _record, held=held, sent=sent, outcome=outcome, is_quick=is_quick, is_last=is_last
            )
            if not self._run_until_done(record):
                return

    def _sending(
        self, send: Send, destination: Destination, messages: Sequence[PendingMessage]
    ) -> Iterator[Sent]:
        """Send messages as the provider does; what it raises defers them that are left."""
        left = {message.id: message for message in messages}
        try:
            for sent, outcome in send(destination, messages):
                yield sent, outcome
                for message in sent:
                    del left[message.id]
        except Exception as error:  # noqa: BLE001 - of one destination, which holds up no other
            # Without what it says: that may be an address, a secret or a title.
            where = traceback.extract_tb(error.__traceback__)[-1]
            _log.error(
                "a message by %s could not be sent: %s in %s, line %s",
                destination.channel.value,
                type(error).__name__,
                where.name,
                where.lineno,
            )
        if left:
            yield list(left.values()), Deferred(MISTAKEN)

    def _run_until_done(self, record: Callable[[Transaction], bool]) -> bool:
        """Record what was sent, however long the database is away: it would be sent again."""
        while True:
            try:
                return run(record, self._cause)
            except (DatabaseUnavailable, LockTimeout):
                if draining().wait(RECORDED_AGAIN_S):
                    raise

    def _note(self, said: Outcome, sent: Sequence[PendingMessage]) -> Outcome:
        """Count what a sending has come to; return it, of all if others have shown it so."""
        channel, now = self._lane.channel, clock.now()
        outcome = self._lane.pause.note(sent[0].destination_id, said)
        kind = type(outcome).__name__.lower()
        metrics.OUTBOUND.labels(channel.value, kind).inc(len(sent))
        match outcome:
            case Deferred(of_all=True):
                _log.warning("nothing goes out by %s: %s", channel.value, outcome.reason)
            case Accepted():
                for message in sent:
                    late_s = (now - message.due_at).total_seconds()
                    metrics.LATE_SECONDS.labels(channel.value).observe(late_s)
            case _:
                pass
        return outcome


def _let_go(tx: Transaction, *, holder: UUID, destination_ids: Sequence[UUID]) -> None:
    destination_store.release_all(tx, holder, destination_ids)


def _begin(tx: Transaction, *, held: _Held, changes: Sequence[_Settled], has_more: bool) -> bool:
    """Settle what is not sent; say whether the destination is still held by who is to send."""
    if not destination_store.renew(tx, held.destination, held.holder):
        return False
    now = clock.now()
    if changes:
        _settle(tx, held.destination, changes, now=now)
    if not has_more:
        destination_store.release(tx, held.destination.id, held.holder, now=now)
    return True


def _judged(held: _Held, *, now: datetime) -> tuple[list[_Settled], list[PendingMessage]]:
    """Return what becomes of messages that are not sent, and those that are to be."""
    changes: list[_Settled] = []
    wanted: list[PendingMessage] = []
    destination = held.destination
    for message in held.messages:
        unsent = _unsent(held, message, now=now)
        is_told = destination.channel in TELLS and message.is_of_event
        quiet_until = is_told and quiet_hours.ends_at(message.quiet_hours, message.zone, now)
        if unsent is not None:
            changes.append((message, _changed(message, *unsent, now=now)))
        elif quiet_until:
            changes.append((message, replace(_unchanged(message), due_at=quiet_until)))
        else:
            wanted.append(message)
    return changes, wanted


def _unsent(  # noqa: PLR0911 - one for each reason
    held: _Held, message: PendingMessage, *, now: datetime
) -> tuple[str, str] | None:
    """Return the state that a message gets which is not sent, and why; None where it is."""
    destination = held.destination
    if destination.state is State.DISABLED:
        if destination.channel in TELLS and destination.disabled_because not in ENDED_BY_USER:
            return "failed", destination.disabled_because or DISABLED
        return "cancelled", DISABLED
    if not message.is_of_event and held.is_refused:
        return "cancelled", REFUSED
    if not message.is_of_event:
        is_wanted = destination.state is State.UNCONFIRMED
        return None if is_wanted else ("cancelled", "the address is confirmed")
    if destination.state is State.UNCONFIRMED:
        return "cancelled", "the address is not confirmed"
    if message.event is None:
        return "cancelled", "what it told of was erased"
    if destination.channel in TELLS:
        if destination.channel.value not in message.channels:
            return "cancelled", "its user has switched the channel off"
        is_reminder = message.event.event_type == EventType.REMINDER_TRIGGERED
        if is_reminder and not (message.task and message.task.is_open):
            return "cancelled", "the task was completed or deleted"
    return ("failed", TOO_OLD) if now - message.due_at >= EXPIRES_AFTER else None


def _record(
    tx: Transaction,
    *,
    held: _Held,
    sent: Sequence[PendingMessage],
    outcome: Outcome,
    is_quick: bool,
    is_last: bool,
) -> bool:
    """Record what a sending has come to, and what follows from it; say whether to send more.

    After the last one the destination is let go, and so is one that its user has removed or
    switched off meanwhile.
    """
    now = clock.now()
    try:
        destination = destination_store.lock(tx, held.destination.id)
    except DestinationNotFound:
        return False
    # One pause for all that were sent together, which come together again.
    jitter = random.random()  # noqa: S311 - to spread
    # What was said by where it led before, or in other hours, says nothing of it as it is now: what
    # was not taken there is tried again.
    is_as_it_was = destination.revision == held.destination.revision
    changes = [
        (message, _after(destination, message, outcome, jitter, now=now))
        for message in sent
        if is_as_it_was or isinstance(outcome, Accepted)
    ]
    after = destination
    if is_as_it_was:
        after = _destination_after(destination, outcome, jitter, is_quick=is_quick, now=now)
    if after != destination:
        destination_store.save(tx, after)
    told: list[Notification] = []
    happened: list[NewEvent] = []
    if after.state is State.DISABLED:
        # Who has switched it off knows.
        word = None if destination.state is State.DISABLED else _word_of(after)
        if word is not None:
            notification, created = notifications.tell(after.user_id, word, now=now)
            told.append(notification)
            happened.append(created)
    _settle(tx, destination, changes, told=told, happened=happened, now=now)
    if after.state is State.DISABLED:
        if after.channel in TELLS:
            # Each of what waits has failed as well, which is said a few at a time.
            outbound_store.make_due(tx, after.id, now=now)
        else:
            outbound_store.cancel_all(tx, after.id, DISABLED, now=now)
    goes_on = not is_last and is_as_it_was and after.state is not State.DISABLED
    if not goes_on:
        destination_store.release(tx, destination.id, held.holder, now=now)
    return goes_on


def _settle(
    tx: Transaction,
    destination: Destination,
    changes: Sequence[_Settled],
    *,
    told: Sequence[Notification] = (),
    happened: Sequence[NewEvent] = (),
    now: datetime,
) -> None:
    """Store what becomes of messages, and what follows for those that fail, with what happened.

    Of a reminder or an operator's message there is a dead letter, and of a reminder an event.
    """
    outbound_store.settle(tx, [change for _, change in changes])
    failed = [
        (message, change.reason or "")
        for message, change in changes
        if change.state == "failed" and message.event is not None and destination.channel in TELLS
    ]
    changed: list[Reminder] = []
    events = list(happened)
    for message, reason in failed:
        letter = outbound_store.dead_letter_of(destination, message, reason, now=now)
        dead_letter_store.add(tx, letter)
        reminder = _reminder_of(tx, message)
        if reminder is not None:
            reminder, event = reminders.failed(
                reminder, channel=destination.channel.value, reason=reason, now=now
            )
            changed.append(reminder)
            events.append(event)
    if events:
        task_changes.save_all(tx, reminders=changed, notifications=told, events=events)


def _after(
    destination: Destination,
    message: PendingMessage,
    outcome: Outcome,
    jitter: float,
    *,
    now: datetime,
) -> Change:
    """Return what becomes of a message by what its sending has come to."""
    match outcome:
        case Accepted():
            sent = _changed(message, "sent", None, now=now)
            return replace(sent, provider_id=outcome.provider_id)
        case Rejected():
            return _changed(message, "failed", outcome.reason, now=now)
        case Deferred():
            # It is not the message's failure where nothing was taken.
            is_its = not outcome.of_all or outcome.may_be_of_all
            first = message.first_failed_at or (now if is_its else None)
            is_late = first is not None and now - first >= GIVES_UP_AFTER[destination.channel]
            is_old = now - message.begun_at >= EXPIRES_AFTER
            unsure = message.unsure + outcome.may_have_been_taken
            if (is_late and is_its) or is_old or unsure >= UNSURE_MAX:
                return _changed(message, "failed", outcome.reason, now=now)
            failures = message.failures + 1
            pause_s = retry_pause_s(failures, jitter, outcome.retry_after_s)
            if outcome.may_have_been_taken:
                pause_s = max(pause_s, UNSURE_PAUSE_S)
            return Change(
                id=message.id,
                state="pending",
                due_at=now + timedelta(seconds=pause_s),
                failures=failures,
                first_failed_at=first,
                unsure=unsure,
                settled_at=None,
                reason=outcome.reason,
            )


def _destination_after(
    destination: Destination, outcome: Outcome, jitter: float, *, is_quick: bool, now: datetime
) -> Destination:
    match outcome:
        case Accepted():
            return destination.accepted(is_quick=is_quick)
        case Rejected(is_gone=True):
            return destination.gone(outcome.reason, now=now)
        case Deferred(of_all=False):
            return destination.failed(
                outcome.reason, jitter=jitter, retry_after_s=outcome.retry_after_s, now=now
            )
        case Deferred(may_be_of_all=True):
            return destination.rested(jitter=jitter, retry_after_s=outcome.retry_after_s, now=now)
        case _:
            return destination


def _word_of(destination: Destination) -> str | None:
    """Return what the user is told of a destination that was disabled; a device needs no word.

    Events travel, and the rest of an address may be a secret: its host is enough to know it by.
    """
    why = destination.disabled_because
    match destination.channel:
        case Channel.WEBHOOK:
            host = urlsplit(destination.address).hostname
            return f"Your webhook to {host} was switched off: {why}"
        case Channel.EMAIL:
            host = destination.address.rpartition("@")[2]
            return f"Nothing is mailed to your address at {host} any more: {why}"
        case _:
            return None


def _reminder_of(tx: Transaction, message: PendingMessage) -> Reminder | None:
    """Return the reminder that a message tells of, its task locked; None if it is none."""
    event = message.event
    if event is None or event.event_type != EventType.REMINDER_TRIGGERED:
        return None
    try:
        return reminder_store.lock(tx, event.user_id, UUID(event.aggregate_id))[0]
    except ReminderNotFound:
        return None


def _changed(message: PendingMessage, state: str, reason: str | None, *, now: datetime) -> Change:
    return replace(_unchanged(message), state=state, settled_at=now, reason=reason)


def _unchanged(message: PendingMessage) -> Change:
    return Change(
        id=message.id,
        state="pending",
        due_at=message.due_at,
        failures=message.failures,
        first_failed_at=message.first_failed_at,
        unsure=message.unsure,
        settled_at=None,
    )
