"""`python -m taskflow.client watch`: show an account's events as they happen."""

import argparse
import getpass
import json
import sys

from taskflow.client import LogInFailed, Message, Session, Stream
from taskflow.client.stream import StreamRefused


def main() -> int:
    """Log in and print a line for each event, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m taskflow.client", description=__doc__)
    commands = parser.add_subparsers(required=True)
    watch = commands.add_parser("watch", help="show events as they happen")
    watch.add_argument("email")
    watch.add_argument("--url", default="http://127.0.0.1:8080", help="where TaskFlow is")
    watch.add_argument("--password", help="asked for, where it is not given")
    watch.add_argument("--since", type=int, help="begin after this seq; by default now")
    watch.add_argument("--poll", action="store_true", help="by long-poll, without a socket")
    watch.add_argument("--count", type=int, help="end after so many events")
    given = parser.parse_args()
    session = Session(given.url)
    try:
        session.log_in(given.email, given.password or getpass.getpass())
        _watch(Stream(session, since=given.since, poll=given.poll), given.count)
    except (LogInFailed, StreamRefused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _watch(stream: Stream, count: int | None) -> None:
    seen = 0
    for item in stream:
        if isinstance(item, Message):
            seen += 1
            title = item.data.get("title", "")
            print(
                f"{item.seq:>6}  {item.timestamp}  {item.type:<22} {json.dumps(title)}", flush=True
            )
        else:
            print(f"{item.seq:>6}  connected{', read the lists again' * item.resync}", flush=True)
        if seen == count:
            return


if __name__ == "__main__":
    raise SystemExit(main())
