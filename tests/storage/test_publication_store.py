"""Publications: which publisher holds a user, and up to which `seq` events are published."""

from uuid import uuid4

import pytest
from sqlalchemy import text

from taskflow.storage import publication_store, transaction
from taskflow.storage.publication_store import Publication
from tests.support.data.accounts import A_CAUSE, SignedIn

ONE, OTHER = uuid4(), uuid4()


@pytest.fixture
def newest(user: SignedIn, other: SignedIn) -> dict[str, int]:
    return {user.user_id: 1, other.user_id: 1}


def test_free_users_are_held_by_the_first_publisher_who_asks(newest: dict[str, int]) -> None:
    with transaction(A_CAUSE) as tx:
        first = publication_store.hold(tx, ONE, newest)
    with transaction(A_CAUSE) as tx:
        second = publication_store.hold(tx, OTHER, newest)

    assert first == dict.fromkeys(newest, Publication(0, is_ours=True))
    assert second == dict.fromkeys(newest, Publication(0, is_ours=False))


def test_a_publisher_with_an_older_transaction_does_not_take_a_held_user(
    newest: dict[str, int],
) -> None:
    with transaction(A_CAUSE) as late:
        # From here on, now() stands still in it.
        late.connection.execute(text("SELECT now()"))
        with transaction(A_CAUSE) as tx:
            first = publication_store.hold(tx, ONE, newest)
        behind = publication_store.behind(late, limit=1_000_000)
        second = publication_store.hold(late, OTHER, newest)

    assert first == dict.fromkeys(newest, Publication(0, is_ours=True))
    assert second == dict.fromkeys(newest, Publication(0, is_ours=False))
    assert not newest.keys() & behind.keys()


def test_a_released_user_is_free_and_not_behind(newest: dict[str, int], user: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        publication_store.hold(tx, ONE, newest)
        publication_store.release(tx, ONE, {user.user_id: 1})
        again = publication_store.hold(tx, OTHER, {user.user_id: 1})
        further = publication_store.hold(tx, OTHER, {user.user_id: 2})

    assert again == {user.user_id: Publication(1, is_ours=False)}
    assert further == {user.user_id: Publication(1, is_ours=True)}


def test_a_hold_runs_out_unless_it_is_renewed(newest: dict[str, int], user: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        publication_store.hold(tx, ONE, newest)
        tx.connection.execute(text("UPDATE publications SET held_until = now() - interval '1 s'"))
        behind = publication_store.behind(tx, limit=1_000_000)
        publication_store.renew(tx, ONE)
        held = publication_store.hold(tx, OTHER, {user.user_id: 1})

    assert newest.items() <= behind.items()
    assert held == {user.user_id: Publication(0, is_ours=False)}


def test_a_paused_publisher_does_not_set_back_the_progress_of_a_user(
    newest: dict[str, int], user: SignedIn
) -> None:
    with transaction(A_CAUSE) as tx:
        publication_store.hold(tx, ONE, newest)
        publication_store.release(tx, OTHER, {user.user_id: 7})
        publication_store.release(tx, ONE, {user.user_id: 3})
        publications = publication_store.hold(tx, OTHER, {user.user_id: 8})

    assert publications == {user.user_id: Publication(7, is_ours=True)}


def test_no_commit_of_a_publisher_waits_for_the_disk(newest: dict[str, int]) -> None:
    settings: list[str] = []
    for change in (publication_store.hold, publication_store.release):
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(text("SET LOCAL synchronous_commit = on"))
            change(tx, ONE, newest)
            shown = tx.connection.execute(text("SHOW synchronous_commit")).scalar_one()
            settings.append(shown)

    assert settings == ["off", "off"]
