"""What a provider says of a message that it was given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the message, under a name of its own if it gave one."""

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The message will never be taken; where the address `is_gone`, no other will be either.

    The reason is a sentence without address, content or secret: it is stored and shown.
    """

    reason: str
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """The message was not taken now; `of_all` where no other of this channel would be either.

    Where that is not known, it `may_be_of_all`; where it is not known whether the message was
    taken, it `may_have_been_taken`. `retry_after_s` is how many seconds the provider asks to be
    left alone, if it says so. The reason is as in Rejected.
    """

    reason: str
    retry_after_s: float | None = None
    of_all: bool = False
    may_be_of_all: bool = False
    may_have_been_taken: bool = False


Outcome = Accepted | Rejected | Deferred
