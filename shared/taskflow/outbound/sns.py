"""Push to mobile apps, through Amazon SNS to Apple's service or Google's."""

import re
from typing import TYPE_CHECKING, Any

from taskflow import config
from taskflow.domain.notices import Notice
from taskflow.domain.text import JsonObject, compact_json
from taskflow.outbound import amazon
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.push_limits import TTL_S, cut
from taskflow.process import resource

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_OPERATOR = "TaskFlow"
_REMINDER = "Reminder"
"""Beside a task's title, where a reminder says nothing itself."""

_NAME = "Amazon SNS"

_GONE = frozenset({"EndpointDisabled", "NotFound"})
_OF_THE_MESSAGE = frozenset({"InvalidParameter", "ParameterValueInvalid", "ValidationException"})
"""What SNS says of one message; all else is of its account, of ours there, or of itself."""

_NO_ENDPOINT = "No endpoint found"
"""SNS says InvalidParameter of an endpoint that has been deleted, too."""

_EXISTS = re.compile(r"Endpoint (arn:\S+) already exists with the same Token")
"""And of a device that is registered with other attributes: that it is disabled is one."""


def register(device_token: str) -> str | Rejected | Deferred:
    """Return the name (ARN) by which a device is sent to; or why there is none.

    A device that is registered keeps its name, and is sent to again if that had ended.
    """
    match amazon.asked(_NAME, lambda: _registered(device_token)):
        case str() | Deferred() as registered:
            return registered
        case refusal:
            return _refusal(refusal)


def _registered(device_token: str) -> object:
    from botocore.exceptions import ClientError

    enabled = {"Enabled": "true"}
    try:
        answer: Any = client().create_platform_endpoint(
            PlatformApplicationArn=_application(), Token=device_token, Attributes=enabled
        )
    except ClientError as refusal:
        exists = _EXISTS.search(amazon.said(refusal)[1])
        if exists is None:
            raise
        changed = {"Token": device_token, **enabled}
        client().set_endpoint_attributes(EndpointArn=exists[1], Attributes=changed)
        return exists[1]
    return answer.get("EndpointArn")


def send(arn: str, notice: Notice) -> Outcome:
    """Push a notice to a device, where it takes the place of one that came before."""
    message, attributes = compact_json(_messages(notice)), _attributes(notice)
    match amazon.asked(_NAME, lambda: _published(arn, message, attributes)):
        case str(message_id):
            return Accepted(message_id)
        case Deferred() as deferred:
            return deferred
        case refusal:
            return _refusal(refusal)


def _published(arn: str, message: str, attributes: JsonObject) -> object:
    answer: Any = client().publish(
        TargetArn=arn,
        MessageStructure="json",
        Message=message,
        MessageAttributes=attributes,
    )
    return answer.get("MessageId")


def _refusal(refusal: "ClientError") -> Rejected | Deferred:
    code, message = amazon.said(refusal)
    if code in amazon.THROTTLED:
        return Deferred(f"{_NAME} takes no more now: {code}", of_all=True)
    if code in _GONE or _NO_ENDPOINT in message:
        return Rejected("the device is registered no more", is_gone=True)
    if code not in _OF_THE_MESSAGE:
        return Deferred(f"{_NAME} takes nothing: {code}", of_all=True)
    return Rejected(f"{_NAME} refused it: {code}")


def _messages(notice: Notice) -> dict[str, str]:
    """Return what each service is told, of which SNS takes the device's."""
    if notice.title is None:
        title, body = _OPERATOR, cut(notice.message or "")
    else:
        title, body = cut(notice.title), cut(notice.message or _REMINDER)
    shown = {"title": title, "body": body}
    ids = {"notice_id": str(notice.id)}
    if notice.task_id is not None:
        ids["task_id"] = str(notice.task_id)
    apple = compact_json({"aps": {"alert": shown, "sound": "default"}, **ids})
    # FCM's HTTP v1 API, whose data are texts alone.
    google: JsonObject = {
        "notification": shown,
        "data": ids,
        "android": {
            "priority": "normal" if notice.remind_at is None else "high",
            "ttl": f"{TTL_S}s",
            "notification": {"tag": str(notice.id)},
        },
    }
    return {
        "default": f"{title}: {body}",
        "APNS": apple,
        "APNS_SANDBOX": apple,
        "GCM": compact_json({"fcmV1Message": {"message": google}}),
    }


def _attributes(notice: Notice) -> JsonObject:
    """Return what Apple's service is told beside the message."""
    told = {
        "APNS.TTL": str(TTL_S),
        "APNS_SANDBOX.TTL": str(TTL_S),
        "APNS.PUSH_TYPE": "alert",
        "APNS.COLLAPSE_ID": str(notice.id),
    }
    return {
        f"AWS.SNS.MOBILE.{name}": {"DataType": "String", "StringValue": value}
        for name, value in told.items()
    }


def _application() -> str:
    arn = config.settings().sns_platform_application_arn
    if arn is None:
        message = "SNS_PLATFORM_APPLICATION_ARN: is needed to push to mobile apps"
        raise config.InvalidSetting(message)
    return arn


@resource(close=amazon.close)
def client() -> Any:  # noqa: ANN401 - as boto3 has it
    """Return this process's client of Amazon SNS, where the application is."""
    return amazon.client("sns", region=_application().split(":")[3])
