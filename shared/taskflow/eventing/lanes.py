"""The lanes of this installation: how each channel's messages are sent, where it is configured."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial
from threading import Semaphore

from taskflow import clock, config
from taskflow.domain.destinations import Channel, Destination
from taskflow.domain.notices import Notice, notice_of
from taskflow.eventing.outbound import Lane, Pause, Send, Sent
from taskflow.outbound import email, links, mail, sns, web_push, webhooks
from taskflow.outbound.outcomes import Rejected
from taskflow.process import resource
from taskflow.storage.outbound_store import PendingMessage

PLACES_OF_USERS = 16
"""Of webhooks, and of browsers: each waits for a server that some user has named."""

PLACES_OF_PROVIDERS = 4
"""Of email, and of push to devices: each has a connection to the provider."""

RUNS_MAX = 2
"""How many runs of a process have all their places at once: each overlaps the next one, and a tick
may come twice."""

QUICK_S = 2.0
"""How long the server of a quick one takes at most."""

DIGEST_FROM, DIGEST_MAX = 3, 50
"""How many notices at once are one mail, and how many it tells at most."""


@resource()
def pauses() -> Mapping[Channel, Pause]:
    """Return how each channel's provider does, which outlasts a run."""
    return {channel: Pause() for channel in Channel}


@resource()
def slots() -> Mapping[Channel, Semaphore]:
    """Return how many places each channel has in this process, in all its runs together."""
    return {
        Channel.EMAIL: Semaphore(RUNS_MAX * PLACES_OF_PROVIDERS),
        Channel.PUSH: Semaphore(RUNS_MAX * PLACES_OF_PROVIDERS),
        Channel.WEB_PUSH: Semaphore(RUNS_MAX * PLACES_OF_USERS),
        Channel.WEBHOOK: Semaphore(RUNS_MAX * PLACES_OF_USERS),
    }


def lanes() -> Sequence[Lane]:
    """Return a lane for each channel that is configured; webhooks always are."""
    found = [_of_users(Channel.WEBHOOK, _send_webhooks)]
    if email.is_configured():
        found.append(
            Lane(
                channel=Channel.EMAIL,
                open_provider=_mails,
                places=PLACES_OF_PROVIDERS,
                destinations_max=25,
                messages_max=DIGEST_MAX,
                pause=pauses()[Channel.EMAIL],
                slots=slots()[Channel.EMAIL],
            )
        )
    if config.settings().sns_platform_application_arn is not None:
        found.append(
            Lane(
                channel=Channel.PUSH,
                open_provider=lambda: nullcontext(_push_to_device),
                places=PLACES_OF_PROVIDERS,
                destinations_max=25,
                messages_max=10,
                pause=pauses()[Channel.PUSH],
                slots=slots()[Channel.PUSH],
            )
        )
    if web_push.public_key() is not None:
        found.append(_of_users(Channel.WEB_PUSH, _push_to_browser))
    return found


def _of_users(channel: Channel, send: Send) -> Lane:
    # One at a time: a server that hangs holds up its own user's messages alone.
    return Lane(
        channel=channel,
        open_provider=lambda: nullcontext(send),
        places=PLACES_OF_USERS,
        destinations_max=1,
        messages_max=10,
        quick_s=QUICK_S,
        pause=pauses()[channel],
        slots=slots()[channel],
    )


def _send_webhooks(destination: Destination, messages: Sequence[PendingMessage]) -> Iterator[Sent]:
    for message in messages:
        if message.event is None:
            continue
        now = clock.now()
        yield (
            [message],
            webhooks.send(
                destination.address,
                _secrets_of(destination, now=now),
                str(message.event.event_id),
                message.event.message_json().encode(),
                now=now,
            ),
        )


def _secrets_of(destination: Destination, *, now: datetime) -> list[str]:
    """Return the secrets of a webhook that hold: the newest, and for a while the one before."""
    return [
        each["secret"]
        for each in destination.details["secrets"]
        if each["until"] is None or datetime.fromisoformat(each["until"]) > now
    ]


@contextmanager
def _mails() -> Generator[Send]:
    with email.sending() as hand_over:
        yield partial(_mail, hand_over)


def _mail(
    hand_over: email.Send, destination: Destination, messages: Sequence[PendingMessage]
) -> Iterator[Sent]:
    public_url = config.settings().public_url or ""
    told: list[tuple[PendingMessage, Notice]] = []
    for message in messages:
        notice = _notice_of(message)
        if notice is not None:
            told.append((message, notice))
            continue
        now = clock.now()
        token = links.to_confirm(destination.id, destination.generation, now=now)
        url = f"{public_url}/email/confirm/{token}"
        refusal = links.to_refuse(destination.id, destination.mailbox_hash)
        refuse_url = f"{public_url}/email/refuse/{refusal}"
        asking = mail.to_confirm(destination.address, url, refuse_url, name=message.id, now=now)
        yield [message], hand_over(asking)
    unsubscribe = f"{public_url}/email/unsubscribe/{links.to_unsubscribe(destination.id)}"

    def tell(together: Sequence[tuple[PendingMessage, Notice]]) -> Sent:
        [first, _], *_ = together
        reader = mail.Reader(
            address=destination.address, zone=first.zone, unsubscribe_url=unsubscribe
        )
        notices = [notice for _, notice in together]
        written = mail.of_notices(notices, reader, now=clock.now())
        return [message for message, _ in together], hand_over(written)

    if len(told) >= DIGEST_FROM and told[0][0].wants_digest:
        sent, outcome = tell(told)
        if not isinstance(outcome, Rejected) or outcome.is_gone:
            yield sent, outcome
            return
        # What is refused may be what one of them says: the others are not lost with it.
    for each in told:
        yield tell([each])


def _push_to_device(destination: Destination, messages: Sequence[PendingMessage]) -> Iterator[Sent]:
    for message in messages:
        notice = _notice_of(message)
        if notice is not None:
            yield [message], sns.send(destination.address, notice)


def _push_to_browser(
    destination: Destination, messages: Sequence[PendingMessage]
) -> Iterator[Sent]:
    subscription = web_push.PushSubscription.model_validate(destination.details)
    for message in messages:
        notice = _notice_of(message)
        if notice is not None:
            yield [message], web_push.send(subscription, notice)


def _notice_of(message: PendingMessage) -> Notice | None:
    if message.event is None:
        return None
    due_date = message.task.due_date if message.task else None
    return notice_of(message.id, message.event, due_date=due_date)
