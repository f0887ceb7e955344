"""The only reader of the environment: every setting, its default and what it must look like."""

import logging
import os
import re
from base64 import urlsafe_b64decode
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from taskflow.process import resource

FUNCTIONS_CONNECTIONS_MAX = 900
"""How many connections all functions hold at most, each in as many pods as it may have: the sum of
max-scale times DATABASE_POOL_SIZE over their func.yaml, which a test adds up. What lets them all
connect, PostgreSQL or a pooler in front of it, must allow so many."""

METRICS_TOKEN_MIN_CHARS = 16

SECRET_MIN_CHARS = 32
"""RFC 7518, 3.2: a key for HS256, which signs tokens and links, is at least as long as its hash."""

_TOPIC = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"
"""What Kafka takes for the name of a topic; not of dots alone."""

_BROKER = re.compile(r"[^\s,/:]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")

_FIELD_NAME = r"^[A-Za-z0-9-]+$"
"""A header's name, of those characters that all servers hand on."""

_PLATFORM_APPLICATION = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:app/(APNS|APNS_SANDBOX|GCM)/\S+$"
"""Apple's service, Apple's for apps under development, and Google's (Firebase), as SNS calls it."""

_VAPID_KEY = r"^[A-Za-z0-9_-]{43}=?$"
_VAPID_SUBJECT = r"^(mailto:[^\s@]+@[^\s@]+|https://[^\s/]+\S*)$"

_P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
"""Private keys of P-256 are below it (FIPS 186-5 with SP 800-186, 3.2.1.3)."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_ANY_ISSUER = (
    "JWT_ISSUER is not set: tokens of whoever else signs with the issuer's keys are taken too"
)
_ANY_AUDIENCE = (
    "JWT_AUDIENCE is not set: tokens that were issued for other applications are taken too"
)

_SENDER = re.compile(r"(?P<name>[^\x00-\x1f\x7f()<>\[\]@,:;\\\"]*) <(?P<named>\S+)>|(?P<plain>\S+)")
_SENDER_ADDRESS = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII
)
"""A `dot-atom` (RFC 5322, 3.2.3) at a host as the DNS has it."""

_ASCII = r"^[ -~]+$"
"""What smtplib can send in a log-in."""

_HOST = r"^[A-Za-z0-9.:_-]+$"

Topic = Annotated[str, Field(pattern=_TOPIC, max_length=249)]


def _listed(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _names_in(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - what typing makes of it
    """Return the names that an annotation allows, `Literal["a", "b"] | None`, if it names any."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(name for part in get_args(annotation) for name in _names_in(part))


def _web_address(text: str) -> SplitResult | None:
    """Return the parts of an address of http or https without a user; None of anything else."""
    try:
        url = urlsplit(text)
        is_web = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    return url if is_web and url.username is None else None


def sender_of(text: str) -> tuple[str, str] | None:
    """Return name and address of `TaskFlow <tasks@app.example>`; None of what is no sender."""
    found = _SENDER.fullmatch(text)
    if found is None:
        return None
    address = found["named"] or found["plain"]
    if not _SENDER_ADDRESS.fullmatch(address):
        return None
    return (found["name"] or "").strip(), address


_log = logging.getLogger(__name__)


class InvalidSetting(Exception):
    """A setting is invalid; the message is a sentence for each, naming it."""


