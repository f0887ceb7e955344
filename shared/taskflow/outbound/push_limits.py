"""What all push messages keep to, through whichever service they go."""

TTL_S = 86_400
"""How long a push service keeps what a device that is off is to be told."""

TEXT_MAX_CHARS = 250
"""Of a title and of a message. Devices show fewer, and whatever characters they are, both fit into
the 4 KB that push services take."""


def cut(text: str) -> str:
    """Return a text of at most TEXT_MAX_CHARS, which ends in an ellipsis if it is cut."""
    return text if len(text) <= TEXT_MAX_CHARS else text[: TEXT_MAX_CHARS - 1] + "…"
