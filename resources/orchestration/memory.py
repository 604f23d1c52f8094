"""How a worker gives memory back to the system."""

from __future__ import annotations

import ctypes

LARGE_BLOCK_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # malloc.h


def return_large_blocks() -> None:
    """Let the bodies of large pages go back to the system when they are freed; a forked child does as its parent.

    glibc keeps the room of one that was freed, and takes ever larger blocks from there: 16 pages of 20 MiB at once
    made a child of 610 MB, and of 480 MB so. Where there is no glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
