"""Rounds of the event loop: of what one address sends at once, each piece has one of its own."""

from collections import deque

import gevent
from gevent.event import Event

# Long enough for the loop to look at what has come before it goes on, which it does not for 0.
_YIELD_S = 1e-9


class Rounds:
    """Has what one address sends taken up piece by piece, one in a round of the loop, in order.

    In a round the loop looks once at all connections and then runs what can go on. Without this, a
    hundred requests that have come at once would all be read and looked through in one round, and
    a connection whose next piece has always come already would never let the round end: a request,
    a part of a body, frames on a socket.
    """

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._loop = gevent.get_hub().loop
        self._round = -1
        self._begun: set[str] = set()
        self._waiting: dict[str, deque[Event]] = {}

    def begin(self, address: str) -> None:
        """Wait for a round in which nothing else of this address has been taken up."""
        queue = self._waiting.get(address)
        if queue is None and self._may(address):
            return
        queue = self._waiting.setdefault(address, deque())
        may_begin = Event()
        queue.append(may_begin)
        try:
            if queue[0] is not may_begin:
                may_begin.wait()
            while not self._may(address):
                gevent.sleep(_YIELD_S)
        finally:
            # Where it is ended while it waits, it may be anywhere in the queue.
            queue.remove(may_begin)
            if queue:
                queue[0].set()
            else:
                del self._waiting[address]

    def _may(self, address: str) -> bool:
        if self._round != self._loop.iteration:
            self._round = self._loop.iteration
            self._begun.clear()
        if address in self._begun:
            return False
        self._begun.add(address)
        return True
