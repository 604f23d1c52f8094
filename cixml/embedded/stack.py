"""Start, stop and describe the embedded stack of one state folder."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import psutil

from cixml.embedded import leftovers, postgres, supervisor, valkey
from cixml.embedded.environment import (
    build_environment,
    child_environment,
    read_env_file,
    remote_servers,
    write_env_file,
)
from cixml.embedded.errors import StackError
from cixml.embedded.files import locked, write_atomically
from cixml.embedded.launch import pids_file
from cixml.embedded.migration import run_migrations
from cixml.embedded.processes import APPLICATION, NAMES, Program, postgres_program, python_programs, redis_program
from cixml.embedded.readiness import application_probes, has_lasted, wait_for_all
from cixml.embedded.state import Home, Kept, load_kept, save_kept, settle_ports, settle_sockets
from resources.embedding.registry import load_registry
from resources.errors import ConfigurationError
from resources.settings import PROJECT_ROOT, Settings

START_SECONDS = 120.0
_STOP_SECONDS = 60.0
Progress = Callable[[str], None]
Extra = Callable[[Kept], dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one start needs to know: the variables, the programs, and Postgres' folders if it is ours."""

    home: Home
    kept: Kept
    values: dict[str, str]
    programs: list[Program]
    folders: postgres.PostgresFolders | None


def start_stack(
    home: Home, *, only: Collection[str] = NAMES, extra: Extra | None = None, say: Progress = lambda _: None
) -> bool:
    """Start what does not run yet and wait until it is ready. Returns False when it already was.

    `only` limits the programs (tests and development); migrations run only when the application is among them.
    `extra` returns variables that need the settled ports.
    A failed start is stopped again, its logs stay. Raises StackError or ConfigurationError.
    """
    home.make_folders()
    with locked(home.lock_file):
        if supervisor.living_supervisor(home):
            if home.ready_file.exists() and supervisor.knows(home, set(only) - remote_servers()):
                return False
            _stop(home)  # a start that was interrupted, or one of a part
        leftovers.stop_leftovers(home)
        plan = _prepare(home, only, extra)
        try:
            _bring_up(plan, say)
        except BaseException:  # Ctrl-C too: nothing half started stays
            _stop(home)
            raise
        write_atomically(home.ready_file, f"{time.time()}\n")
    return True


def _prepare(home: Home, only: Collection[str], extra: Extra | None) -> Plan:
    """Settle ports, sockets and variables, and write every file the programs read."""
    home.ready_file.unlink(missing_ok=True)
    kept = settle_sockets(settle_ports(load_kept(home)))
    save_kept(home, kept)
    values = build_environment(home, kept) | (extra(kept) if extra else {})
    write_env_file(home, values)
    settings = Settings.load()
    # Said here, in one line: each process would say it in its own log.
    if settings.pipeline.metrics_port:
        raise ConfigurationError(
            "CIXML_PIPELINE__METRICS_PORT is set: worker and lifeline would both take that port, and here the API "
            "tells for all processes (metrics_url of 'cixml status --json'). Unset it"
        )
    load_registry(settings.embedding.models_file).serving(values.get("EMBEDDING_MODEL", settings.embedding_model))
    shutil.rmtree(home.metrics, ignore_errors=True)
    home.metrics.mkdir(mode=0o700)
    instance = PROJECT_ROOT / "dagster.yaml"
    if instance.exists():
        shutil.copyfile(instance, home.dagster / "dagster.yaml")
    remote = remote_servers()
    wanted = set(only) - remote
    folders = postgres.locate(home, kept) if "postgres" in wanted else None
    if folders:
        postgres.prepare_data(folders, kept)
    programs = _programs(home, kept, values, folders)
    return Plan(
        home=home,
        kept=kept,
        values=values,
        programs=[program for program in programs if program.name in wanted],
        folders=folders,
    )


def _programs(
    home: Home, kept: Kept, values: Mapping[str, str], folders: postgres.PostgresFolders | None
) -> list[Program]:
    programs = [postgres_program(folders)] if folders else []
    programs.append(redis_program(valkey.write_configuration(home, kept)))
    return programs + python_programs(values)


def _bring_up(plan: Plan, say: Progress) -> None:
    """Start in tiers: servers, then migrations, then what works on them."""
    configuration = supervisor.write_configuration(plan.home, _sockets(plan.kept), plan.programs)
    supervisor.start(plan.home, configuration, child_environment(plan.values))
    control = supervisor.Control(_sockets(plan.kept))
    wait_for_all(plan.home, {"supervisord": control.is_up}, timeout_seconds=START_SECONDS, say=say)
    probes = _probes(plan)
    infrastructure = [program.name for program in plan.programs if program.name not in APPLICATION]
    application = [program.name for program in plan.programs if program.name in APPLICATION]
    _start_and_wait(plan, control, infrastructure, probes, say)
    if plan.folders:
        postgres.bootstrap(plan.folders, plan.kept)
    if application:
        say("migrate")
        run_migrations(plan.home)
        _start_and_wait(plan, control, application, probes, say)


