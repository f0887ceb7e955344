"""Settings that are changed for the length of a block."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from taskflow import config
from taskflow.config import Settings
from taskflow.serving import frame


@contextmanager
def settled(settings: Settings) -> Generator[None]:
    """Run the block with these settings, and rate limits that begin with it."""
    with (
        config.settings.replaced_by(settings),
        frame.user_limit.renewed(),
        frame.address_limit.renewed(),
    ):
        yield


@contextmanager
def changed_settings(**changes: Any) -> Generator[None]:  # noqa: ANN401 - what a setting may be
    """Run the block with some settings changed, and rate limits that begin with it."""
    with settled(config.settings().model_copy(update=changes)):
        yield
