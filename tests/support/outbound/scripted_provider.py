"""A provider that does as a test says, for each address, and remembers what it was given."""

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from taskflow.domain.destinations import Channel, Destination
from taskflow.eventing.outbound import Lane, Pause, Sent
from taskflow.outbound.outcomes import Accepted, Outcome
from taskflow.storage.outbound_store import PendingMessage

Act = Callable[[], Outcome]


class ScriptedProvider:
    """Accepts everything, unless `acts` has something to be done for an address."""

    def __init__(self, channel: Channel) -> None:
        """Make the provider of a channel."""
        self.channel = channel
        self.pause = Pause()
        self.acts: dict[str, Act] = {}
        self.given: list[tuple[str, UUID]] = []
        self.at_once_max = 0
        self._at_once: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def lane(self, *, places: int = 4, quick_s: float = math.inf) -> Lane:
        """Return a lane that sends by this provider; what takes longer than `quick_s` is slow."""
        is_of_users = self.channel in {Channel.WEBHOOK, Channel.WEB_PUSH}
        return Lane(
            channel=self.channel,
            open_provider=self._open,
            places=places,
            destinations_max=1 if is_of_users else 5,
            messages_max=10,
            quick_s=quick_s,
            pause=self.pause,
        )

    def addresses(self) -> list[str]:
        """Return the address of each message that it was given, in their order."""
        return [address for address, _ in self.given]

    def _open(
        self,
    ) -> AbstractContextManager[Callable[[Destination, Sequence[PendingMessage]], Iterator[Sent]]]:
        return nullcontext(self._send)

    def _send(self, destination: Destination, messages: Sequence[PendingMessage]) -> Iterator[Sent]:
        for message in messages:
            with self._lock:
                self.given.append((destination.address, message.id))
                self._at_once[destination.user_id] += 1
                self.at_once_max = max(self.at_once_max, *self._at_once.values())
            try:
                outcome = self.acts.get(destination.address, Accepted)()
            finally:
                with self._lock:
                    self._at_once[destination.user_id] -= 1
            yield [message], outcome
