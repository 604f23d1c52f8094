"""Profiles of a process to Pyroscope, by setting: CPU of all, memory of those that hold vectors.

The agent is a native library with threads of its own: it starts in the process that it watches, after any fork, and is
imported only where it is wanted (15 MB).
"""

from __future__ import annotations

import atexit
import logging

from resources.settings import Settings

logger = logging.getLogger("cixml.profiles")


def start(settings: Settings, service: str, *, memory: bool = False) -> None:
    """Push profiles of this process every 10 s, where a server is named. They name the service and say no more."""
    url = settings.telemetry.pyroscope_url
    if url is None:
        return
    import pyroscope

    if pyroscope.configure(application_name=service, server_address=url, mem_enabled=memory):
        atexit.register(pyroscope.shutdown)  # sends the last seconds
    else:
        logger.warning("profiles are not made: the agent did not start")
