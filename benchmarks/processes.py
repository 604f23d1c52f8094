"""CPU and memory of a system's processes, by their names: for the product, those of `cixml status`.

CPU of children that ended is in the counters of the parent that waited for them, so a difference of two looks misses
nothing but a program that the supervisor restarted in between.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.errors import BenchmarkError

SAMPLE_SECONDS = 2.0  # the kernel walks every page table for a sample: about 0.1 s of CPU for 80 processes
_KIB_PER_MB = 1024


def trees(roots: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Return each root process with its descendants that live now, but not another root's."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    known: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["ppid"]):
        known[process.pid] = process
        children[process.info["ppid"]].append(process)
    of_others = set(roots.values())
    return {name: list(_below(pid, known, children, of_others)) for name, pid in roots.items()}


def _below(
    pid: int,
    known: Mapping[int, psutil.Process],
    children: Mapping[int, list[psutil.Process]],
    of_others: Collection[int],
) -> Iterator[psutil.Process]:
    if pid in known:
        yield known[pid]
    for child in children.get(pid, ()):
        if child.pid not in of_others:
            yield from _below(child.pid, known, children, of_others)


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

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = roots
        self.samples = 0
        self.cpu_seconds = 0.0
        self.total = 0.0
        self.group: dict[str, float] = defaultdict(float)
        self.largest_child: dict[str, float] = defaultdict(float)
        self.error: Exception | None = None

    def look(self) -> None:
        """Add one sample of every process."""
        begun = time.thread_time()
        sums: dict[str, float] = {}
        for name, processes in trees(self._roots).items():
            sizes = {process.pid: pss_mb(process.pid) for process in processes}
            sums[name] = sum(sizes.values())
            children = (size for pid, size in sizes.items() if pid != self._roots[name])
            self.largest_child[name] = max([self.largest_child[name], *children])
        for name, size in sums.items():
            self.group[name] = max(self.group[name], size)
        self.total = max(self.total, sum(sums.values()))
        self.samples += 1
        self.cpu_seconds += time.thread_time() - begun

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Look every SAMPLE_SECONDS from a thread while the block runs, and once at its end."""
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
            while not is_over.wait(SAMPLE_SECONDS):
                self.look()
            self.look()
        except (BenchmarkError, psutil.Error) as error:
            self.error = error
