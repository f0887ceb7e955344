"""The words of tasks as PostgreSQL indexes them, and queries for them.

The words come from `domain/search.py`: what PostgreSQL's own parser and dictionaries make of a text
depends on the locale and the extensions of the server. Every lexeme begins with a key of its user.
So the GIN index is in the order of users and then of words, and a search reads the entries of its
user alone, whatever others have written.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from taskflow.domain.search import SearchQuery, Term, words_of
from taskflow.domain.tasks import Task

LOOKED_UP_MAX = 2
"""How many words of a query are looked up in the index, the longest; what they find is compared
with the others. The beginning of a word may stand for thousands, and a tenth of a million tasks."""

_KEY_CHARS = 6
"""36 bits of a hash. Two users with the same key would read past each other's entries."""

_FIELD_GAP = 2
"""Between the positions of two fields, so that words of both are not side by side."""

_TITLE, _TAG = "A", "B"


class SearchWords(NamedTuple):
    """What a task is found by: two tsvectors, as text.

    `heading` has the words of its title (weight A) and tags (B). `body` has these, for words of a
    query may be anywhere, and those of the description; None where there is none.
    """

    heading: str
    body: str | None


def search_words_of(task: Task) -> SearchWords:
    """Return the words that a task is found by."""
    return search_words(task.user_id, task.title, task.description, task.tags)


def search_words(
    user_id: str, title: str, description: str | None, tags: Sequence[str]
) -> SearchWords:
    """Return the words that a task with these texts is found by."""
    key = key_of(user_id)
    fields = [(_TITLE, words_of(title)), *((_TAG, words_of(tag)) for tag in tags)]
    heading = _tsvector(key, fields)
    described = words_of(description or "")
    return SearchWords(heading, _tsvector(key, [*fields, ("", described)]) if described else None)


@lru_cache
def key_of(user_id: str) -> str:
    """Return what the lexemes of a user begin with."""
    return urlsafe_b64encode(hashlib.sha256(user_id.encode()).digest())[:_KEY_CHARS].decode()


def _tsvector(key: str, fields: Iterable[tuple[str, Sequence[str]]]) -> str:
    places: dict[str, list[str]] = {}
    position = 1
    for weight, words in fields:
        for word in words:
            places.setdefault(word, []).append(f"{position}{weight}")
            position += 1
        position += _FIELD_GAP
    # PostgreSQL keeps 255 places of a word, and counts up to 16,383.
    return " ".join(f"'{key}{word}':{','.join(at[:255])}" for word, at in places.items())


class Tsqueries(NamedTuple):
    """What the words of a user's tasks are asked for, as tsqueries.

    A task matches if `matching` holds for its heading or its body, and `excluded` for neither. It
    matches best if `whole` does: every word is a word of its title. What may match is looked up
    by `looked_up`, or `looked_up_whole`, without a look at the tasks: so by the words alone,
    wherever they stand.
    """

    matching: str
    whole: str
    looked_up: str
    looked_up_whole: str
    excluded: str | None


def tsqueries_of(user_id: str, query: SearchQuery) -> Tsqueries:
    """Return what finds the tasks of a user that a query asks for."""
    key = key_of(user_id)
    words = sorted(_words(query.terms), key=lambda each: (each[1], -len(each[0])))[:LOOKED_UP_MAX]
    return Tsqueries(
        matching=" & ".join(
            _phrase(key, term, last="*" if term.is_prefix else "") for term in query.terms
        ),
        whole=" & ".join(_phrase(key, term, others="A", last="A") for term in query.terms),
        looked_up=" & ".join(_lexeme(key, *each) for each in words),
        looked_up_whole=" & ".join(_lexeme(key, word) for word, _ in words),
        excluded=" | ".join(_phrase(key, term) for term in query.excluded) or None,
    )


def _words(terms: Sequence[Term]) -> Iterable[tuple[str, str]]:
    """Return each word with the mark of a prefix, if it is one."""
    return {
        (word, "*" if term.is_prefix and place == len(term.words) else "")
        for term in terms
        for place, word in enumerate(term.words, start=1)
    }


def _phrase(key: str, term: Term, *, others: str = "", last: str = "") -> str:
    *before, end = term.words
    lexemes = [*(_lexeme(key, word, others) for word in before), _lexeme(key, end, last)]
    return f"({' <-> '.join(lexemes)})"


def _lexeme(key: str, word: str, marks: str = "") -> str:
    return f"'{key}{word}'" + (f":{marks}" if marks else "")
