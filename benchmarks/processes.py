"""CPU and memory of the product's processes, by the names `cixml status` gives them.

CPU of children that ended is in the counters of the parent that waited for them, so a difference of two looks misses
nothing but a program that the supervisor restarted in between.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.errors import BenchmarkError

SAMPLE_SECONDS = 0.5
_KIB_PER_MB = 1024


def trees(roots: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Return each root process with its descendants that live now. One look at the process table: it costs CPU."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    known: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["ppid"]):
        known[process.pid] = process
        children[process.info["ppid"]].append(process)
    return {name: list(_below(pid, known, children)) for name, pid in roots.items()}


def _below(
    pid: int, known: Mapping[int, psutil.Process], children: Mapping[int, list[psutil.Process]]
) -> Iterator[psutil.Process]:
    if pid in known:
        yield known[pid]
    for child in children.get(pid, ()):
        yield from _below(child.pid, known, children)


def cpu_seconds(groups: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU time each group's processes have used so far, ended children included."""
    return {name: sum(_cpu(process) for process in processes) for name, processes in trees(groups).items()}


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def machine_cpu_seconds() -> float:
    """Return the CPU time that the whole machine has spent on anything."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size: shared memory counts in parts. 0 for one that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    except OSError as error:
        raise BenchmarkError(f"the memory of process {pid} can't be read: {error}") from error
    return next((int(line.split()[1]) / _KIB_PER_MB for line in lines if line.startswith("Pss:")), 0.0)


class MemoryPeaks:
    """The highest memory seen. Groups peak at different times: `total` is the highest sum at one time."""

    def __init__(self, supervisor: int, groups: Mapping[str, int]) -> None:
        self._supervisor = supervisor
        self._groups = groups
        self.samples = 0
        self.total = 0.0
        self.group: dict[str, float] = defaultdict(float)
        self.worker_child = 0.0
        self.error: Exception | None = None

    def look(self) -> None:
        """Add one sample of every process."""
        sums = {"supervisor": pss_mb(self._supervisor)}
        for name, processes in trees(self._groups).items():
            sizes = {process.pid: pss_mb(process.pid) for process in processes}
            sums[name] = sum(sizes.values())
            if name == "worker":
                self.worker_child = max(
                    [self.worker_child, *(size for pid, size in sizes.items() if pid != self._groups[name])]
                )
        for name, size in sums.items():
            self.group[name] = max(self.group[name], size)
        self.total = max(self.total, sum(sums.values()))
        self.samples += 1

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Look twice a second from a thread while the block runs."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._keep_looking, args=(is_over,), name="memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _keep_looking(self, is_over: threading.Event) -> None:
        try:
            self.look()
            while not is_over.wait(SAMPLE_SECONDS):
                self.look()
        except (BenchmarkError, psutil.Error) as error:
            self.error = error
