"""Loopback ports: free ones, below the range the kernel gives to outgoing connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from cixml.embedded.errors import StackError

# Outgoing connections get 32768 and above: a port from there may be gone in the second a process needs to restart.
LOWEST, HIGHEST = 17_000, 32_000
_random = random.SystemRandom()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on `port` now. Connections in TIME_WAIT don't count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_port(taken: Collection[int]) -> int:
    """Return a free port that is not in `taken`. Raises StackError when hundreds of tries find none."""
    for _ in range(500):
        port = _random.randrange(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {LOWEST} and {HIGHEST} on 127.0.0.1")
