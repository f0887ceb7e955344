"""The command `taskflow`: run the system, migrate the database, appoint an administrator."""

import argparse
import contextlib
import sys
from collections.abc import Generator, Sequence

from taskflow import config, logs
from taskflow.config import WrongSetting
from taskflow.domain.accounts import Role
from taskflow.domain.errors import DomainError
from taskflow.domain.events import Cause

WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        given.run(given)
    except (WrongSetting, DomainError) as wrong:
        print(wrong, file=sys.stderr)
        return WRONG_USE
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

    admin = commands.add_parser("admin", help="administrators").add_subparsers(required=True)
    grant = admin.add_parser("grant", help="make an account an administrator's")
    grant.add_argument("email")
    grant.set_defaults(run=_grant)
    return parser


def _up(_given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor

    with _problems_told():
        supervisor.up(config.read(defaults=config.LOCAL))


def _migrate(given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor
    from taskflow.storage.migrations import runner

    config.use(supervisor.reach(config.read(defaults=config.LOCAL)))
    logs.configure(config.settings().log_level)
    with _problems_told():
        applied = runner.apply(given.phase)
    print("\n".join(applied) if applied else "Nothing is pending.")


def _grant(given: argparse.Namespace) -> None:
    from taskflow.standalone import supervisor
    from taskflow.storage import account_store, transaction

    config.use(supervisor.reach(config.read(defaults=config.LOCAL)))
    cause = Cause(correlation_id="taskflow admin grant", traceparent="", actor="", origin="")
    with _problems_told(), transaction(cause) as tx:
        account_store.grant(tx, given.email.lower(), [Role.USER, Role.ADMIN])
    print(f"{given.email} is an administrator from the next log-in or refresh on.")


@contextlib.contextmanager
def _problems_told() -> Generator[None]:
    """End with a sentence where what is in the way is not the code's fault."""
    from taskflow.standalone import supervisor

    try:
        yield
    except supervisor.PROBLEMS as problem:
        raise SystemExit(str(problem) or problem.__doc__) from None


if __name__ == "__main__":
    raise SystemExit(main())
