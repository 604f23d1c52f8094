"""How hits of a search look on a screen, and where one comes from."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cixml.client import CorporaSearchAnswer, SearchAnswer
from cixml.client.hits import HitLineage, SearchResult

_SNIPPET_CHARACTERS = 240
_BEFORE_FIRST = 60
_SPACES = str.maketrans("\n\r\t", "   ")


def print_hits(console: Console, answer: SearchAnswer | CorporaSearchAnswer) -> None:
    """Print each hit: rank, score, title, address, the beginning of its text or the words that were asked for."""
    if answer.degraded:
        console.print(f"[yellow]degraded:[/yellow] {answer.degraded}")
    if not answer.results:
        console.print("no hits")
    for hit in answer.results:
        address = hit.url or hit.external_id or hit.document_id
        console.print(f"[bold]{hit.rank}. {escape(hit.title or address)}[/bold]  {hit.score:.3f}")
        console.print(f"   {escape(address)}  [dim]{hit.chunk_id}[/dim]", highlight=False, soft_wrap=True)
        for line in _lines(hit):
            console.print(Text("   ") + line)
    if any(hit.explain for hit in answer.results):
        took = answer.took_ms
        console.print(f"took {took.total:.1f} ms: {took.embed:.1f} for the vector, {took.search:.1f} for the search")
    if answer.next:
        console.print(f"more with --cursor {answer.next}", highlight=False, soft_wrap=True)


def _lines(hit: SearchResult) -> Iterator[Text]:
    around = hit.neighbours or []
    for each in around:
        if each.ordinal < hit.ordinal:
            yield Text(_beginning(each.text), style="dim")
    yield _snippet(hit)
    for each in around:
        if each.ordinal > hit.ordinal:
            yield Text(_beginning(each.text), style="dim")
    if hit.explain:
        facts = {
            "place by vectors": hit.explain.vector_rank,
            "cosine": hit.scores.vector,
            "place by words": hit.explain.keyword_rank,
            "BM25": hit.scores.keyword,
            "fused": hit.scores.fused,
        }
        yield Text("; ".join(f"{name} {value}" for name, value in facts.items() if value is not None), style="cyan")


def _snippet(hit: SearchResult) -> Text:
    """Return the beginning of the text, or what is around the first words that were asked for, with these marked."""
    if not hit.highlights:
        return Text(_beginning(hit.text))
    text = Text(hit.text.translate(_SPACES))
    for start, end in hit.highlights:
        text.stylize("bold yellow", start, end)
    first = max(0, hit.highlights[0][0] - _BEFORE_FIRST)
    shown = text[first : first + _SNIPPET_CHARACTERS]
    return (Text("... ") if first else Text()) + shown


def _beginning(text: str) -> str:
    joined = " ".join(text.split())
    if len(joined) <= _SNIPPET_CHARACTERS:
        return joined
    return joined[:_SNIPPET_CHARACTERS].rsplit(" ", 1)[0] + " ..."


def lineage(found: HitLineage) -> Table:
    """Return what made a hit, from the bytes to the vector, a row each: what, by which run, when."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "what", "run", "when"):
        table.add_column(column, overflow="fold")
    page, text, chunk, vector = found.page, found.text, found.chunk, found.vector
    name = page.final_url or found.url or found.external_id or found.document_id
    robots = f"; robots.txt: {page.robots.rule}" if page.robots else ""
    rows = [
        ("page", f"{name}, {page.bytes:,} bytes, sha256 {page.sha256}{robots}", page.run_id, page.fetched_at),
        ("text", f"{text.extractor or '-'}, language {text.language or '-'}", None, None),
        (
            "chunk",
            f"{chunk.ordinal}, characters {chunk.offsets.start} to {chunk.offsets.end}, {chunk.algorithm}",
            chunk.run_id,
            chunk.chunked_at,
        ),
    ]
    if vector:
        what = f"{vector.model} (fingerprint {vector.fingerprint}), in {vector.index_version}, {vector.state}"
        rows.append(("vector", what, vector.run_id, vector.embedded_at))
    for row, what, run, at in rows:
        table.add_row(row, escape(what), run or "-", at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-")
    table.add_row("partition", escape(found.partition), page.job_id or "-", "live" if found.is_live else "not live")
    return table
