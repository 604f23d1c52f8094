"""The embedded stack as its user meets it: it starts, survives kills, stands beside another, gives way on ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from cixml.embedded.leftovers import find_leftovers
from cixml.embedded.stack import restart_application, start_stack, stop_stack
from cixml.embedded.state import Home, load_kept
from cixml.embedded.status import read_status
from cixml.sample.server import sample_urls, serving
from resources.errors import ConfigurationError
from tests.folders import server_folder
from tests.stack import OUTSIDE, poll

SERVERS = ("postgres", "redis")


class Folder:
    """A state folder, driven as a user would drive it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cixml.main", *arguments]
        return subprocess.run(
            command,
            env=os.environ | {"CIXML_HOME": str(self.home.root)},
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
        )

    def up(self) -> bool:
        """Do what `cixml up` does, without starting an interpreter."""
        return start_stack(self.home, only=SERVERS)

    def down(self) -> bool:
        return stop_stack(self.home)

    def status(self) -> dict[str, Any]:
        """Return what `cixml status --json` prints, without starting it: tests ask often."""
        found: dict[str, Any] = json.loads(json.dumps(read_status(self.home).as_json()))
        return found

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.status()["redis_url"])


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    # Long enough that a unix socket inside it would not work.
    root = server_folder("cixml-") / ("a-rather-long-name-" * 6)
    root.parent.chmod(0o711)
    made = Folder(root)
    try:
        yield made
    finally:
        made.down()
        shutil.rmtree(root.parent, ignore_errors=True)


def test_the_servers_start_and_hold_what_they_promise(folder: Folder) -> None:
    shown = folder.run("up", "--detach", "--only", ",".join(SERVERS)).stdout
    assert "API docs" in shown
    found = json.loads(folder.run("status", "--json").stdout)
    assert found == folder.status()
    assert found["state"] == "running"
    with psycopg.connect(found["database_url"]) as connection:
        row = connection.execute(
            "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector'), rolsuper, rolcreaterole, "
            "current_setting('data_checksums'), (SELECT datlocale FROM pg_database WHERE datname = current_database()) "
            "FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row is not None
    assert tuple(map(int, row[0].split("."))) >= (0, 8, 4)
    assert row[1:] == (False, True, "on", "C.UTF-8")
    with folder.redis() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    unknown = found["redis_url"].replace(urlsplit(found["redis_url"]).password, "wrong")
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(unknown) as client:
        client.ping()


def test_a_killed_server_comes_back_and_is_counted(folder: Folder) -> None:
    folder.up()
    for name in ("redis", "postgres"):
        os.kill(folder.pids()[name], signal.SIGKILL)

    def restarts() -> bool:
        return {p["name"]: p["restarts"] for p in folder.status()["processes"]} == {"postgres": 1, "redis": 1}

    poll(restarts, "both to come back")
    url = folder.status()["database_url"]
    poll(lambda: _answers(url), "Postgres to recover")


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("victims", ["supervisor", "everything"])
def test_committed_rows_survive_kill_9_and_nothing_is_left_over(folder: Folder, victims: str) -> None:
    folder.up()
    found, pids = folder.status(), folder.pids()
    with psycopg.connect(found["database_url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for pid in [found["supervisor_pid"], *(pids.values() if victims == "everything" else ())]:
        os.kill(pid, signal.SIGKILL)
    poll(lambda: folder.status()["state"] == "stopped", "the supervisor's end")
    folder.up()
    assert folder.status()["database_url"] == found["database_url"], "addresses stay"
    with psycopg.connect(found["database_url"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert set(folder.pids().values()).isdisjoint(pids.values())
    folder.down()
    assert find_leftovers(folder.home) == []


def test_up_twice_changes_nothing_and_the_application_starts_again_without_the_servers(folder: Folder) -> None:
    assert restart_application(folder.home) is False
    start_stack(folder.home, only=(*SERVERS, "lifeline"))
    before, pids = folder.status(), folder.pids()
    assert folder.up() is False
    assert folder.status() == before
    assert restart_application(folder.home) is True
    assert {name for name, pid in folder.pids().items() if pid != pids[name]} == {"lifeline"}
    assert [process["restarts"] for process in folder.status()["processes"]] == [0, 0, 0]


def test_a_port_that_somebody_took_is_replaced(folder: Folder) -> None:
    folder.up()
    old = load_kept(folder.home).ports
    folder.down()
    with socket.create_server(("127.0.0.1", old["redis"])):
        folder.up()
        new = load_kept(folder.home).ports
    assert new["redis"] != old["redis"]
    assert {name: new[name] for name in new if name != "redis"} == {name: old[name] for name in old if name != "redis"}
    with folder.redis() as client:
        assert client.ping()


def test_two_stacks_stand_side_by_side(folder: Folder) -> None:
    other = Folder(folder.home.root.parent / "other")
    folder.up()
    try:
        other.up()
        assert set(folder.pids().values()).isdisjoint(other.pids().values())
        other.down()
        assert folder.status()["state"] == "running"
    finally:
        other.down()


def test_a_program_that_cannot_start_is_named_with_its_log(folder: Folder) -> None:
    folder.home.make_folders()
    (folder.home.postgres / "data").mkdir()
    (folder.home.postgres / "data" / "PG_VERSION").write_text("9.6\n")
    failed = folder.run("up", "--detach", "--only", ",".join(SERVERS), check=False)
    assert failed.returncode == 1
    assert "postgres" in failed.stderr
    assert folder.status()["state"] == "stopped"


def test_a_port_that_two_processes_would_take_is_refused(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIXML_PIPELINE__METRICS_PORT", "8083")
    with pytest.raises(ConfigurationError, match=r"CIXML_PIPELINE__METRICS_PORT is set.*Unset it"):
        folder.up()


def test_an_interrupted_initdb_is_done_again(folder: Folder) -> None:
    folder.home.make_folders()
    (folder.home.postgres / "data.partial").mkdir()
    (folder.home.postgres / "data.partial" / "PG_VERSION").write_text("18\n")
    folder.up()
    assert folder.status()["state"] == "running"


def test_the_sample_answers_like_a_real_site() -> None:
    with serving(0) as port:
        url = sample_urls(port)[0]
        with urllib.request.urlopen(url) as answer:
            etag, body = answer.headers["ETag"], answer.read()
        assert body.startswith(b"<?xml")
        with pytest.raises(HTTPError) as unchanged:
            urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": etag}))
        assert unchanged.value.code == 304
        unchanged.value.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/robots.txt") as answer:
            assert b"Allow: /" in answer.read()
