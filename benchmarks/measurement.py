"""The order of the figures. A figure that fails is a problem of its own: the others are still measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import alone, bulk, connections, fairness, memory, one_page, reembed, search, tiny_jobs
from benchmarks.comparison import compare, table
from benchmarks.errors import NOT_MEASURED, BenchmarkError
from benchmarks.pages import Selection, select
from benchmarks.processes import MemoryPeaks
from benchmarks.product import ANOTHER_MODEL, MODEL, MODELS_FILE, Product, keep_logs, prepare
from benchmarks.product import running as product_running
from benchmarks.servers import Gpu, Server, Site, embedding_server, page_server
from benchmarks.system import Json, Outcome, System
from benchmarks.yardstick.stack import WORKERS, Yardstick
from benchmarks.yardstick.stack import running as yardstick_running
from cixml.embedded.state import Home
from resources.embedding.registry import Model, load_registry
from resources.settings import PipelineSettings, Settings

FIGURES = ("one_page", "bulk", "memory", "search", "again", "reembed", "connections", "tiny_jobs", "fairness")
_OF_BULK = frozenset({"bulk", "memory", "search", "again", "reembed"})  # these need the bulk corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    pages: Path
    only: tuple[str, ...]
    yardstick: bool
    runs: int
    warm_ups: int
    bulk: int
    searches: int
    tiny_jobs: int
    slow_pages: int
    hosts: int
    gpu: Gpu
    host_concurrency: int | None
    timeout_seconds: float
    seed: int
    keep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every figure needs."""

    options: Options
    model: Model
    pages: Selection
    site: Site
    gpu: Server
    result: Json


def measure_all(options: Options, result: Json) -> None:
    """Start everything, fill `result` figure by figure, stop everything."""
    model = load_registry(MODELS_FILE).get(MODEL)
    pages = select(options.pages, warm_up=_warm_ups(), small=options.warm_ups + options.runs, bulk=options.bulk)
    result["pages"] = pages.facts()
    with ExitStack() as servers:
        site = servers.enter_context(page_server(options.pages, options.hosts, keep=options.keep))
        gpu = servers.enter_context(embedding_server(model, options.gpu, keep=options.keep, also=ANOTHER_MODEL))
        home = prepare(site, gpu, host_concurrency=options.host_concurrency)
        result["settings"] = _settings(Settings.load(), model, options)
        bench = Bench(options=options, model=model, pages=pages, site=site, gpu=gpu, result=result)
        if options.yardstick:
            print("starting the yardstick", file=sys.stderr)
            yardstick = servers.enter_context(yardstick_running(gpu, MODEL, MODELS_FILE))
            one_page.warm_up(yardstick, site, pages.warm_up)
            result["yardstick"] = {"stack_start_s": round(yardstick.started_seconds, 2)}
            _measure_product(bench, home, yardstick)
            _measure_yardstick(bench, yardstick)
            result["comparison"] = compare(result, result["yardstick"])
            print(table(result["comparison"]), file=sys.stderr)
        else:
            _measure_product(bench, home, None)


def _warm_ups() -> int:
    """Return as many pages as the busier system has children that must each have worked once."""
    return max(PipelineSettings().worker_slots, *(children for _, children in WORKERS.values()))


def _settings(settings: Settings, model: Model, options: Options) -> Json:
    return {
        "gpu": {"tokens_per_second": options.gpu.tokens_per_second, "latency_ms": options.gpu.latency_ms},
        "model": {"id": model.id, "dimension": model.dimension},
        "chunking": {"max_tokens": model.chunk_max_tokens, "overlap_tokens": model.chunk_overlap_tokens},
        "hosts": options.hosts,
        "host_concurrency": settings.fetch.host_concurrency,
        "worker_slots": settings.pipeline.worker_slots,
        "batch_items": settings.pipeline.batch_items,
        "extractor_processes": settings.extractor.processes or os.cpu_count(),
        "yardstick_children": {queue: children for queue, (_, children) in WORKERS.items()},
    }


def _measure_product(bench: Bench, home: Home, yardstick: Yardstick | None) -> None:
    """Measure all of the product, and what the yardstick takes turns with. The product is stopped at the end."""
    options, result = bench.options, bench.result
    print("starting the stack", file=sys.stderr)
    with product_running(home, keep=options.keep) as product:
        result["stack_start_s"] = round(product.started_seconds, 2)
        one_page.warm_up(product, bench.site, bench.pages.warm_up)
        if "one_page" in options.only:
            with _problems(bench, home, "one_page"):
                _one_page(bench, product, yardstick)
        roots = {"supervisor": product.supervisor_pid(), **product.groups()}
        _measure_bulk(bench, product, roots, home, result)
        _measure_small(bench, product, home)
        result["restarts"] = product.restarts()
        if options.keep:
            _say_what_runs(bench, home)


