"""The lanes of this installation: the channels whose providers are configured."""

from collections.abc import Sequence

from taskflow.eventing.outbound import Lane


def lanes() -> Sequence[Lane]:
    """Return a lane for each channel whose provider is configured."""
    return []
