"""WebSocket frames: written as another implementation writes them."""

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from taskflow.push.websocket import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("letter", ["x", "ż", "🐘"])
def test_a_text_is_framed_as_wsproto_frames_it(size: int, letter: str) -> None:
    text = letter * (size // len(letter.encode())) + "x" * (size % len(letter.encode()))

    assert text_frame(text) == Connection(ConnectionType.SERVER).send(TextMessage(data=text))
