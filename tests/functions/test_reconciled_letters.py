"""Dead letters of what passes are sent again by themselves, so that no effect is missing (E5)."""

from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from taskflow import clock
from taskflow.domain.events import Event
from taskflow.eventing import subscriptions
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import dead_letter_store, delivery_store, transaction
from taskflow.storage.dead_letter_store import DeadLetter
from taskflow.storage.tables import AUDIT_ENTRIES, CLAIMS, DEAD_LETTERS, REDELIVERIES
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, a_user, an_administrator
from tests.support.data.builders import a_settings_event, append, log_of
from tests.support.data.bulk_events import add_events
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database
from tests.support.delivery.dead_letters import give_up
from tests.support.delivery.subscribers import assert_taken, deliver, reconcile, tick
from tests.support.functions.client import Api
from tests.support.functions.problems import assert_refused
from tests.support.functions.tokens import a_token, with_token
from tests.support.settings import changed_settings

SetClock = Callable[[datetime], None]

CONSUMER = "record-audit-entry"
LETTERS = "/api/admin/dead-letters"
PASSING = ("503", "500", "429", "408", "404", "", "-1")
LASTING = ("400", "413", "301")
PAUSES = (
    timedelta(0),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
A_SECOND, A_TICK = timedelta(seconds=1), timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _own_database(letters_database: None) -> None:
    """Use a database without other letters."""


@pytest.fixture(scope="module")
def letters_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture
def event(letters_database: None) -> Event:  # noqa: ARG001 - it must be there
    """Return an event that nobody was brought, and that is no longer overdue."""
    return an_event()


def an_event() -> Event:
    [event] = log_of(a_user().user_id)
    return event


def letter_of(event: Event) -> DeadLetter:
    with transaction(A_CAUSE) as tx:
        query = select(DEAD_LETTERS.c.id).where(
            DEAD_LETTERS.c.consumer == CONSUMER, DEAD_LETTERS.c.event_id == str(event.event_id)
        )
        return dead_letter_store.get(tx, tx.connection.execute(query).scalar_one())


def is_asked_for(event: Event) -> bool:
    with transaction(A_CAUSE) as tx:
        query = select(REDELIVERIES).where(
            REDELIVERIES.c.consumer == CONSUMER,
            REDELIVERIES.c.user_id == event.user_id,
            REDELIVERIES.c.seq == event.seq,
        )
        return tx.connection.execute(query).one_or_none() is not None


def is_claimed(event: Event) -> bool:
    query = select(CLAIMS).where(CLAIMS.c.consumer == CONSUMER, CLAIMS.c.event_id == event.event_id)
    with transaction(A_CAUSE) as tx:
        return tx.connection.execute(query).one_or_none() is not None


def entries_of(event: Event) -> int:
    query = select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.event_id == event.event_id)
    with transaction(A_CAUSE) as tx:
        return len(tx.connection.execute(query).all())


def strike(event: Event) -> None:
    """Record, as who delivers does, that an event was brought again."""
    with transaction(A_CAUSE) as tx:
        delivery_store.remove_redelivery(tx, CONSUMER, event.user_id, event.seq)


def bring_again(event: Event) -> None:
    """Bring an event to its consumer as it was asked for, which it takes."""
    assert is_asked_for(event)
    assert_taken(deliver(CONSUMER, event))
    strike(event)


def die_again(event: Event, code: str = "503") -> None:
    """Bring an event to its consumer as it was asked for, in vain."""
    give_up(event, CONSUMER, code=code)
    strike(event)


def run_after(set_clock: SetClock, by: timedelta) -> None:
    """Set the clock forward and run."""
    set_clock(clock.now() + by)
    assert_taken(tick("reconcile-consumers"))


def settle(event: Event, how: str) -> int:
    """Have an administrator resend or discard the letter of an event; return the status."""
    user = an_administrator()
    api = Api(with_token(user, a_token(user.user_id, permissions=["events:replay"])))
    path = f"{LETTERS}/{letter_of(event).id}"
    answer = api.post(f"{path}/resend") if how == "resend" else api.delete(path)
    return answer.status_code


# What is sent again


@pytest.mark.parametrize("code", PASSING)
def test_an_event_whose_failure_may_pass_is_sent_again_at_the_next_run(
    event: Event, set_clock: SetClock, code: str
) -> None:
    give_up(event, CONSUMER, code=code)

    run_after(set_clock, A_SECOND)

    assert is_asked_for(event)
    assert letter_of(event).state == "resent"


