"""The command `taskflow`: run the system, and what is done beside it."""

import argparse
import contextlib
import sys
from collections.abc import Generator, Sequence
from itertools import islice

from taskflow import config, logs
from taskflow.config import FUNCTIONS_CONNECTIONS_MAX, InvalidSetting
from taskflow.domain.accounts import Role, canonical_email
from taskflow.domain.errors import DomainError
from taskflow.domain.events import SCHEMA_VERSION, Cause

USAGE_ERROR = 2
SHOWN_MAX = 20

AFTER_DEPLOY = "After the deploy: "
"""How the line begins that says which migrations wait until the code before has gone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        given.run(given)
    except (InvalidSetting, DomainError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="taskflow", description=__doc__)
    commands = parser.add_subparsers(required=True)

    up = commands.add_parser("up", help="run the whole system here")
    up.set_defaults(run=_up)

    migrate = commands.add_parser("migrate", help="apply what migrations are pending")
    migrate.add_argument(
        "--phase",
        choices=["before-deploy", "after-deploy"],
        help="only those that belong before, or after, the deploy of the new code",
    )
    migrate.set_defaults(run=_migrate)

    topics = commands.add_parser("topics", help="create Kafka's topics, and check those there are")
    topics.add_argument("--partitions", type=int, default=None, help="of each topic (default 6)")
    topics.add_argument(
        "--replication-factor", type=int, default=-1, help="of each topic (default: the broker's)"
    )
    topics.set_defaults(run=_topics)

    replay = commands.add_parser("replay", help="rebuild the tasks, and compare with the live ones")
    replay.add_argument("--from", dest="source", choices=["kafka"], required=True)
    replay.set_defaults(run=_replay)

    admin = commands.add_parser("admin", help="administrators").add_subparsers(required=True)
    grant = admin.add_parser("grant", help="make an account an administrator's")
    grant.add_argument("email")
    grant.set_defaults(run=_grant)
    return parser


def _up(_given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor

    with _exit_on_problems():
        supervisor.up(config.read(defaults=config.LOCAL))


def _migrate(given: argparse.Namespace) -> None:
    from taskflow.eventing import subscriptions
    from taskflow.standalone import supervisor
    from taskflow.storage import connections_max
    from taskflow.storage.migrations import runner

    config.settings.set(supervisor.reach(config.read(defaults=config.LOCAL)))
    logs.configure(config.settings().log_level)
    cause = Cause(correlation_id="taskflow migrate", traceparent="", actor="", origin="")
    with _exit_on_problems():
        applied = runner.apply(given.phase)
        left = runner.pending()
        if given.phase != "after-deploy":
            # Consumers that come with the deploy begin before it, and so miss nothing after it.
            subscriptions.start_all(cause)
        # Locally one process group is all there is, and `taskflow up` checks it.
        allowed = None if config.settings().environment == "local" else connections_max()
    if allowed is not None and allowed < FUNCTIONS_CONNECTIONS_MAX:
        print(
            f"PostgreSQL allows {allowed} connections, and all functions together may hold"
            f" {FUNCTIONS_CONNECTIONS_MAX}: raise max_connections (or the limit of the role or the"
            " database), or put a pooler in front of it.",
            file=sys.stderr,
        )
    waiting = [AFTER_DEPLOY + ", ".join(left)] if left else []
    print("\n".join([*applied, *waiting]) or "Nothing is pending.")


def _topics(given: argparse.Namespace) -> None:
    from taskflow.kafka import topics

    config.settings.set(config.read(defaults=config.LOCAL))
    with _exit_on_problems():
        made = topics.make(
            partitions=given.partitions or topics.PARTITIONS,
            replication_factor=given.replication_factor,
        )
    print("\n".join(f"{topic.name}: {topic.state}" for topic in made))


def _replay(_given: argparse.Namespace) -> None:
    from taskflow.kafka.replay import compare_with_kafka
    from taskflow.standalone import supervisor

    def progress(read: int, of: int) -> None:
        print(f"{read} of {of} records read", file=sys.stderr)

    config.settings.set(supervisor.reach(config.read(defaults=config.LOCAL)))
    with _exit_on_problems():
        found = compare_with_kafka(progress)
    print(
        f"{found.records} records, {found.doubled} of them doubled, {found.unreadable} unreadable;"
        f" {found.same} tasks are the same, {len(found.differing)} differ,"
        f" {len(found.only_live)} are not in Kafka, {len(found.only_rebuilt)} not in the tables"
    )
    if found.newer:
        print(
            f"{found.newer} refused: written with a schema_version newer than {SCHEMA_VERSION},"
            " the newest that this version of TaskFlow reads"
        )
    for task_id, fields in islice(found.differing.items(), SHOWN_MAX):
        print(f"{task_id} differs in {', '.join(fields)}")
    for task_id in found.only_live[:SHOWN_MAX]:
        print(f"{task_id} is not in Kafka")
    for task_id in found.only_rebuilt[:SHOWN_MAX]:
        print(f"{task_id} is not in the tables")
    if not found.is_equal:
        raise SystemExit(1)


def _grant(given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor
    from taskflow.storage import account_store, transaction

    config.settings.set(supervisor.reach(config.read(defaults=config.LOCAL)))
    try:
        canonical_email(given.email)
    except ValueError:
        raise InvalidSetting(f"{given.email!r} is not an email address") from None
    cause = Cause(correlation_id="taskflow admin grant", traceparent="", actor="", origin="")
    with _exit_on_problems(), transaction(cause) as tx:
        account_store.grant(tx, given.email, [Role.USER, Role.ADMIN])
    print(f"{given.email} is an administrator from the next log-in or refresh on.")


@contextlib.contextmanager
def _exit_on_problems() -> Generator[None]:
    """End with a sentence where what is in the way is not the code's fault."""
    from taskflow.standalone import supervisor

    try:
        yield
    except supervisor.PROBLEMS as error:
        raise SystemExit(str(error) or error.__doc__) from None


if __name__ == "__main__":
    raise SystemExit(main())
