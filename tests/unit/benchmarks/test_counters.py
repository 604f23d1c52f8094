from __future__ import annotations

from benchmarks.counters import Counters


def _counters(cpu: dict[str, float], *, machine: float) -> Counters:
    return Counters(cpu=cpu, beside={"benchmark": 1.0}, machine_cpu=machine, site={"fetches": 3}, gpu={"texts": 5})


def test_a_process_that_was_not_there_before_counts_whole() -> None:
    used = _counters({"api": 3.0, "worker": 2.0}, machine=9.0).since(_counters({"api": 1.0}, machine=1.0))
    assert used.cpu == {"api": 2.0, "worker": 2.0}
    assert used.machine_cpu == 8.0
    assert used.gpu == {"texts": 0}


def test_parts_of_a_measurement_add_up() -> None:
    used = _counters({"api": 1.0}, machine=4.0).plus(_counters({"api": 2.0}, machine=5.0))
    report = used.cpu_report(per=10)
    assert report["ms_each"] == {"api": 300.0}
    assert report["others_s"] == 4.0  # 9 of the machine, less 3 of the system and 2 of the benchmark
    assert used.site_report()["fetches"] == 6
