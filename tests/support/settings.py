"""Settings that are changed for the length of a block."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from taskflow import config
from taskflow.serving import frame


@contextmanager
def changed_settings(**changes: Any) -> Generator[None]:  # noqa: ANN401 - what a setting may be
    """Run the block with some settings changed; rate limits start afresh, before it and after."""
    before = config.settings()
    config.use(before.model_copy(update=changes))
    _forget_limits()
    try:
        yield
    finally:
        config.use(before)
        _forget_limits()


def _forget_limits() -> None:
    frame.user_limit.cache_clear()
    frame.address_limit.cache_clear()