@pytest.mark.parametrize("code", LASTING)
def test_an_event_that_was_refused_stays_dead_until_somebody_decides(
    event: Event, set_clock: SetClock, code: str
) -> None:
    give_up(event, CONSUMER, code=code)

    for by in (A_SECOND, A_TICK, timedelta(hours=1), timedelta(days=1), timedelta(days=60)):
        run_after(set_clock, by)

        assert not is_asked_for(event)
        assert letter_of(event).state == "dead"
    assert settle(event, "resend") == 202
    bring_again(event)
    assert entries_of(event) == 1


def test_an_event_that_fails_for_ever_is_sent_again_five_times_after_growing_pauses(
    event: Event, set_clock: SetClock
) -> None:
    give_up(event, CONSUMER)

    for pause in PAUSES:
        if pause:
            run_after(set_clock, pause - A_SECOND)
            assert not is_asked_for(event)
        run_after(set_clock, A_SECOND)
        assert is_asked_for(event)
        die_again(event)
    for by in (A_TICK, timedelta(days=2), timedelta(days=40)):
        run_after(set_clock, by)

        assert not is_asked_for(event)
    assert (letter_of(event).state, letter_of(event).deaths) == ("dead", 6)


def test_an_event_that_an_administrator_has_sent_again_is_sent_again_by_itself_anew(
    event: Event, set_clock: SetClock
) -> None:
    give_up(event, CONSUMER)
    for pause in PAUSES:
        run_after(set_clock, pause + A_SECOND)
        die_again(event)
    run_after(set_clock, timedelta(days=2))
    assert settle(event, "resend") == 202
    die_again(event)

    run_after(set_clock, A_SECOND)

    assert is_asked_for(event)


def test_an_event_that_was_refused_after_it_was_sent_again_stays_dead(
    event: Event, set_clock: SetClock
) -> None:
    give_up(event, CONSUMER)
    run_after(set_clock, A_SECOND)
    die_again(event, "400")

    run_after(set_clock, timedelta(days=2))

    assert not is_asked_for(event)
    assert letter_of(event).state == "dead"


def test_a_discarded_event_is_not_sent_again_even_if_its_letter_comes_twice(
    event: Event, set_clock: SetClock
) -> None:
    give_up(event, CONSUMER, code="400")
    assert settle(event, "discard") == 204
    give_up(event, CONSUMER)

    run_after(set_clock, timedelta(days=2))

    assert not is_asked_for(event)
    assert (letter_of(event).state, letter_of(event).deaths) == ("discarded", 2)


def test_an_event_whose_claim_may_have_been_forgotten_is_not_sent_again(
    set_clock: SetClock,
) -> None:
    user, began = a_user(), clock.now()
    for version, age in ((2, timedelta(days=89)), (3, timedelta(days=91))):
        append(a_settings_event(user.user_id, version=version, at=began - age))
    _, young, old = log_of(user.user_id)
    for event in (young, old):
        give_up(event, CONSUMER)

    run_after(set_clock, A_SECOND)

    assert (is_asked_for(young), is_asked_for(old)) == (True, False)


def test_a_letter_to_a_consumer_that_was_removed_stays_as_it_is(
    event: Event, set_clock: SetClock, tmp_path: Path
) -> None:
    give_up(event, CONSUMER)
    source = tmp_path / "send-mail" / "main.py"
    source.parent.mkdir()
    source.write_text(A_CONSUMER)
    with changed_settings(functions_dir=tmp_path):
        assert [*subscriptions.declared()] == ["send-mail"]
        run_after(set_clock, timedelta(hours=1))
        meanwhile = (is_asked_for(event), letter_of(event).state)

    run_after(set_clock, A_SECOND)

    assert meanwhile == (False, "dead")
    # Once it is there again, so is what it missed.
    assert is_asked_for(event)


A_CONSUMER = '''
"""On task.created: do nothing."""

from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction


@event_function(EventType.TASK_CREATED, starts="now", ordering="unordered")
def send_mail(event: DeliveredEvent, tx: Transaction):
    pass
'''


# What was delivered after all


@pytest.mark.parametrize("code", ["503", "400", ""])
@pytest.mark.parametrize("first", ["claim", "letter"])
def test_a_letter_whose_event_was_claimed_is_delivered_and_asks_for_nobody(
    event: Event, set_clock: SetClock, code: str, first: str
) -> None:
    """As where the answer to a delivery was lost, or another copy of it went well."""
    if first == "claim":
        assert_taken(deliver(CONSUMER, event))
    give_up(event, CONSUMER, code=code)
    if first == "letter":
        assert_taken(deliver(CONSUMER, event))

    run_after(set_clock, A_SECOND)

    assert letter_of(event).state == "delivered"
    assert not is_asked_for(event)
    assert (settle(event, "resend"), settle(event, "discard")) == (409, 409)