class Settings(BaseModel):
    """The settings, each named as its environment variable in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Literal["local", "test", "production"] = "production"
    """`local` is what `make up` sets: it may make its own secret and serve cookies without TLS."""
    database_url: str | None = None
    database_pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    """Connections of one process; see FUNCTIONS_CONNECTIONS_MAX."""
    kafka_bootstrap_servers: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Without one, nothing is published, and the database queue delivers."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_ca_location: Path | None = None
    """A file with the certificates to trust; by default those that the system trusts."""
    kafka_group_prefix: Topic = "taskflow"
    """Of the consumer groups; systems that share a Kafka need one each, as they need topics."""
    topic_tasks: Topic = "tasks.events"
    topic_reminders: Topic = "reminders.events"
    topic_dead_letters: Topic = "dead-letters"
    publish_after_commit: bool = True
    """Whether this process publishes what it commits; off where another hears of each commit."""
    auth: Literal["builtin", "external"] = "builtin"
    """Who issues access tokens: TaskFlow, or an outside issuer, at whom its users sign in."""
    jwt_secret: Annotated[str, Field(min_length=SECRET_MIN_CHARS)] | None = None
    """Of the built-in issuer."""
    jwks_url: str | None = None
    """Where an outside issuer publishes its public keys (RFC 7517)."""
    better_auth_secret: Annotated[str, Field(min_length=SECRET_MIN_CHARS)] | None = None
    """Of an outside issuer that signs with HS256, in place of JWKS_URL."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_roles_claim: Annotated[str, Field(min_length=1)] = "roles"
    """The claim with the roles that an outside issuer gives; `a.b` is b within a."""
    jwt_admin_roles: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Which of those make an administrator here."""
    access_token_lifetime_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    metrics_token: Annotated[str, Field(min_length=METRICS_TOKEN_MIN_CHARS)] | None = None
    """What Prometheus sends as a bearer token. Without one, nobody sees the metrics in production,
    and everybody elsewhere."""
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies before us append to X-Forwarded-For; only that many are believed."""
    client_address_header: Annotated[str, Field(pattern=_FIELD_NAME)] | None = None
    """The header in which the gateway says the client's address, in place of TRUSTED_PROXIES: for
    one that lets no client set it, before a platform whose proxies are not the same number for
    every request."""
    rate_limit_user_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 100
    rate_limit_user_burst: Annotated[int, Field(ge=1)] = 1000
    rate_limit_auth_per_min: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60
    """Requests per client address to `/api/auth`, and the burst; 0 switches a limit off."""
    socket_lifetime_s: Annotated[int, Field(ge=0)] = 0
    """How long a socket lasts before it is told to resume elsewhere, in seconds, less up to a
    fifth; below what the platform cuts at (Knative: timeoutSeconds). 0 is for ever."""
    feed_poll_ms: Annotated[int, Field(ge=0, le=1000)] = 20
    """How often the feed asks the log who has news, while somebody listens; 0 where it is
    notified of every commit in another way."""
    public_url: Annotated[str, AfterValidator(lambda url: url.rstrip("/"))] | None = None
    """Where users reach this TaskFlow: what the links in mails begin with."""
    link_secret: Annotated[str, Field(min_length=SECRET_MIN_CHARS)] | None = None
    """Signs the links in mails."""
    smtp_host: Annotated[str, Field(pattern=_HOST)] | None = None
    """The server that mail is sent through; without one, and without SES_FROM, none is sent."""
    smtp_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    smtp_security: Literal["none", "starttls", "tls"] | None = None
    """By default `starttls`: a server that does not offer it is sent nothing. The certificate is
    checked against those that the system trusts (SSL_CERT_FILE names others)."""
    smtp_username: Annotated[str, Field(pattern=_ASCII)] | None = None
    smtp_password: Annotated[str, Field(pattern=_ASCII)] | None = None
    smtp_from: str | None = None
    """Who mails are from, an address or `TaskFlow <tasks@app.example>`."""
    ses_from: str | None = None
    """The same of Amazon SES, which then sends them, in place of SMTP_HOST."""
    aws_region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    """boto3 itself reads AWS_DEFAULT_REGION alone, and all else that it needs."""
    sns_platform_application_arn: Annotated[str, Field(pattern=_PLATFORM_APPLICATION)] | None = None
    """The mobile app that Amazon SNS pushes to, in the region that its name says."""
    vapid_private_key: Annotated[str, Field(pattern=_VAPID_KEY)] | None = None
    """Signs to push services who sends to a browser (RFC 8292): an integer of P-256, in base64url.
    Subscriptions are made for its public key, so with another key they all end."""
    vapid_subject: Annotated[str, Field(pattern=_VAPID_SUBJECT)] | None = None
    """Whom a push service writes to about what it is sent: `mailto:` or `https://`."""
    outbound_allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_listed)] = ()
    """Networks that are not public, to which what users name may lead all the same: as in a company
    whose webhooks stay inside."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    web_concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    """Server processes of `make up`; by default one for each core, at most four."""
    taskflow_data_dir: Path = Path(".taskflow")
    functions_dir: Path = Path("functions")
    docs_dir: Path = Path("docs")
    """Where the documents of the API lie, and the page that shows them."""

    @field_validator("*", mode="before")
    @classmethod
    def _in_any_case(cls, value: object, info: ValidationInfo) -> object:
        """Take a name out of a list, such as that of a level, in upper and in lower case."""
        field = cls.model_fields[info.field_name or ""]
        named = {name.lower(): name for name in _names_in(field.annotation)}
        return named.get(value.lower(), value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:  # noqa: PLR2004 - the two of ://
                message = f"CORS_ORIGINS: {origin!r} is not an origin such as https://app.example"
                raise ValueError(message)
        if self.trusted_proxies and self.client_address_header is not None:
            message = "CLIENT_ADDRESS_HEADER: is of no use with TRUSTED_PROXIES; set one of them"
            raise ValueError(message)
        if self.database_url is not None and not self.database_url.startswith(
            ("postgresql://", "postgres://", "postgresql+pg8000://")
        ):
            message = "DATABASE_URL must begin with postgresql://"
            raise ValueError(message)
        self._check_issuer()
        self._check_kafka()
        self._check_public_url()
        self._check_email()
        self._check_vapid()
        return self

    @property
    def mail_from(self) -> tuple[str, str] | None:
        """The name and the address that mails are from; None where none are sent."""
        text = self.smtp_from or self.ses_from
        return None if text is None else sender_of(text)

    def require(self, *names: str) -> None:
        """Raise InvalidSetting where one of these settings has no value in production.

        Elsewhere it is missed where it is used.
        """
        for name in names:
            if self.environment == "production" and getattr(self, name) is None:
                message = f"{name.upper()} is needed outside the local mode"
                raise InvalidSetting(message)

    def require_issuer(self, *, to_check: bool = True) -> None:
        """Raise InvalidSetting where access tokens can't be issued, or not checked.

        What is not there `to_check` them issues our own at most.
        """
        if self.auth == "builtin":
            self.require("jwt_secret")
        elif to_check and self.jwks_url is None and self.better_auth_secret is None:
            message = "AUTH external needs JWKS_URL, or BETTER_AUTH_SECRET"
            raise InvalidSetting(message)

    @property
    def left_open(self) -> Sequence[str]:
        """A sentence for each claim of an outside issuer's tokens that is not checked."""
        if self.auth == "builtin":
            return ()
        unset = (
            (self.jwt_issuer, _ANY_ISSUER),
            (self.jwt_audience, _ANY_AUDIENCE),
        )
        return tuple(sentence for value, sentence in unset if value is None)

    def require_email(self) -> None:
        """Raise InvalidSetting where mail is to be sent and something that it takes is missing."""
        if self.mail_from is None:
            return
        if self.smtp_username is not None and self.smtp_password is None:
            message = "SMTP_PASSWORD is needed for SMTP_USERNAME"
            raise InvalidSetting(message)
        self.require("public_url")
        self.require_links()
        if self.ses_from is not None:
            self.require("aws_region")

    def require_links(self) -> None:
        """Raise InvalidSetting where there are mails, and nothing that signs their links."""
        if self.mail_from is not None:
            self.require("link_secret")

    def require_web_push(self) -> None:
        """Raise InvalidSetting where browsers are to be sent to without a key."""
        if self.vapid_subject is not None and self.vapid_private_key is None:
            message = "VAPID_PRIVATE_KEY is needed for VAPID_SUBJECT"
            raise InvalidSetting(message)

    def _check_issuer(self) -> None:
        if self.auth == "builtin":
            of_others = {
                "JWKS_URL": self.jwks_url,
                "BETTER_AUTH_SECRET": self.better_auth_secret,
                "JWT_ADMIN_ROLES": self.jwt_admin_roles or None,
            }
            given = [name for name, value in of_others.items() if value is not None]
            if given:
                message = (
                    f"{given[0]} is of no use with AUTH builtin; an outside issuer is external"
                )
                raise ValueError(message)
        if self.jwks_url is None:
            return
        if self.better_auth_secret is not None:
            message = "JWKS_URL: is of no use with BETTER_AUTH_SECRET; set one of them"
            raise ValueError(message)
        url = _web_address(self.jwks_url)
        if url is None:
            message = "JWKS_URL is not an address such as https://issuer.example/jwks"
            raise ValueError(message)
        # Who can change the keys on their way can sign in as anybody.
        self._check_safe("JWKS_URL", url)

    def _check_safe(self, name: str, url: SplitResult) -> None:
        is_safe = url.scheme == "https" or url.hostname in _LOOPBACK
        if self.environment == "production" and not is_safe:
            message = f"{name} must begin with https:// outside the local mode"
            raise ValueError(message)

    def _check_kafka(self) -> None:
        for server in self.kafka_bootstrap_servers:
            if not _BROKER.fullmatch(server):
                message = f"KAFKA_BOOTSTRAP_SERVERS: {server!r} is not like host:9092"
                raise ValueError(message)
        topics = (self.topic_tasks, self.topic_reminders, self.topic_dead_letters)
        if len(set(topics)) < len(topics):
            message = "TOPIC_TASKS, TOPIC_REMINDERS and TOPIC_DEAD_LETTERS must be three topics"
            raise ValueError(message)
        protocol = self.kafka_security_protocol or "PLAINTEXT"
        of_sasl = {
            "KAFKA_SASL_MECHANISM": self.kafka_sasl_mechanism,
            "KAFKA_SASL_USERNAME": self.kafka_sasl_username,
            "KAFKA_SASL_PASSWORD": self.kafka_sasl_password,
        }
        if protocol.startswith("SASL_"):
            missing = [name for name, value in of_sasl.items() if value is None]
            if missing:
                message = f"{missing[0]} is needed for KAFKA_SECURITY_PROTOCOL {protocol}"
                raise ValueError(message)
        else:
            given = [name for name, value in of_sasl.items() if value is not None]
            if given:
                message = f"{given[0]} is of no use with KAFKA_SECURITY_PROTOCOL {protocol}"
                raise ValueError(message)
        trusted = self.kafka_ssl_ca_location
        if trusted is not None and not protocol.endswith("SSL"):
            message = f"KAFKA_SSL_CA_LOCATION is of no use with KAFKA_SECURITY_PROTOCOL {protocol}"
            raise ValueError(message)
        if trusted is not None and not trusted.is_file():
            message = f"KAFKA_SSL_CA_LOCATION: there is no file {trusted}"
            raise ValueError(message)

    def _check_vapid(self) -> None:
        key = self.vapid_private_key
        if key is not None and not 0 < int.from_bytes(urlsafe_b64decode(key[:43] + "=")) < (
            _P256_ORDER
        ):
            message = "VAPID_PRIVATE_KEY is no private key of P-256"
            raise ValueError(message)
        if key is not None and self.vapid_subject is None:
            message = "VAPID_SUBJECT is needed for VAPID_PRIVATE_KEY"
            raise ValueError(message)

    def _check_public_url(self) -> None:
        if self.public_url is None:
            return
        url = _web_address(self.public_url)
        if url is None or not re.fullmatch(r"[!-~]+", self.public_url) or "?" in self.public_url:
            message = "PUBLIC_URL is not an address such as https://app.example"
            raise ValueError(message)
        self._check_safe("PUBLIC_URL", url)

    def _check_email(self) -> None:
        of_smtp = {
            "SMTP_PORT": self.smtp_port,
            "SMTP_SECURITY": self.smtp_security,
            "SMTP_USERNAME": self.smtp_username,
            "SMTP_PASSWORD": self.smtp_password,
            "SMTP_FROM": self.smtp_from,
        }
        if self.smtp_host is None:
            given = [name for name, value in of_smtp.items() if value is not None]
            if given:
                message = f"{given[0]} is of no use without SMTP_HOST"
                raise ValueError(message)
        elif self.ses_from is not None:
            message = "SES_FROM: is of no use with SMTP_HOST; set one of them"
            raise ValueError(message)
        elif self.smtp_from is None:
            message = "SMTP_FROM is needed for SMTP_HOST"
            raise ValueError(message)
        for name, sender in (("SMTP_FROM", self.smtp_from), ("SES_FROM", self.ses_from)):
            if sender is not None and sender_of(sender) is None:
                message = f"{name} is not a sender such as TaskFlow <tasks@app.example>"
                raise ValueError(message)
        if self.smtp_username is None and self.smtp_password is not None:
            message = "SMTP_PASSWORD is of no use without SMTP_USERNAME"
            raise ValueError(message)
        # Whoever is on the way would read the password.
        is_plain = self.smtp_security == "none" and self.smtp_host not in _LOOPBACK
        if self.smtp_username is not None and is_plain:
            message = "SMTP_USERNAME needs SMTP_SECURITY starttls or tls, not none"
            raise ValueError(message)


