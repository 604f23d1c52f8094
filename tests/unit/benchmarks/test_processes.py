from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.processes import trees


def test_a_root_below_another_root_has_its_processes_to_itself() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = trees({"all": os.getpid(), "child": child.pid})
        assert child.pid not in {process.pid for process in found["all"]}
        assert [process.pid for process in found["child"]] == [child.pid]
        assert child.pid in {process.pid for process in trees({"all": os.getpid()})["all"]}
        child.communicate(b"\n")
