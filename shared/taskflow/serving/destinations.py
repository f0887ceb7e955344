"""What a client sends to be told of reminders somewhere, beside the inbox."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taskflow import config
from taskflow.domain.content import ABSENT, Content, IfSent, examples
from taskflow.domain.destinations import Channel, Destination, MailAddress
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.outbound.web_push import PushSubscription

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
    """Where a client wants to be told: of email the `address`, of a browser its `subscription`."""

    model_config = examples(
        {"channel": "web_push", "subscription": _SUBSCRIPTION},
        {"channel": "email", "address": "somebody@example.com"},
    )

    channel: Annotated[
        Literal["email", "web_push"], Field(description="The way that messages take.")
    ]
    address: IfSent[MailAddress] = ABSENT
    subscription: IfSent[PushSubscription] = ABSENT

    def destination(self, user_id: str, *, now: datetime) -> Destination:
        """Return it as a destination of a user.

        Raises InvalidContent where it lacks what its channel needs or has what another needs, and
        where nothing is sent by that channel here.
        """
        wanted, other = ("address", "subscription")
        if self.channel == "web_push":
            wanted, other = other, wanted
        errors = [FieldError("/channel", "is not set up here")] if not self._is_set_up else []
        if getattr(self, wanted) is ABSENT:
            errors.append(FieldError(f"/{wanted}", "is required"))
        if getattr(self, other) is not ABSENT:
            errors.append(FieldError(f"/{other}", f"is of no use with {self.channel}"))
        if errors:
            raise InvalidContent(*errors)
        if self.subscription is not ABSENT:
            subscription = self.subscription
            details = {
                "endpoint": subscription.endpoint,
                "keys": subscription.keys.model_dump(mode="json"),
            }
            return Destination.new(
                user_id, Channel.WEB_PUSH, subscription.endpoint, details, now=now
            )
        address = "" if self.address is ABSENT else self.address
        return Destination.new(user_id, Channel.EMAIL, address, {}, now=now)

    @property
    def _is_set_up(self) -> bool:
        settings = config.settings()
        if self.channel == "email":
            return settings.mail_from is not None
        # The key itself is known to those alone that need it.
        return settings.vapid_subject is not None
