"""Search: how text becomes words, what a query asks of them, and where a text matches.

Words are compared without case, accents and compatibility forms (NFKC_Casefold of UAX 44, less the
marks that a writer may leave out). Where words are written without spaces, as in Chinese, Japanese
and Thai, each character is a word, and a query of several asks for them side by side.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Annotated
from unicodedata import category, normalize

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.errors import FieldError, InvalidContent

QUERY_MAX_CHARS = 255
QUERY_WORDS_MAX = 64
"""Each is looked up in the words of every task that may match."""

WORD_MAX_CHARS = 64
"""What is longer is cut: an index holds no word of ten thousand letters."""

SNIPPET_MAX_CHARS = 200
_BEFORE_MATCH_CHARS = 60

_FOLDED_MAX = 20_000
"""How many characters are kept folded; no language has more, but Unicode has 1,114,112."""

_STEP_CHARS = 256

# Letters that Unicode does not decompose, as people type them who have no such key.
_PLAIN = {"æ": "ae", "ð": "d", "ø": "o", "þ": "th", "đ": "d", "ħ": "h", "ł": "l", "œ": "oe"} | {
    "\u0131": "i",  # the dotless one of Turkish
    "ŧ": "t",
}

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Bopomofo, Han.
_ALONE = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3041, 0x3096),
    (0x309D, 0x312F),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0x20000, 0x3FFFF),
)
# Accents and points that are left out in typing; the vowel signs of Indic scripts are not.
_OPTIONAL_MARKS = (
    (0x0300, 0x08FF),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0x302A, 0x309A),
    (0xFE00, 0xFE2F),
    (0xE0100, 0xE01EF),
)

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
_CHUNK = re.compile(r'(?P<minus>-?)(?:"(?P<quoted>[^"]*)(?P<closed>"?)|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side; with `is_prefix`, the last may be the beginning of a word."""

    words: tuple[str, ...]
    is_prefix: bool


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is to be found: all of the terms, and none of the `excluded`."""

    terms: tuple[Term, ...]
    excluded: tuple[Term, ...]


class Highlights(TypedDict, total=False):
    """The fields of a task that match, as HTML: matches in `<mark>`, all else escaped."""

    title: Annotated[str, Field(description="The title.")]
    description: Annotated[
        str, Field(description="The part of the description around its first match.")
    ]


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared, in order."""
    return [word[:WORD_MAX_CHARS] for word in text.translate(_FOLDING).split()]


def parse(text: str) -> SearchQuery:
    """Read a query: words that begin words, `"exact words side by side"`, and `-without`.

    A quote that is not closed is still being typed. Any other sign separates words. Raises
    InvalidContent where there are more than QUERY_WORDS_MAX words.
    """
    terms: dict[Term, None] = {}
    excluded: dict[Term, None] = {}
    for chunk in _CHUNK.finditer(text.translate(_QUOTES)):
        # Within a word, as in `e-mail`, it is no minus: there the chunk has begun before it.
        words = tuple(words_of(chunk["plain"] or chunk["quoted"] or ""))
        if words and chunk["minus"]:
            excluded[Term(words, is_prefix=False)] = None
        elif words:
            terms[Term(words, is_prefix=not chunk["closed"])] = None
    if sum(len(term.words) for term in (*terms, *excluded)) > QUERY_WORDS_MAX:
        raise InvalidContent(FieldError("/q", f"must have at most {QUERY_WORDS_MAX} words"))
    return SearchQuery(tuple(terms), tuple(excluded))


