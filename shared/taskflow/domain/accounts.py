"""Accounts: who may log in, what they may do, and their settings."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import idna
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError

from taskflow.domain.content import ABSENT, Content, IfSent, examples
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.event_data import EventData, SettingsChanged
from taskflow.domain.events import EventType, NewEvent, changed_fields
from taskflow.domain.identifiers import new_id
from taskflow.domain.representations import (
    AccountRepresentation,
    Channel,
    SettingsRepresentation,
)
from taskflow.domain.text import Text, nfc
from taskflow.domain.times import TimeZone

USER_ID_MAX_CHARS = 255
EMAIL_MAX_CHARS = 254
PASSWORD_MIN_CHARS = 8
PASSWORD_MAX_CHARS = 256
"""Long enough for any passphrase, short enough that hashing it is not a way to burn our CPU."""

REFRESH_TOKEN_LIFETIME = timedelta(days=30)
REFRESH_TOKEN_GRACE = timedelta(seconds=30)
"""How long a used refresh token still works: for two tabs, or after an answer that was lost."""

TICKET_LIFETIME = timedelta(seconds=30)
"""How long a socket ticket waits for its socket."""

LOGIN_ATTEMPTS_WINDOW = timedelta(minutes=15)
LOGIN_ATTEMPTS_MAX = 10
"""How many wrong passwords for an account one network may send in a window."""

LOGIN_ATTEMPTS_ACCOUNT_MAX = 100
"""From all networks together that the account was not logged in from (NIST SP 800-63B-4, 3.2.2)."""

LOGIN_ATTEMPTS_NETWORK_MAX = 100
"""From one network, of all accounts together that were not logged in to from there."""

LOGIN_PLACES_MAX = 20
"""Networks that an account is known to be logged in from; strangers elsewhere never lock them."""

LOGIN_PLACE_LIFETIME = timedelta(days=90)
"""How long a network is known after the last right password."""

CHANNELS_MAX = 20
"""As they are sent: one that is named twice counts twice."""

_ACE_PREFIX = "xn--"
"""Of a label in punycode (RFC 5890, 2.3.2.5)."""

_TIME_OF_DAY = re.compile(r"^([01][0-9]|2[0-3]):[0-5][0-9]$")

_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@.<>()\[\],;:\\\"]+(\.[^\s@.<>()\[\],;:\\\"]+)*")


_HOST_LABEL = re.compile(r"(?!-)[a-z0-9\u0080-\U0010ffff-]{1,63}(?<!-)")
"""A part of a host's name, in Unicode."""


class Permission(StrEnum):
    """A permission that a token may give its bearer."""

    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    AUDIT_READ = "audit:read"
    EVENTS_REPLAY = "events:replay"
    NOTIFICATIONS_SEND = "notifications:send"


class Role(StrEnum):
    """The role of an account, which stands for permissions."""

    USER = "user"
    ADMIN = "admin"


PERMISSIONS_OF: dict[Role, frozenset[Permission]] = {
    Role.USER: frozenset({Permission.TASKS_READ, Permission.TASKS_WRITE}),
    Role.ADMIN: frozenset(Permission),
}


def permissions_of(roles: Collection[str]) -> frozenset[Permission]:
    """Return what the roles allow together; a role that is not ours allows nothing."""
    known = [role for role in Role if role.value in roles]
    return frozenset[Permission]().union(*(PERMISSIONS_OF[role] for role in known))


def canonical_email(text: str) -> str:
    """Return the one spelling of an email address, of all that reach the same mailbox.

    In lower case and NFC (RFC 6532, 3.1), its domain in Unicode as UTS 46 maps it, without the dot
    at its end. Raises PydanticCustomError or PydanticKnownError for what is no address.
    """
    local, at, domain = nfc(text, max_chars=EMAIL_MAX_CHARS).rpartition("@")
    labels = _mapped(domain.removesuffix(".")).split(".")
    spelled = nfc(
        local.lower() + at + ".".join(map(_in_unicode, labels)), max_chars=EMAIL_MAX_CHARS
    )
    if not _EMAIL.fullmatch(spelled):
        raise PydanticCustomError("email", "must be an email address")
    return spelled


def _with_host(email: str) -> str:
    """Refuse an address whose domain no host can have (RFC 1123, 2.1), which no mail reaches."""
    labels = email.rpartition("@")[2].split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise PydanticCustomError("email", "must be an email address")
    return email


def _mapped(domain: str) -> str:
    try:
        return idna.uts46_remap(domain, std3_rules=False, transitional=False)
    except idna.IDNAError:
        # No domain of the DNS, but what an account here may always have had.
        return domain.lower()


def _in_unicode(label: str) -> str:
    if not label.startswith(_ACE_PREFIX):
        return label
    try:
        decoded = label.removeprefix(_ACE_PREFIX).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    # What no client's Unicode becomes is a name of its own.
    is_stable = not decoded.isascii() and _mapped(decoded) == decoded
    return decoded if is_stable else label


