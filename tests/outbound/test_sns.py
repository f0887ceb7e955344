"""Push to mobile apps through Amazon SNS: what devices are sent, and what came of it."""

import json
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from taskflow.config import InvalidSetting
from taskflow.domain.notices import Notice
from taskflow.outbound import sns
from taskflow.outbound.outcomes import Accepted, Deferred, Rejected
from taskflow.outbound.push_limits import TEXT_MAX_CHARS
from tests.support.network.endpoint import a_server, an_endpoint
from tests.support.network.ports import a_free_port
from tests.support.settings import changed_settings

REGION = "eu-central-1"
APPLICATION = f"arn:aws:sns:{REGION}:{DEFAULT_ACCOUNT_ID}:app/GCM/taskflow"
AT = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
REMINDER = Notice(
    id=UUID("019ad3f0-8c00-7000-8000-000000000001"),
    title="Bücher 📚 zurückbringen",
    message=None,
    task_id=UUID("019ad3f0-8c00-7000-8000-000000000002"),
    remind_at=AT,
    due_date=AT,
    created_at=AT,
)
MESSAGE = replace(
    REMINDER,
    title=None,
    message="Maintenance tonight.",
    task_id=None,
    remind_at=None,
    due_date=None,
)


@pytest.fixture(autouse=True)
def _amazon(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with (
        mock_aws(),
        changed_settings(sns_platform_application_arn=APPLICATION),
        sns.client.renewed(),
    ):
        sns.client().create_platform_application(Name="taskflow", Platform="GCM", Attributes={})
        yield


def _registered(device_token: str = "a token of Firebase") -> str:
    arn = sns.register(device_token)
    assert isinstance(arn, str)
    return arn


def _sent_to(arn: str) -> list[dict[str, Any]]:
    """Return what SNS was told to send to a device, each by service."""
    endpoint = sns_backends[DEFAULT_ACCOUNT_ID][REGION].platform_endpoints[arn]
    return [json.loads(message) for message in endpoint.messages.values()]


def test_a_device_is_sent_a_reminder_as_each_service_has_it() -> None:
    arn = _registered()

    outcome = sns.send(arn, REMINDER)

    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    [sent] = _sent_to(arn)
    shown = {"title": "Bücher 📚 zurückbringen", "body": "Reminder"}
    ids = {"notice_id": str(REMINDER.id), "task_id": str(REMINDER.task_id)}
    assert sent["default"] == "Bücher 📚 zurückbringen: Reminder"
    assert json.loads(sent["APNS"]) == {"aps": {"alert": shown, "sound": "default"}, **ids}
    assert sent["APNS_SANDBOX"] == sent["APNS"]
    assert json.loads(sent["GCM"]) == {
        "fcmV1Message": {
            "message": {
                "notification": shown,
                "data": ids,
                "android": {
                    "priority": "high",
                    "ttl": "86400s",
                    "notification": {"tag": str(REMINDER.id)},
                },
            }
        }
    }


def test_a_device_is_sent_what_an_operator_says() -> None:
    arn = _registered()

    sns.send(arn, MESSAGE)

    [sent] = _sent_to(arn)
    message = json.loads(sent["GCM"])["fcmV1Message"]["message"]
    assert message["notification"] == {"title": "TaskFlow", "body": "Maintenance tonight."}
    assert message["data"] == {"notice_id": str(MESSAGE.id)}
    assert message["android"]["priority"] == "normal"


def test_apple_s_service_is_told_how_long_to_keep_a_message_and_what_it_replaces() -> None:
    attributes = {
        f"AWS.SNS.MOBILE.{name}": {"DataType": "String", "StringValue": value}
        for name, value in (
            ("APNS.TTL", "86400"),
            ("APNS_SANDBOX.TTL", "86400"),
            ("APNS.PUSH_TYPE", "alert"),
            ("APNS.COLLAPSE_ID", str(REMINDER.id)),
        )
    }
    asked = {
        "TargetArn": "arn",
        "Message": ANY,
        "MessageStructure": "json",
        "MessageAttributes": attributes,
    }
    stub: Any = Stubber(sns.client())
    with stub:
        stub.add_response("publish", {"MessageId": "its name"}, asked)

        assert sns.send("arn", REMINDER) == Accepted("its name")


@pytest.mark.parametrize("character", ["x", "📚", '"', "\x01"], ids=ascii)
def test_a_notice_of_any_length_fits_into_what_the_services_take(character: str) -> None:
    arn = _registered()

    sns.send(arn, replace(REMINDER, title=character * 255, message=character * 1000))

    [sent] = _sent_to(arn)
    assert all(len(each.encode()) <= 4096 for each in sent.values())
    shown = json.loads(sent["APNS"])["aps"]["alert"]
    assert shown["title"] == shown["body"] == character * (TEXT_MAX_CHARS - 1) + "…"


def test_a_device_that_is_registered_again_keeps_its_name() -> None:
    assert _registered() == _registered() != _registered("another token")


def test_a_device_whose_messages_had_ended_is_sent_to_again_once_it_registers() -> None:
    arn = _registered()
    sns.client().set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
    assert sns.send(arn, REMINDER) == Rejected("the device is registered no more", is_gone=True)

    assert _registered() == arn

    assert isinstance(sns.send(arn, REMINDER), Accepted)


def test_a_device_that_is_registered_with_other_attributes_keeps_its_name() -> None:
    given = sns.client().create_platform_endpoint(
        PlatformApplicationArn=APPLICATION, Token="shared", CustomUserData="of somebody else"
    )

    assert _registered("shared") == given["EndpointArn"]


def test_a_device_that_was_deleted_is_gone() -> None:
    arn = _registered()
    sns.client().delete_endpoint(EndpointArn=arn)

    assert sns.send(arn, REMINDER) == Rejected("the device is registered no more", is_gone=True)


@pytest.mark.parametrize(
    ("code", "message", "outcome"),
    [
        (
            "Throttled",
            "Rate exceeded",
            Deferred("Amazon SNS takes no more now: Throttled", of_all=True),
        ),
        ("NotFound", "", Rejected("the device is registered no more", is_gone=True)),
        (
            "InvalidParameter",
            "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified",
            Rejected("the device is registered no more", is_gone=True),
        ),
        (
            "InvalidParameter",
            "Invalid parameter: Message Reason: of user@example.com",
            Rejected("Amazon SNS refused it: InvalidParameter"),
        ),
        *(
            (code, "", Deferred(f"Amazon SNS takes nothing: {code}", of_all=True))
            for code in (
                "AuthorizationError",
                "InvalidClientTokenId",
                "ExpiredToken",
                "PlatformApplicationDisabled",
                "InternalError",
            )
        ),
        ("", "", Deferred("Amazon SNS takes nothing: no code", of_all=True)),
    ],
)
def test_a_refusal_of_amazon_is_of_the_message_of_the_device_or_of_all(
    code: str, message: str, outcome: Rejected | Deferred
) -> None:
    arn = _registered()
    stub: Any = Stubber(sns.client())
    with stub:
        stub.add_client_error("publish", code, message)
        assert sns.send(arn, REMINDER) == outcome

        stub.add_client_error("create_platform_endpoint", code, message)
        assert sns.register("another") == outcome


def test_an_amazon_that_is_away_or_takes_no_log_in_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arn = _registered()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    with sns.client.renewed():
        nobody = sns.send(arn, REMINDER)

    assert nobody == Deferred("there are no credentials for Amazon SNS", of_all=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>A log-in</html>",
        b"<html>",
        b"{}",
        b'{"MessageId": "of JSON"}',
        b"<PublishResponse><PublishResult/></PublishResponse>",
        b"<Response><CreatePlatformEndpointResult/></Response>",
        b"<ErrorResponse><Error/></ErrorResponse>",
        b"<ErrorResponse><Error><Code><a/></Code></Error></ErrorResponse>",
        b"\xff\xfe\x00",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("status", [200, 204, 301, 500])
def test_an_answer_that_is_not_of_amazon_is_tried_again(
    status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with an_endpoint(status) as stub, sns.client.renewed():
        stub.body = body
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://{stub.host}:{stub.port}")
        outcomes = sns.send("arn", REMINDER), sns.register("a token")

    for outcome in outcomes:
        assert isinstance(outcome, Deferred)
        assert outcome.of_all
        assert "html" not in outcome.reason


def test_an_amazon_that_closes_the_connection_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with a_server(lambda connected: connected.close()) as url, sns.client.renewed():
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", url)

        assert sns.send("arn", REMINDER) == Deferred(
            "Amazon SNS did not say whether it took it: ConnectionClosedError",
            may_be_of_all=True,
            may_have_been_taken=True,
        )


def test_what_sends_to_apps_needs_their_application() -> None:
    with (
        changed_settings(sns_platform_application_arn=None),
        sns.client.renewed(),
        pytest.raises(InvalidSetting, match=r"^SNS_PLATFORM_APPLICATION_ARN: "),
    ):
        sns.register("a token")


def test_an_amazon_that_cannot_be_reached_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{a_free_port()}")
    with sns.client.renewed():
        away = sns.send(f"{APPLICATION}/1", REMINDER)
        unregistered = sns.register("a token")

    reason = "Amazon SNS can't be reached: EndpointConnectionError"
    assert away == unregistered == Deferred(reason, of_all=True)
