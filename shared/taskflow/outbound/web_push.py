"""Web Push: a notice for a browser, through the push service that it names (RFC 8030).

The token that says who sends (VAPID, RFC 8292) is signed by the library that checks tokens.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from taskflow import clock, config
from taskflow.domain.content import Content, examples
from taskflow.domain.notices import Notice
from taskflow.domain.text import compact_json
from taskflow.domain.times import rfc3339
from taskflow.outbound import aes128gcm
from taskflow.outbound.http import Answer, NoAnswer, post
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.push_limits import TTL_S, cut
from taskflow.outbound.urls import NamedUrl, WrongUrl, parsed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_TOKEN_LIFETIME = timedelta(hours=12)
"""Half of what RFC 8292 allows (2)."""

_OK, _MULTIPLE_CHOICES = 200, 300
_REFUSED, _GONE, _TOO_LARGE = {401, 403}, {404, 410}, 413


def _is_key(text: str) -> str:
    if not aes128gcm.is_point(_decoded(text)):
        raise PydanticCustomError("p256dh", "must be a public key of P-256 in base64url")
    return text


class PushKeys(Content):
    """What a browser encrypts with, as its `PushSubscription` has it (Push API, 8)."""

    p256dh: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_-]{87}=?$", description="Its public key, in base64url."),
        AfterValidator(_is_key),
    ]
    auth: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_-]{22}(==)?$", description="Its secret, in base64url."),
    ]


class PushSubscription(Content):
    """A browser that may be pushed to, as the JSON of its `PushSubscription` (Push API, 8)."""

    model_config = examples(
        {
            "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
            "expirationTime": None,
            "keys": {
                "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ"
                "GH6SRpkNtoIAiw4",
                "auth": "BTBZMqHH6r4Tts7J_aSIgg",
            },
        }
    )

    endpoint: Annotated[NamedUrl, Field(description="Where its push service takes messages.")]
    expiration_time: Annotated[
        float | None,
        Field(alias="expirationTime", description="Of no use: who is gone is told when pushed to."),
    ] = None
    keys: PushKeys


def public_key() -> str | None:
    """Return what browsers subscribe with (`applicationServerKey`); None where none are pushed to.

    It is in base64url.
    """
    if config.settings().vapid_private_key is None:
        return None
    return _encoded(aes128gcm.point_of(_private_key()))


def send(subscription: PushSubscription, notice: Notice) -> Outcome:
    """Push a notice to a browser, in which it takes the place of one that came before."""
    from cryptography.hazmat.primitives.asymmetric import ec

    body = aes128gcm.encrypted(
        _content(notice),
        to=_decoded(subscription.keys.p256dh),
        auth=_decoded(subscription.keys.auth),
        key=ec.generate_private_key(ec.SECP256R1()),
        salt=secrets.token_bytes(aes128gcm.SALT_BYTES),
    )
    try:
        headers = {
            "Authorization": _authorization(subscription.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_S),
            # A reminder wakes a device that saves power (RFC 8030, 5.3).
            "Urgency": "normal" if notice.remind_at is None else "high",
            # What is sent again takes the place of what the push service still keeps (5.4).
            "Topic": _encoded(notice.id.bytes),
        }
        return _outcome(post(subscription.endpoint, headers=headers, body=body))
    except WrongUrl as wrong:
        return Rejected(f"the address of the push service {wrong}")
    except NoAnswer as none:
        return Deferred(str(none))


def _outcome(answer: Answer) -> Outcome:
    status = answer.status
    if _OK <= status < _MULTIPLE_CHOICES:
        return Accepted()
    if status in _GONE:
        return Rejected("the browser is subscribed no more", is_gone=True)
    if status == _TOO_LARGE:
        return Rejected("the push service takes no message of that size")
    if status in _REFUSED:
        # Not `of_all`: a push service is whom a user names, and would hold up all others.
        return Deferred("the VAPID key was refused", answer.retry_after_s)
    return Deferred(f"the push service answered {status}", answer.retry_after_s)


def _content(notice: Notice) -> bytes:
    told = {
        "id": str(notice.id),
        "title": notice.title and cut(notice.title),
        "message": notice.message and cut(notice.message),
        "task_id": notice.task_id and str(notice.task_id),
        "remind_at": notice.remind_at and rfc3339(notice.remind_at),
        "due_date": notice.due_date and rfc3339(notice.due_date),
        "created_at": rfc3339(notice.created_at),
    }
    return compact_json(told).encode()


def _authorization(endpoint: str) -> str:
    """Return the header that says who sends, to this push service alone. Raises WrongUrl."""
    import jwt

    key = _private_key()
    claims = {
        "aud": parsed(endpoint).origin,
        "exp": int((clock.now() + _TOKEN_LIFETIME).timestamp()),
        "sub": config.settings().vapid_subject,
    }
    token = jwt.encode(claims, key, algorithm="ES256")
    return f"vapid t={token}, k={_encoded(aes128gcm.point_of(key))}"


def _private_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    text = config.settings().vapid_private_key
    if text is None:
        message = "VAPID_PRIVATE_KEY: is needed to push to browsers"
        raise config.InvalidSetting(message)
    return ec.derive_private_key(int.from_bytes(_decoded(text)), ec.SECP256R1())


def _decoded(text: str) -> bytes:
    unpadded = text.rstrip("=")
    return urlsafe_b64decode(unpadded + "=" * (-len(unpadded) % 4))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
