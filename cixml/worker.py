"""`python -m cixml.worker`: a worker with an extractor of its own, as a container or another machine runs them.

They live and die together: when one ends the other is ended, and who supervises this process starts both again. SIGTERM
goes to the worker alone, whose runs end or give back what they have not done; they need the extractor until then.
Arguments are the worker's: `--queues ingest --slots 4`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

EXTRACTOR = (sys.executable, "-m", "cixml_assets.extractor")
WORKER = (sys.executable, "-m", "resources.orchestration.worker")
EXTRACTOR_DIED = 70


def run(worker: Sequence[str], extractor: Sequence[str]) -> int:
    """Run both until SIGTERM, SIGINT, or the end of one. Returns the worker's exit code; 70 when the
    extractor ended first. A worker that was killed counts as 128 + the signal, as in a shell.
    """
    working: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        for process in working:
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with subprocess.Popen(extractor, start_new_session=True) as beside:  # Ctrl-C reaches it through us alone
        try:
            working.append(subprocess.Popen(worker, start_new_session=True))
            first = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # it stays to be waited for by its own object
            stop()
            code = working[0].wait()
        finally:
            beside.terminate()
    if first is not None and first.si_pid == beside.pid:
        return EXTRACTOR_DIED
    return 128 - code if code < 0 else code


def main() -> int:
    return run([*WORKER, *sys.argv[1:]], EXTRACTOR)


if __name__ == "__main__":
    sys.exit(main())