MOUNTED = (
    "BETTER_AUTH_SECRET",
    "DATABASE_URL",
    "JWT_SECRET",
    "KAFKA_SASL_PASSWORD",
    "LINK_SECRET",
    "METRICS_TOKEN",
    "SMTP_PASSWORD",
    "VAPID_PRIVATE_KEY",
)
"""Secrets that may also lie in a mounted file, which the variable with `_FILE` behind it names."""

SECRET_MAX_BYTES = 64 * 1024
"""More is no secret, and a device never ends."""

LISTS = {
    "cors_origins",
    "jwt_admin_roles",
    "kafka_bootstrap_servers",
    "outbound_allowed_networks",
}

ALIASES = {
    "AWS_DEFAULT_REGION": "AWS_REGION",
    "KAFKA_BROKERS": "KAFKA_BOOTSTRAP_SERVERS",
}
"""Other names by which a setting is known."""

LOCAL = {"ENVIRONMENT": "local", "LOG_LEVEL": "warning"}
"""What `make up` takes where the environment says nothing."""


def read(
    environment: Mapping[str, str] | None = None, *, defaults: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings from `environment`, by default the process's own.

    An empty value counts as none, and then `defaults` decide. Raises InvalidSetting with a sentence
    for each that is invalid.
    """
    own = os.environ if environment is None else environment
    source = {**(defaults or {}), **{name: value for name, value in own.items() if value.strip()}}
    for alias, name in ALIASES.items():
        if alias in source:
            source.setdefault(name, source[alias])
    for name in MOUNTED:
        if name not in source and f"{name}_FILE" in source:
            source[name] = secret_in(Path(source[f"{name}_FILE"]), name=f"{name}_FILE")
    given = {name.lower(): value for name, value in source.items()}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise InvalidSetting(
            "; ".join(_sentence(each["loc"], each["msg"]) for each in error.errors())
        ) from None


def secret_in(path: Path, *, name: str) -> str:
    """Return the one line of text that a file of a secret holds; `name` is who asks.

    Raises InvalidSetting for what is no such file, in words that show nothing of it.
    """
    if path.is_fifo():
        # To open it waits for somebody who writes.
        message = f"{name}: {path} is no file"
        raise InvalidSetting(message)
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        message = f"{name}: {path} can't be read ({error.strerror})"
        raise InvalidSetting(message) from None
    try:
        secret = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        secret = "\0"  # noqa: S105 - what is not text, as what is not printable
    if not secret:
        message = f"{name}: {path} is blank"
    elif len(raw) > SECRET_MAX_BYTES or not secret.isprintable():
        message = f"{name}: {path} is not one line of text"
    else:
        return secret
    raise InvalidSetting(message)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {text[0].lower()}{text[1:]}" if location else text


@resource(is_shared_by_forks=True)
def settings() -> Settings:
    """Return the settings of this process, read from its environment once.

    `make up` and the tests settle some themselves, by `settings.set`.
    """
    return read()


def check(*needed: str) -> None:
    """End this process with a sentence if a setting is invalid, or one that is `needed` is missing.

    Functions call it as they start.
    """
    with _said_at_the_end():
        settings().require(*needed)


def check_issuer(*, to_check: bool) -> None:
    """End this process with a sentence if a setting is invalid, or lacks what tokens need.

    Endpoints call it as they start; those that are there `to_check` tokens need more.
    """
    with _said_at_the_end():
        settings().require_issuer(to_check=to_check)


def warn_of_what_is_left_open() -> None:
    """Log what an outside issuer's tokens are not checked for, as who checks them starts."""
    for sentence in settings().left_open:
        _log.warning("%s", sentence)


def check_sending() -> None:
    """End this process with a sentence if what sends by a channel lacks something that it takes.

    Functions that send call it as they start.
    """
    with _said_at_the_end():
        settings().require_email()
        settings().require_web_push()


def check_links() -> None:
    """End this process with a sentence if mails are sent whose links nobody can check.

    Functions that take these links call it as they start; they have no password of a mail server.
    """
    with _said_at_the_end():
        settings().require_links()


@contextmanager
def _said_at_the_end() -> Generator[None]:
    """End this process with the sentence of an InvalidSetting."""
    try:
        yield
    except InvalidSetting as error:
        raise SystemExit(str(error)) from None


def environment_of(settings: Settings, *, metrics_dir: Path) -> dict[str, str]:
    """Return this process's environment with the settings in it, for a child process.

    The children count together in `metrics_dir`.
    """
    given = settings.model_dump(mode="json", exclude_none=True)
    listed = {
        name.upper(): ",".join(value) if name in LISTS else str(value)
        for name, value in given.items()
    }
    return {**os.environ, **listed, "PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)}


def shares_metrics() -> bool:
    """Say whether the processes of one system count together (a setting of prometheus-client)."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def environment() -> dict[str, str]:
    """Return this process's environment, for a child process that reads its own settings."""
    return dict(os.environ)