def _one_page(bench: Bench, product: Product, yardstick: Yardstick | None) -> None:
    systems: list[System] = [product, yardstick] if yardstick else [product]
    found = one_page.measure(
        systems,
        bench.site,
        bench.gpu,
        bench.pages.small,
        warm_ups=bench.options.warm_ups,
        seed=bench.options.seed,
    )
    bench.result["one_page"] = found[product.name]
    if yardstick:
        bench.result["yardstick"]["one_page"] = found[yardstick.name]


def _measure_bulk(bench: Bench, system: System, roots: Mapping[str, int], home: Home, result: Json) -> None:
    """Measure what has to do with the bulk corpus, into `result`."""
    options = bench.options
    if not _OF_BULK & set(options.only):
        return
    peaks = MemoryPeaks(roots)
    with _problems(bench, home, f"{system.name}: bulk, and what needs it"):
        result["bulk"], first = bulk.measure(
            system, bench.site, bench.gpu, options.gpu, bench.pages.bulk, peaks, options.timeout_seconds
        )
        if "search" in options.only:
            with _problems(bench, home, f"{system.name}: search"):
                result["search"] = search.measure(system, bench.site, bench.gpu, options.searches)
                if isinstance(system, Product):
                    for mode in ("keyword", "hybrid"):
                        asked = search.measure_mode(system, bench.site, bench.gpu, options.searches, mode)
                        result[f"search_{mode}"] = asked
        if "again" in options.only:
            with _problems(bench, home, f"{system.name}: again"):
                _again(bench, system, first, result)
        if "reembed" in options.only and isinstance(system, Product):
            with _problems(bench, home, "reembed"):
                result["reembed"] = reembed.measure(
                    system, bench.site, bench.gpu, options.gpu, timeout=options.timeout_seconds
                )
        if "memory" in options.only:
            with _problems(bench, home, f"{system.name}: memory"):
                result["memory"] = memory.report(peaks)


def _again(bench: Bench, system: System, first: Outcome, result: Json) -> None:
    result["again"] = bulk.measure_again(
        system, bench.site, bench.gpu, bench.pages.bulk, first, bench.options.timeout_seconds
    )
    if isinstance(system, Product) and (texts := result["again"]["texts_at_embedding_server"]):
        raise BenchmarkError(f"{texts} texts were embedded again though no page had changed")


def _measure_small(bench: Bench, product: Product, home: Home) -> None:
    """Measure what needs no bulk corpus, or an idle stack."""
    options, result = bench.options, bench.result
    if "bulk" in result and "bulk" in options.only:
        with _problems(bench, home, "extraction_alone"):
            _alone(bench)
    if "memory" in result:
        with _problems(bench, home, "local_model_alone"):
            result["memory"]["local_model_alone"] = memory.local_model()
    if "connections" in options.only:
        with _problems(bench, home, "connections"):
            result["connections"] = connections.measure(product, bench.site)
    if "tiny_jobs" in options.only:
        with _problems(bench, home, "tiny_jobs"):
            result["tiny_jobs"] = _tiny_jobs(bench, product)
    if "fairness" in options.only:
        with _problems(bench, home, "fairness"):
            result["fairness"] = fairness.measure(product, bench.site, options.slow_pages, options.timeout_seconds)


def _measure_yardstick(bench: Bench, yardstick: Yardstick) -> None:
    figures = bench.result["yardstick"]
    _measure_bulk(bench, yardstick, yardstick.groups(), yardstick.home, figures)
    if "tiny_jobs" in bench.options.only:
        with _problems(bench, yardstick.home, "yardstick: tiny_jobs"):
            figures["tiny_jobs"] = _tiny_jobs(bench, yardstick)


def _tiny_jobs(bench: Bench, system: System) -> Json:
    options = bench.options
    return tiny_jobs.measure(system, bench.site, bench.gpu, options.tiny_jobs, options.timeout_seconds)


def _alone(bench: Bench) -> None:
    """Measure the floor on the product's stack, which is idle then."""
    print("extraction alone", file=sys.stderr)
    figures = bench.result["bulk"]
    floor = alone.measure(bench.pages.folder, bench.pages.bulk, bench.model, processes=os.cpu_count() or 1)
    figures["extraction_alone"] = floor
    figures["share_of_extraction_alone"] = round(figures["pages_a_s"] / floor["pages_a_s"], 3)


@contextmanager
def _problems(bench: Bench, home: Home, figure: str) -> Iterator[None]:
    """Turn a failure of one figure into a line of the result; the stack's logs may say more."""
    try:
        yield
    except NOT_MEASURED as error:
        bench.result["problems"].append(f"{figure}: {error}")
        print(f"{figure}: {error}", file=sys.stderr)
        keep_logs(home)


def _say_what_runs(bench: Bench, home: Home) -> None:
    print(
        f"still running: CIXML_HOME={home.root} (stop it with 'cixml down'), "
        f"page server pid {bench.site.pid}, embedding server pid {bench.gpu.pid}",
        file=sys.stderr,
    )
