"""What `kubectl apply -k` would apply: each overlay is whole, and every object is of its schema."""

# jsonschema has types for a part of itself.
# pyright: reportUnknownMemberType=false

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from knative import functions
from knative.deploy import changes_of_functions, check_examples
from taskflow import config
from taskflow.config import FUNCTIONS_CONNECTIONS_MAX, Settings
from taskflow.manifests.outside import AMAZON, MAIL, uses_of
from taskflow.outbound.urls import may_be_asked
from taskflow.serving import browser, problems
from taskflow.serving.problems import ProblemKind
from tests.support.kubernetes import definitions
from tests.support.kubernetes.kustomize import Document, built
from tests.support.paths import ROOT

KNATIVE = ROOT / "knative"
OVERLAYS = ("minikube", "cloud", "yours")
KUBERNETES = kubernetes_validate.latest_version()
# Those that have no dot are Kubernetes' own, and those that end so.
OWN_GROUPS = (".k8s.io",)
NOT_IN_A_NAMESPACE = {"Namespace", "GatewayClass"}
# Who reaches Knative's ingress and its KafkaSinks is said where these are.
BESIDE_KNATIVE = {"taskflow", "taskflow-ingress", "taskflow-activator", "taskflow-kafka-sink"}


def of_overlay(name: str) -> list[Document]:
    return built(KNATIVE / "overlays" / name)