def _typed_email(text: str) -> str:
    canonical_email(text)
    return text


def opaque(password: str) -> str:
    """Return a password as it is hashed: RFC 8265, OpaqueString, less what that forbids.

    Spaces of every kind are plain ones, and letters are in NFC, whatever the keyboard made. Raises
    PydanticKnownError over PASSWORD_MAX_CHARS.
    """
    composed = nfc(password, max_chars=PASSWORD_MAX_CHARS)
    return "".join(" " if unicodedata.category(char) == "Zs" else char for char in composed)


def _long_enough(password: str) -> str:
    if len(password) < PASSWORD_MIN_CHARS:
        raise PydanticKnownError("string_too_short", {"min_length": PASSWORD_MIN_CHARS})
    return password


def _typed_password(text: str) -> str:
    opaque(text)
    return text


def _minute_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text):
        raise PydanticCustomError("time_of_day", "must be a time of day such as 22:00")
    return text


_OF_EMAIL = Field(
    description="An email address, in any spelling that reaches the same mailbox.",
    json_schema_extra={"format": "email", "maxLength": EMAIL_MAX_CHARS},
)
Email = Annotated[Text, AfterValidator(canonical_email), _OF_EMAIL]
NewEmail = Annotated[Text, AfterValidator(canonical_email), AfterValidator(_with_host), _OF_EMAIL]
"""An address that nothing was written to before."""
_EMAIL_READER: TypeAdapter[str] = TypeAdapter(Email)
Password = Annotated[
    Text,
    AfterValidator(opaque),
    AfterValidator(_long_enough),
    Field(
        description="A password of one's own choice.",
        json_schema_extra={
            "format": "password",
            "minLength": PASSWORD_MIN_CHARS,
            "maxLength": PASSWORD_MAX_CHARS,
        },
    ),
]
TypedPassword = Annotated[
    Text,
    AfterValidator(_typed_password),
    Field(
        description="The password.",
        json_schema_extra={"format": "password", "maxLength": PASSWORD_MAX_CHARS},
    ),
]
"""A password as it was typed, to be checked."""

TimeOfDay = Annotated[
    str,
    AfterValidator(_minute_of_day),
    Field(description="Local time, `HH:MM`.", json_schema_extra={"pattern": _TIME_OF_DAY.pattern}),
]
EmailDigest = Annotated[
    bool, Field(description="Whether several mails that are due at once become one.")
]
Channels = Annotated[
    list[Channel], Field(max_length=CHANNELS_MAX, description="The outside channels to use.")
]


class Registration(Content):
    """What a client sends to open an account."""

    model_config = examples(
        {
            "email": "somebody@example.com",
            "password": "correct horse battery staple",
            "timezone": "Europe/Berlin",
        }
    )

    email: NewEmail
    password: Password
    timezone: TimeZone = "UTC"


class Credentials(Content):
    """What a client sends to log in, as typed: an account may be from before we normalized.

    A password of any shape is checked, and then right or wrong.
    """

    model_config = examples(
        {"email": "nobody@example.com", "password": "correct horse battery staple"}
    )

    email: Annotated[Text, AfterValidator(_typed_email), _OF_EMAIL]
    password: TypedPassword


class RefreshRequest(Content):
    """What a client sends to refresh or to log out; a browser's cookie may stand in for it."""

    model_config = examples({"refresh_token": "a token that was given"}, {})

    refresh_token: (
        Annotated[Text, Field(max_length=200, description="The newest of the session.")] | None
    ) = None


class AccountDeletion(Content):
    """What a client sends to have their account deleted for good: the password, once more.

    A password of any shape is checked, and then right or wrong. Who signs in at an outside issuer
    has none here, and sends none.
    """

    model_config = examples({"password": "correct horse battery staple"})

    password: TypedPassword | None = None


class PasswordChange(Content):
    """What a client sends to change their password: the one there is, and the new one."""

    model_config = examples(
        {
            "password": "correct horse battery staple",
            "new_password": "another horse, another battery",
        }
    )

    password: TypedPassword
    new_password: Password


class QuietHoursChanges(Content):
    """The part of a day, in the user's zone and maybe past midnight, without outside messages.

    One bound alone moves that of the hours there are.
    """

    start: IfSent[TimeOfDay] = ABSENT
    end: IfSent[TimeOfDay] = ABSENT


