"""Quick add: a line of text read as a task, by the grammar of docs/quick-add.md.

It is English, and so are its words (`vocabulary`) and how they follow one another (`dates`,
`clock_times`, `repetitions`, `reminder_phrases`). The rest holds for any language: `signs`, what
the phrases add up to (`scheduling`), and what is left for the title (`reading`).
"""

from taskflow.domain.quick_add.content import (
    TEXT_MAX_CHARS,
    QuickAdd,
    QuickAddPreview,
    represent_preview,
)
from taskflow.domain.quick_add.reading import Part, PartKind, Understood, read

__all__ = [
    "TEXT_MAX_CHARS",
    "Part",
    "PartKind",
    "QuickAdd",
    "QuickAddPreview",
    "Understood",
    "read",
    "represent_preview",
]
