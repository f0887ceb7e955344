"""Attempts to log in, in PostgreSQL: how many were wrong, and from where they were right."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.accounts import (
    LOGIN_ATTEMPTS_ACCOUNT_MAX,
    LOGIN_ATTEMPTS_MAX,
    LOGIN_ATTEMPTS_NETWORK_MAX,
    LOGIN_ATTEMPTS_WINDOW,
    LOGIN_PLACE_LIFETIME,
    LOGIN_PLACES_MAX,
)
from taskflow.domain.errors import TooManyAttempts
from taskflow.storage import bulk
from taskflow.storage.tables import LOGIN_ATTEMPTS, LOGIN_PLACES
from taskflow.storage.transactions import Transaction


class AttemptsUndecided(Exception):
    """So many attempts are being looked at that, were all of them wrong, this one was too many."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun: the counters that it counts on.

    `own` is that of the account from this network; the others are of all who do not know it.
    """

    own: bytes
    others: tuple[bytes, ...]


def begin(tx: Transaction, account: str, network: str, *, now: datetime) -> Attempt:
    """Count an attempt as undecided, before its password is looked at.

    So of many attempts at once no more than the limits are heard, and those that are right cost
    nothing. `account` is the id of one, or an email that nobody has, which is treated alike. Raises
    TooManyAttempts; and AttemptsUndecided where it is to be tried again once others are decided.
    Both leave nothing counted if the transaction ends with them.
    """
    attempt = Attempt(_hash("account and network", account, network), ())
    limits = {attempt.own: LOGIN_ATTEMPTS_MAX}
    if not _is_known(tx, account, network, now=now):
        attempt = Attempt(attempt.own, (_hash("account", account), _hash("network", network)))
        maxima = (LOGIN_ATTEMPTS_ACCOUNT_MAX, LOGIN_ATTEMPTS_NETWORK_MAX)
        limits.update(zip(attempt.others, maxima, strict=True))
    window_over = LOGIN_ATTEMPTS.c.window_started_at <= now - LOGIN_ATTEMPTS_WINDOW
    new = {"window_started_at": now, "failures": 0, "undecided": 1}
    counted = tx.connection.execute(
        insert(LOGIN_ATTEMPTS)
        # In one order, for those that count at once lock what they share.
        .values([{"key_hash": key, **new} for key in sorted(limits)])
        .on_conflict_do_update(
            index_elements=[LOGIN_ATTEMPTS.c.key_hash],
            set_={
                "failures": case((window_over, 0), else_=LOGIN_ATTEMPTS.c.failures),
                "undecided": case((window_over, 1), else_=LOGIN_ATTEMPTS.c.undecided + 1),
                # No later than now: a clock set back must not lengthen the wait.
                "window_started_at": case(
                    (window_over, now), else_=func.least(LOGIN_ATTEMPTS.c.window_started_at, now)
                ),
            },
        )
        .returning(
            LOGIN_ATTEMPTS.c.key_hash,
            LOGIN_ATTEMPTS.c.window_started_at,
            LOGIN_ATTEMPTS.c.failures,
            LOGIN_ATTEMPTS.c.undecided,
        )
    ).all()
    full = [started_at for key, started_at, failures, _ in counted if failures >= limits[key]]
    if full:
        wait = max(full) + LOGIN_ATTEMPTS_WINDOW - now
        raise TooManyAttempts(retry_after_s=max(1, -(-wait // timedelta(seconds=1))))
    if any(failures + undecided > limits[key] for key, _, failures, undecided in counted):
        raise AttemptsUndecided
    return attempt


def was_wrong(tx: Transaction, attempt: Attempt) -> None:
    """Count an attempt as failed."""
    _decide(tx, attempt, is_right=False)


def was_right(
    tx: Transaction, attempt: Attempt, user_id: str, network: str, *, now: datetime
) -> None:
    """Forgive the account its failures from this network, and know the network from now on.

    What others guessed stays counted; an account has LOGIN_PLACES_MAX places, the latest.
    """
    _decide(tx, attempt, is_right=True)
    remember_place(tx, user_id, network, now=now)


def remember_place(tx: Transaction, user_id: str, network: str, *, now: datetime) -> None:
    """Know from now on that the password of this account was right from this network."""
    tx.connection.execute(
        insert(LOGIN_PLACES)
        .values(user_id=user_id, place_hash=_hash(user_id, network), last_right_at=now)
        .on_conflict_do_update(
            index_elements=[LOGIN_PLACES.c.user_id, LOGIN_PLACES.c.place_hash],
            set_={"last_right_at": now},
        )
    )
    surplus = (
        select(LOGIN_PLACES.c.place_hash)
        .where(LOGIN_PLACES.c.user_id == user_id)
        .order_by(LOGIN_PLACES.c.last_right_at.desc())
        .offset(LOGIN_PLACES_MAX)
    )
    tx.connection.execute(
        LOGIN_PLACES.delete().where(
            LOGIN_PLACES.c.user_id == user_id, LOGIN_PLACES.c.place_hash.in_(surplus)
        )
    )


def forget_attempts(tx: Transaction, *, now: datetime) -> int:
    """Forget some attempts to log in that no longer count; return how many."""
    is_over = LOGIN_ATTEMPTS.c.window_started_at <= now - LOGIN_ATTEMPTS_WINDOW
    return bulk.delete_batch(tx, LOGIN_ATTEMPTS, is_over, by=LOGIN_ATTEMPTS.c.window_started_at)


def forget_places(tx: Transaction, *, now: datetime) -> int:
    """Forget some places from which nobody has logged in for long; return how many."""
    is_old = LOGIN_PLACES.c.last_right_at <= now - LOGIN_PLACE_LIFETIME
    return bulk.delete_batch(tx, LOGIN_PLACES, is_old, by=LOGIN_PLACES.c.last_right_at)


def _is_known(tx: Transaction, account: str, network: str, *, now: datetime) -> bool:
    query = select(LOGIN_PLACES.c.user_id).where(
        LOGIN_PLACES.c.user_id == account,
        LOGIN_PLACES.c.place_hash == _hash(account, network),
        LOGIN_PLACES.c.last_right_at > now - LOGIN_PLACE_LIFETIME,
    )
    return tx.connection.execute(query).one_or_none() is not None


def _decide(tx: Transaction, attempt: Attempt, *, is_right: bool) -> None:
    key, failures = LOGIN_ATTEMPTS.c.key_hash, LOGIN_ATTEMPTS.c.failures
    locked = (
        select(key)
        .where(key.in_([attempt.own, *attempt.others]))
        .order_by(key)
        .with_for_update()
        .cte()
    )
    tx.connection.execute(
        update(LOGIN_ATTEMPTS)
        .where(key == locked.c.key_hash)
        .values(
            failures=case((key == attempt.own, 0), else_=failures) if is_right else failures + 1,
            # Its window may have ended meanwhile.
            undecided=func.greatest(LOGIN_ATTEMPTS.c.undecided - 1, 0),
        )
    )


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()