class Highlighter:
    """Marks what a query finds in the fields of tasks."""

    def __init__(self, query: SearchQuery) -> None:
        """Prepare for the terms of a query."""
        patterns = (
            " +".join(map(re.escape, term.words)) + ("[^ ]*" if term.is_prefix else "(?![^ ])")
            for term in query.terms
        )
        self._begins = [f" {term.words[0]}" for term in query.terms]
        self._pattern = re.compile(f"(?<![^ ])(?:{'|'.join(patterns)})") if query.terms else None

    def of(self, title: str, description: str | None) -> Highlights:
        """Return the title, and the part of the description around its first match, marked.

        What does not match is left out.
        """
        found: Highlights = {}
        if (marked := self._marked(title)) is not None:
            found["title"] = marked
        if description is not None and (snippet := self._snippet(description)) is not None:
            found["description"] = snippet
        return found

    def _snippet(self, text: str) -> str | None:
        at = self._first_match(text)
        if at is None:
            return None
        begin = _start_of_word(text, max(0, at - _BEFORE_MATCH_CHARS), at)
        end = _end_of_word(text, begin + SNIPPET_MAX_CHARS, at)
        marked = self._marked(text[begin:end])
        return f"{'… ' if begin else ''}{marked}{' …' if end < len(text) else ''}"

    def _first_match(self, text: str) -> int | None:
        """Return where in the text the first match begins."""
        if self._pattern is None:
            return None
        pieces = [
            text[begin : begin + _STEP_CHARS].translate(_FOLDING)
            for begin in range(0, len(text), _STEP_CHARS)
        ]
        folded = f" {''.join(pieces)}"
        # To look for text is a hundred times as fast as to try a pattern everywhere.
        begins = [at for begin in self._begins if (at := folded.find(begin)) >= 0]
        found = self._pattern.search(folded, min(begins)) if begins else None
        return None if found is None else _origin(text, pieces, found.start() - 1)

    def _marked(self, text: str) -> str | None:
        """Return a short text as HTML with its matches marked, None where there are none."""
        spans = list(self._spans(text))
        if not spans:
            return None
        parts: list[str] = []
        at = 0
        for begin, end in spans:
            parts += [escape(text[at:begin]), "<mark>", escape(text[begin:end]), "</mark>"]
            at = end
        return "".join([*parts, escape(text[at:])])

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where each match begins and ends in a text, in order, none in another."""
        if self._pattern is None:
            return
        folded = [_FOLDING[ord(character)] for character in text]
        origin = [index for index, piece in enumerate(folded) for _ in piece]
        last_end = 0
        for match in self._pattern.finditer("".join(folded)):
            begin, end = origin[match.start()], origin[match.end() - 1] + 1
            # Its accents, which have become nothing, belong to a letter.
            while end < len(text) and not folded[end]:
                end += 1
            if begin >= last_end:
                yield begin, end
                last_end = end


def _start_of_word(text: str, begin: int, match: int) -> int:
    """Return where a snippet begins: at a word's start after `begin`, or at the match."""
    if begin == 0:
        return 0
    space = next((at for at in range(begin - 1, match) if text[at].isspace()), None)
    return match if space is None else space + 1


def _end_of_word(text: str, end: int, match: int) -> int:
    """Return where a snippet ends: at a word's end before `end`, if there is one."""
    if end >= len(text):
        return len(text)
    spaces = (at for at in range(end, match, -1) if text[at].isspace())
    return next(spaces, end)


def _origin(text: str, pieces: Sequence[str], place: int) -> int:
    """Return the index of the character from which a place of the folded text comes.

    `pieces` are what _STEP_CHARS characters each were folded to.
    """
    begin = 0
    for piece in pieces:
        if place < len(piece):
            break
        place -= len(piece)
        begin += _STEP_CHARS
    for index in range(begin, len(text)):
        place -= len(_FOLDING[ord(text[index])])
        if place < 0:
            return index
    return len(text)


class _Folding(dict[int, str]):
    """What each character is compared as; what is no part of a word is a space."""

    def __missing__(self, code: int) -> str:
        folded = _folded(chr(code))
        if len(self) < _FOLDED_MAX:
            self[code] = folded
        return folded


_FOLDING = _Folding()


def _folded(character: str) -> str:
    if category(character) == "So":
        # An emoji is a word.
        return f" {character} "
    decomposed = normalize("NFKD", normalize("NFKD", character).casefold())
    return "".join(_part_of_word(_PLAIN.get(each, each)) for each in decomposed)


def _part_of_word(text: str) -> str:
    kind, code = category(text[0]), ord(text[0])
    if kind[0] in "LMN" and _is_in(code, _ALONE):
        return f" {text} "
    if kind[0] in "LN":
        return text
    if kind[0] == "M":
        return "" if _is_in(code, _OPTIONAL_MARKS) else text
    # Signs that only say how to write, but the space of no width.
    return "" if kind == "Cf" and text != "\u200b" else " "


def _is_in(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)
