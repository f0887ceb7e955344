"""Attempts to log in, in PostgreSQL: how many failed, and from which networks any succeeded."""

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
    """So many attempts are undecided that, if all of them failed, this one would exceed a limit."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun, by the keys of the counters in which it counts.

    `own` is the counter of the account from this network; `others` count attempts from networks
    from which the account was never logged in to: those of the account, and of the network.
    """

    own: bytes
    others: tuple[bytes, ...]


def begin(tx: Transaction, account: str, network: str, *, now: datetime) -> Attempt:
    """Count an attempt as undecided, before its password is looked at.

    So of many attempts at once no more than the limits are verified, and those that succeed cost
    nothing. `account` is an account's id, or an email without an account, which is treated alike.
    Raises TooManyAttempts; and AttemptsUndecided where the attempt is to be begun again once others
    are decided. Both leave nothing counted if the transaction ends with them.
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


def record_failure(tx: Transaction, attempt: Attempt) -> None:
    """Count an attempt as failed."""
    _decide(tx, attempt, is_right=False)


def record_success(
    tx: Transaction, attempt: Attempt, user_id: str, network: str, *, now: datetime
) -> None:
    """Reset the account's failures from this network, and remember the network as known.

    Failures from other networks stay counted. Of an account the last LOGIN_PLACES_MAX networks are
    remembered.
    """
    _decide(tx, attempt, is_right=True)
    remember_place(tx, user_id, network, now=now)


def remember_place(tx: Transaction, user_id: str, network: str, *, now: datetime) -> None:
    """Remember that this account was logged in to from this network."""
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
    """Delete a batch of counters whose window has ended; return how many."""
    is_over = LOGIN_ATTEMPTS.c.window_started_at <= now - LOGIN_ATTEMPTS_WINDOW
    return bulk.delete_batch(tx, LOGIN_ATTEMPTS, is_over, by=LOGIN_ATTEMPTS.c.window_started_at)


def forget_places(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of networks from which nobody has logged in for long; return how many."""
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
