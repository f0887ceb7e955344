"""An Apache Kafka of the tests' own: broker and controller in one Java process, in a folder."""

import functools
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taskflow import config
from taskflow.standalone.processes import end_with_parent
from tests.support.kafka import installation
from tests.support.network import certificates
from tests.support.network.ports import a_free_port

STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0
ANSWERED_WITHIN_S = 5.0
POLL_S = 0.02
LOG_TAIL_CHARS = 4_000
USER = "taskflow"
PASSWORD = "a password for tests"
# Any will do; it is 16 bytes in URL-safe base64.
CLUSTER_ID = "dGFza2Zsb3ctdGVzdHMtMQ"
# Small, and compiled no further than pays within a minute.
JVM = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A killed broker may not register again before its session is over: by default 9 s.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "200",
    # A controller that was the leader waits this long, and up to as long again, for another one.
    "controller.quorum.election.timeout.ms": "100",
    "controller.quorum.fetch.timeout.ms": "200",
    "controller.quorum.election.backoff.max.ms": "50",
}
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
)


class BrokerDidNotStart(Exception):
    """The broker did not start; the message is the end of its log."""


@dataclass(frozen=True)
class ExternalBroker:
    """A running broker, which KAFKA_BOOTSTRAP_SERVERS names."""

    bootstrap_servers: str


def external_broker() -> ExternalBroker | None:
    """Return the broker that KAFKA_BOOTSTRAP_SERVERS names, if it is set."""
    named = config.environment().get("KAFKA_BOOTSTRAP_SERVERS", "").strip()
    return ExternalBroker(named) if named else None


class Broker:
    """A Kafka with its data and its log in `folder`; it keeps its ports from start to start.

    It ends with the thread that starts it. With `secured` it also has a listener that asks for
    `USER` and `PASSWORD` (PLAIN or SCRAM-SHA-256), and one that does so over TLS.
    """

    def __init__(self, folder: Path, *, secured: bool = False) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._settings = self._folder / "server.properties"
        self._secured = secured
        names = ["PLAINTEXT", "CONTROLLER", *(["SASL_PLAINTEXT", "SASL_SSL"] if secured else [])]
        self._listeners = {name: f"127.0.0.1:{port}" for name, port in _ports(names)}
        self._process: subprocess.Popen[bytes] | None = None
        self.log = self._folder / "kafka.log"

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients without authentication."""
        return self._listeners["PLAINTEXT"]

    @property
    def sasl_bootstrap_servers(self) -> str:
        """The address for `USER` with `PASSWORD`, without TLS (SASL_PLAINTEXT)."""
        return self._listeners["SASL_PLAINTEXT"]

    @property
    def tls_bootstrap_servers(self) -> str:
        """The address for `USER` with `PASSWORD` over TLS (SASL_SSL)."""
        return self._listeners["SASL_SSL"]

    @property
    def ca_file(self) -> Path:
        """The certificate that clients over TLS have to trust."""
        return self._folder / "certificate.pem"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the broker."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start the broker, on new data if there are none; return when it answers.

        Raises CannotProvide or BrokerDidNotStart.
        """
        assert self._process is None, "it runs already"
        classpath = f"{installation.provide()}/*"
        if not self._data.exists():
            self._format(classpath)
        self._process = self._spawn(classpath, "kafka.Kafka", str(self._settings))
        deadline_s = time.monotonic() + STARTED_WITHIN_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise BrokerDidNotStart(self._log_tail())
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the broker in an orderly way; harmless when it is down already."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker with SIGKILL; harmless when it is down already."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the broker: it keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the broker go on after a pause."""
        self.process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Delete all data of the broker, which must be down: topics, messages, groups."""
        assert self._process is None, "it runs"
        shutil.rmtree(self._data, ignore_errors=True)

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(with_signal)
        # A paused one takes the signal only when it goes on.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _format(self, classpath: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        accounts = [f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"] if self._secured else []
        options = [word for account in accounts for word in ("--add-scram", account)]
        if self._secured and not self.ca_file.exists():
            certificates.write(self.ca_file, self._key_store)
        # The folder gets its name when it is whole: a start that was cut short is done anew.
        self._write_settings(unfinished)
        command = ["format", "-t", CLUSTER_ID, "-c", str(self._settings), *options]
        formatting = self._spawn(classpath, "kafka.tools.StorageTool", *command)
        if formatting.wait(STARTED_WITHIN_S) != 0:
            raise BrokerDidNotStart(self._log_tail())
        unfinished.rename(self._data)
        self._write_settings(self._data)

    @property
    def _key_store(self) -> Path:
        return self._folder / "key-and-certificate.pem"

    def _write_settings(self, data: Path) -> None:
        settings = {
            **SETTINGS,
            "log.dirs": str(data),
            "controller.quorum.voters": f"1@{self._listeners['CONTROLLER']}",
            "listeners": ",".join(f"{name}://{at}" for name, at in self._listeners.items()),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        }
        if self._secured:
            settings |= {
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self._key_store),
            }
            for name in ("sasl_plaintext", "sasl_ssl"):
                settings[f"listener.name.{name}.plain.sasl.jaas.config"] = PLAIN
                settings[f"listener.name.{name}.scram-sha-256.sasl.jaas.config"] = SCRAM
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        self._settings.write_text("".join(lines))

    def _spawn(self, classpath: str, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["java", *JVM, "-cp", classpath, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                # The terminal's Ctrl-C is for the test run, which stops the broker last.
                process_group=0,
                preexec_fn=functools.partial(end_with_parent, signal.SIGKILL),  # noqa: PLW1509 - one call into a loaded library
            )

    def _answers(self) -> bool:
        # librdkafka waits longer after each refusal; a socket asks again at once.
        host, port = self.bootstrap_servers.split(":")
        try:
            socket.create_connection((host, int(port)), ANSWERED_WITHIN_S).close()
            admin = AdminClient(quiet_settings(self.bootstrap_servers))
            return bool(admin.list_topics(timeout=ANSWERED_WITHIN_S).brokers)
        except (OSError, KafkaException):
            return False

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]


def quiet_settings(bootstrap_servers: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - librdkafka's own
    """Return the settings of a client that does not log to stderr that a broker is away."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "log_level": 0,
        "error_cb": _say_nothing,
        **options,
    }


def _say_nothing(_: object) -> None:
    pass


def _ports(names: Sequence[str]) -> list[tuple[str, int]]:
    ports: set[int] = set()
    while len(ports) < len(names):
        ports.add(a_free_port())
    return list(zip(names, ports, strict=True))
