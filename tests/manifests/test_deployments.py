"""`func.yaml`: what a pod of a function is given, and how many there may be (D3, D7)."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

# jsonschema has types for a part of itself.
# pyright: reportUnknownMemberType=false
import jsonschema
import pytest
import yaml

from taskflow.config import FUNCTIONS_CONNECTIONS_MAX
from taskflow.eventing.frame import Subscriber
from taskflow.eventing.lanes import PLACES_OF_PROVIDERS, PLACES_OF_USERS
from taskflow.manifests.deployments import uses_kafka
from taskflow.manifests.outside import Uses, uses_of
from taskflow.push.feed import READERS
from taskflow.serving.endpoint import Endpoint
from tests.support.functions.client import all_functions
from tests.support.kubernetes.definitions import schema_of_func_yaml
from tests.support.paths import ROOT

FUNCTIONS = {function.name: function for function in all_functions()}
KNATIVE_CUTS_AFTER_S = 300
"""Knative's default for `timeoutSeconds`, which func.yaml can't set."""

PLACES = 2 * PLACES_OF_USERS + 2 * PLACES_OF_PROVIDERS

each_function = pytest.mark.parametrize("name", FUNCTIONS)


def _folder(name: str) -> Path:
    return ROOT / "functions" / name


def _func_yaml(name: str) -> dict[str, Any]:
    return yaml.safe_load((_folder(name) / "func.yaml").read_text())


def _variables(name: str) -> dict[str, str]:
    return {env["name"]: env["value"] for env in _func_yaml(name)["run"]["envs"] if "name" in env}


def _all_of(name: str) -> set[str]:
    return {env["value"] for env in _func_yaml(name)["run"]["envs"] if "name" not in env}


def _is_subscriber(name: str) -> bool:
    return isinstance(FUNCTIONS[name].endpoint, Subscriber)


def test_func_itself_finds_nothing_wrong_with_a_func_yaml() -> None:
    validator = jsonschema.Draft4Validator(schema_of_func_yaml())

    documents = [_func_yaml(name) for name in FUNCTIONS]
    for document in documents:
        # JSON has no times.
        document["created"] = document["created"].isoformat()
        validator.validate(document)

    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**documents[0], "timeoutSeconds": 600})


@each_function
def test_a_deployment_is_named_after_its_folder_and_points_at_it(name: str) -> None:
    variables = _variables(name)

    assert _func_yaml(name)["name"] == name
    assert variables["FUNCTION_TARGET"] == name.replace("-", "_")
    assert (ROOT / variables["FUNCTION_SOURCE"]) == _folder(name) / "main.py"


@each_function
def test_func_sends_events_to_those_that_take_events(name: str) -> None:
    assert _func_yaml(name)["invoke"] == ("cloudevent" if _is_subscriber(name) else "http")


def _connections(name: str) -> int:
    """Return how many connections a function holds in as many pods as it may have."""
    pods = _func_yaml(name)["deploy"]["options"]["scale"]["max"]
    return pods * int(_variables(name)["DATABASE_POOL_SIZE"])


def test_all_functions_together_hold_no_more_connections_than_is_said() -> None:
    held = {name: _connections(name) for name in FUNCTIONS}

    assert min(held.values()) > 0
    assert sum(held.values()) <= FUNCTIONS_CONNECTIONS_MAX, held


@each_function
def test_a_pod_has_connections_for_three_users_and_for_the_readers_of_its_feed(name: str) -> None:
    # One user's requests hold at most a third, and at least one.
    endpoint = FUNCTIONS[name].endpoint
    is_socket = isinstance(endpoint, Endpoint) and endpoint.is_socket

    assert int(_variables(name)["DATABASE_POOL_SIZE"]) >= (READERS + 3 if is_socket else 3)


def test_the_page_of_limits_says_how_many_connections_a_pod_has() -> None:
    sizes = {name: int(_variables(name)["DATABASE_POOL_SIZE"]) for name in FUNCTIONS}
    sockets, sending = sizes.pop("sync-tasks"), sizes.pop("deliver-notifications")
    held = {name: _connections(name) for name in FUNCTIONS}
    text = " ".join((ROOT / "docs/limits.md").read_text().split())

    [other] = set(sizes.values())
    assert f"A pod has {other} connections" in text
    assert f"a pod of sockets has {sockets}," in text
    assert f"webhooks has {sending}, for the {PLACES} that send at once" in text
    of_sockets = held.pop("sync-tasks")
    assert (
        f"those of one function more: {max(held.values())} or, of the sockets, {of_sockets}."
        in text
    )
    assert f"sockets last for {_variables('sync-tasks')['SOCKET_LIFETIME_S']} s" in text


@each_function
def test_no_client_can_tell_the_server_its_mount_point(name: str) -> None:
    # gunicorn would believe a header SCRIPT_NAME of whoever connects from the pod itself, and in a
    # pod that is Knative's proxy, with the headers of all clients.
    assert _variables(name)["FORWARDED_ALLOW_IPS"] == ""


@each_function
def test_no_function_has_an_address_outside_the_cluster(name: str) -> None:
    labels = {label["key"]: label["value"] for label in _func_yaml(name)["deploy"]["labels"]}

    assert labels["networking.knative.dev/visibility"] == "cluster-local"


@each_function
def test_a_deployment_takes_secrets_from_the_cluster_and_holds_none(name: str) -> None:
    secret = {
        variable: value
        for variable, value in _variables(name).items()
        if re.search(r"SECRET|PASSWORD|TOKEN|_KEY|_URL$", variable)
    }

    assert {"DATABASE_URL", "METRICS_TOKEN"} <= set(secret)
    assert all(re.fullmatch(r"\{\{ secret:[a-z-]+:[a-z-]+ \}\}", one) for one in secret.values())


@each_function
def test_the_key_of_the_tokens_reaches_those_alone_that_clients_call(name: str) -> None:
    assert ("JWT_SECRET" in _variables(name)) != _is_subscriber(name)


@each_function
def test_a_function_has_the_settings_of_kafka_only_if_it_uses_kafka(name: str) -> None:
    is_told_where = "{{ configMap:taskflow-kafka }}" in _all_of(name)

    assert is_told_where == ("KAFKA_SASL_PASSWORD" in _variables(name))
    assert is_told_where == uses_kafka(_folder(name) / "main.py")


@each_function
def test_the_network_and_a_mounted_certificate_let_those_reach_kafka_that_use_it(name: str) -> None:
    labels = {label["key"]: label["value"] for label in _func_yaml(name)["deploy"]["labels"]}
    volumes = _func_yaml(name)["run"]["volumes"]
    uses = uses_kafka(_folder(name) / "main.py")

    assert (labels.get("taskflow/uses-kafka") == "true") == uses
    kafka = {"secret": "taskflow-kafka", "path": "/etc/taskflow/kafka"}
    assert (kafka in volumes) == uses


@each_function
def test_a_pod_may_write_to_a_tmp_of_its_own_that_has_a_limit(name: str) -> None:
    volumes = _func_yaml(name)["run"]["volumes"]

    assert [one["path"] for one in volumes if "emptyDir" in one] == ["/tmp"]  # noqa: S108 - the pod's
    assert all(one["emptyDir"]["sizeLimit"] for one in volumes if "emptyDir" in one)


ALL_OF_SECRETS = {"taskflow-mail", "taskflow-web-push", "taskflow-aws"}


@each_function
def test_a_function_has_the_secrets_of_what_it_sends_or_signs_with(name: str) -> None:
    uses = uses_of(_folder(name) / "main.py")
    given = {secret for secret in ALL_OF_SECRETS if f"{{{{ secret:{secret} }}}}" in _all_of(name)}

    assert given == set(uses.secrets)
    assert ("LINK_SECRET" in _variables(name)) == uses.links


def test_what_sends_by_all_channels_has_connections_and_memory_for_it() -> None:
    sending = _func_yaml("deliver-notifications")["deploy"]["options"]["resources"]

    assert int(_variables("deliver-notifications")["DATABASE_POOL_SIZE"]) >= PLACES // 5
    # One process that had sent by all channels, twice through Amazon, took 133 MiB.
    assert sending["requests"]["memory"] == "144Mi"
    assert sending["limits"]["memory"] == "256Mi"


def test_what_registers_devices_has_memory_for_amazons_client() -> None:
    registering, others = (
        _func_yaml(name)["deploy"]["options"]["resources"]["requests"]["memory"]
        for name in ("add-destination", "remove-destination")
    )

    # One process took 68 MiB, and 86 once it had registered a device.
    assert (registering, others) == ("128Mi", "96Mi")


@each_function
def test_the_network_lets_those_out_of_the_cluster_alone_that_send(name: str) -> None:
    labels = {label["key"]: label["value"] for label in _func_yaml(name)["deploy"]["labels"]}
    uses = uses_of(_folder(name) / "main.py")

    assert (labels.get("taskflow/reaches-outside") == "true") == uses.sends


def test_one_function_sends_by_every_channel_and_the_consumer_before_it_by_none() -> None:
    sending = uses_of(_folder("deliver-notifications") / "main.py")
    telling = uses_of(_folder("send-notification") / "main.py")

    assert sending == Uses(
        links=True, mail=True, browsers=True, devices=True, sends=True, lanes=True
    )
    assert telling == Uses(
        links=False, mail=False, browsers=False, devices=False, sends=False, lanes=False
    )


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("from taskflow.outbound import links\n\nlinks.confirmed('')\n", {"links"}),
        ("from taskflow.outbound.links import confirmed\n", {"links"}),
        ("from taskflow.outbound import sns as push\n\npush.register('')\n", {"devices", "sends"}),
        ("from taskflow.outbound import web_push\n\nweb_push.public_key()\n", {"browsers"}),
        ("from taskflow.outbound import webhooks\n\nwebhooks.send()\n", {"sends"}),
        # What is sent is described there, too.
        ("from taskflow.outbound.web_push import PushSubscription\n", set[str]()),
        ("from taskflow.outbound import email\n\nemail.is_configured()\n", set[str]()),
        ("links = []\nlinks.append(1)\n", set[str]()),
        # By way of a module of ours.
        (
            "from taskflow.eventing.lanes import lanes\n",
            {"links", "mail", "browsers", "devices", "sends", "lanes"},
        ),
    ],
)
def test_the_calls_of_a_function_and_of_what_it_imports_say_what_it_uses_outside(
    source: str, uses: set[str], tmp_path: Path
) -> None:
    path = tmp_path / "main.py"
    path.write_text(source)

    assert {name for name, is_used in asdict(uses_of(path)).items() if is_used} == uses


def test_functions_that_append_no_event_are_told_nothing_of_kafka() -> None:
    using = {name for name in FUNCTIONS if "KAFKA_SASL_PASSWORD" in _variables(name)}

    assert {"create-task", "run-schedule", "spawn-next-occurrence", "publish-outbox"} <= using
    assert "sync-tasks" in using
    assert not using & {"list-tasks", "log-in", "record-audit-entry", "store-dead-letter"}


def test_a_socket_is_told_to_resume_before_knative_cuts_it() -> None:
    lifetime_s = int(_variables("sync-tasks")["SOCKET_LIFETIME_S"])

    assert 0 < lifetime_s < KNATIVE_CUTS_AFTER_S


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("from taskflow.storage import events\n\ndef f(tx):\n    events.append(tx, [])\n", True),
        ("from taskflow.storage import task_changes\n\ntask_changes.save_all(tx)\n", True),
        ("from taskflow.storage import task_changes\n\ntask_changes.save_reminders(tx)\n", True),
        ("from taskflow.kafka.publisher import publisher\n", True),
        ("from taskflow.push import feed\n", True),
        ("from taskflow.storage import events\n\nevents.page(tx)\n", False),
        ("found = []\nfound.append(1)\n", False),
    ],
)
def test_the_calls_of_a_function_say_whether_it_uses_kafka(
    source: str, *, uses: bool, tmp_path: Path
) -> None:
    path = tmp_path / "main.py"
    path.write_text(source)

    assert uses_kafka(path) is uses
