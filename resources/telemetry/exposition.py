"""The text that GET /metrics answers: what several processes counted, and gauges of state.

prometheus_client keeps the numbers of each process in files of a folder, and decides on that **when it is imported**,
by the environment variable PROMETHEUS_MULTIPROC_DIR. So whoever starts the processes sets it before Python starts, to
one folder for all that share an answer; setting it later has no effect. Without it a process counts for itself.

A process is over, what it counted is not: the files of processes that are gone are added up into one, so their number
does not grow with every worker's child. One process alone reads a folder, and adds up before it reads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

NOBODY = 0
"""Stands where the process id is in the name of a file that holds what dead processes counted."""


class _OwnProcess(Collector):
    """What this process counted."""

    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()


class _Folder(Collector):
    """What all processes of the folder counted, those that are gone too."""

    def __init__(self) -> None:
        self._files = MultiProcessCollector(None)  # type: ignore[no-untyped-call]  # has no annotations
        self._folder = Path(self._files._path)  # it reads the variable itself
        self._turn = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        with self._turn:
            add_up_dead(self._folder)
            found: Iterable[Metric] = self._files.collect()  # type: ignore[no-untyped-call]  # has no annotations
            return found


def build_registry(*state: Collector) -> CollectorRegistry:
    """Return what GET /metrics answers from: the counters of all processes (or of this one) and the given gauges."""
    registry = CollectorRegistry()
    registry.register(_Folder() if is_multiprocess() else _OwnProcess())
    for collector in state:
        registry.register(collector)
    return registry


def is_multiprocess() -> bool:
    """Return whether prometheus_client found the folder when it was imported."""
    return values.ValueClass is not values.MutexValue


def exposition(registry: CollectorRegistry) -> bytes:
    """Return the body of GET /metrics in the text format; its type is `prometheus_client.CONTENT_TYPE_LATEST`."""
    return generate_latest(registry)


def add_up_dead(folder: Path) -> None:
    """Add what processes counted that are gone to one file for each kind of metric, and remove theirs.

    Killed anywhere, it counts each file once. Sums have a generation in their name. A dead process's file is renamed to
    one that waits for the next generation; that one appears by a rename, with all of them in it; and what waited for a
    generation that is there has been counted, and goes.
    """
    for kind in ("counter", "histogram"):
        generation = _last_generation(folder, kind)
        _remove_counted(folder, kind, generation)
        for path in folder.glob(f"{kind}_*.db"):
            owner = path.stem.rpartition("_")[2]
            waiting = path.with_suffix(f".{generation + 1}.dead")
            if owner.isdecimal() and _is_dead(int(owner)) and not waiting.exists():
                path.rename(waiting)
        dead = list(folder.glob(f"{kind}_*.{generation + 1}.dead"))
        if dead:
            fresh = folder / f"{kind}.new"
            fresh.unlink(missing_ok=True)
            _add_up([_sums(folder, kind, generation), *dead], fresh)
            fresh.rename(_sums(folder, kind, generation + 1))
            _remove_counted(folder, kind, generation + 1)


def _sums(folder: Path, kind: str, generation: int) -> Path:
    return folder / f"{kind}_{NOBODY}-{generation}.db"


def _last_generation(folder: Path, kind: str) -> int:
    found = (int(path.stem.rpartition("-")[2]) for path in folder.glob(f"{kind}_{NOBODY}-*.db"))
    return max(found, default=0)


def _remove_counted(folder: Path, kind: str, generation: int) -> None:
    """Remove what is in the sums of this generation: the sums before, and the files that waited for it."""
    for path in folder.glob(f"{kind}_{NOBODY}-*.db"):
        if path != _sums(folder, kind, generation):
            path.unlink()
    for path in folder.glob(f"{kind}_*.dead"):
        if int(path.suffixes[0][1:]) <= generation:
            path.unlink()


def _add_up(paths: Iterable[Path], target: Path) -> None:
    sums = MmapedDict(str(target))  # type: ignore[no-untyped-call]  # has no annotations, here and below
    for path in paths:
        if path.exists() and path.stat().st_size:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
                sums.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
