"""The command `taskflow`: run the system, and what is done beside it."""

import argparse
import contextlib
import math
import sys
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from taskflow import clock, config, logs
from taskflow.config import FUNCTIONS_CONNECTIONS_MAX, InvalidSetting
from taskflow.domain.accounts import Role, canonical_email
from taskflow.domain.errors import AccountNotFound, DomainError, NoKafka
from taskflow.domain.events import SCHEMA_VERSION, Cause
from taskflow.domain.replay import ReplayRequest

if TYPE_CHECKING:
    from taskflow.storage import Transaction
    from taskflow.storage.replay_store import Difference, RequestedReplay

USAGE_ERROR = 2
INTERRUPTED = 130
"""As shells have it for SIGINT."""

SHOWN_MAX = 20
PROGRESS_S = 2.0

_REPLAY_CAUSE = Cause(correlation_id="taskflow replay", traceparent="", actor="", origin="")

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

    _add_replay(commands.add_parser("replay", help="rebuild the tasks, and compare with the live"))

    admin = commands.add_parser("admin", help="administrators").add_subparsers(required=True)
    grant = admin.add_parser("grant", help="make an account an administrator's")
    grant.add_argument("email")
    grant.set_defaults(run=_grant)
    return parser


def _add_replay(replay: argparse.ArgumentParser) -> None:
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--from",
        dest="source",
        choices=["log", "kafka"],
        help="what the events are read from: the log, or what Kafka still has",
    )
    what.add_argument("--resume", type=UUID, metavar="ID", help="go on with a replay of the log")
    what.add_argument("--cancel", type=UUID, metavar="ID", help="cancel a replay of the log")
    of_log = replay.add_argument_group("of the log")
    of_log.add_argument(
        "--to",
        choices=["shadow", "topic"],
        help="rebuild the tasks and compare them (the default), or publish the events once more",
    )
    of_log.add_argument("--user", metavar="ID", help="the events of one user")
    of_log.add_argument("--from-seq", type=int, metavar="N", help="from there in each stream on")
    of_log.add_argument("--events-per-s", type=int, metavar="N", help="to the topic, at most")
    replay.set_defaults(run=_replay)


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


def _replay(given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor

    asked = {
        "to": given.to,
        "user_id": given.user,
        "from_seq": given.from_seq,
        "events_per_s": given.events_per_s,
    }
    sent = {name: value for name, value in asked.items() if value is not None}
    if sent and given.source != "log":
        raise InvalidSetting("--to, --user, --from-seq and --events-per-s go with --from log")
    wanted = None if given.source is None else _replay_request({"to": "shadow", **sent})
    config.settings.set(supervisor.reach(config.read(defaults=config.LOCAL)))
    if given.source == "kafka":
        _replay_kafka()
    elif given.cancel is not None:
        _cancel_replay(given.cancel)
    else:
        _replay_log(wanted or given.resume)


def _replay_request(sent: Mapping[str, object]) -> ReplayRequest:
    try:
        return ReplayRequest.model_validate(sent)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        option = str(wrong["loc"][0]).removesuffix("_id").replace("_", "-")
        raise InvalidSetting(f"--{option}: {wrong['msg']}") from None


def _replay_log(wanted: ReplayRequest | UUID) -> None:
    """Start a replay of the log, or take one on; show how far it comes, and the result."""
    from taskflow.eventing import CronRun
    from taskflow.eventing.replaying import Worker
    from taskflow.kafka import client
    from taskflow.kafka.replayed import replay_producer
    from taskflow.storage import replay_store, run

    said_s = -math.inf

    def say(at: "RequestedReplay") -> None:
        nonlocal said_s
        if clock.monotonic_s() > said_s + PROGRESS_S:
            said_s = clock.monotonic_s()
            print(_progress_of(at), file=sys.stderr)

    def found_or_added(tx: "Transaction") -> "RequestedReplay":
        if isinstance(wanted, UUID):
            found = replay_store.get(tx, wanted)
        else:
            try:
                found = replay_store.add(tx, wanted, requested_by="", now=clock.now())
            except AccountNotFound:
                raise InvalidSetting(f"--user: {wanted.user_id!r} is no user's id") from None
        if found.target == "topic" and not client.is_configured():
            raise NoKafka
        return found

    with _exit_on_problems():
        replay = run(found_or_added, _REPLAY_CAUSE)
        print(f"Replay {replay.id}", file=sys.stderr)
        publish = replay_producer().publish if client.is_configured() else None
        worker = Worker(CronRun(math.inf), _REPLAY_CAUSE, publish, on_step=say)
        try:
            replay = worker.advance_one(replay.id)
        except KeyboardInterrupt:
            print(
                f"It goes on where the functions run, or by --resume {replay.id};"
                f" --cancel {replay.id} ends it.",
                file=sys.stderr,
            )
            raise SystemExit(INTERRUPTED) from None
        named = run(partial(replay_store.differences_of, replay_id=replay.id), _REPLAY_CAUSE)
    _say_result(replay, named)
    if replay.state != "done" or replay.is_equal is False:
        raise SystemExit(1)


def _progress_of(replay: "RequestedReplay") -> str:
    if replay.phase == "events":
        return f"{replay.events_done} of {replay.events_total} events"
    return f"{replay.tasks_same + replay.differences} tasks compared"


def _say_result(replay: "RequestedReplay", named: Sequence["Difference"]) -> None:
    if replay.target == "topic":
        print(f"{replay.state}: {replay.events_done} events")
        return
    print(
        f"{replay.state}: {replay.events_done} events; {replay.tasks_same} tasks are the same,"
        f" {replay.tasks_differing} differ, {replay.tasks_only_live} are not in the log,"
        f" {replay.tasks_only_rebuilt} not in the tables"
    )
    if replay.events_newer:
        _say_newer(replay.events_newer)
    for each in named[:SHOWN_MAX]:
        where = {
            "differs": f"differs in {', '.join(each.fields)}",
            "only-live": "is not in the log",
            "only-rebuilt": "is not in the tables",
        }[each.kind]
        print(f"{each.task_id} {where}")


def _say_newer(count: int) -> None:
    print(
        f"{count} refused: written with a schema_version newer than {SCHEMA_VERSION},"
        " the newest that this version of TaskFlow reads"
    )


def _cancel_replay(replay_id: UUID) -> None:
    from taskflow.storage import replay_store, run

    with _exit_on_problems():
        run(partial(replay_store.cancel, replay_id=replay_id, now=clock.now()), _REPLAY_CAUSE)
    print(f"Replay {replay_id} is cancelled.")


def _replay_kafka() -> None:
    from taskflow.kafka.replay import compare_with_kafka

    def progress(read: int, of: int) -> None:
        print(f"{read} of {of} records read", file=sys.stderr)

    with _exit_on_problems():
        found = compare_with_kafka(progress)
    print(
        f"{found.records} records, {found.doubled} of them doubled, {found.unreadable} unreadable;"
        f" {found.same} tasks are the same, {len(found.differing)} differ,"
        f" {len(found.only_live)} are not in Kafka, {len(found.only_rebuilt)} not in the tables"
    )
    if found.newer:
        _say_newer(found.newer)
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

    settings = config.read(defaults=config.LOCAL)
    if settings.auth == "external":
        raise InvalidSetting("AUTH external: the issuer's roles count, as JWT_ADMIN_ROLES says")
    config.settings.set(supervisor.reach(settings))
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
