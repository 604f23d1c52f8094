"""Memory of a worker, in a process of its own: what malloc keeps depends on what a process did before."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

KEEPS_ONE_OF_TEN = """
import psutil
from resources.orchestration.memory import return_large_blocks
{begin}
size = 20 * 2**20
b"x" * size  # freed at once: from here on glibc takes such blocks from its heap
blocks = [bytes([number]) * size for number in range(10)]
del blocks[:-1]
print(psutil.Process().memory_info().rss)
"""


def rss_bytes(begin: str) -> int:
    script = KEEPS_ONE_OF_TEN.format(begin=begin)
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library keeps no large blocks")
def test_large_blocks_that_are_freed_go_back_to_the_system() -> None:
    assert rss_bytes("") > 180 * 2**20
    assert rss_bytes("return_large_blocks()") < 90 * 2**20
