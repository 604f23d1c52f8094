"""The Postgres that is meant: the one the user names, or the stack's own, started alone where it is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cixml.backup.tools import Say
from cixml.embedded import supervisor
from cixml.embedded.environment import remote_servers
from cixml.embedded.stack import start_stack, stop_stack
from cixml.embedded.state import Home

_POSTGRES = "postgres"


def is_own(home: Home) -> bool:
    """Say whether the Postgres is this state folder's own."""
    return _POSTGRES not in remote_servers()


@contextmanager
def running_postgres(home: Home, say: Say) -> Iterator[None]:
    """Have it running meanwhile. What was down before is down again afterwards."""
    if not is_own(home) or supervisor.living_supervisor(home):
        yield
        return
    say("the start of Postgres")
    start_stack(home, only=(_POSTGRES,))
    try:
        yield
    finally:
        stop_stack(home)