def test_a_letter_whose_event_is_claimed_much_later_is_delivered_then(
    event: Event, set_clock: SetClock
) -> None:
    give_up(event, CONSUMER, code="400")
    for _ in range(6):
        run_after(set_clock, timedelta(hours=1))
    assert_taken(deliver(CONSUMER, event))

    for _ in range(7):
        run_after(set_clock, timedelta(hours=1))

    assert letter_of(event).state == "delivered"


def test_delivered_letters_are_listed_by_their_state(event: Event, set_clock: SetClock) -> None:
    give_up(event, CONSUMER)
    assert_taken(deliver(CONSUMER, event))
    run_after(set_clock, A_SECOND)
    user = an_administrator()
    admin = Api(with_token(user, a_token(user.user_id, permissions=["events:replay"])))

    found = admin.get(f"{LETTERS}?state=delivered&limit=1").json

    assert found is not None
    assert [one["event_id"] for one in found["items"]] == [str(event.event_id)]
    assert_refused(admin.delete(f"{LETTERS}/{found['items'][0]['id']}"), 409)


# Whichever comes first


@pytest.mark.parametrize("letter", ["before", "after", "after it was brought", "never"])
def test_the_audit_is_complete_whether_a_letter_comes_before_or_after_the_log_was_reconciled(
    event: Event, set_clock: SetClock, letter: str
) -> None:
    if letter == "before":
        give_up(event, CONSUMER)
    reconcile(set_clock)
    assert is_asked_for(event)
    if letter == "after":
        # The request is held to have been met: the event has died since (`remove_settled_…`).
        give_up(event, CONSUMER)
        with transaction(A_CAUSE) as tx:
            delivery_store.remove_settled_redeliveries(tx)
        assert not is_asked_for(event)
        run_after(set_clock, A_TICK)
    bring_again(event)
    if letter == "after it was brought":
        give_up(event, CONSUMER)
        run_after(set_clock, A_TICK)

    assert entries_of(event) == 1
    if letter != "never":
        assert letter_of(event).state in {"resent", "delivered"}


STEPS = st.lists(
    st.sampled_from(
        [
            *("dies for now", "dies unanswered", "is refused", "is brought", "letter comes twice"),
            *("a tick", "an hour", "a day", "resent", "discarded"),
        ]
    ),
    max_size=12,
)


EXAMPLES = 15


class Fate:
    """One event that is brought, or dies, with what was asked for; and what may come of that."""

    def __init__(self, set_clock: SetClock) -> None:
        self.event = an_event()
        self.code: str | None = None
        self.is_discarded = False
        self.resends = 0
        self._set_clock = set_clock

    def step(self, name: str) -> None:
        """Have one thing happen, if it can just now."""
        match name:
            case "dies for now" | "dies unanswered" | "is refused":
                self._die({"dies for now": "503", "is refused": "400"}.get(name, ""))
            case "letter comes twice" if self.code is not None:
                self._die(self.code)
            case "is brought":
                assert_taken(deliver(CONSUMER, self.event))
                strike(self.event)
            case "resent" | "discarded" if self.code is not None:
                self._decide(name)
            case "a tick" | "an hour" | "a day":
                by = {"an hour": timedelta(hours=1), "a day": timedelta(days=1)}.get(name, A_TICK)
                self.run(by)
            case _:
                pass

    def run(self, by: timedelta) -> None:
        """Reconcile, and hold what that asks for against what it may."""
        before = self._state()
        was_asked_for = is_asked_for(self.event)
        run_after(self._set_clock, by)
        if before == "dead" and self._state() == "resent":
            self.resends += 1
            assert self.code != "400"
            assert self.resends <= len(PAUSES)
        if is_asked_for(self.event) and not was_asked_for:
            assert not is_claimed(self.event)
            assert self._state() in {None, "resent"}

    def _state(self) -> str | None:
        return None if self.code is None else letter_of(self.event).state

    def _die(self, code: str) -> None:
        give_up(self.event, CONSUMER, code=code)
        strike(self.event)
        self.code = code

    def _decide(self, how: str) -> None:
        was_dead = letter_of(self.event).state == "dead"
        status = settle(self.event, how.removesuffix("ed") if how == "discarded" else "resend")
        assert status == ((204 if how == "discarded" else 202) if was_dead else 409)
        if was_dead:
            self.resends = 0
            self.is_discarded = how == "discarded"


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
@example(["a tick", "a tick", "dies for now", "a tick", "is refused", "resent", "dies for now"])
@example(["dies for now", *["a day", "dies for now"] * 6])
def test_whatever_happens_to_an_event_it_is_had_once_unless_somebody_has_to_decide(
    set_clock: SetClock, steps: list[str]
) -> None:
    fate = Fate(set_clock)
    for name in steps:
        fate.step(name)

    # From here on the consumer takes what it is brought.
    for _ in range(3):
        fate.run(timedelta(days=1, minutes=6))
        if is_asked_for(fate.event):
            bring_again(fate.event)

    state = None if fate.code is None else letter_of(fate.event).state
    assert entries_of(fate.event) == is_claimed(fate.event)
    if is_claimed(fate.event):
        assert state != "dead"
    elif fate.is_discarded:
        assert state == "discarded"
    else:
        assert state == "dead"
        assert fate.code == "400" or fate.resends == len(PAUSES)


