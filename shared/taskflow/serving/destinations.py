"""What a client sends to be told of reminders somewhere, beside the inbox."""

import math
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taskflow import config
from taskflow.domain.content import ABSENT, Content, IfSent, examples
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

_NEEDED = {"email": "address", "web_push": "subscription", "push": "device_token"}

_SUBSCRIPTION = {
    "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ"
        "GH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class NewDestination(Content):
    """Where a client wants to be told.

    By email it says the `address`, of a browser the `subscription`, of a mobile app the
    `device_token`.
    """

    model_config = examples(
        {"channel": "web_push", "subscription": _SUBSCRIPTION},
        {"channel": "email", "address": "somebody@example.com"},
    )

    channel: Annotated[
        Literal["email", "push", "web_push"], Field(description="The way that messages take.")
    ]
    address: IfSent[MailAddress] = ABSENT
    subscription: IfSent[PushSubscription] = ABSENT
    device_token: IfSent[
        Annotated[
            NotBlank,
            Field(
                max_length=DEVICE_TOKEN_MAX_CHARS,
                description="What Apple's or Google's service knows the app on a device by.",
            ),
        ]
    ] = ABSENT

    def check(self) -> None:
        """Check that it has what its channel needs, and nothing else.

        Raises InvalidContent where not, and where nothing is sent by that channel here.
        """
        errors = [] if self._is_set_up else [FieldError("/channel", "is not set up here")]
        for channel, name in _NEEDED.items():
            is_sent = getattr(self, name) is not ABSENT
            if channel == self.channel and not is_sent:
                errors.append(FieldError(f"/{name}", "is required"))
            if channel != self.channel and is_sent:
                errors.append(FieldError(f"/{name}", f"is of no use with {self.channel}"))
        if errors:
            raise InvalidContent(*errors)

    def destination(self, user_id: str, *, now: datetime) -> Destination:
        """Return it, once it is checked, as a destination of a user.

        A device is registered with its provider. Raises InvalidContent where that refuses it, and
        Problem 503 where it does not answer.
        """
        if self.address is not ABSENT:
            return Destination.new(user_id, Channel.EMAIL, self.address, {}, now=now)
        if self.device_token is not ABSENT:
            name = _registered(self.device_token)
            return Destination.new(user_id, Channel.PUSH, name, {}, now=now)
        assert self.subscription is not ABSENT  # noqa: S101 - as it is checked
        endpoint = self.subscription.endpoint
        keys = self.subscription.keys.model_dump(mode="json")
        details = {"endpoint": endpoint, "keys": keys}
        return Destination.new(user_id, Channel.WEB_PUSH, endpoint, details, now=now)

    @property
    def _is_set_up(self) -> bool:
        settings = config.settings()
        match self.channel:
            case "email":
                return email.is_configured()
            case "push":
                return settings.sns_platform_application_arn is not None
            case "web_push":
                # The key itself is known to those alone that need it.
                return settings.vapid_subject is not None


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