class SettingsChanges(Content):
    """What a client sends to change their settings: a merge patch (RFC 7396) of what GET gives."""

    model_config = examples(
        {"timezone": "Europe/Berlin"},
        {
            "notification_channels": ["email"],
            "quiet_hours": {"start": "22:00", "end": "07:30"},
            "email_digest": False,
        },
    )

    timezone: IfSent[TimeZone] = ABSENT
    notification_channels: IfSent[Channels] = ABSENT
    quiet_hours: IfSent[QuietHoursChanges | None] = ABSENT
    email_digest: IfSent[EmailDigest] = ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as it stands; `version` counts its events.

    One of an outside issuer may be without an `email`.
    `notification_channels` are the outside ones; the live socket and the inbox are always on.
    """

    id: str
    email: str | None
    timezone: str
    roles: tuple[str, ...]
    notification_channels: tuple[str, ...]
    quiet_hours: tuple[str, str] | None
    email_digest: bool
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody whom an outside issuer knows: by these two, and nothing else (OpenID Connect, 2).

    `email` is one that the issuer has verified to be theirs.
    """

    issuer: str
    subject: str
    email: str | None
    timezone: str


def verified_email(email: object, *, is_verified: object) -> str | None:
    """Return the address of an outside issuer's claims in its one spelling, if it is verified."""
    if not isinstance(email, str) or is_verified is not True:
        return None
    try:
        return _EMAIL_READER.validate_python(email)
    except ValidationError:
        return None


def register(registration: Registration, *, now: datetime) -> tuple[Account, NewEvent]:
    """Open an account; its password is kept elsewhere."""
    account = _new(str(new_id(now)), registration.email, registration.timezone, now=now)
    return account, registered(account)


def provision(identity: Identity, *, now: datetime) -> Account:
    """Open an account for somebody on their first use; the issuer's name for them is their id.

    Its event is `registered`, once it is known whether the email address is free.
    """
    return _new(identity.subject, identity.email, identity.timezone, now=now)


def registered(account: Account) -> NewEvent:
    """Return the event of a new account."""
    data = represent(account)
    return _event(EventType.USER_REGISTERED, account, data, now=account.created_at)


def represent(account: Account) -> AccountRepresentation:
    """Return the account as its owner sees it."""
    return {"id": account.id, "email": account.email, "timezone": account.timezone}


def represent_settings(account: Account) -> SettingsRepresentation:
    """Return the settings as GET and their events show them."""
    quiet = account.quiet_hours
    return {
        "timezone": account.timezone,
        "notification_channels": list(account.notification_channels),
        "quiet_hours": {"start": quiet[0], "end": quiet[1]} if quiet else None,
        "email_digest": account.email_digest,
    }


def change_settings(
    account: Account, changes: SettingsChanges, *, now: datetime
) -> tuple[Account, Sequence[NewEvent]]:
    """Merge what `changes` names into the settings; no event where nothing differs.

    Raises InvalidContent where quiet hours are left with one bound.
    """
    after = account
    if changes.timezone is not ABSENT:
        after = replace(after, timezone=changes.timezone)
    if changes.notification_channels is not ABSENT:
        channels = tuple(dict.fromkeys(changes.notification_channels))
        after = replace(after, notification_channels=channels)
    if changes.quiet_hours is not ABSENT:
        after = replace(after, quiet_hours=_merged(account.quiet_hours, changes.quiet_hours))
    if changes.email_digest is not ABSENT:
        after = replace(after, email_digest=changes.email_digest)
    if after == account:
        return account, []
    after = replace(after, version=account.version + 1)
    new = represent_settings(after)
    data: SettingsChanged = {
        **new,
        "changes": changed_fields(represent_settings(account), new),
    }
    return after, [_event(EventType.USER_SETTINGS_CHANGED, after, data, now=now)]


def delete(account: Account, *, now: datetime) -> NewEvent:
    """Return the event of an account's end, which says no more of its user than the id."""
    return _event(
        EventType.USER_DELETED,
        replace(account, version=account.version + 1),
        {"id": account.id},
        now=now,
    )


def _new(user_id: str, email: str | None, timezone: str, *, now: datetime) -> Account:
    return Account(
        id=user_id,
        email=email,
        timezone=timezone,
        roles=(Role.USER.value,),
        notification_channels=(),
        quiet_hours=None,
        email_digest=True,
        created_at=now,
        version=1,
    )


def _merged(
    old: tuple[str, str] | None, changes: QuietHoursChanges | None
) -> tuple[str, str] | None:
    if changes is None:
        return None
    start, end = old or (None, None)
    start = start if changes.start is ABSENT else changes.start
    end = end if changes.end is ABSENT else changes.end
    if start is None or end is None:
        missing = [name for name, bound in (("start", start), ("end", end)) if bound is None]
        raise InvalidContent(
            *(FieldError(f"/quiet_hours/{name}", "is required") for name in missing)
        )
    return start, end


def _event(event_type: EventType, account: Account, data: EventData, *, now: datetime) -> NewEvent:
    return NewEvent(
        event_type=event_type,
        user_id=account.id,
        aggregate_id=account.id,
        version=account.version,
        timestamp=now,
        data=data,
    )
