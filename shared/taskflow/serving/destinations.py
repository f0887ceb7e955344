"""What a client sends to be told of reminders somewhere, beside the inbox."""

import math
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taskflow import config
from taskflow.domain.content import Content, OneOf, examples
from taskflow.domain.destinations import (
    DEVICE_TOKEN_MAX_CHARS,
    Channel,
    Destination,
    MailAddress,
)
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.text import NotBlank
from taskflow.outbound import email, sns
from taskflow.outbound.outcomes import Deferred, Rejected
from taskflow.outbound.web_push import PushSubscription
from taskflow.serving.problems import UNAVAILABLE, Problem

RETRY_AFTER_S = 10
"""Where a provider does not say when to ask again."""

_CHANNEL = Field(description="The way that messages take.")

_SUBSCRIPTION = {
    "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ"
        "GH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class NewMailbox(Content):
    """A mailbox that a client wants to be told at."""

    channel: Annotated[Literal["email"], _CHANNEL]
    address: MailAddress

    @property
    def is_set_up(self) -> bool:
        """Whether anything is sent by its channel here."""
        return email.is_configured()

    def destination(self, user_id: str, *, now: datetime) -> Destination:
        """Return it as a destination of a user."""
        return Destination.new(user_id, Channel.EMAIL, self.address, {}, now=now)


class NewDevice(Content):
    """A mobile app that a client wants to be told in."""

    channel: Annotated[Literal["push"], _CHANNEL]
    device_token: Annotated[
        NotBlank,
        Field(
            max_length=DEVICE_TOKEN_MAX_CHARS,
            description="What Apple's or Google's service knows the app on a device by.",
        ),
    ]

    @property
    def is_set_up(self) -> bool:
        """Whether anything is sent by its channel here."""
        return config.settings().sns_platform_application_arn is not None

    def destination(self, user_id: str, *, now: datetime) -> Destination:
        """Return it as a destination of a user, once it is registered with its provider.

        Raises InvalidContent where that refuses it, and Problem 503 where it does not answer.
        """
        name = _registered(self.device_token)
        return Destination.new(user_id, Channel.PUSH, name, {}, now=now)


class NewBrowser(Content):
    """A browser that a client wants to be told in."""

    channel: Annotated[Literal["web_push"], _CHANNEL]
    subscription: PushSubscription

    @property
    def is_set_up(self) -> bool:
        """Whether anything is sent by its channel here."""
        # The key itself is known to those alone that need it.
        return config.settings().vapid_subject is not None

    def destination(self, user_id: str, *, now: datetime) -> Destination:
        """Return it as a destination of a user."""
        endpoint = self.subscription.endpoint
        keys = self.subscription.keys.model_dump(mode="json")
        details = {"endpoint": endpoint, "keys": keys}
        return Destination.new(user_id, Channel.WEB_PUSH, endpoint, details, now=now)


class NewDestination(
    OneOf[Annotated[NewMailbox | NewDevice | NewBrowser, Field(discriminator="channel")]]
):
    """Where a client wants to be told."""

    model_config = examples(
        {"channel": "web_push", "subscription": _SUBSCRIPTION},
        {"channel": "email", "address": "somebody@example.com"},
    )

    def check(self) -> None:
        """Check that messages are sent by its channel here. Raises InvalidContent."""
        if not self.root.is_set_up:
            raise InvalidContent(FieldError("/channel", "is not set up here"))


def _registered(device_token: str) -> str:
    match sns.register(device_token):
        case str(name):
            return name
        case Rejected():
            raise InvalidContent(FieldError("/device_token", "is not one of a device of the app"))
        case Deferred(retry_after_s=retry_after_s):
            wait_s = max(1, math.ceil(retry_after_s or RETRY_AFTER_S))
            raise Problem(
                UNAVAILABLE,
                "The device can't be registered at present; try again shortly.",
                headers={"Retry-After": str(wait_s)},
            )
