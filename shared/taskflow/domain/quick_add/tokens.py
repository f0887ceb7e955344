"""The tokens of a line: its words, the punctuation after them, and what is kept out of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

PUNCTUATION = ",;:.!?"
"""What may follow a word without being part of it."""


class TokenKind(Enum):
    """What a token is."""

    WORD = auto()
    PUNCTUATION = auto()
    QUOTED = auto()
    BACKSLASH = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and its place in the text in code points: from `start` on and before `end`."""

    kind: TokenKind
    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        """The text in lower case where it can be one of the grammar's, which are ASCII, else ""."""
        is_plain = self.kind in {TokenKind.WORD, TokenKind.PUNCTUATION} and self.text.isascii()
        return self.text.lower() if is_plain else ""


class Tokens:
    """The tokens of a text, in order."""

    def __init__(self, text: str) -> None:
        """Read a text."""
        self._tokens: Sequence[Token] = list(_tokens_of(text))
        self._lower = [token.lower for token in self._tokens]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tokens)

    def __getitem__(self, index: int) -> Token:
        """Return a token by its index."""
        return self._tokens[index]

    def lower(self, index: int) -> str:
        """Return a word or punctuation in lower case; "" where nothing of the grammar can be."""
        return self._lower[index] if 0 <= index < len(self._lower) else ""

    def are(self, index: int, *words: str) -> bool:
        """Say whether these words stand there, one after the other."""
        return self._lower[index : index + len(words)] == list(words)


_RUN = re.compile(r"\S+")
_CLOSING = {'"': re.compile(rf'"(?=[\s{PUNCTUATION})\]]|\Z)'), "“": re.compile("”")}
"""By what opens a quotation: what closes it."""


def _tokens_of(text: str) -> Iterator[Token]:
    unclosed: set[str] = set()
    at = 0
    while run := _RUN.search(text, at):
        start, at = run.span()
        if run[0].startswith("\\") and run[0].strip(f"\\{PUNCTUATION}"):
            yield Token(TokenKind.BACKSLASH, "\\", start, start + 1)
            start += 1
        opening = start + (text[start] == "#")
        # After a backslash a quote is none, but that of a tag.
        may_open = opening > start or start == run.start()
        quote = text[opening : opening + 1] if may_open else ""
        closing = None
        if quote in _CLOSING and quote not in unclosed:
            closing = _CLOSING[quote].search(text, opening + 2)
            if closing is None:
                # Nor is there one for those that open later: no part is searched twice.
                unclosed.add(quote)
        if closing is None:
            yield from _word(text[start:at], start, TokenKind.WORD)
            continue
        rest = _RUN.match(text, closing.end())
        at = rest.end() if rest else closing.end()
        is_tag = opening > start and not (rest and rest[0].strip(PUNCTUATION))
        yield from _word(text[start:at], start, TokenKind.WORD if is_tag else TokenKind.QUOTED)


def _word(run: str, start: int, kind: TokenKind) -> Iterator[Token]:
    """Give what stands between two spaces, and the punctuation after it."""
    # Punctuation alone is a word.
    word = run.rstrip(PUNCTUATION) or run
    end = start + len(word)
    yield Token(kind, word, start, end)
    if len(word) < len(run):
        yield Token(TokenKind.PUNCTUATION, run[len(word) :], end, start + len(run))
