"""Everything that is counted, at one moment; figures are differences of two, or sums of such differences."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.processes import cpu_seconds, machine_cpu_seconds
from benchmarks.servers import Server
from benchmarks.system import Json, System

_SITE = ("fetches", "200", "304", "404", "bytes", "robots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """CPU seconds by process, and what the two servers counted: so far, or between two moments.

    `cpu` is that of the system's processes, `beside` that of page server, mock GPU and the benchmark itself.
    """

    cpu: Mapping[str, float]
    beside: Mapping[str, float]
    machine_cpu: float
    site: Mapping[str, float]
    gpu: Mapping[str, float]

    @classmethod
    def read(cls, system: System, site: Server, gpu: Server) -> Counters:
        servers = cpu_seconds({"page_server": site.pid, "embedding_server": gpu.pid})
        return cls(
            cpu=cpu_seconds(system.groups()),
            beside=servers | {"benchmark": time.process_time()},
            machine_cpu=machine_cpu_seconds(),
            site=_numbers(site.stats()),
            gpu=_numbers(gpu.stats()),
        )

    def since(self, before: Counters) -> Counters:
        return self._joined(before, -1)

    def plus(self, other: Counters) -> Counters:
        return self._joined(other, 1)

    def _joined(self, other: Counters, sign: int) -> Counters:
        return Counters(
            cpu=_joined(self.cpu, other.cpu, sign),
            beside=_joined(self.beside, other.beside, sign),
            machine_cpu=self.machine_cpu + sign * other.machine_cpu,
            site=_joined(self.site, other.site, sign),
            gpu=_joined(self.gpu, other.gpu, sign),
        )

    def cpu_report(self, *, per: int) -> Json:
        """Return CPU ms a page (or job) by process. `others_s`: used by what has no part in the measurement."""
        used = sum(self.cpu.values())
        return {
            "ms_each": {name: round(1000 * value / per, 2) for name, value in self.cpu.items()},
            "ms_each_all": round(1000 * used / per, 2),
            "seconds_all": round(used, 2),
            "beside_s": {name: round(value, 2) for name, value in self.beside.items()},
            "others_s": round(max(0.0, self.machine_cpu - used - sum(self.beside.values())), 2),
        }

    def site_report(self) -> dict[str, int]:
        return {name: int(self.site.get(name, 0)) for name in _SITE}


def _numbers(stats: Mapping[str, object]) -> dict[str, float]:
    return {name: value for name, value in stats.items() if isinstance(value, int | float)}


def _joined(one: Mapping[str, float], other: Mapping[str, float], sign: int) -> dict[str, float]:
    return {name: one.get(name, 0) + sign * other.get(name, 0) for name in {**one, **other}}
