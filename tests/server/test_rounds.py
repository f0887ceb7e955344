"""Rounds: one request of an address begins per round of the loop, and its others wait."""

# gevent has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections import Counter

import gevent

from taskflow.server.rounds import Rounds

HERE, THERE = "192.0.2.1", "192.0.2.2"


def _begin_at_once(rounds: Rounds, addresses: list[str]) -> list[tuple[str, int, int]]:
    """Have so many requests come in one round; return each one's address, number and round."""
    loop = gevent.get_hub().loop
    began: list[tuple[str, int, int]] = []

    def request(number: int, address: str) -> None:
        rounds.begin(address)
        began.append((address, number, loop.iteration))

    gevent.joinall(
        [gevent.spawn(request, number, address) for number, address in enumerate(addresses)],
        raise_error=True,
    )
    return began


def test_requests_of_one_address_begin_one_per_round_in_the_order_they_came() -> None:
    began = _begin_at_once(Rounds(), [HERE] * 100)

    assert [number for _, number, _ in began] == list(range(100))
    assert len({round_ for _, _, round_ in began}) == 100


def test_a_second_address_does_not_wait_for_the_requests_of_the_first() -> None:
    began = _begin_at_once(Rounds(), [HERE] * 100 + [THERE])

    # The loop may take a round or two to start them all.
    assert THERE in [address for address, _, _ in began[:10]]


def test_requests_of_two_addresses_begin_side_by_side() -> None:
    began = _begin_at_once(Rounds(), [HERE, THERE] * 50)

    assert max(Counter(round_ for _, _, round_ in began).values()) == 2
    assert set(Counter((address, round_) for address, _, round_ in began).values()) == {1}


def test_a_request_that_ends_while_it_waits_holds_up_no_other() -> None:
    rounds = Rounds()
    requests = [gevent.spawn(rounds.begin, HERE) for _ in range(10)]
    ended = gevent.spawn(lambda: gevent.killall(requests[1:6], block=False))

    gevent.joinall([*requests, ended], raise_error=True)
    rounds.begin(HERE)

    assert [request.successful() for request in requests] == [True] * 10
