"""Tags and priorities: `#home`, `#"deep work"`, `!high`, `!!1`."""

import re
from dataclasses import dataclass

from taskflow.domain.quick_add.tokens import Tokens
from taskflow.domain.quick_add.vocabulary import Match
from taskflow.domain.representations import Priority

_TAG = re.compile(r"""#(?:"([^"]+)"|“([^”]+)”|([^\s#!?,;:"“”()<>\[\]{}]+))""")
_PRIORITIES = {
    **{f"!{priority}": priority for priority in Priority},
    **{f"!!{place}": priority for place, priority in enumerate(reversed(Priority), start=1)},
}
"""By name; and by the numbers of Todoist, of which 1 is the most urgent."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as it was written."""

    name: str


def find_tag(tokens: Tokens, index: int) -> Match[Tag] | None:
    """Read a tag: `#` and a word that is more than a number, or a quotation."""
    found = _TAG.fullmatch(tokens[index].text)
    if found is None:
        return None
    quoted, name = found[1] or found[2], found[3] or ""
    if quoted is not None:
        return Match(Tag(" ".join(quoted.split())), index + 1) if quoted.strip() else None
    is_name = any(letter.isalpha() or not letter.isascii() for letter in name)
    return Match(Tag(name), index + 1) if is_name else None


def find_priority(tokens: Tokens, index: int) -> Match[Priority] | None:
    """Read a priority."""
    priority = _PRIORITIES.get(tokens.lower(index))
    return None if priority is None else Match(priority, index + 1)
