"""Child processes: how they end with their parent."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(with_signal: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends; Linux only, else nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(with_signal))
