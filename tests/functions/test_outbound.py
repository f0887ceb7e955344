"""Messages to the outside: each is sent until it is sure, and delays no other (N3-N5)."""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.destinations import (
    EXPIRES_AFTER,
    FAILING_DAYS_MAX,
    GIVES_UP_AFTER,
    TELLS,
    UNSUBSCRIBED,
    UNSURE_MAX,
    UNSURE_PAUSE_S,
    Channel,
    Destination,
    State,
)
from taskflow.domain.events import Event
from taskflow.eventing import CronRun
from taskflow.eventing.outbound import DOUBTS_MAX, MISTAKEN, TOO_OLD, Delivery, Pause
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.storage import (
    DatabaseUnavailable,
    Transaction,
    destination_store,
    outbound_store,
    refusal_store,
    transaction,
)
from tests.functions.conftest import Travel
from tests.support.data.accounts import (
    A_CAUSE,
    SignedIn,
    a_user,
    an_administrator,
    delete_account,
)
from tests.support.data.builders import log_of
from tests.support.data.destinations import (
    a_destination,
    a_webhook,
    destination_now,
    due_at,
    let_holds_end,
    messages_to,
    states_of,
)
from tests.support.delivery.subscribers import assert_taken, deliver
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.tasks import created, data_of, happened_to, items
from tests.support.functions.tokens import signed_in_at
from tests.support.outbound.scripted_provider import ScriptedProvider

pytestmark = pytest.mark.usefixtures("own_messages")

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
AN_HOUR_AGO = "2026-03-02T07:00:00Z"
AN_HOUR = timedelta(hours=1)
CHANNELS = sorted(TELLS)