def _start_and_wait(
    plan: Plan, control: supervisor.Control, names: list[str], probes: Mapping[str, Callable[[], bool]], say: Progress
) -> None:
    for name in names:
        control.start(name)
    wait_for_all(plan.home, {name: probes[name] for name in names}, timeout_seconds=START_SECONDS, say=say)


def restart_application(home: Home, *, say: Progress = lambda _: None) -> bool:
    """Let a running stack read the models file anew: migrate, then start its application again, the API by itself.

    Runs end or are given back, jobs wait for seconds. Returns False when no stack runs here. Raises StackError.
    """
    with locked(home.lock_file):
        if not supervisor.living_supervisor(home):
            return False
        values, control = read_env_file(home), supervisor.Control(_sockets(load_kept(home)))
        say("migrate")
        run_migrations(home)
        running = [state.name for state in control.states(home) if state.name in APPLICATION]
        for names in (running[:1], running[1:]):  # the API is gone for the shortest time alone
            probes = {name: _start_again(home, control, name, values) for name in names}
            wait_for_all(home, probes, timeout_seconds=START_SECONDS, say=say)
    return True


def _start_again(home: Home, control: supervisor.Control, name: str, values: Mapping[str, str]) -> Callable[[], bool]:
    """Stop a program and start it; return what tells that it is ready."""
    control.stop_and_wait(name)
    is_ready = _application_probes(home, values)[name]
    pids_file(home.run, name).unlink(missing_ok=True)  # this was no death to be counted
    control.start(name)
    return is_ready


def _application_probes(home: Home, values: Mapping[str, str]) -> dict[str, Callable[[], bool]]:
    """Return what tells that a program is ready that starts from now on."""
    began = time.time()
    probes: dict[str, Callable[[], bool]] = {name: partial(has_lasted, home, name) for name in NAMES}
    probes |= application_probes(values)
    probes["worker"] = lambda: postgres.live_workers(values["DATABASE_URL"], since=began) > 0
    return probes


def _probes(plan: Plan) -> dict[str, Callable[[], bool]]:
    folders, kept, probes = plan.folders, plan.kept, _application_probes(plan.home, plan.values)
    probes["redis"] = lambda: valkey.is_ready(kept.ports["redis"], kept.redis_password)
    if folders:
        probes["postgres"] = lambda: postgres.is_ready(folders, kept)
    return probes


def stay(home: Home, *, stops_at_end: bool = True) -> None:
    """Wait until SIGINT or SIGTERM, then stop the stack. Raises StackError if its supervisor dies meanwhile."""
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(timeout=1.0):
        if supervisor.living_supervisor(home) is None:
            was_stopped = not home.ready_file.exists()  # by 'cixml down' elsewhere
            _stop(home)
            if was_stopped:
                return
            raise StackError("the supervisor died; the processes it left were stopped: start again with 'cixml up'")
    if stops_at_end:
        _stop(home)


def stop_stack(home: Home) -> bool:
    """Stop everything that belongs to this folder. Returns False when nothing ran."""
    if not home.run.exists():
        return False
    return _stop(home)


def _stop(home: Home) -> bool:
    """Stop the application at once, then the servers it stands on, then what a dead supervisor left behind."""
    home.ready_file.unlink(missing_ok=True)
    pid = supervisor.living_supervisor(home)
    if pid:
        try:
            _shut_down(home, pid)
        except OSError:  # it does not listen (yet, or any more): the sweep below ends it
            psutil.Process(pid).terminate()
    swept = leftovers.stop_leftovers(home)
    home.supervisor_file.unlink(missing_ok=True)
    if sockets := load_kept(home).sockets:
        shutil.rmtree(sockets, ignore_errors=True)  # outside the state folder: nobody else would remove it
    return bool(pid or swept)


def _shut_down(home: Home, pid: int) -> None:
    control = supervisor.Control(_sockets(load_kept(home)))
    for state in control.states(home):
        if state.name in APPLICATION and state.pid:
            control.stop(state.name)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline and any(s.pid for s in control.states(home) if s.name in APPLICATION):
        time.sleep(0.1)
    control.shutdown()
    while time.monotonic() < deadline and supervisor.living_supervisor(home) == pid:
        time.sleep(0.05)
    supervisor.reap()


def _sockets(kept: Kept) -> Path:
    if kept.sockets is None:
        raise StackError("the state folder has no socket folder: run 'cixml up'")
    return kept.sockets
