"""The order of titles: the Unicode Collation Algorithm (UTS 10), the same on every install.

The weights are those of the Default Unicode Collation Element Table 13.0.0 with none ignored: the
order of ICU's root collation, but for the place of some symbols. Keys are stored: other weights
would mean new keys for all titles.
"""

import json
import lzma
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple
from unicodedata import combining, normalize

KEY_MAX_BYTES = 1024
"""Longer keys are cut, for an index must hold them, and a cursor carry them. This holds the letters
of 255 ideographs, or the letters, accents and case of as many other characters."""

_COMMON_SECONDARY, _COMMON_TERTIARY = b"\x01", b"\x02"
_COMMON = _COMMON_SECONDARY + _COMMON_TERTIARY
_END_OF_LETTERS, _END_OF_ACCENTS = b"\0\0", b"\0"  # less than every weight

# UTS 10, 10.1.3: characters whose weights are computed, as first, last, primary weight and where
# their numbers begin. Those that canonical decomposition replaces are not among them.
_COMPUTED = (
    (0x3400, 0x4DBF, 0xFB80, 0),
    (0x4E00, 0x9FFC, 0xFB40, 0),
    (0xFA0E, 0xFA29, 0xFB40, 0),
    (0x17000, 0x187F7, 0xFB00, 0x17000),
    (0x18800, 0x18AFF, 0xFB00, 0x17000),
    (0x18B00, 0x18CD5, 0xFB02, 0x18B00),
    (0x18D00, 0x18D08, 0xFB00, 0x17000),
    (0x1B170, 0x1B2FB, 0xFB01, 0x1B170),
    (0x20000, 0x2A6DD, 0xFB80, 0),
    (0x2A700, 0x2B734, 0xFB80, 0),
    (0x2B740, 0x2B81D, 0xFB80, 0),
    (0x2B820, 0x2CEA1, 0xFB80, 0),
    (0x2CEB0, 0x2EBE0, 0xFB80, 0),
    (0x30000, 0x3134A, 0xFB80, 0),
)


class _Table(NamedTuple):
    """Collation elements, of four bytes each: the primary weight, the secondary, the tertiary.

    `elements[n]` are those of `characters[n]`, in hexadecimal. `begins` are the first
    characters of contractions.
    """

    characters: str
    elements: list[str]
    contractions: dict[str, bytes]
    begins: frozenset[str]


def sort_key(text: str) -> bytes:
    """Return a key that sorts, byte by byte, as the text: by letters, then accents, then case.

    At most KEY_MAX_BYTES and never empty. Canonically equivalent texts have the same key.
    """
    found = b"".join(_elements(text))
    letters = bytearray()
    for at in range(0, len(found), 4):
        letters += found[at : at + 2].replace(_END_OF_LETTERS, b"")
    # The common weight is left out at the end of a level: plain text has little else.
    accents = found[2::4].replace(b"\0", b"").rstrip(_COMMON_SECONDARY)
    case = found[3::4].replace(b"\0", b"").rstrip(_COMMON_TERTIARY)
    return (bytes(letters) + _END_OF_LETTERS + accents + _END_OF_ACCENTS + case)[:KEY_MAX_BYTES]


def _elements(text: str) -> Iterator[bytes]:
    """Yield the collation elements of a text (UTS 10, 7.2)."""
    table = _table()
    characters = list(normalize("NFD", text))
    at = 0
    while at < len(characters):
        matched = characters[at]
        at += 1
        if matched not in table.begins:
            yield _elements_of(matched)
            continue
        for length in (2, 1):
            longer = matched + "".join(characters[at : at + length])
            if longer in table.contractions:
                matched = longer
                at += len(matched) - 1
                break
        mark, skipped = at, 0
        while mark < len(characters) and (combining_class := combining(characters[mark])):
            longer = matched + characters[mark]
            if combining_class > skipped and longer in table.contractions:
                matched = longer
                del characters[mark]
            else:
                skipped = combining_class
                mark += 1
        yield table.contractions.get(matched) or _elements_of(matched)


@cache
def _elements_of(character: str) -> bytes:
    table = _table()
    at = bisect_left(table.characters, character)
    if table.characters[at : at + 1] == character:
        return bytes.fromhex(table.elements[at])
    number = ord(character)
    computed = (rest for first, last, *rest in _COMPUTED if first <= number <= last)
    primary, begin = next(computed, (0xFBC0, 0))
    if not begin:
        primary += number >> 15
    second = (number - begin) & 0x7FFF | 0x8000
    return primary.to_bytes(2) + _COMMON + second.to_bytes(2) + bytes(2)


@cache
def _table() -> _Table:
    # Read at the first title: it takes 15 ms, which not every function spends.
    packed = resources.files("taskflow.storage").joinpath("ducet-13.0.0.json.xz").read_bytes()
    read = json.loads(lzma.decompress(packed))
    contractions = {text: bytes.fromhex(each) for text, each in read["contractions"].items()}
    return _Table(
        characters=read["characters"],
        elements=read["elements"],
        contractions=contractions,
        begins=frozenset(text[0] for text in contractions),
    )
