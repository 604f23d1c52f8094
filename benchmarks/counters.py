"""Everything that is counted, at one moment; figures are differences of two."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import cpu_seconds, machine_cpu_seconds
from benchmarks.product import Product
from benchmarks.servers import Server

Json = dict[str, Any]
_SITE = ("fetches", "200", "304", "404", "bytes", "robots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """CPU seconds by process, and what the two servers counted."""

    cpu: Mapping[str, float]
    servers_cpu: Mapping[str, float]
    machine_cpu: float
    own_cpu: float
    site: Mapping[str, Any]
    gpu: Mapping[str, Any]

    @classmethod
    def read(cls, product: Product, site: Server, gpu: Server) -> Counters:
        return cls(
            cpu=cpu_seconds(product.groups()),
            servers_cpu=cpu_seconds({"page_server": site.pid, "embedding_server": gpu.pid}),
            machine_cpu=machine_cpu_seconds(),
            own_cpu=time.process_time(),
            site=site.stats(),
            gpu=gpu.stats(),
        )

    def cpu_since(self, before: Counters, *, per: int) -> Json:
        """Return CPU ms a page (or job) by process. `others_s`: used by what has no part in the measurement."""
        used = {name: value - before.cpu.get(name, 0.0) for name, value in self.cpu.items()}
        beside = {name: value - before.servers_cpu[name] for name, value in self.servers_cpu.items()}
        own = self.own_cpu - before.own_cpu
        others = self.machine_cpu - before.machine_cpu - sum(used.values()) - sum(beside.values()) - own
        return {
            "ms_each": {name: round(1000 * value / per, 2) for name, value in used.items()},
            "ms_each_all": round(1000 * sum(used.values()) / per, 2),
            "seconds_all": round(sum(used.values()), 2),
            "servers_s": {name: round(value, 2) for name, value in beside.items()},
            "benchmark_s": round(own, 2),
            "others_s": round(max(0.0, others), 2),
        }

    def site_since(self, before: Counters) -> dict[str, int]:
        return {name: int(self.site.get(name, 0) - before.site.get(name, 0)) for name in _SITE}

    def gpu_since(self, before: Counters, name: str) -> int:
        return int(self.gpu[name] - before.gpu[name])
