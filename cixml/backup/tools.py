"""Runs pg_dump and pg_restore of the wheel, names what they are at, and repeats their complaint when they fail."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from cixml.backup.manifest import BackupError
from cixml.embedded.postgres import wheel_installation, without_password

Say = Callable[[str], None]
_STEP = re.compile(
    r"(?:dumping contents of|processing data for) (?P<table>table .+)|(?P<made>creating (?:INDEX|FK CONSTRAINT) .+)"
)
_COMPLAINT = re.compile(r"error|fatal|detail|hint|no space", re.IGNORECASE)
_POLICY = re.compile(r"^\d+; \d+ \d+ (?:POLICY|ROW SECURITY) ")
_COMPRESSION = "gzip:1"
"""Vectors hardly shrink, and a higher level takes several times as long."""


def dump(url: str, folder: Path, *, schema: str | None, snapshot: str, jobs: int, say: Say) -> None:
    """Write one schema, or all of a database, as it was at the snapshot. The list of migrations goes into the manifest.

    The owner's policies show it every row, so it may read with row-level security on; off, which is the default, takes
    a superuser.
    """
    arguments = ["--format=directory", f"--file={folder}", f"--jobs={jobs}", f"--compress={_COMPRESSION}"]
    arguments += [f"--snapshot={snapshot}", "--enable-row-security", "--exclude-table-data=cixml.schema_migrations"]
    arguments += [f"--schema={schema}"] if schema else []
    _run("pg_dump", url, arguments, say)


def restore(url: str, folder: Path, *, jobs: int, say: Say) -> None:
    """Bring one schema into a database that does not have it. If it fails, a part of it is there.

    Policies come last: several sessions restore in any order, and where row-level security holds before its policy is
    there, a foreign key finds no row.
    """
    arguments = ["--exit-on-error", "--no-owner", str(folder)]
    _run("pg_restore", url, [*arguments, "--no-policies", f"--jobs={jobs}"], say)
    with NamedTemporaryFile("w", encoding="utf-8") as wanted:
        wanted.writelines(f"{entry}\n" for entry in _policies(folder))
        wanted.flush()
        _run("pg_restore", url, [*arguments, f"--use-list={wanted.name}"], say)


def _policies(folder: Path) -> list[str]:
    """Return the entries of a dump that `--no-policies` leaves out."""
    command = [str(wheel_installation() / "bin" / "pg_restore"), "--list", str(folder)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if _POLICY.search(line)]


def _run(program: str, url: str, arguments: Sequence[str], say: Say) -> None:
    """Run a program to its end. The password is not on its command line. Raises BackupError."""
    bare, environment = without_password(url)
    command = [
        str(wheel_installation() / "bin" / program),
        "--verbose",
        "--no-password",
        f"--dbname={bare}",
        *arguments,
    ]
    complaints: deque[str] = deque(maxlen=6)
    with subprocess.Popen(
        command, env=environment | {"LC_ALL": "C"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        try:
            for line in run.stderr:
                if step := _STEP.search(line):
                    say(step["table"] or step["made"])
                elif _COMPLAINT.search(line):
                    complaints.append(line.strip())
        except BaseException:
            run.terminate()
            raise
    if run.returncode != 0:
        raise BackupError(f"{program} failed: {' '.join(complaints) or f'exit code {run.returncode}'}")