# What it costs

_LETTERS = text("""
INSERT INTO dead_letters (
    id, consumer, event_id, event_type, user_id, seq, attributes, body, error_code, error_text,
    state, received_at, deaths, reconcile_at
)
SELECT event_id, :consumer, CAST(event_id AS text), event_type, user_id, seq, '{}',
    CAST(repeat(md5(user_id), 30) AS bytea), :code, '', 'dead', now(), 1, now()
FROM events WHERE user_id LIKE 'made-%'
""")


@pytest.fixture
def many_letters(database: EmbeddedPostgres) -> Generator[Callable[[int, int], None]]:
    """Return what gives up so many events with a code; nothing else is in the database."""

    def give_up_all(number: int, code: int) -> None:
        add_events(number, over=timedelta(hours=10), claimed_by="another")
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(_LETTERS, {"consumer": CONSUMER, "code": code})
        with engine().connect() as connection:
            connection.execute(text("ANALYZE dead_letters"))
            connection.commit()

    with a_database(database):
        yield give_up_all


def states() -> Counter[str]:
    with transaction(A_CAUSE) as tx:
        return Counter(tx.connection.execute(select(DEAD_LETTERS.c.state)).scalars())


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize(("code", "resent"), [(503, 1_000), (400, 0)])
def test_one_transaction_looks_at_a_part_of_many_letters_and_reads_no_others(
    many_letters: Callable[[int, int], None], set_clock: SetClock, code: int, resent: int
) -> None:
    many_letters(3_500, code)

    for number in (1, 2, 3):
        with counted_reads(engine()) as reads:
            run_after(set_clock, A_SECOND)

        assert states()["resent"] == number * resent
        # A letter, its event and its claim; and how many were asked for already.
        assert 1_000 <= reads.rows < 3.1 * 1_000 + number * resent
        assert "Index Scan of dead_letters" in reads.scans
        assert not [scan for scan in reads.scans if scan.startswith("Seq Scan of dead")]


@pytest.mark.usefixtures("long_runs")
def test_no_more_letters_are_sent_again_while_many_wait_to_be_brought(
    many_letters: Callable[[int, int], None], set_clock: SetClock
) -> None:
    many_letters(12_000, 503)

    waiting: list[int] = []
    for _ in range(3):
        run_after(set_clock, A_SECOND)
        waiting.append(states()["resent"])
        if len(waiting) == 2:
            with transaction(A_CAUSE) as tx:
                tx.connection.execute(REDELIVERIES.delete())

    assert waiting == [10_000, 10_000, 12_000]


@pytest.mark.usefixtures("long_runs")
def test_two_runs_at_once_send_each_letter_again_once(
    many_letters: Callable[[int, int], None],
) -> None:
    many_letters(3_500, 503)

    with ThreadPoolExecutor(2) as pool:
        for answer in [pool.submit(tick, "reconcile-consumers") for _ in range(2)]:
            assert_taken(answer.result())

    with transaction(A_CAUSE) as tx:
        again = tx.connection.execute(select(DEAD_LETTERS.c.resends)).scalars()
        # What one run has locked the other leaves to it.
        assert Counter(again)[1] == states()["resent"] >= 2_500
        asked = tx.connection.execute(select(func.count()).select_from(REDELIVERIES)).scalar_one()
    assert asked == states()["resent"]
