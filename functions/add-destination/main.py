"""POST /api/{user_id}/destinations: be told of reminders by email too, or on a device."""

from datetime import datetime

from taskflow import clock
from taskflow.domain import destinations
from taskflow.domain.destinations import (
    CONFIRMATIONS_LONG_WINDOW,
    CONFIRMATIONS_OF_ADDRESS_LONG_MAX,
    CONFIRMATIONS_OF_ADDRESS_MAX,
    CONFIRMATIONS_OF_USER_MAX,
    CONFIRMATIONS_WINDOW,
    DESTINATIONS_MAX,
    OF_ONE_USER,
    REFUSED,
    REGISTRATIONS_MAX,
    REGISTRATIONS_WINDOW,
    Destination,
    DestinationRepresentation,
    State,
)
from taskflow.domain.errors import (
    AccountNotFound,
    FieldError,
    InvalidContent,
    TooManyConfirmations,
    TooManyRegistrations,
)
from taskflow.domain.events import Cause
from taskflow.serving import Caller, Created, Ok, http_function
from taskflow.serving.destinations import NewDestination
from taskflow.storage import (
    Transaction,
    account_store,
    destination_store,
    outbound_store,
    quota_store,
    refusal_store,
    run,
)


@http_function(
    "POST /api/{user_id}/destinations",
    permission="tasks:write",
    raises=[AccountNotFound, TooManyConfirmations, TooManyRegistrations],
    scale="seldom",
)
def add_destination(
    caller: Caller, draft: NewDestination, cause: Cause
) -> Created[DestinationRepresentation] | Ok[DestinationRepresentation]:
    now = clock.now()
    draft.check()
    if draft.root.channel == "push":
        run(lambda tx: _use_registration(tx, caller.user_id, now=now), cause)
    # Outside any transaction: of a device Amazon is asked.
    wanted = draft.root.destination(caller.user_id, now=now)
    stands, is_new = run(lambda tx: _add(tx, wanted, now=now), cause)
    shown = destinations.represent(stands)
    return Created(shown) if is_new else Ok(shown)


def _use_registration(tx: Transaction, user_id: str, *, now: datetime) -> None:
    most = {("registrations of user", user_id): REGISTRATIONS_MAX}
    try:
        quota_store.use(tx, most, window=REGISTRATIONS_WINDOW, now=now)
    except quota_store.QuotaUsedUp as used_up:
        raise TooManyRegistrations(used_up.retry_after_s) from None


def _add(tx: Transaction, wanted: Destination, *, now: datetime) -> tuple[Destination, bool]:
    """Add a destination, or have the same one begin anew; say whether there was none."""
    # Two that are added at once are counted one after the other.
    account_store.lock(tx, wanted.user_id)
    if wanted.channel in OF_ONE_USER:
        # Reminders of who has signed out there are not for the eyes of who is there now.
        destination_store.remove_of_others(tx, wanted)
    found = destination_store.find(tx, wanted.user_id, wanted.channel, wanted.address)
    if found is None:
        others = destination_store.list_of(tx, wanted.user_id, [wanted.channel])
        if len(others) >= DESTINATIONS_MAX:
            detail = f"has {DESTINATIONS_MAX} destinations already; remove one"
            raise InvalidContent(FieldError("/channel", detail))
        destination_store.add(tx, wanted)
        _have_confirmed(tx, wanted, now=now)
        return wanted, True
    again = found.added_again(wanted)
    destination_store.save(tx, again)
    _have_confirmed(tx, again, now=now)
    return again, False


def _have_confirmed(tx: Transaction, destination: Destination, *, now: datetime) -> None:
    """Have the owner of an unconfirmed address asked, unless such a mail is under way."""
    if destination.state is not State.UNCONFIRMED:
        return
    if refusal_store.has(tx, destination.mailbox_hash):
        raise InvalidContent(FieldError("/address", REFUSED))
    if outbound_store.awaits_confirmation(tx, destination.id):
        return
    most = {
        ("confirmations of user", destination.user_id): CONFIRMATIONS_OF_USER_MAX,
        ("confirmations of mailbox", destination.mailbox): CONFIRMATIONS_OF_ADDRESS_MAX,
    }
    in_long = {
        ("confirmations of mailbox, long", destination.mailbox): CONFIRMATIONS_OF_ADDRESS_LONG_MAX
    }
    try:
        quota_store.use(tx, most, window=CONFIRMATIONS_WINDOW, now=now)
        quota_store.use(tx, in_long, window=CONFIRMATIONS_LONG_WINDOW, now=now)
    except quota_store.QuotaUsedUp as used_up:
        raise TooManyConfirmations(used_up.retry_after_s) from None
    outbound_store.enqueue_confirmation(tx, destination.id, destination.user_id, now=now)
