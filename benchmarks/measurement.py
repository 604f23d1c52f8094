"""The order of the figures on one stack. A figure that fails is a problem of its own: the others are still measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import alone, bulk, memory, one_page
from benchmarks.errors import NOT_MEASURED, BenchmarkError
from benchmarks.pages import Selection, select
from benchmarks.processes import MemoryPeaks
from benchmarks.product import MODEL, MODELS_FILE, Outcome, Product, keep_logs, running
from benchmarks.servers import Gpu, Server, embedding_server, page_server
from resources.embedding.registry import Model, load_registry
from resources.settings import PipelineSettings, Settings

FIGURES = ("one_page", "bulk", "memory", "again")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    pages: Path
    only: tuple[str, ...]
    runs: int
    warm_ups: int
    bulk: int
    gpu: Gpu
    host_concurrency: int | None
    timeout_seconds: float
    seed: int
    keep: bool


def measure_all(options: Options, result: Json) -> None:
    """Start everything, fill `result` figure by figure, stop everything."""
    model = load_registry(MODELS_FILE).get(MODEL)
    slots = PipelineSettings().worker_slots
    pages = select(options.pages, warm_up=slots, small=options.warm_ups + options.runs, bulk=options.bulk)
    result["pages"] = pages.facts()
    with (
        page_server(options.pages, keep=options.keep) as site,
        embedding_server(model, options.gpu, keep=options.keep) as gpu,
    ):
        print("starting the stack", file=sys.stderr)
        with running(site, gpu, host_concurrency=options.host_concurrency, keep=options.keep) as product:
            result["settings"] = _settings(Settings.load(), model, options.gpu)
            result["stack_start_s"] = round(product.started_seconds, 2)
            one_page.warm_up(product, site, pages.warm_up)
            _measure(product, site, gpu, pages, model, options, result)
            result["restarts"] = product.restarts()
            if options.keep:
                _say_what_runs(product, site, gpu)


def _settings(settings: Settings, model: Model, gpu: Gpu) -> Json:
    return {
        "gpu": {"tokens_per_second": gpu.tokens_per_second, "latency_ms": gpu.latency_ms},
        "model": {"id": model.id, "dimension": model.dimension},
        "chunking": {"max_tokens": model.chunk_max_tokens, "overlap_tokens": model.chunk_overlap_tokens},
        "host_concurrency": settings.fetch.host_concurrency,
        "hosts": 1,
        "worker_slots": settings.pipeline.worker_slots,
        "batch_items": settings.pipeline.batch_items,
        "extractor_processes": settings.extractor.processes or os.cpu_count(),
    }


def _measure(
    product: Product, site: Server, gpu: Server, pages: Selection, model: Model, options: Options, result: Json
) -> None:
    if "one_page" in options.only:
        with _problems(product, result, "one_page"):
            result["one_page"] = one_page.measure(
                product, site, gpu, pages.small, warm_ups=options.warm_ups, seed=options.seed
            )
    if set(options.only) == {"one_page"}:
        return
    peaks = MemoryPeaks(product.supervisor_pid(), product.groups())
    with _problems(product, result, "bulk, and what needs it"):
        result["bulk"], first = bulk.measure(
            product, site, gpu, options.gpu, pages.bulk, peaks, options.timeout_seconds
        )
        if "again" in options.only:
            with _problems(product, result, "again"):
                _again(product, site, gpu, pages, first, options, result)
        if "bulk" in options.only:
            with _problems(product, result, "extraction_alone"):
                _alone(pages, model, result["bulk"])
        if "memory" in options.only:
            with _problems(product, result, "memory"):
                result["memory"] = memory.report(peaks)


def _again(
    product: Product, site: Server, gpu: Server, pages: Selection, first: Outcome, options: Options, result: Json
) -> None:
    result["again"] = bulk.measure_again(product, site, gpu, pages.bulk, first, options.timeout_seconds)
    if texts := result["again"]["texts_at_embedding_server"]:
        raise BenchmarkError(f"{texts} texts were embedded again though no page had changed")


def _alone(pages: Selection, model: Model, figures: Json) -> None:
    """Measure the floor on the same stack, which is idle then."""
    print("extraction alone", file=sys.stderr)
    floor = alone.measure(pages.folder, pages.bulk, model, processes=os.cpu_count() or 1)
    figures["extraction_alone"] = floor
    figures["share_of_extraction_alone"] = round(figures["pages_a_s"] / floor["pages_a_s"], 3)


@contextmanager
def _problems(product: Product, result: Json, figure: str) -> Iterator[None]:
    """Turn a failure of one figure into a line of the result; the stack's logs may say more."""
    try:
        yield
    except NOT_MEASURED as error:
        result["problems"].append(f"{figure}: {error}")
        print(f"{figure}: {error}", file=sys.stderr)
        keep_logs(product.home)


def _say_what_runs(product: Product, site: Server, gpu: Server) -> None:
    home = product.home.root
    print(
        f"still running: CIXML_HOME={home} (stop it with 'cixml down'), "
        f"page server pid {site.pid}, embedding server pid {gpu.pid}",
        file=sys.stderr,
    )
