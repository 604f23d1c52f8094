"""A trace as a tree with bars, for a terminal: what took how long, in which process, and what failed.

Many spans of one kind below one parent (the pages of a stage) are one line but for the slowest and the failed. What has
not ended has no span yet: what is below it hangs on a line that says so. A run that works for several jobs has a trace
of its own: it is shown below each job's run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cixml.trace_files import StoredSpan

MOST_ALIKE = 6
SHOWN_ALIKE = 3
MOST_SLOW = 3
BAR_CELLS = 28
LEAST_EVENT_SECONDS = 0.01
_RUN_PARTS = ("claim", "launch", "scrape", "chunk", "embed", "index")
Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Node:
    """A line of the tree. `span` is None where it has not ended, or was lost with its process."""

    name: str
    service: str
    began: int
    ended: int
    span: StoredSpan | None = None
    note: str = ""
    children: list[Node] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.ended - self.began) / 1e9

    @property
    def error(self) -> str | None:
        return self.span.error if self.span else None


def tree(spans: Sequence[StoredSpan], trace_id: str) -> list[Node]:
    """Return the roots of a trace, earliest first; other traces among `spans` hang on the span that links to them."""
    nodes: dict[Key, Node] = {(span.trace_id, span.span_id): _node(span) for span in spans}
    roots: list[Node] = []
    missing: dict[Key, list[Node]] = defaultdict(list)
    for (span_trace, _), node in nodes.items():
        assert node.span is not None
        parent = (span_trace, node.span.parent_id) if node.span.parent_id else None
        if parent in nodes:
            nodes[parent].children.append(node)
        elif parent is not None and node.span.service != "cixml-api":  # a request's is the gateway's, or a caller's
            missing[parent].append(node)
        elif span_trace == trace_id:
            roots.append(node)
    for span in spans:
        if span.trace_id == trace_id:
            for shared in (nodes[link] for link in span.links if link[0] != trace_id and link in nodes):
                shared.note = "shared with other jobs"
                nodes[span.trace_id, span.span_id].children.append(shared)
    roots += _unended([each for (of_trace, _), each in missing.items() if of_trace == trace_id])
    for node in [*nodes.values(), *roots]:
        node.children.sort(key=lambda each: each.began)
    return sorted(roots, key=lambda each: each.began)


def _node(span: StoredSpan) -> Node:
    return Node(name=span.name, service=span.service, began=span.began, ended=span.ended, span=span)


def _unended(groups: Sequence[list[Node]]) -> list[Node]:
    """Return lines for the spans that these hang on and that are not stored: of runs, with their stages below."""
    runs: list[Node] = []
    stages: list[Node] = []
    for children in groups:
        is_run = any(child.name in _RUN_PARTS for child in children)
        name = "run" if is_run else str(next((_whole(child) for child in children if _whole(child)), "?"))
        made = Node(
            name=name,
            service=children[0].service,
            began=min(child.began for child in children),
            ended=max(child.ended for child in children),
            note="has not ended, or its process died",
            children=children,
        )
        (runs if is_run else stages).append(made)
    if runs:
        runs[-1].children += stages
        runs[-1].ended = max([runs[-1].ended, *(stage.ended for stage in stages)])
        return runs
    return stages


def _whole(node: Node) -> object:
    """Return the name of what a span is a part of: slices are of a deletion, pages of a stage."""
    if node.name == "delete slice":
        return "delete"
    return node.span.attributes.get("job.stage") if node.span else None


def waterfall(roots: Sequence[Node], *, is_whole: bool = False) -> RenderableType:
    """Return the tree with its bars. `is_whole`: no line stands for several spans."""
    began = min(each.began for root in roots for each in _below(root))
    ended = max(each.ended for root in roots for each in _below(root))
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim", expand=False)
    table.add_column("span", no_wrap=True)
    table.add_column("process", no_wrap=True, style="dim")
    table.add_column("s", no_wrap=True, justify="right")
    table.add_column(f"0 to {(ended - began) / 1e9:.2f} s", no_wrap=True, width=BAR_CELLS)
    table.add_column("", overflow="fold")
    for position, root in enumerate(roots):
        _add(table, root, "", "", position + 1 == len(roots), (began, max(1, ended - began)), is_whole)
    return Group(table, *_summary(roots))


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _below(child)


def _add(
    table: Table, node: Node, lead: str, branch: str, is_last: bool, scale: tuple[int, int], is_whole: bool
) -> None:
    failed = node.error is not None
    table.add_row(
        Text(f"{lead}{branch}{node.name}", style="red" if failed else ""),
        node.service.removeprefix("cixml-"),
        f"{node.seconds:.3f}",
        _bar(node, scale, failed),
        _notes(node),
    )
    below = lead if not branch else lead + ("   " if is_last else "│  ")
    lines = node.children if is_whole else _condensed(node.children)
    for position, child in enumerate(lines):
        ends = position + 1 == len(lines)
        _add(table, child, below, "└─ " if ends else "├─ ", ends, scale, is_whole)


def _condensed(children: Sequence[Node]) -> list[Node]:
    """Return the children with one line for what is alike, but for the slowest and the failed."""
    alike: dict[str, list[Node]] = defaultdict(list)
    for child in children:
        alike[child.name].append(child)
    lines: list[Node] = []
    for name, nodes in alike.items():
        if len(nodes) <= MOST_ALIKE:
            lines += nodes
            continue
        ranked = sorted(nodes, key=lambda each: (each.error is None, -each.seconds))
        failed = sum(each.error is not None for each in nodes)
        shown = ranked[: SHOWN_ALIKE + min(failed, SHOWN_ALIKE)]
        rest = [each for each in nodes if each not in shown]
        rest_failed = sum(each.error is not None for each in rest)
        note = f"each {median(each.seconds for each in rest):.3f} s in the middle"
        lines += shown
        lines.append(
            Node(
                name=f"{len(rest)} more {name}",
                service=rest[0].service,
                began=min(each.began for each in rest),
                ended=max(each.ended for each in rest),
                note=note + (f", {rest_failed} failed" if rest_failed else ""),
            )
        )
    return sorted(lines, key=lambda each: each.began)


def _bar(node: Node, scale: tuple[int, int], failed: bool) -> Text:
    began, length = scale
    start = int((node.began - began) / length * BAR_CELLS)
    cells = max(1, round((node.ended - node.began) / length * BAR_CELLS))
    start = min(start, BAR_CELLS - 1)
    style = "red" if failed else "yellow" if node.span is None else "cyan"
    return Text(" " * start + "━" * min(cells, BAR_CELLS - start), style=style)


def _notes(node: Node) -> Text:
    parts = [node.note] if node.note else []
    if node.span is not None:
        known = node.span.attributes
        parts += [str(known["job.url"])] if "job.url" in known else []
        parts += [f"{known['embedding.tokens']} tokens"] if "embedding.tokens" in known else []
        parts += [
            f"{name} after {(at - node.began) / 1e9:.2f} s"
            for name, at in node.span.events
            if (at - node.began) / 1e9 >= LEAST_EVENT_SECONDS
        ]
    text = Text(" · ".join(parts), style="dim")
    return Text.assemble((f"{node.error} ", "red"), text) if node.error else text


def _summary(roots: Sequence[Node]) -> list[Text]:
    """Return where the time of the longest run went, and which pages were slow to come or to read.

    Not to embed: requests are filled across pages, so a page waits there for others of its run.
    """
    nodes = [node for root in roots for node in _below(root)]
    runs = [node for node in nodes if node.name == "run" and node.span is not None]
    if not runs:
        return []
    run = max(runs, key=lambda each: each.seconds)
    claims = [node for node in nodes if node.name == "claim" and node.began <= run.began]
    parts = [("in the queue", claims[-1].seconds)] if claims else []
    inner = run.children
    shared = next((child for child in inner if child.name == "run"), None)
    inner = shared.children if shared else inner
    sums = {name: sum(child.seconds for child in inner if child.name == name) for name in _RUN_PARTS[1:]}
    parts += [(name, seconds) for name, seconds in sums.items() if seconds]
    rest = run.seconds - sum(sums.values())
    parts.append(("Dagster between them", max(0.0, rest)))
    told = " · ".join(f"{name} {seconds:.2f}" for name, seconds in parts)
    pages = (node for node in nodes if node.name in ("scrape page", "chunk page"))
    slow = sorted(pages, key=lambda each: -each.seconds)[:MOST_SLOW]
    lines = [Text(f"\nlongest run, seconds: {told}")]
    lines += [
        Text(f"slowest: {node.seconds:.2f} s {node.name} {node.span.attributes.get('job.url', '')}")
        for node in slow
        if node.span is not None
    ]
    return lines
