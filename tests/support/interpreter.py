"""What the interpreter does, counted: the same on every machine, however busy."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import TraceFunction

STEPS_OF_10_MS = 1_500_000
"""About what an interpreter does in 10 ms."""


def steps_of(call: Callable[[], object]) -> int:
    """Count the instructions that the interpreter carries out for a call."""
    steps = 0

    def count(frame: FrameType, event: str, _arg: object) -> "TraceFunction":
        nonlocal steps
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps
