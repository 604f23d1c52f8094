"""Bringing the databases to this version's schema: a program of the floor, run as the owner."""

from __future__ import annotations

import subprocess
import sys

from cixml.embedded.environment import read_env_file, user_environment
from cixml.embedded.errors import StackError
from cixml.embedded.state import Home
from resources.settings import PROJECT_ROOT

MIGRATE = "resources.orchestration.migrate"


def run_migrations(home: Home) -> str:
    """Bring both databases to this version's schema, as the owner, and return what the step printed.

    Raises StackError with its message when it fails.
    """
    environment = read_env_file(home) | dict(user_environment()) | {"CIXML_HOME": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-m", MIGRATE],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"{MIGRATE} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout.strip()
