"""Clients of Amazon's services, with the credentials that boto3 finds, and what befalls them."""

# boto3 makes the classes of its clients as it runs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from taskflow import config
from taskflow.outbound.outcomes import Deferred

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

CONNECT_TIMEOUT_S = 10.0

READ_TIMEOUT_S = 30.0
"""Who does not wait for an answer sends a message again."""

THROTTLED = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

_CODE = re.compile(r"[A-Za-z.]{1,60}")


def client(service: Literal["sesv2", "sns"], *, region: str | None) -> Any:  # noqa: ANN401 - as boto3 has it
    """Make a client of a service in a region, which all threads may use.

    The first takes a quarter of a second, and 40 MB. Raises BotoCoreError.
    """
    from boto3.session import Session
    from botocore.config import Config

    settings = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        # Whoever has a message to send tries again, later each time.
        retries={"total_max_attempts": 1},
    )
    # Not the session that boto3 has for all, which is no two threads' to make clients of.
    return Session().client(service, region_name=region, config=settings)


def close(made: Any) -> None:  # noqa: ANN401 - as above
    """Close the connections of a client."""
    made.close()


def asked(service_name: str, ask: Callable[[], object]) -> "str | ClientError | Deferred":
    """Ask a service; return the name that it gives to what it took, or its refusal.

    Else, what comes of it: who is not Amazon answers anything, a page with 200 too, and what has
    no name there was not taken. Raises InvalidSetting.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        name = ask()
    except ClientError as refusal:
        return refusal
    except BotoCoreError as error:
        return _unavailable(service_name, error)
    except config.InvalidSetting:
        raise
    except Exception as error:  # noqa: BLE001 - botocore trips over what is of no shape it knows
        return _unread(service_name, type(error).__name__)
    return name if isinstance(name, str) else _unread(service_name, "no name")


def said(refusal: "ClientError") -> tuple[str, str]:
    """Return the code of a refusal, and its message, which may repeat an address."""
    response: Any = refusal.response
    error = response.get("Error", {})
    found = _CODE.match(str(error.get("Code", "")))
    return "no code" if found is None else found[0], str(error.get("Message", ""))


def _unread(service_name: str, why: str) -> Deferred:
    return Deferred(f"{service_name} can't be understood: {why}", of_all=True)


def _unavailable(service_name: str, error: "BotoCoreError") -> Deferred:
    """Return what comes of a message that no service has answered."""
    from botocore import exceptions

    without_credentials = (
        exceptions.CredentialRetrievalError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
    )
    if isinstance(error, without_credentials):
        return Deferred(f"there are no credentials for {service_name}", of_all=True)
    if isinstance(error, exceptions.NoRegionError):
        return Deferred(f"no region is set for {service_name}: AWS_REGION", of_all=True)
    why = type(error).__name__
    if isinstance(error, exceptions.ReadTimeoutError | exceptions.ConnectionClosedError):
        reason = f"{service_name} did not say whether it took it: {why}"
        return Deferred(reason, may_be_of_all=True, may_have_been_taken=True)
    return Deferred(f"{service_name} can't be reached: {why}", of_all=True)
