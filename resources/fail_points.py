"""Places where a test may kill the process: `reach(NAME)` does nothing unless CIXML_FAIL_POINTS named a folder.

A file of that name in the folder arms the place once: the process that removes it kills itself as `kill -9` would.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

BATCH_BEGUN = "batch_begun"
PAGES_STORED = "pages_stored"
CHUNKS_STORED = "chunks_stored"
VECTORS_COPIED = "vectors_copied"
VECTORS_COMMITTED = "vectors_committed"
CLAIM_COMMITTED = "claim_committed"
JOB_INSERTED = "job_inserted"
JOB_COMMITTED = "job_committed"
_folder: Path | None = None


def watch(folder: Path | None) -> None:
    """Look into this folder from now on; None looks nowhere."""
    global _folder  # one per process, set where its settings are read
    _folder = folder


def reach(name: str) -> None:
    """Die here if a test wants it."""
    if _folder is not None:
        _die_if_armed(_folder / name)


def _die_if_armed(order: Path) -> None:
    try:
        order.unlink()  # one process wins
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
