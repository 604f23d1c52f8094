"""What supervisord is told, and how restarts are counted and slowed."""

from __future__ import annotations

import json
import os
import time
from configparser import RawConfigParser
from pathlib import Path

import psutil
import pytest

from cixml.embedded import supervisor
from cixml.embedded.environment import build_environment
from cixml.embedded.launch import pids_file, restart_delay
from cixml.embedded.leftovers import find_leftovers
from cixml.embedded.processes import NAMES, Program, python_programs
from cixml.embedded.state import PORT_NAMES, Home, Kept
from cixml.embedded.status import StackState, read_status


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "with space")
    made.make_folders()
    return made


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(ports={name: 20_000 + number for number, name in enumerate(PORT_NAMES)}, sockets=tmp_path)


def _configuration(home: Home, kept: Kept) -> tuple[str, list[Program]]:
    programs = python_programs(build_environment(home, kept, {}))
    assert kept.sockets is not None
    return supervisor.write_configuration(home, kept.sockets, programs).read_text(), programs


def test_the_names_are_the_ones_scripts_rely_on() -> None:
    assert set(NAMES) == {
        *("postgres", "redis", "embedding", "api", "webserver", "daemon", "code_server", "lifeline"),
        *("extractor", "worker"),
    }


def test_every_program_comes_back_whatever_it_did(home: Home, kept: Kept) -> None:
    text, programs = _configuration(home, kept)
    parser = RawConfigParser()
    parser.read_string(text)
    for program in programs:
        section = parser[f"program:{program.name}"]
        assert (section["autorestart"], section["startsecs"], section["autostart"]) == ("true", "0", "false")
        assert section["killasgroup"] == "true"


def test_no_secret_stands_in_a_command_or_the_configuration(home: Home, kept: Kept) -> None:
    text, _ = _configuration(home, kept)
    records = (home.run / "programs.json").read_text()
    secrets = [value for value in kept.model_dump().values() if isinstance(value, str)]
    assert not [secret for secret in secrets if secret in text or secret in records]
    assert set(json.loads(records)) == set(NAMES) - {"postgres", "redis"}


def test_restarts_are_the_starts_after_the_first(home: Home, kept: Kept) -> None:
    assert supervisor.count_restarts(home, "api") == 0
    pids_file(home.run, "api").write_text("11 1.0\n12 2.0\n13 3.0\n")
    assert supervisor.count_restarts(home, "api") == 2
    _configuration(home, kept)
    assert supervisor.count_restarts(home, "api") == 0, "a new supervisor counts anew"


def test_a_program_that_keeps_dying_is_slowed_down_but_never_given_up() -> None:
    now = 1_000.0
    assert restart_delay([now - 1, now - 2], now) == 0
    assert restart_delay([now - 1] * 3, now) == 0.5
    assert restart_delay([now - 1] * 50, now) == 8
    assert restart_delay([now - 300] * 50, now) == 0


def test_a_pid_that_others_took_over_is_no_leftover(home: Home) -> None:
    born = psutil.Process().create_time()
    pids_file(home.run, "redis").write_text(f"{os.getpid()} {born - 1_000:.3f}\n")
    assert find_leftovers(home) == []
    pids_file(home.run, "redis").write_text(f"{os.getpid()} {born:.3f}\n")
    assert [process.pid for process in find_leftovers(home)] == [os.getpid()]


def test_a_pid_file_of_another_process_is_no_supervisor(home: Home) -> None:
    home.supervisor_file.write_text(f"{os.getpid()}\n")
    assert supervisor.living_supervisor(home) is None
    home.ready_file.write_text(str(time.time()))
    assert read_status(home).state is StackState.STOPPED
