"""What a span costs: `python -m benchmarks.spans` prints CPU microseconds without traces and into a file, as JSON."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from resources.settings import Settings, TelemetrySettings
from resources.telemetry import attributes, tracing
from resources.telemetry.trace_export import ProcessTraces

SPANS = 5000
ROUNDS = 3
KNOWN = {
    attributes.JOB_ID: "job_01a20f3fd9a87df1b677c4ec317e6943",
    attributes.JOB_URL: "https://www.example.com/docs/page.html",
    attributes.JOB_STAGE: "scrape",
    attributes.CORPUS_NAME: "docs",
    attributes.OPERATION: attributes.WRITE,
    attributes.REQUEST_MODE: attributes.ASYNC,
}


def microseconds() -> float:
    """Return the CPU of one page's span with its event: the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(SPANS):
            with tracing.span("scrape page", KNOWN):
                tracing.event(attributes.TURN_EVENT)
        found.append((time.process_time() - started) / SPANS * 1e6)
    return round(min(found), 1)


def main() -> None:
    result = {"none": microseconds()}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(home=Path(folder), telemetry=TelemetrySettings(traces="files", version="benchmark"))
        traces = ProcessTraces(settings, "cixml-benchmark")
        tracing.use(traces)
        result["files"] = microseconds()
        tracing.use(None)
        traces.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