@pytest.fixture
def user(own_messages: None) -> SignedIn:
    """Open the account of somebody who wants to be told by all channels."""
    del own_messages
    return _who_wants_to_be_told()


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in on a day in March."""
    return travel(user, NOW)


@pytest.fixture
def email() -> ScriptedProvider:
    """Return a provider of email."""
    return ScriptedProvider(Channel.EMAIL)


def _who_wants_to_be_told() -> SignedIn:
    somebody = a_user()
    answer = Api(somebody).put(
        "/api/{user_id}/settings",
        {"notification_channels": [channel.value for channel in CHANNELS]},
    )
    assert answer.status_code == 200, answer.text
    return somebody


def _reminded(api: Api, user: SignedIn, **fields: object) -> tuple[dict[str, Any], Event]:
    """Have a reminder come, and the consumer told of it; return its task and the event."""
    task = created(api)
    sent = {"remind_at": AN_HOUR_AGO, **fields}
    answer = api.post(f"/api/tasks/{task['id']}/reminders", sent)
    assert content(answer)["fires_immediately"]
    event = happened_to(user.user_id, "reminder.triggered")[-1]
    assert_taken(deliver("send-notification", event))
    return task, event


def _send(*providers: ScriptedProvider, places: int = 4, quick_s: float = math.inf) -> None:
    """Have one run send what is due, in one round of each place."""
    lanes = [provider.lane(places=places, quick_s=quick_s) for provider in providers]
    Delivery(CronRun(0), A_CAUSE, lanes).send_all()


def _providers() -> dict[Channel, ScriptedProvider]:
    return {channel: ScriptedProvider(channel) for channel in CHANNELS}


# To whom, and whether


def test_a_reminder_is_sent_to_each_active_destination_once(user: SignedIn, api: Api) -> None:
    providers = _providers()
    there = [a_destination(user.user_id, channel, f"{channel}:me") for channel in CHANNELS]
    asked = a_destination(user.user_id, address="asked@example.com", state=State.UNCONFIRMED)
    ended = a_destination(user.user_id, address="gone@example.com", state=State.DISABLED)
    _, event = _reminded(api, user)
    assert_taken(deliver("send-notification", event))

    for _ in range(2):
        _send(*providers.values())

    for destination in there:
        assert providers[destination.channel].addresses() == [destination.address]
        assert states_of(destination) == ["sent"]
        assert due_at(destination) is None
    assert states_of(asked) == states_of(ended) == []


def test_of_a_reminder_one_event_is_told_and_an_operators_message_too(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    destination = a_destination(user.user_id)
    _reminded(api, user)
    [of_reminder] = happened_to(user.user_id, "notification.created")
    assert_taken(deliver("send-notification", of_reminder))
    body = {"user_id": user.user_id, "message": "Tonight there is maintenance."}
    Api(an_administrator()).post("/api/admin/notifications", body)
    assert_taken(
        deliver("send-notification", happened_to(user.user_id, "notification.created")[-1])
    )

    _send(email)

    assert [message.event_type for message in messages_to(destination)] == [
        "reminder.triggered",
        "notification.created",
    ]
    assert states_of(destination) == ["sent", "sent"]


def test_what_nobody_wants_to_be_told_any_more_is_not_sent(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    destination = a_destination(user.user_id)
    completed, _ = _reminded(api, user)
    deleted, _ = _reminded(api, user)
    _reminded(api, user)
    api.post(f"/api/tasks/{completed['id']}/complete")
    api.delete(f"/api/tasks/{deleted['id']}")
    _send(email)
    _reminded(api, user)
    api.put("/api/{user_id}/settings", {"notification_channels": ["push"]})
    _send(email)

    assert states_of(destination) == ["cancelled", "cancelled", "sent", "cancelled"]
    assert [message.reason for message in messages_to(destination)] == [
        "the task was completed or deleted",
        "the task was completed or deleted",
        None,
        "its user has switched the channel off",
    ]
    assert len(email.given) == 1


def test_what_waits_for_a_destination_that_is_removed_goes_nowhere(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    old = a_destination(user.user_id, address="old@example.com")
    _reminded(api, user)
    with transaction(A_CAUSE) as tx:
        destination_store.remove(tx, destination_store.lock(tx, old.id))
    new = a_destination(user.user_id, address="new@example.com")
    _send(email)
    _reminded(api, user)
    _send(email)

    assert email.addresses() == ["new@example.com"]
    assert states_of(new) == ["sent"]


def test_a_question_that_waits_is_not_asked_once_its_mailbox_has_refused(
    user: SignedIn, email: ScriptedProvider
) -> None:
    refused = a_destination(user.user_id, address="o.hara+x@example.com", state=State.UNCONFIRMED)
    asked = a_destination(user.user_id, address="me@example.com", state=State.UNCONFIRMED)
    with transaction(A_CAUSE) as tx:
        for each in (refused, asked):
            outbound_store.enqueue_confirmation(tx, each.id, user.user_id, now=clock.now())
        # As by the mail that another user has had sent there.
        refusal_store.add(tx, refused.mailbox_hash, now=clock.now())

    _send(email)
    _send(email)

    assert email.addresses() == ["me@example.com"]
    with transaction(A_CAUSE) as tx:
        assert not outbound_store.awaits_confirmation(tx, refused.id)


def test_in_quiet_hours_a_message_waits_for_their_end(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, datetime(2026, 3, 2, 22, 30, tzinfo=UTC))
    quiet = {"start": "22:00", "end": "07:30"}
    api.put("/api/{user_id}/settings", {"quiet_hours": quiet})
    destination = a_destination(user.user_id)
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=0)
    hooks = ScriptedProvider(Channel.WEBHOOK)
    _reminded(api, user)

    _send(email, hooks)

    morning = datetime(2026, 3, 3, 7, 30, tzinfo=UTC)
    assert email.given == []
    assert due_at(destination) == morning
    # A machine sleeps not.
    assert set(states_of(webhook)) == {"sent"}
    travel(user, morning - timedelta(seconds=1))
    _send(email)
    assert email.given == []
    travel(user, morning)
    _send(email)
    assert states_of(destination) == ["sent"]


QUIET = {"start": "22:00", "end": "07:30"}
AT_NIGHT = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [{"quiet_hours": None}, {"quiet_hours": {"end": "22:15"}}, {"timezone": "Asia/Tokyo"}],
    ids=str,
)
def test_what_waits_for_the_end_of_quiet_hours_is_sent_when_they_are_changed(
    user: SignedIn, travel: Travel, email: ScriptedProvider, changes: dict[str, Any]
) -> None:
    api = travel(user, AT_NIGHT - AN_HOUR)
    api.put("/api/{user_id}/settings", {"quiet_hours": QUIET})
    destination = a_destination(user.user_id)
    email.acts[destination.address] = lambda: Deferred("it answered 500", retry_after_s=3600)
    failed = _reminded(api, user)
    _send(email)
    email.acts.clear()
    api = travel(user, AT_NIGHT)
    waits = _reminded(api, user)
    _send(email)
    assert [each.due_at.hour for each in messages_to(destination)] == [7, 7]

    answer = api.put("/api/{user_id}/settings", changes)
    _send(email)

    assert answer.status_code == 200
    assert failed != waits
    assert states_of(destination) == ["sent", "sent"]


def test_what_waits_because_it_failed_waits_on_when_quiet_hours_are_changed(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, AT_NIGHT)
    destination = a_destination(user.user_id)
    email.acts[destination.address] = lambda: Deferred("it answered 500", retry_after_s=3600)
    _reminded(api, user)
    _send(email)
    _reminded(api, user)
    before = messages_to(destination), due_at(destination)

    for quiet in (QUIET, {"end": "06:00"}, None):
        api.put("/api/{user_id}/settings", {"quiet_hours": quiet})
        _send(email)

    assert (messages_to(destination), due_at(destination)) == before
    assert before[1] == AT_NIGHT + AN_HOUR


def test_who_has_read_the_quiet_hours_before_puts_nothing_off_by_them(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, AT_NIGHT)
    api.put("/api/{user_id}/settings", {"quiet_hours": QUIET})
    destination = a_destination(user.user_id)
    _reminded(api, user)
    holder = uuid4()
    with transaction(A_CAUSE) as tx:
        [held] = destination_store.hold(
            tx, Channel.EMAIL, holder, now=clock.now(), limit=1, takes_all=True
        )

    api.put("/api/{user_id}/settings", {"quiet_hours": None})

    assert held.id == destination.id
    with transaction(A_CAUSE) as tx:
        assert not destination_store.renew(tx, held, holder)


def test_what_a_user_changes_of_a_webhook_while_it_is_sent_holds_for_the_rest(
    user: SignedIn, api: Api
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    webhook = a_webhook(user.user_id, "https://old.example/")
    for _ in range(3):
        created(api)
    path = f"/api/{{user_id}}/webhooks/{webhook.id}"

    def moves() -> Outcome:
        assert api.patch(path, {"url": "https://new.example/"}).status_code == 200
        return Accepted()

    hooks.acts["https://old.example/"] = moves
    _send(hooks)
    _send(hooks)

    assert hooks.addresses() == ["https://old.example/"] + ["https://new.example/"] * 2
    assert states_of(webhook) == ["sent"] * 3


def test_what_its_address_before_has_refused_a_webhook_gets_at_its_new_one(
    user: SignedIn, api: Api
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    webhook = a_webhook(user.user_id, "https://old.example/")
    for _ in range(2):
        created(api)
    path = f"/api/{{user_id}}/webhooks/{webhook.id}"

    def moves() -> Outcome:
        assert api.patch(path, {"url": "https://new.example/"}).status_code == 200
        return Rejected("the endpoint answered 410, it is gone", is_gone=True)

    hooks.acts["https://old.example/"] = moves
    _send(hooks)
    _send(hooks)

    assert destination_now(webhook).state is State.ACTIVE
    assert states_of(webhook) == ["sent", "sent"]
    assert hooks.addresses() == ["https://old.example/", *["https://new.example/"] * 2]


@pytest.mark.parametrize("how", ["moved", "rotated"])
def test_who_holds_a_webhook_as_it_was_lets_it_go(user: SignedIn, api: Api, how: str) -> None:
    webhook = a_webhook(user.user_id, "https://old.example/")
    created(api)
    holder, next_one = uuid4(), uuid4()

    def hold(tx: Transaction, by: UUID) -> Destination:
        [held] = destination_store.hold(
            tx, Channel.WEBHOOK, by, now=clock.now(), limit=1, takes_all=True
        )
        return held

    with transaction(A_CAUSE) as tx:
        outbound_store.follow(tx, now=clock.now())
        held = hold(tx, holder)
    path = f"/api/{{user_id}}/webhooks/{webhook.id}"
    if how == "moved":
        api.patch(path, {"url": "https://new.example/"})
    else:
        api.post(f"{path}/rotate-secret")

    with transaction(A_CAUSE) as tx:
        assert not destination_store.renew(tx, held, holder)
        as_it_is = hold(tx, next_one)
        assert destination_store.renew(tx, as_it_is, next_one)


@pytest.mark.parametrize("how", ["removed", "switched off", "erased"])
def test_what_its_user_ends_while_it_is_sent_is_sent_no_further(
    user: SignedIn, api: Api, how: str
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=0)
    for _ in range(5):
        created(api)

    def ends() -> Outcome:
        if how == "erased":
            delete_account(user)
            return Accepted()
        with transaction(A_CAUSE) as tx:
            found = destination_store.lock(tx, webhook.id)
            if how == "removed":
                destination_store.remove(tx, found)
            else:
                off = replace(found, state=State.DISABLED, disabled_because="you switched it off")
                destination_store.save(tx, off)
        return Accepted()

    hooks.acts["https://hook.example"] = ends
    before = len(log_of(user.user_id))
    _send(hooks)
    _send(hooks)

    assert len(hooks.given) == 1
    if how == "switched off":
        assert states_of(webhook) == ["sent"] + ["cancelled"] * (before - 1)
        # Who did it is not told of it.
        assert len(log_of(user.user_id)) == before


# What a provider may do


class _Killed(BaseException):
    """What ends a sender at once."""


ACTS: dict[str, tuple[Outcome, str, State]] = {
    "accepts": (Accepted("its name for it"), "sent", State.ACTIVE),
    "rejects the message": (Rejected("it is too large"), "failed", State.ACTIVE),
    "rejects the address": (Rejected("no such mailbox", is_gone=True), "failed", State.DISABLED),
    "fails": (Deferred("it answered 500"), "pending", State.ACTIVE),
    "throttles": (Deferred("too many", retry_after_s=7200), "pending", State.ACTIVE),
    "takes nothing": (Deferred("it is away", of_all=True), "pending", State.ACTIVE),
}
"""What a provider does, and what a message and its destination are after it."""


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_what_a_provider_does_decides_what_becomes_of_a_message(
    user: SignedIn, travel: Travel, channel: Channel, act: str
) -> None:
    api = travel(user, NOW)
    outcome, state, destination_state = ACTS[act]
    provider = ScriptedProvider(channel)
    provider.acts["me"] = lambda: outcome
    destination = a_destination(user.user_id, channel, "me")

    with assert_events_explain_the_change(user.user_id):
        _, event = _reminded(api, user)
        _send(provider, places=2)

    [message] = messages_to(destination)
    after = destination_now(destination)
    assert (message.state, after.state) == (state, destination_state)
    assert len(provider.given) == 1
    # On sockets and in the inbox it is whatever becomes of it outside.
    assert len([one for one in items(api, "/api/{user_id}/notifications") if one["task_id"]]) == 1
    failed = happened_to(user.user_id, "reminder.failed")
    if isinstance(outcome, Rejected):
        assert [data_of(one)["channel"] for one in failed] == [channel.value]
        assert data_of(failed[0])["reason"] == outcome.reason
        assert failed[0].aggregate_id == event.aggregate_id
    else:
        assert failed == []
    if isinstance(outcome, Deferred):
        wait = message.due_at - NOW
        assert timedelta(seconds=15) <= wait <= timedelta(seconds=30) or wait == 2 * AN_HOUR
        assert (wait == 2 * AN_HOUR) == (outcome.retry_after_s is not None)
        assert (after.failing_since is not None) == (not outcome.of_all)
        provider.acts.clear()
        provider.pause = Pause()
        travel(user, message.due_at)
        _send(provider)
        assert states_of(destination) == ["sent"]
        assert destination_now(destination).failing_since is None


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_nobody_foresaw_defers_a_message_and_holds_up_no_other(
    user: SignedIn, api: Api, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    provider = ScriptedProvider(channel)

    def breaks() -> Outcome:
        raise RuntimeError("me@example.com")

    provider.acts["broken"] = breaks
    broken = a_destination(user.user_id, channel, "broken")
    _reminded(api, user)
    another = _who_wants_to_be_told()
    good = a_destination(another.user_id, channel, "good")
    _reminded(Api(another), another)

    _send(provider, places=1)
    _send(provider, places=1)

    assert states_of(good) == ["sent"]
    [message] = messages_to(broken)
    assert (message.state, message.failures, message.reason) == ("pending", 1, MISTAKEN)
    assert message.due_at > clock.now()
    assert "RuntimeError" in caplog.text
    assert "me@example.com" not in caplog.text


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_was_accepted_by_who_was_killed_before_the_record_is_sent_twice_and_not_lost(
    user: SignedIn, api: Api, channel: Channel
) -> None:
    provider = ScriptedProvider(channel)
    destination = a_destination(user.user_id, channel, "me")
    _reminded(api, user)

    def accepts_and_all_ends() -> Outcome:
        raise _Killed

    provider.acts["me"] = accepts_and_all_ends
    _held_by_somebody(channel)
    with provider.lane().open_provider() as send, suppress(_Killed):
        list(send(destination, _due(destination)))
    provider.acts.clear()

    _send(provider)
    assert states_of(destination) == ["pending"]
    let_holds_end(destination.id)
    _send(provider)

    assert states_of(destination) == ["sent"]
    assert len(provider.given) == 2
    assert len({message_id for _, message_id in provider.given}) == 1


def _held_by_somebody(channel: Channel) -> None:
    with transaction(A_CAUSE) as tx:
        assert destination_store.hold(
            tx, channel, uuid4(), now=clock.now(), limit=10, takes_all=True
        )


def _due(destination: Destination) -> Sequence[outbound_store.PendingMessage]:
    with transaction(A_CAUSE) as tx:
        return outbound_store.due(tx, [destination.id], now=clock.now(), limit=10)


def test_what_was_sent_is_recorded_once_the_database_is_back(
    user: SignedIn, api: Api, email: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = a_destination(user.user_id)
    _reminded(api, user)
    settle, failures = outbound_store.settle, iter([True, True, False])

    def is_away(*given: Any) -> None:  # noqa: ANN401 - as settle's
        if next(failures, False):
            raise DatabaseUnavailable
        settle(*given)

    monkeypatch.setattr(outbound_store, "settle", is_away)
    _send(email)

    assert states_of(destination) == ["sent"]
    assert len(email.given) == 1


# For how long


def test_pauses_grow_until_a_message_is_given_up_and_a_dead_letter_sends_it_again(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    email.acts["me@example.com"] = lambda: Deferred("it answered 451")
    destination = a_destination(user.user_id)
    _, event = _reminded(api, user)
    tried: list[datetime] = []
    while states_of(destination) == ["pending"]:
        _send(email)
        tried.append(clock.now())
        travel(user, messages_to(destination)[0].due_at)

    pauses = [(later - earlier).total_seconds() for earlier, later in zip(tried, tried[1:])]  # noqa: B905, RUF007 - pairs
    for number, pause in enumerate(pauses):
        longest = min(3600, 30 * 2**number)
        assert longest / 2 <= pause <= longest
    assert timedelta(0) <= tried[-1] - NOW - GIVES_UP_AFTER[Channel.EMAIL] < AN_HOUR
    assert states_of(destination) == ["failed"]
    [failed] = happened_to(user.user_id, "reminder.failed")
    assert data_of(failed)["reason"] == "it answered 451"

    administrator = Api(signed_in_at(an_administrator(), clock.now(), roles=["admin"]))
    [letter] = [
        one
        for one in items(administrator, "/api/admin/dead-letters?consumer=deliver-notifications")
        if one["user_id"] == user.user_id
    ]
    email.acts.clear()
    answer = administrator.post(f"/api/admin/dead-letters/{letter['id']}/resend")
    assert answer.status_code == 202, answer.text
    _send(email)

    assert states_of(destination) == ["sent"]
    assert event.event_type == letter["event_type"]
    again = administrator.post(f"/api/admin/dead-letters/{letter['id']}/resend")
    assert again.status_code == 409


def test_a_message_waits_for_a_provider_that_is_away_until_it_tells_of_nothing_new(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    email.acts["me@example.com"] = lambda: Deferred("it is away", of_all=True)
    destination = a_destination(user.user_id)
    _reminded(api, user)
    _send(email)

    for at in (EXPIRES_AFTER - AN_HOUR, EXPIRES_AFTER):
        assert states_of(destination) == ["pending"]
        travel(user, NOW + at)
        email.pause = Pause()
        _send(email)

    assert states_of(destination) == ["failed"]
    assert destination_now(destination).state is State.ACTIVE


def test_what_was_lost_while_the_provider_was_away_counts_for_no_message(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    email.acts["me@example.com"] = lambda: Deferred("it is away", of_all=True)
    destination = a_destination(user.user_id)
    _reminded(api, user)
    _send(email)

    travel(user, NOW + GIVES_UP_AFTER[Channel.EMAIL] + AN_HOUR)
    email.pause = Pause()
    email.acts["me@example.com"] = lambda: Deferred("it answered 451")
    _send(email)

    assert states_of(destination) == ["pending"]


def test_what_nobody_tried_to_send_in_time_fails_with_a_dead_letter(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    destination = a_destination(user.user_id)
    _reminded(api, user)

    travel(user, NOW + EXPIRES_AFTER)
    _send(email)

    assert email.given == []
    assert [(one.state, one.reason) for one in messages_to(destination)] == [("failed", TOO_OLD)]
    assert _letters_of(user) == [TOO_OLD]
    assert [data_of(one)["reason"] for one in happened_to(user.user_id, "reminder.failed")] == [
        TOO_OLD
    ]


def test_what_waits_for_an_address_that_is_gone_fails_with_it(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    email.acts["me@example.com"] = lambda: Rejected("no such mailbox", is_gone=True)
    destination = a_destination(user.user_id)
    for _ in range(3):
        _reminded(api, user)

    with assert_events_explain_the_change(user.user_id):
        _send(email)
        _send(email)

    assert len(email.given) == 1
    assert destination_now(destination).state is State.DISABLED
    assert [(one.state, one.reason) for one in messages_to(destination)] == [
        ("failed", "no such mailbox")
    ] * 3
    assert _letters_of(user) == ["no such mailbox"] * 3
    assert len(happened_to(user.user_id, "reminder.failed")) == 3
    assert due_at(destination) is None


def test_what_waits_for_somebody_who_unsubscribes_has_not_failed(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    destination = a_destination(user.user_id)
    _reminded(api, user)
    with transaction(A_CAUSE) as tx:
        ended = destination_store.lock(tx, destination.id).disabled(UNSUBSCRIBED)
        destination_store.save(tx, ended)
        # As what comes at the same time finds it.
        tx.connection.execute(text("UPDATE destinations SET due_at = created_at"))
    _send(email)

    assert states_of(destination) == ["cancelled"]
    assert _letters_of(user) == []


def _letters_of(user: SignedIn) -> list[str]:
    administrator = Api(signed_in_at(an_administrator(), clock.now(), roles=["admin"]))
    letters = items(administrator, "/api/admin/dead-letters?consumer=deliver-notifications")
    return [one["error_text"] for one in letters if one["user_id"] == user.user_id]


def test_what_may_have_been_taken_is_sent_a_few_times_and_then_given_up(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    email.acts["me@example.com"] = lambda: Deferred(
        "it did not say", may_be_of_all=True, may_have_been_taken=True
    )
    destination = a_destination(user.user_id)
    _reminded(api, user)
    while states_of(destination) == ["pending"]:
        _send(email)
        [message] = messages_to(destination)
        assert message.due_at - clock.now() >= timedelta(seconds=UNSURE_PAUSE_S) or (
            message.state == "failed"
        )
        travel(user, message.due_at)

    assert len(email.given) == UNSURE_MAX
    assert _letters_of(user) == ["it did not say"]
    # One address in doubt is not several.
    assert not email.pause.is_on()


def test_an_old_message_that_is_sent_again_is_tried_for_as_long_as_a_new_one(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    destination = a_destination(user.user_id)
    _reminded(api, user)
    travel(user, NOW + EXPIRES_AFTER)
    _send(email)
    [failed] = messages_to(destination)
    assert failed.state == "failed"
    email.acts["me@example.com"] = lambda: Deferred("it throttles", of_all=True)
    with transaction(A_CAUSE) as tx:
        outbound_store.retry(tx, failed.id, now=clock.now())

    _send(email)

    assert states_of(destination) == ["pending"]


def test_a_webhook_that_was_emptied_by_who_knows_of_no_bound_goes_on(
    user: SignedIn, api: Api
) -> None:
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=0)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("UPDATE destinations SET is_full = true"))
    created(api)

    _send(ScriptedProvider(Channel.WEBHOOK))

    assert set(states_of(webhook)) == {"sent"}


def test_a_destination_that_fails_for_days_is_disabled_with_a_word_in_the_inbox(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    hooks = ScriptedProvider(Channel.WEBHOOK)
    hooks.acts["https://hook.example"] = lambda: Deferred("it answered 500")
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=1)
    last = NOW + timedelta(days=FAILING_DAYS_MAX - 1)
    created(api)
    at = NOW
    while at < last:
        assert destination_now(webhook).state is State.ACTIVE
        api = travel(user, at)
        _send(hooks)
        at += 8 * AN_HOUR
    assert destination_now(webhook).state is State.ACTIVE
    api = travel(user, last)
    created(api)
    with assert_events_explain_the_change(user.user_id):
        _send(hooks)

    assert destination_now(webhook).state is State.DISABLED
    assert due_at(webhook) is None
    assert "pending" not in states_of(webhook)
    [word] = items(api, "/api/{user_id}/notifications")
    assert word["message"] == ("Your webhook to hook.example was switched off: it answered 500")


def test_a_destination_that_failed_once_and_once_again_weeks_later_is_not_disabled(
    user: SignedIn, travel: Travel, email: ScriptedProvider
) -> None:
    api = travel(user, NOW)
    destination = a_destination(user.user_id)
    email.acts["me@example.com"] = lambda: Deferred("it answered 450")
    task, _ = _reminded(api, user)
    _send(email)
    api.post(f"/api/tasks/{task['id']}/complete")

    api = travel(user, NOW + timedelta(days=20))
    _reminded(api, user)
    _send(email)

    assert len(email.given) == 2
    assert destination_now(destination).state is State.ACTIVE


def test_a_provider_that_says_nothing_of_several_is_taken_as_away(
    travel: Travel, email: ScriptedProvider
) -> None:
    there: list[Destination] = []
    for number in range(DOUBTS_MAX + 1):
        somebody = _who_wants_to_be_told()
        address = f"{number}@example.com"
        email.acts[address] = lambda: Deferred("it said nothing", may_be_of_all=True)
        there.append(a_destination(somebody.user_id, address=address))
        _reminded(travel(somebody, NOW), somebody)

    for _ in there:
        _send(email, places=1)

    # The last one is not tried any more, and the one before rests, but does not count as failing.
    assert len(email.given) == DOUBTS_MAX
    failing = [destination_now(each).failing_since is not None for each in there]
    assert sorted(failing) == [False, False] + [True] * (DOUBTS_MAX - 1)
    assert email.pause.is_on()


# Who delays whom


def test_two_runs_at_once_send_each_message_once(email: ScriptedProvider) -> None:
    there: list[Destination] = []
    for number in range(30):
        somebody = _who_wants_to_be_told()
        there.append(a_destination(somebody.user_id, address=f"{number}@example.com"))
        _reminded(Api(somebody), somebody)

    def run_again_and_again() -> None:
        for _ in there:
            _send(email)

    runs = [threading.Thread(target=run_again_and_again) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()

    assert sorted(email.addresses()) == sorted(destination.address for destination in there)
    assert {state for destination in there for state in states_of(destination)} == {"sent"}


def test_all_runs_of_a_process_have_so_many_places_together(email: ScriptedProvider) -> None:
    goes_on, slots = threading.Event(), threading.Semaphore(4)

    def hangs() -> Outcome:
        assert goes_on.wait(60)
        return Accepted()

    there: list[Destination] = []
    for number in range(8):
        somebody = _who_wants_to_be_told()
        email.acts[f"{number}@example.com"] = hangs
        there.append(a_destination(somebody.user_id, address=f"{number}@example.com"))
        _reminded(Api(somebody), somebody)
    # One destination for each place.
    lane = replace(email.lane(places=2), destinations_max=1, slots=slots)
    runs = [
        threading.Thread(target=Delivery(CronRun(0), A_CAUSE, [lane]).send_all) for _ in range(3)
    ]
    for each in runs[:2]:
        each.start()
    try:
        _wait_until(lambda: len(email.given) == 4)
        runs[2].start()
        runs[2].join()
        assert len(email.given) == 4
    finally:
        goes_on.set()
        for each in runs[:2]:
            each.join()
    for _ in there:
        _send(email)

    assert {state for destination in there for state in states_of(destination)} == {"sent"}
    # Who has ended leaves the places to others.
    assert all(slots.acquire(blocking=False) for _ in range(4))


def test_a_channel_that_hangs_delays_no_other(user: SignedIn, api: Api) -> None:
    providers = _providers()
    goes_on = threading.Event()

    def hangs() -> Outcome:
        assert goes_on.wait(60)
        return Accepted()

    providers[Channel.EMAIL].acts["me"] = hangs
    there = {channel: a_destination(user.user_id, channel, "me") for channel in CHANNELS}
    _reminded(api, user)
    run = threading.Thread(target=lambda: _send(*providers.values()))
    run.start()
    try:
        _wait_until(
            lambda: all(
                states_of(there[channel]) == ["sent"]
                for channel in CHANNELS
                if channel is not Channel.EMAIL
            )
        )
        assert states_of(there[Channel.EMAIL]) == ["pending"]
    finally:
        goes_on.set()
        run.join()
    assert states_of(there[Channel.EMAIL]) == ["sent"]


def test_a_user_whose_addresses_hang_leaves_places_to_others(user: SignedIn, api: Api) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    goes_on = threading.Event()

    def hangs() -> Outcome:
        assert goes_on.wait(60)
        return Deferred("it did not answer in time")

    for number in range(20):
        address = f"https://hangs.example/{number}"
        hooks.acts[address] = hangs
        a_destination(user.user_id, Channel.WEBHOOK, address, seq=0)
    created(api)
    another = a_user()
    good = a_destination(another.user_id, Channel.WEBHOOK, "https://good.example", seq=0)
    run = threading.Thread(target=lambda: _send(hooks, places=8))
    run.start()
    try:
        _wait_until(lambda: states_of(good) == ["sent"])
    finally:
        goes_on.set()
        run.join()

    assert hooks.at_once_max <= destination_store.HELD_OF_USER_MAX


@pytest.mark.parametrize("how", ["fail", "are slow"])
def test_those_that_fail_or_are_slow_leave_half_of_the_places_to_those_that_do_not(
    how: str,
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    goes_on = threading.Event()
    before = Deferred("it answered 500") if how == "fail" else Accepted()
    for number in range(8):
        somebody = a_user()
        address = f"https://bad.example/{number}"
        hooks.acts[address] = lambda: before
        a_destination(somebody.user_id, Channel.WEBHOOK, address, seq=0)
        created(Api(somebody))
    for _ in range(8):
        _send(hooks, quick_s=0)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("UPDATE outbound_messages SET due_at = created_at"))
        tx.connection.execute(
            text("UPDATE destinations SET due_at = created_at WHERE due_at IS NOT NULL")
        )

    def hangs() -> Outcome:
        assert goes_on.wait(60)
        return Deferred("it did not answer in time")

    hooks.acts = dict.fromkeys(hooks.acts, hangs)
    somebody = a_user()
    good = a_destination(somebody.user_id, Channel.WEBHOOK, "https://good.example", seq=0)
    run = threading.Thread(target=lambda: _send(hooks, places=4))
    run.start()
    try:
        _wait_until(lambda: states_of(good) == ["sent"])
    finally:
        goes_on.set()
        run.join()


def test_who_has_had_a_turn_and_was_slow_comes_after_all_who_wait() -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    slow, other = a_user(), a_user()
    for _ in range(4):
        created(Api(slow))
    a_destination(slow.user_id, Channel.WEBHOOK, "https://slow.example", seq=0)
    _send(hooks, places=1, quick_s=0)
    created(Api(other))
    a_destination(other.user_id, Channel.WEBHOOK, "https://other.example", seq=0)
    for _ in range(3):
        _send(hooks, places=1, quick_s=0)

    assert hooks.addresses()[:3] == [
        "https://slow.example",
        "https://slow.example",
        "https://other.example",
    ]


def test_those_that_were_quick_come_before_new_ones() -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    users = [a_user() for _ in range(5)]
    proven = a_destination(users[0].user_id, Channel.WEBHOOK, "https://proven.example", seq=0)
    _send(hooks)
    for number, user in enumerate(users[1:]):
        a_destination(user.user_id, Channel.WEBHOOK, f"https://new.example/{number}", seq=0)
    _follow()
    created(Api(users[0]))
    _follow()
    with transaction(A_CAUSE) as tx:
        [first] = destination_store.hold(
            tx, Channel.WEBHOOK, uuid4(), now=clock.now(), limit=1, takes_all=False
        )
        [next_] = destination_store.hold(
            tx, Channel.WEBHOOK, uuid4(), now=clock.now(), limit=1, takes_all=False
        )

    assert first.id == proven.id
    assert next_.id != proven.id


def _follow() -> None:
    with transaction(A_CAUSE) as tx:
        outbound_store.follow(tx, now=clock.now())


def test_a_destination_that_fails_rests_whatever_waits_for_it(
    user: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    hooks = ScriptedProvider(Channel.WEBHOOK)
    hooks.acts["https://hook.example"] = lambda: Deferred("it answered 503", retry_after_s=600)
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=0)
    for _ in range(4):
        created(api)
    _send(hooks)
    created(api)
    _send(hooks)

    assert len(hooks.given) == 1
    assert due_at(webhook) == NOW + timedelta(seconds=600)
    hooks.acts.clear()
    travel(user, NOW + timedelta(seconds=600))
    _send(hooks)
    assert set(states_of(webhook)) == {"sent"}


def _wait_until(is_so: Callable[[], bool]) -> None:
    paused = threading.Event()
    for _ in range(600):
        if is_so():
            return
        paused.wait(0.05)
    pytest.fail("it did not come to this in time")


# Webhooks follow the log


def test_a_webhook_is_given_what_happens_from_when_it_was_added_on(
    user: SignedIn, api: Api
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    created(api)
    newest = len(log_of(user.user_id))
    every = a_destination(user.user_id, Channel.WEBHOOK, "https://all.example", seq=newest)
    some = a_destination(
        user.user_id,
        Channel.WEBHOOK,
        "https://some.example",
        seq=newest,
        event_types=["task.completed"],
    )
    task = created(api)
    api.post(f"/api/tasks/{task['id']}/complete")

    _send(hooks)
    _send(hooks)

    assert [message.event_type for message in messages_to(every)] == [
        "task.created",
        "task.completed",
    ]
    assert [message.event_type for message in messages_to(some)] == ["task.completed"]
    assert set(states_of(every)) | set(states_of(some)) == {"sent"}


def test_the_events_of_a_webhook_that_takes_none_wait_in_the_log(
    user: SignedIn, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = ScriptedProvider(Channel.WEBHOOK)
    hooks.acts["https://hook.example"] = lambda: Deferred("it answered 500")
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://hook.example", seq=0)
    monkeypatch.setattr(destination_store, "PENDING_MAX", 3)
    monkeypatch.setattr(outbound_store, "FOLLOWED_MAX", 2)
    for _ in range(9):
        created(api)

    for _ in range(9):
        _send(hooks)
    assert states_of(webhook) == ["pending"] * 4
    hooks.acts.clear()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("UPDATE outbound_messages SET due_at = created_at"))
        tx.connection.execute(text("UPDATE destinations SET due_at = created_at"))
    for _ in range(9):
        _send(hooks)

    assert [message.seq for message in messages_to(webhook)] == list(
        range(1, len(log_of(user.user_id)) + 1)
    )
    assert set(states_of(webhook)) == {"sent"}


# Races


def test_a_message_that_comes_while_its_destination_is_let_go_is_seen(
    user: SignedIn, api: Api, email: ScriptedProvider
) -> None:
    destination = a_destination(user.user_id)
    _reminded(api, user)
    event = happened_to(user.user_id, "reminder.triggered")[-1]
    stop = threading.Event()

    def add() -> None:
        for _ in range(199):
            with transaction(A_CAUSE) as tx:
                outbound_store.enqueue(
                    tx, user.user_id, TELLS, seq=event.seq, event_id=uuid4(), now=NOW
                )
        stop.set()

    adding = threading.Thread(target=add)
    adding.start()
    while not stop.is_set():
        _send(email, places=2)
    adding.join()
    for _ in range(30):
        _send(email, places=2)

    # Those of no event are cancelled, which is sending enough here.
    assert set(states_of(destination)) <= {"sent", "cancelled"}
    assert len(messages_to(destination)) == 200
