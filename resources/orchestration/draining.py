"""Whether this worker is to stop, known to its parent and to every child it forked: one shared page, no lock.

A lock would be left locked by a child that was killed. The clock of `time.monotonic` is the machine's.
"""

from __future__ import annotations

import mmap
import struct
import time

FINISH_SECONDS = 8.0
"""So long runs go on as if nothing were: most end by themselves. Then they give back what they have not done."""
LEAVE_SECONDS = 16.0
"""What has not ended by then hangs in something that can't be interrupted: its process gives back and ends."""

_TIME = struct.Struct("d")
_since = mmap.mmap(-1, _TIME.size)


def begin() -> None:
    """Say, for this process and its children, that the worker is to stop."""
    _since[:] = _TIME.pack(time.monotonic())


def seconds() -> float:
    """Return how long ago the worker was told to stop; 0 when it was not."""
    (since,) = _TIME.unpack(_since[:])
    return time.monotonic() - since if since else 0.0


def is_time_to_give_back() -> bool:
    return seconds() > FINISH_SECONDS


def is_time_to_leave() -> bool:
    return seconds() > LEAVE_SECONDS