def the(documents: list[Document], kind: str, name: str) -> Document:
    [found] = [
        each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def check(document: Document) -> None:
    """Raise an error of jsonschema where a document is not of its kind's schema."""
    group, _, _ = document["apiVersion"].rpartition("/")
    if "." not in group or (group.endswith(OWN_GROUPS) and not group.startswith("gateway.")):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    else:
        validator(document["apiVersion"], document["kind"]).validate(document)


@functools.cache
def validator(api_version: str, kind: str) -> jsonschema.Draft202012Validator:
    """Return what checks a kind; its schema itself is not checked, which takes a second."""
    return jsonschema.Draft202012Validator(definitions.schema_of(api_version, kind))


FOLDERS = [*(KNATIVE / "overlays" / name for name in OVERLAYS), KNATIVE / "operator"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_object_is_of_its_kinds_schema(folder: Path) -> None:
    documents = built(folder)

    assert documents
    for document in documents:
        check(document)


def test_a_misspelled_field_is_found_in_each_sort_of_schema() -> None:
    documents = of_overlay("minikube")
    sink = the(documents, "KafkaSink", "dead-letters")
    job = the(documents, "Job", "topics")

    for document in (sink, job):
        wrong = {**document, "spec": {**document["spec"], "topik": "x"}}
        with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
            check(wrong)


@pytest.mark.parametrize(
    "path", sorted((KNATIVE / "patches").glob("*.yaml")), ids=lambda path: path.stem
)
def test_each_patch_of_a_service_is_of_its_schema_and_of_a_function(path: Path) -> None:
    service = yaml.safe_load(path.read_text())
    service |= {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {}}
    service["spec"]["template"]["spec"]["containers"] = [{}]

    check(service)
    assert (ROOT / "functions" / path.stem).is_dir()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_not_beside_knatives_own_is_in_taskflows_namespace(overlay: str) -> None:
    elsewhere = {
        each["metadata"]["name"]
        for each in of_overlay(overlay)
        if each["kind"] not in NOT_IN_A_NAMESPACE
        and each["metadata"].get("namespace") != "taskflow"
    }

    assert elsewhere == BESIDE_KNATIVE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_labelled_as_part_of_taskflow(overlay: str) -> None:
    for each in of_overlay(overlay):
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "taskflow", each


@pytest.mark.parametrize(
    ("overlay", "namespace"),
    [("minikube", "kourier-system"), ("cloud", "knative-serving"), ("yours", "knative-serving")],
)
def test_routes_go_to_where_the_overlay_says_that_the_ingress_is(
    overlay: str, namespace: str
) -> None:
    documents = of_overlay(overlay)
    backends = {
        backend["namespace"]
        for each in documents
        if each["kind"] == "HTTPRoute"
        for rule in each["spec"]["rules"]
        for backend in rule.get("backendRefs", [])
    }

    assert backends == {namespace}
    assert the(documents, "ReferenceGrant", "taskflow")["metadata"]["namespace"] == namespace
    policy = the(documents, "NetworkPolicy", "taskflow-ingress")
    assert policy["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_knative_reads_kafka_where_the_functions_publish_to_it(overlay: str) -> None:
    documents = of_overlay(overlay)
    servers = the(documents, "ConfigMap", "taskflow-kafka")["data"]["KAFKA_BOOTSTRAP_SERVERS"]
    kinds = {"KafkaSink", "KafkaSource"}

    said = [each["spec"]["bootstrapServers"] for each in documents if each["kind"] in kinds]

    assert said
    assert all(each == [servers] for each in said)


A_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"

OWN_VALUES = """
resources: [../yours]
components: [../../components/cloud]
configMapGenerator:
- name: address
  behavior: merge
  literals: [host=api.own.test, email=me@own.test, "origin=https://own.test"]
  options: {annotations: {config.kubernetes.io/local-config: "true"}}
- name: ingress
  behavior: merge
  literals: [namespace=ingress-of-own]
  options: {annotations: {config.kubernetes.io/local-config: "true"}}
- name: taskflow-kafka
  namespace: taskflow
  behavior: merge
  literals:
  - KAFKA_BOOTSTRAP_SERVERS=kafka.own.test:9093
  - KAFKA_GROUP_PREFIX=own.prefix
  - TOPIC_TASKS=own.tasks
  - TOPIC_REMINDERS=own.reminders
  - TOPIC_DEAD_LETTERS=own.dead
images: [{name: ghcr.io/example/taskflow, newName: own.test/taskflow, newTag: "1"}]
"""
KINDS_OF_KAFKA = ("KafkaSource", "KafkaSink")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """Build an overlay of `yours`, which says all its values, in a copy of knative/."""
    root = tmp_path_factory.mktemp("own")
    shutil.copytree(KNATIVE, root / "knative")
    folder = root / "knative/overlays/own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(OWN_VALUES)
    return built(folder)


def test_an_overlay_whose_users_sign_in_elsewhere_says_where(tmp_path: Path) -> None:
    page = (ROOT / "docs/signing-in.md").read_text()
    example = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    own = yaml.safe_load(OWN_VALUES)
    own["components"] = example["components"]
    own["configMapGenerator"] += example["configMapGenerator"]
    shutil.copytree(KNATIVE, tmp_path / "knative")
    folder = tmp_path / "knative/overlays/own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))

    documents = built(folder)

    check_examples(documents)
    read = config.read(the(documents, "ConfigMap", "taskflow-config")["data"])
    assert (read.auth, read.jwks_url) == ("external", "https://login.acme.test/jwks")
    assert read.jwt_admin_roles == ("taskflow-admins",)
    policy = the(documents, "NetworkPolicy", "to-issuer")
    check(policy)
    assert policy["spec"]["egress"] == [{"ports": [{"port": 443, "protocol": "TCP"}]}]


def test_an_overlay_of_ones_own_says_each_value_once(own: list[Document]) -> None:
    check_examples(own)
    routes = [each for each in own if each["kind"] == "HTTPRoute"]
    backends = {
        backend["namespace"]
        for each in routes
        for rule in each["spec"]["rules"]
        for backend in rule.get("backendRefs", [])
    }
    gateway = the(own, "Gateway", "taskflow")["spec"]

    assert backends == {"ingress-of-own"}
    assert {listener["hostname"] for listener in gateway["listeners"]} == {"api.own.test"}
    assert the(own, "Issuer", "letsencrypt")["spec"]["acme"]["email"] == "me@own.test"
    cors = the(own, "SecurityPolicy", "taskflow")["spec"]["cors"]
    assert cors["allowOrigins"] == ["https://own.test"]


def test_knative_follows_the_names_that_the_functions_are_told(own: list[Document]) -> None:
    servers = {
        tuple(each["spec"]["bootstrapServers"]) for each in own if each["kind"] in KINDS_OF_KAFKA
    }
    topics = {
        each["metadata"]["name"]: each["spec"]["topics"]
        for each in own
        if each["kind"] == "KafkaSource"
    }
    groups = {
        each["metadata"]["name"]: each["spec"]["consumerGroup"]
        for each in own
        if each["kind"] == "KafkaSource"
    }

    assert servers == {("kafka.own.test:9093",)}
    assert topics == {
        "record-audit-entry": ["own.tasks", "own.reminders"],
        "send-notification": ["own.reminders"],
        "spawn-next-occurrence": ["own.tasks"],
        "store-dead-letter": ["own.dead"],
    }
    assert groups == {name: f"own.prefix.{name}" for name in topics}
    assert the(own, "KafkaSink", "dead-letters")["spec"]["topic"] == "own.dead"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_names_of_topics_and_groups_are_the_settings_own(overlay: str) -> None:
    said = the(of_overlay(overlay), "ConfigMap", "taskflow-kafka")["data"]
    named = {name for name in said if name.startswith("TOPIC_")} | {"KAFKA_GROUP_PREFIX"}

    for name in named:
        assert said[name] == Settings.model_fields[name.lower()].default


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_what_opens_accounts_has_the_limit_of_accounts(overlay: str) -> None:
    documents = of_overlay(overlay)
    limits = {
        each["metadata"]["name"]: {
            (rule["limit"]["requests"], rule["limit"]["unit"])
            for rule in each["spec"]["rateLimit"]["local"]["rules"]
        }
        for each in documents
        if each["kind"] == "BackendTrafficPolicy"
    }
    buffered = {
        each["metadata"]["name"]
        for each in documents
        if each["kind"] == "BackendTrafficPolicy" and "requestBuffer" in each["spec"]
    }

    per_min = Settings.model_fields["rate_limit_auth_per_min"].default
    assert limits.pop("accounts") == {(per_min, "Minute")}
    assert limits == {name: {(300, "Second")} for name in ("taskflow", "sync-tasks")}
    assert buffered == {"taskflow", "accounts"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_overlay_holds_a_secret(overlay: str) -> None:
    assert [each for each in of_overlay(overlay) if each["kind"] == "Secret"] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_jobs_run_the_one_image_of_the_overlay(overlay: str) -> None:
    [declared] = yaml.safe_load(
        (KNATIVE / "overlays" / overlay / "kustomization.yaml").read_text()
    )["images"]
    images = {
        container["image"]
        for each in of_overlay(overlay)
        if each["kind"] == "Job"
        for container in each["spec"]["template"]["spec"]["containers"]
    }

    assert images == {f"{declared['newName']}:{declared['newTag']}"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_are_taskflows_own(overlay: str) -> None:
    documents = of_overlay(overlay)
    named = {
        name.lower()
        for config_map in ("taskflow-config", "taskflow-kafka")
        for name in the(documents, "ConfigMap", config_map)["data"]
    }

    assert named <= Settings.model_fields.keys()


def _lets_through(policy: Document, address: str) -> bool:
    """Say whether a policy lets pods reach an address, where it names no pods."""
    at = ip_address(address)
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"]]
    return any(
        at in ip_network(block["cidr"])
        and not any(at in ip_network(each) for each in block.get("except", []))
        for block in blocks
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_sends_is_let_out_of_the_cluster_by_tcp_and_nobody_else_is(overlay: str) -> None:
    documents = of_overlay(overlay)
    policies = [each for each in documents if each["kind"] == "NetworkPolicy"]
    [names] = [each for each in policies if each["metadata"]["name"] == "names"]

    everywhere = [
        each["metadata"]["name"]
        for each in policies
        for rule in each["spec"].get("egress", [])
        if "ports" not in rule or any("port" not in port for port in rule["ports"])
    ]

    assert everywhere == ["to-outside"]
    policy = the(documents, "NetworkPolicy", "to-outside")
    assert policy["spec"]["podSelector"] == {"matchLabels": {"taskflow/reaches-outside": "true"}}
    assert [rule["ports"] for rule in policy["spec"]["egress"]] == [[{"protocol": "TCP"}]]
    # The names that users name are looked up, too.
    assert names["spec"]["podSelector"] == {}


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("1.1.1.1", True),
        ("172.32.0.1", True),
        ("2606:4700::1111", True),
        ("64:ff9b::101:101", True),
        # Pods, services and nodes; what a cloud tells a machine of itself; this machine.
        ("10.96.0.1", False),
        ("172.20.0.10", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("198.19.255.1", False),
        ("169.254.169.254", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound to it
        ("224.0.0.1", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::1", False),
    ],
)
def test_what_sends_is_let_out_to_the_addresses_that_it_takes_for_public_itself(
    address: str, *, is_public: bool
) -> None:
    policy = the(of_overlay("cloud"), "NetworkPolicy", "to-outside")

    assert _lets_through(policy, address) == is_public
    assert may_be_asked(ip_address(address)) == is_public


def test_an_overlay_that_sends_mail_and_push_messages_says_by_whom(tmp_path: Path) -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    example = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    own = yaml.safe_load(OWN_VALUES)
    own["configMapGenerator"] += example["configMapGenerator"]
    own["patches"] = example["patches"]
    shutil.copytree(KNATIVE, tmp_path / "knative")
    folder = tmp_path / "knative/overlays/own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))

    documents = built(folder)

    check_examples(documents)
    told = the(documents, "ConfigMap", "taskflow-config")["data"]
    read = config.read(
        told | {"SMTP_PASSWORD": "a", "VAPID_PRIVATE_KEY": A_KEY, "LINK_SECRET": A_KEY}
    )
    read.require_email()
    read.require_web_push()
    assert read.sns_platform_application_arn
    # Those that send nothing are told the same, and no secret.
    assert config.read(told).mail_from == read.mail_from
    policy = the(documents, "NetworkPolicy", "to-outside")
    check(policy)
    assert _lets_through(policy, "10.20.0.7")
    assert [str(each) for each in read.outbound_allowed_networks] == ["10.20.0.0/16"]
    assert not _lets_through(policy, "10.21.0.7")
    assert _lets_through(policy, "1.1.1.1")
    changes = changes_of_functions(documents)
    sources = sorted(ROOT.glob("functions/*/main.py"))
    asking_amazon = [each.parent.name for each in sources if AMAZON in uses_of(each).secrets]
    assert asking_amazon == ["add-destination", "deliver-notifications"]
    for name in asking_amazon:
        assert changes[name]["deploy"]["serviceAccountName"] == "taskflow-sender"
    # As the overlay below says.
    assert changes["sync-tasks"]


def test_an_overlay_that_trusts_an_authority_of_its_own_adds_it_to_what_pods_that_send_have(
    tmp_path: Path,
) -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    own = yaml.safe_load(OWN_VALUES)
    for example in examples:
        own["configMapGenerator"] += yaml.safe_load(example)["configMapGenerator"]
    shutil.copytree(KNATIVE, tmp_path / "knative")
    folder = tmp_path / "knative/overlays/own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
    (folder / "own.crt").write_text("a certificate")

    documents = built(folder)

    assert the(documents, "ConfigMap", "authorities")["data"] == {"own.crt": "a certificate"}
    changed = {
        each.name: each.func_yaml for each in functions.functions(changes_of_functions(documents))
    }
    sending = [name for name, each in changed.items() if MAIL in json.dumps(each)]
    assert sending == ["deliver-notifications"]
    sender = changed["deliver-notifications"]
    assert sender["deploy"]["serviceAccountName"] == "taskflow-sender"
    path = ROOT / "functions/deliver-notifications/func.yaml"
    volumes = yaml.safe_load(path.read_text())["run"]["volumes"]
    added = {"configMap": "authorities", "path": "/etc/taskflow/authorities"}
    assert sender["run"]["volumes"] == [*volumes, added]


def test_the_guide_makes_a_key_that_browsers_can_be_pushed_to_with() -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    [command] = re.findall(r"^printf 'VAPID_.*$", page, re.MULTILINE)

    made = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout

    name, _, key = made.rstrip("\n").partition("=")
    read = config.read({name: key, "VAPID_SUBJECT": "mailto:operations@acme.test"})
    assert read.vapid_private_key == key


def test_over_the_cloud_only_tls_is_answered_with_more_than_a_redirect() -> None:
    routes = [each for each in of_overlay("cloud") if each["kind"] == "HTTPRoute"]
    at = {
        each["metadata"]["name"]: [parent["sectionName"] for parent in each["spec"]["parentRefs"]]
        for each in routes
    }

    assert at.pop("redirect-to-https") == ["http"]
    assert all(sections == ["https"] for sections in at.values())


def test_browsers_are_told_over_tls_alone_to_ask_for_the_cloud_over_tls_alone() -> None:
    policies = [each for each in of_overlay("cloud") if each["kind"] == "ClientTrafficPolicy"]
    telling = {
        each["spec"]["targetRefs"][0]["sectionName"]
        for each in policies
        if "Strict-Transport-Security" in json.dumps(each)
    }

    assert telling == {"https"}
    assert {each["spec"]["targetRefs"][0]["sectionName"] for each in policies} == {"https", "http"}


def _answers() -> Iterator[Document]:
    for each in of_overlay("minikube"):
        if each["kind"] == "BackendTrafficPolicy":
            yield from each["spec"]["responseOverride"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_logs_no_path(overlay: str) -> None:
    documents = of_overlay(overlay)
    gateway = the(documents, "Gateway", "taskflow")
    proxies = gateway["spec"]["infrastructure"]["parametersRef"]

    [log] = the(documents, proxies["kind"], proxies["name"])["spec"]["telemetry"]["accessLog"][
        "settings"
    ]

    assert "%ROUTE_NAME%" in log["format"]["json"].values()
    assert "PATH" not in json.dumps(log["format"])


def test_the_gateways_own_answers_are_problems_as_the_functions_write_them() -> None:
    kinds = {kind.slug: kind for kind in vars(problems).values() if isinstance(kind, ProblemKind)}

    for each in _answers():
        response = each["response"]
        problem = json.loads(response["body"]["inline"])
        kind = kinds[problem["type"].removeprefix("urn:taskflow:problem:")]
        [code] = each["match"]["statusCodes"]
        assert response["contentType"] == problems.MEDIA_TYPE
        assert response.get("statusCode", code.get("value")) == problem["status"] == kind.status
        headers = {header["name"] for header in response.get("header", {}).get("set", [])}
        assert headers == set(kind.headers) - {"Connection"}


def test_the_gateway_lets_pages_of_other_origins_do_what_the_functions_do() -> None:
    cors = the(of_overlay("cloud"), "SecurityPolicy", "taskflow")["spec"]["cors"]

    assert ", ".join(cors["allowHeaders"]) == browser.ALLOWED_HEADERS
    assert ", ".join(cors["exposeHeaders"]) == browser.EXPOSED


def test_the_database_of_minikube_takes_all_connections_of_all_functions() -> None:
    database = the(of_overlay("minikube"), "StatefulSet", "postgresql")
    [container] = database["spec"]["template"]["spec"]["containers"]
    options = dict(each.split("=") for each in container["args"] if "=" in each)

    assert int(options["max_connections"]) > FUNCTIONS_CONNECTIONS_MAX


def test_minikube_runs_the_redpanda_that_the_tests_may_run_on() -> None:
    broker = the(of_overlay("minikube"), "StatefulSet", "redpanda")
    [container] = broker["spec"]["template"]["spec"]["containers"]

    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())

    assert container["image"] == compose["services"]["kafka"]["image"]
