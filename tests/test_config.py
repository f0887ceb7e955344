"""The settings: read as documented, and refused with a sentence that names the wrong one (D2)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow import config
from taskflow.config import InvalidSetting

LOCAL = {"ENVIRONMENT": "test"}
SASL = {
    "KAFKA_BOOTSTRAP_SERVERS": "b:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "a secret password",
}


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS"])
def test_the_brokers_of_kafka_are_read_from_either_variable(name: str) -> None:
    settings = config.read({**LOCAL, name: "one:9092, [::1]:9093"})

    assert settings.kafka_bootstrap_servers == ("one:9092", "[::1]:9093")


def test_the_password_of_kafka_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a secret password\n")
    given = {name: value for name, value in SASL.items() if name != "KAFKA_SASL_PASSWORD"}

    settings = config.read({**LOCAL, **given, "KAFKA_SASL_PASSWORD_FILE": str(path)})

    assert settings.kafka_sasl_password == "a secret password"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "b"}, "KAFKA_BOOTSTRAP_SERVERS: 'b' is not like host:9092"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka://b:1"}, "KAFKA_BOOTSTRAP_SERVERS: 'kafka://b:1' is"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL: "),
        ({**SASL, "KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD is needed for"),
        ({**SASL, "KAFKA_SASL_MECHANISM": ""}, "KAFKA_SASL_MECHANISM is needed for"),
        ({**SASL, "KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM: "),
        ({**SASL, "KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SASL_MECHANISM is of no use"),
        ({"KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME is of no use"),
        ({"KAFKA_SSL_CA_LOCATION": "ca.pem"}, "KAFKA_SSL_CA_LOCATION is of no use"),
        ({**SASL, "KAFKA_SSL_CA_LOCATION": "/no/such"}, "KAFKA_SSL_CA_LOCATION: there is no file"),
        ({"TOPIC_TASKS": "dead-letters"}, "TOPIC_TASKS, TOPIC_REMINDERS and"),
        ({"TOPIC_TASKS": "a topic"}, "TOPIC_TASKS: "),
        ({"TOPIC_TASKS": ".."}, "TOPIC_TASKS: "),
        ({"TOPIC_REMINDERS": "x" * 250}, "TOPIC_REMINDERS: "),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)
def test_a_wrong_setting_of_kafka_is_named(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        config.read({**LOCAL, **wrong})

    assert str(refused.value).startswith(sentence)
    assert "a secret password" not in str(refused.value)


EXTERNAL = {"AUTH": "external", "JWKS_URL": "https://issuer.example/jwks"}
A_SECRET = "a secret password of at least 32 characters"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"JWKS_URL": EXTERNAL["JWKS_URL"]}, "JWKS_URL is of no use with AUTH builtin"),
        ({"BETTER_AUTH_SECRET": A_SECRET}, "BETTER_AUTH_SECRET is of no use with AUTH builtin"),
        ({"JWT_ADMIN_ROLES": "staff"}, "JWT_ADMIN_ROLES is of no use with AUTH builtin"),
        ({**EXTERNAL, "BETTER_AUTH_SECRET": A_SECRET}, "JWKS_URL: is of no use with BETTER_AUTH"),
        ({"AUTH": "external", "BETTER_AUTH_SECRET": "a secret"}, "BETTER_AUTH_SECRET: "),
        ({"AUTH": "oidc"}, "AUTH: "),
        *(
            ({**EXTERNAL, "JWKS_URL": url}, "JWKS_URL is not an address")
            for url in (
                "issuer.example/jwks",
                "file:///etc/passwd",
                "ftp://issuer.example/jwks",
                "https://",
                "https://me:secret password@issuer.example/jwks",
                "https://[::1/jwks",
                "https://issuer.example:port/jwks",
            )
        ),
        (
            {**EXTERNAL, "JWKS_URL": "http://issuer.example/jwks", "ENVIRONMENT": "production"},
            "JWKS_URL must begin with https://",
        ),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)
def test_a_wrong_setting_of_the_issuer_is_named(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        config.read({**LOCAL, **wrong})

    assert str(refused.value).startswith(sentence)
    assert "secret password" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_the_keys_of_an_issuer_on_the_same_machine_need_no_tls(host: str) -> None:
    url = f"http://{host}:8080/jwks"

    assert config.read({"AUTH": "external", "JWKS_URL": url}).jwks_url == url


def test_an_outside_issuer_needs_its_keys_or_its_secret_and_our_own_needs_ours() -> None:
    lacking = {"external": "AUTH external needs JWKS_URL", "builtin": "JWT_SECRET is needed"}

    for auth, sentence in lacking.items():
        # A function that checks no token is given no secret, and reads its settings all the same.
        settings = config.read({"AUTH": auth})
        with pytest.raises(InvalidSetting, match=sentence):
            settings.require_issuer()
    # What signs in to accounts of our own checks no token.
    config.read({"AUTH": "external"}).require_issuer(to_check=False)
    config.read(EXTERNAL).require_issuer()
    config.read({"AUTH": "external", "BETTER_AUTH_SECRET": A_SECRET}).require_issuer()


def test_what_the_tokens_of_an_outside_issuer_are_not_checked_for_is_said() -> None:
    checked = {"JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "taskflow"}

    said = config.read(EXTERNAL).left_open

    assert [sentence.split()[0] for sentence in said] == list(checked)
    assert not config.read({**EXTERNAL, **checked}).left_open
    # Our own tokens are for us alone.
    assert not config.read({}).left_open


SMTP = {"SMTP_HOST": "mail.example", "SMTP_FROM": "TaskFlow <tasks@app.example>"}
LOG_IN = {"SMTP_USERNAME": "me", "SMTP_PASSWORD": "a secret password"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        *(
            ({name: value}, f"{name} is of no use without SMTP_HOST")
            for name, value in (
                ("SMTP_PORT", "25"),
                ("SMTP_SECURITY", "tls"),
                ("SMTP_USERNAME", "me"),
                ("SMTP_PASSWORD", "a secret password"),
                ("SMTP_FROM", "tasks@app.example"),
            )
        ),
        ({"SMTP_HOST": "mail.example"}, "SMTP_FROM is needed for SMTP_HOST"),
        ({**SMTP, "SES_FROM": "tasks@app.example"}, "SES_FROM: is of no use with SMTP_HOST"),
        ({**SMTP, "SMTP_PASSWORD": "a secret password"}, "SMTP_PASSWORD is of no use without"),
        ({**SMTP, **LOG_IN, "SMTP_SECURITY": "none"}, "SMTP_USERNAME needs SMTP_SECURITY"),
        ({**SMTP, **LOG_IN, "SMTP_PASSWORD": "a secret password\n\nRSET"}, "SMTP_PASSWORD: "),
        ({**SMTP, "SMTP_SECURITY": "ssl"}, "SMTP_SECURITY: "),
        ({**SMTP, "SMTP_HOST": "mail.example 25"}, "SMTP_HOST: "),
        *(
            ({**SMTP, "SMTP_FROM": sender}, "SMTP_FROM is not a sender")
            for sender in (
                "tasks",
                "TaskFlow",
                "tasks@",
                "@app.example",
                "a@b@app.example",
                "tasks@aufgäben.example",
                "TaskFlow <tasks@app.example>, Eve <eve@app.example>",
                "TaskFlow <tasks@app.example>\nBcc: eve@app.example",
                "Task\nFlow <tasks@app.example>",
                "TaskFlow tasks@app.example",
            )
        ),
        ({"SES_FROM": "tasks"}, "SES_FROM is not a sender"),
        ({"AWS_REGION": "Frankfurt am Main"}, "AWS_REGION: "),
        ({"LINK_SECRET": "a secret password"}, "LINK_SECRET: "),
        *(
            ({"PUBLIC_URL": url}, "PUBLIC_URL is not an address")
            for url in (
                "app.example",
                "ftp://app.example",
                "https://",
                "https://me:secret password@app.example",
                "https://app.example/a b",
                "https://app.example/?a=b",
            )
        ),
        (
            {"PUBLIC_URL": "http://app.example", "ENVIRONMENT": "production"},
            "PUBLIC_URL must begin with https://",
        ),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)
def test_a_wrong_setting_of_mail_is_named(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        config.read({**LOCAL, **wrong})

    assert str(refused.value).startswith(sentence)
    assert "secret password" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ({}, None),
        (SMTP, ("TaskFlow", "tasks@app.example")),
        ({**SMTP, "SMTP_FROM": "tasks@app.example"}, ("", "tasks@app.example")),
        ({"SES_FROM": "Für Dich <t.o+x@app.example>"}, ("Für Dich", "t.o+x@app.example")),
    ],
)
def test_mail_is_from_the_sender_of_whoever_sends_it(
    given: dict[str, str], sender: tuple[str, str] | None
) -> None:
    assert config.read({**LOCAL, **given}).mail_from == sender


def test_what_sends_mail_needs_its_password_its_address_and_a_secret_for_links() -> None:
    complete = {
        **SMTP,
        **LOG_IN,
        "PUBLIC_URL": "https://app.example/",
        "LINK_SECRET": A_SECRET,
    }

    for name in ("SMTP_PASSWORD", "PUBLIC_URL", "LINK_SECRET"):
        # A function that sends no mail is given no secret, and reads its settings all the same.
        settings = config.read({**complete, name: ""})
        with pytest.raises(InvalidSetting, match=f"{name} is needed"):
            settings.require_email()
    config.read(complete).require_email()
    config.read({}).require_email()
    assert config.read(complete).public_url == "https://app.example"


def test_what_sends_mail_through_amazon_needs_its_region() -> None:
    complete = {
        "SES_FROM": "tasks@app.example",
        "AWS_REGION": "eu-central-1",
        "PUBLIC_URL": "https://app.example",
        "LINK_SECRET": A_SECRET,
    }

    with pytest.raises(InvalidSetting, match="AWS_REGION is needed"):
        config.read({**complete, "AWS_REGION": ""}).require_email()
    config.read(complete).require_email()


def test_what_takes_the_links_in_mails_needs_their_secret_and_no_password() -> None:
    given = {**SMTP, **LOG_IN, "SMTP_PASSWORD": "", "LINK_SECRET": A_SECRET}

    config.read(given).require_links()
    with pytest.raises(InvalidSetting, match="LINK_SECRET is needed"):
        config.read({**given, "LINK_SECRET": ""}).require_links()
    config.read({}).require_links()


@pytest.mark.parametrize(
    ("check", "lacking", "sentence"),
    [
        (config.check_sending, {"SMTP_PASSWORD"}, "SMTP_PASSWORD is needed for SMTP_USERNAME"),
        (config.check_sending, {"VAPID_PRIVATE_KEY"}, "VAPID_PRIVATE_KEY is needed"),
        (config.check_sending, {"LINK_SECRET"}, "LINK_SECRET is needed"),
        (config.check_links, {"LINK_SECRET"}, "LINK_SECRET is needed"),
        (config.check_links, {"SMTP_PASSWORD", "VAPID_PRIVATE_KEY"}, None),
        (config.check_sending, set[str](), None),
    ],
)
def test_a_function_that_sends_ends_with_a_sentence_where_something_is_missing(
    check: Callable[[], None],
    lacking: set[str],
    sentence: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = {
        **SMTP,
        **LOG_IN,
        **VAPID,
        "PUBLIC_URL": "https://app.example",
        "LINK_SECRET": A_SECRET,
    }
    given = {name: value for name, value in complete.items() if name not in lacking}
    monkeypatch.setattr(config, "settings", lambda: config.read(given))

    if sentence is None:
        check()
    else:
        with pytest.raises(SystemExit, match=sentence):
            check()


def test_a_server_on_the_same_machine_may_be_logged_in_to_without_tls() -> None:
    local = {"SMTP_HOST": "127.0.0.1", "SMTP_SECURITY": "none"}

    assert config.read({**SMTP, **LOG_IN, **local}).smtp_username == "me"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_amazon_is_read_from_either_variable(name: str) -> None:
    assert config.read({**LOCAL, name: "eu-central-1"}).aws_region == "eu-central-1"


VAPID = {
    "VAPID_PRIVATE_KEY": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
    "VAPID_SUBJECT": "mailto:ops@app.example",
}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({**VAPID, "VAPID_SUBJECT": ""}, "VAPID_SUBJECT is needed for VAPID_PRIVATE_KEY"),
        *(
            ({**VAPID, "VAPID_SUBJECT": subject}, "VAPID_SUBJECT: ")
            for subject in ("ops@app.example", "mailto:", "mailto:ops", "http://app.example")
        ),
        *(
            ({**VAPID, "VAPID_PRIVATE_KEY": key}, "VAPID_PRIVATE_KEY: ")
            for key in ("secret password", "A" * 42, "A" * 44, "+" * 43)
        ),
        *(
            # 0, the order of the curve, and more.
            ({**VAPID, "VAPID_PRIVATE_KEY": key}, "VAPID_PRIVATE_KEY is no private key of P-256")
            for key in ("A" * 43, "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE", "_" * 43)
        ),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)
def test_a_wrong_setting_of_web_push_is_named(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        config.read({**LOCAL, **wrong})

    assert str(refused.value).startswith(sentence)
    assert "secret password" not in str(refused.value)


@pytest.mark.parametrize("subject", ["mailto:ops@app.example", "https://app.example/contact"])
def test_push_services_are_told_whom_to_write_to(subject: str) -> None:
    settings = config.read({**LOCAL, **VAPID, "VAPID_SUBJECT": subject})

    assert settings.vapid_subject == subject
    settings.require_web_push()


def test_what_pushes_to_browsers_needs_the_key() -> None:
    # A function that pushes nothing is given no key, and reads its settings all the same.
    settings = config.read({**VAPID, "VAPID_PRIVATE_KEY": ""})

    with pytest.raises(InvalidSetting, match="VAPID_PRIVATE_KEY is needed for VAPID_SUBJECT"):
        settings.require_web_push()
    config.read({}).require_web_push()


def test_networks_are_read_with_their_masks() -> None:
    read = config.read({**LOCAL, "OUTBOUND_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8,192.168.1.1"})

    assert [str(network) for network in read.outbound_allowed_networks] == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.168.1.1/32",
    ]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(
            ("SNS_PLATFORM_APPLICATION_ARN", arn)
            for arn in (
                "app/GCM/taskflow",
                "arn:aws:sns:eu-central-1:123456789012:tasks",
                "arn:aws:sns:eu-central-1:123456789012:app/BAIDU/taskflow",
                "arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/taskflow/1",
            )
        ),
        *(("OUTBOUND_ALLOWED_NETWORKS", cidr) for cidr in ("intranet", "10.0.0.1/8", "10/8")),
        *(("PORT", port) for port in ("abc", "0", "65536")),
        *(
            ("CORS_ORIGINS", origins)
            for origins in ("app.example", "https://a.example,https://b.example/path", "*")
        ),
        *(
            ("DATABASE_URL", url)
            for url in ("mysql://root@localhost/taskflow", "sqlite:///taskflow.db", "taskflow")
        ),
        ("ENVIRONMENT", "staging"),
        ("ACCESS_TOKEN_LIFETIME_S", "forever"),
        ("LOG_LEVEL", "loud"),
        ("WEB_CONCURRENCY", "0"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(name: str, wrong: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        config.read({**LOCAL, name: wrong})

    assert str(refused.value).startswith(name)


@pytest.mark.parametrize("header", ["X Address", "Adresse-ß", "A:B"])
def test_a_header_of_the_address_that_no_server_hands_on_is_refused(header: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^CLIENT_ADDRESS_HEADER: "):
        config.read({**LOCAL, "CLIENT_ADDRESS_HEADER": header})


def test_the_address_is_told_by_a_header_or_by_the_proxies_and_not_by_both() -> None:
    with pytest.raises(InvalidSetting, match=r"^CLIENT_ADDRESS_HEADER: is of no use with"):
        config.read({**LOCAL, "CLIENT_ADDRESS_HEADER": "X-Address", "TRUSTED_PROXIES": "1"})


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("LOG_LEVEL", "INFO", "info"),
        ("LOG_LEVEL", "Warning", "warning"),
        ("ENVIRONMENT", "Test", "test"),
        ("AUTH", "BUILTIN", "builtin"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "Scram-sha-256", "SCRAM-SHA-256"),
    ],
)
def test_a_setting_with_a_fixed_set_of_names_is_read_in_any_case(
    name: str, value: str, read: str
) -> None:
    settings = config.read({**LOCAL, **SASL, name: value})

    assert getattr(settings, name.lower()) == read


def test_an_unknown_name_in_a_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidSetting, match=r"^LOG_LEVEL: .*'debug', 'info', 'warning' or 'error'$"
    ):
        config.read({**LOCAL, "LOG_LEVEL": "LOUD"})


def test_a_setting_that_is_no_name_keeps_its_case() -> None:
    settings = config.read({**LOCAL, "JWT_SECRET": "The Secret" * 4, "KAFKA_GROUP_PREFIX": "Info"})

    assert (settings.jwt_secret, settings.kafka_group_prefix) == ("The Secret" * 4, "Info")


def test_settings_reach_a_child_process_unchanged(tmp_path: Path) -> None:
    lists = {
        "CORS_ORIGINS": "http://a, http://b",
        "JWT_ADMIN_ROLES": "staff, ops",
        "OUTBOUND_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8",
    }
    settings = config.read({**LOCAL, **SASL, **EXTERNAL, **SMTP, **LOG_IN, **VAPID, **lists})

    passed_on = config.read(config.environment_of(settings, metrics_dir=tmp_path))

    assert passed_on == settings
