"""`python -m benchmarks.extraction`: how good the text of pages is, and what a page costs. One JSON object on stdout.

Judges with measures of its own, not with the coverage that the extractor counts. Any of the folders may be left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from lxml import html as lxml_html

from benchmarks.errors import BenchmarkError
from cixml_assets.decoding import decode
from cixml_assets.extraction import extract
from resources.errors import ChunkingError

SHINGLE_WORDS = 4  # as scrapinghub's article-extraction-benchmark compares texts
MIN_CHARACTERS = 12
PAGES_PER_SITE = 60
_CONTENT = (
    "//main", "//*[@role='main']", "//article", "//div[@id='page-content']", "//div[@id='main-content']",
    "//div[@id='mw-content-text']", "//div[@id='column1']", "//div[@class='document']", "//div[@class='contents']",
    "//div[@id='content']", "//body",
)  # fmt: skip
_AROUND = (
    "nav", "footer", "script", "style", "noscript", "template", "button", "select", "form[.//input[@type='search']]",
    "*[@role='navigation' or @role='contentinfo' or @role='search']",
    "*[contains(@class,'navheader') or contains(@class,'navfooter') or contains(@class,'breadcrumb')]",
    "*[contains(@class,'headerlink') or contains(@class,'t-navbar') or contains(@class,'editsection')]",
    "*[contains(@style,'display:none') or contains(@style,'display: none')]",
)  # fmt: skip
_BLOCKS = frozenset(
    {"p", "pre", "ul", "ol", "dl", "table", "div", "li", "dd", "dt", "blockquote", "section", "td", "th"}
)
Pages = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Kept:
    """How many pieces there are on the pages of a site, and how many are in their text, by kind."""

    there: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    extractors: Counter[str] = field(default_factory=Counter)
    coverage: list[float] = field(default_factory=list)
    around: list[float] = field(default_factory=list)

    def facts(self, examples: int) -> dict[str, Any]:
        """Return shares by kind, and over all pieces."""
        shares = {kind: round(self.kept[kind] / count, 4) for kind, count in sorted(self.there.items())}
        return {
            "share": round(self.kept.total() / max(1, self.there.total()), 4),
            **shares,
            "pieces": self.there.total(),
            "empty": self.empty[:5],
            "own_coverage": round(fmean(self.coverage or [0.0]), 4),
            "foreign_share": round(fmean(self.around or [0.0]), 4),
            "extractors": dict(self.extractors),
            **({"missed": self.missed[:examples]} if examples else {}),
        }


def main() -> int:
    """Print what was measured. Returns 1 when nothing could be."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__)
    parser.add_argument("--gold", type=Path, help="folder with aeb/ and segments/: gold.jsonl, html/ID.html.gz")
    parser.add_argument("--site", type=Path, action="append", default=[], help="folder of a site's HTML files")
    parser.add_argument("--examples", type=int, default=0, help="missed pieces to print of each site")
    parser.add_argument("--pages", type=int, default=PAGES_PER_SITE, help="of each site, spread over it")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    try:
        if options.gold:
            result |= {"articles": articles(options.gold / "aeb"), "segments": segments(options.gold / "segments")}
        if options.site:
            result["sites"] = {str(path): site(path, options.pages, options.examples) for path in options.site}
            result["cpu_ms_per_page"] = cpu(
                html for path in options.site for _, html in _site_pages(path, options.pages)
            )
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(json.dumps(result, indent=1, ensure_ascii=False))
    return 0


def articles(folder: Path) -> dict[str, Any]:
    """Return precision, recall and F1 of the shingles of the articles, means over pages."""
    shares: list[tuple[float, float]] = []
    worst: list[tuple[float, str]] = []
    empty = []
    for line in _gold(folder):
        text = _text(_page(folder, line["id"])) or ""
        if not text.strip():
            empty.append(line["id"])
        gold, got = _shingles(line["text"]), _shingles(text)
        both = (gold & got).total()
        shares.append((both / got.total() if got else 0.0, both / gold.total() if gold else 1.0))
        worst.append((_f1(*shares[-1]), line["id"][:16]))
    precision, recall = fmean(share[0] for share in shares), fmean(share[1] for share in shares)
    return {
        "pages": len(shares), "f1": round(_f1(precision, recall), 4), "precision": round(precision, 4),
        "recall": round(recall, 4), "empty": empty, "worst": sorted(worst)[:3],
    }  # fmt: skip


def segments(folder: Path) -> dict[str, Any]:
    """Return how many strings are found that must be, or must not be, in the text; and titles and dates."""
    counts: Counter[str] = Counter()
    problems = []
    empty = []
    for line in _gold(folder):
        result = _extract(_page(folder, line["id"]))
        text = " ".join((result.text if result else "").split())
        if not text:
            empty.append(line["id"])
        for name, outcomes in (("with", ("found", "missed")), ("without", ("foreign", "left_out"))):
            for piece in line[name]:
                outcome = outcomes[" ".join(piece.split()) not in text]
                counts[outcome] += 1
                if outcome in ("missed", "foreign"):
                    problems.append(f"{line['id'][:8]} {outcome}: {piece[:60]}")
        date = result and result.published_at
        for name, got in (("title", result and result.title), ("date", date and date.date().isoformat())):
            if line[name]:
                counts[name] += 1
                counts[f"{name}_right"] += _folded(line[name]) == _folded(str(got or ""))
    precision = counts["found"] / max(1, counts["found"] + counts["foreign"])
    recall = counts["found"] / max(1, counts["found"] + counts["missed"])
    return {"f1": round(_f1(precision, recall), 4), **counts, "empty": empty, "problems": problems}


def site(folder: Path, most: int, examples: int) -> dict[str, Any]:
    """Return what share of a site's own paragraphs, code blocks and table cells is kept."""
    kept = Kept()
    for name, html in _site_pages(folder, most):
        pieces, own = _own_pieces(html)
        result = _extract(html)
        if not pieces:
            continue
        if result is None:
            kept.empty.append(name)
        else:
            kept.extractors[result.extractor] += 1
            kept.coverage.append(result.coverage)
            kept.around.append(_foreign_share(result.text, own))
        squeezed = _squeeze(result.text) if result else ""
        for kind, piece in pieces:
            kept.there[kind] += 1
            is_kept = _is_verbatim(piece, result.text) if kind == "verbatim" and result else _squeeze(piece) in squeezed
            kept.kept[kind] += is_kept
            if not is_kept:
                kept.missed.append(f"{name} {kind}: {' '.join(piece.split())[:100]}")
    return kept.facts(examples)


def cpu(pages: Iterable[str]) -> dict[str, float]:
    """Return the CPU milliseconds of an extraction: the better of two rounds over the same pages."""
    given = list(pages)
    rounds = []
    for _ in range(2):
        times = []
        for html in given:
            started = time.process_time()
            _extract(html)
            times.append(1000 * (time.process_time() - started))
        rounds.append((fmean(times), median(times)))
    return {"pages": len(given), "mean": round(min(rounds)[0], 2), "median": round(min(rounds)[1], 2)}


def _own_pieces(html: str) -> tuple[list[tuple[str, str]], str]:
    """Return the pieces below a page's content element, and all text there without white space."""
    tree: Any = lxml_html.document_fromstring(
        html.encode("utf-8", "replace"), parser=lxml_html.HTMLParser(encoding="utf-8")
    )
    root: Any = next(roots[0] for path in _CONTENT if (roots := tree.xpath(path)))
    for path in _AROUND:
        for element in root.xpath(f".//{path}"):
            element.drop_tree()
    for line_break in root.iter("br"):
        line_break.tail = f"\n{line_break.tail or ''}"
    found: list[tuple[str, str]] = []
    for element in root.iter("p", "pre", "li", "dd", "td", "th", "div"):
        text = element.text_content()
        if len(_squeeze(text)) < (2 if element.tag in ("td", "th") else MIN_CHARACTERS) or _is_inside_code(element):
            continue
        if element.tag == "pre":
            found += [("code", text), ("verbatim", text)]
        elif not any(child.tag in _BLOCKS for child in element.iterdescendants()) and not _is_link(element, text):
            found.append(("cell" if element.tag in ("td", "th") else "paragraph", text))
    return found, _squeeze(root.text_content())


def _is_inside_code(element: Any) -> bool:
    return any(parent.tag == "pre" for parent in element.iterancestors())


def _is_link(element: Any, text: str) -> bool:
    return sum(len(_squeeze(link.text_content())) for link in element.iter("a")) > 0.8 * len(_squeeze(text))


def _is_verbatim(code: str, text: str) -> bool:
    """Say whether code is in a text line by line, indentation included."""
    return "\n".join(line.rstrip() for line in code.replace("\xa0", " ").splitlines()).strip("\n") in text.replace(
        "\xa0", " "
    )


def _foreign_share(text: str, own: str) -> float:
    lines = [_squeeze(line.lstrip("#")) for line in re.split(r"\n| \| ", text)]
    foreign = sum(len(line) for line in lines if line not in own)
    return foreign / max(1, sum(map(len, lines)))


def _site_pages(folder: Path, most: int) -> Iterator[tuple[str, str]]:
    paths = sorted(path for path in folder.rglob("*.html*") if path.is_file() and not path.is_symlink())
    if not paths:
        raise BenchmarkError(f"{folder} has no HTML files")
    for path in paths[:: -(-len(paths) // most)]:
        yield path.relative_to(folder).as_posix(), decode(_bytes(path), "text/html", None)


def _bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _gold(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "gold.jsonl").read_text().splitlines():
        yield json.loads(line)


def _page(folder: Path, name: str) -> str:
    return decode(gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()), "text/html", None)


def _extract(html: str) -> Any:
    try:
        return extract(html)
    except ChunkingError:
        return None


def _text(html: str) -> str:
    result = _extract(html)
    return re.sub(r"^#{1,6} ", "", result.text, flags=re.MULTILINE) if result else ""


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[at : at + SHINGLE_WORDS]) for at in range(max(1, len(words) - SHINGLE_WORDS + 1)))


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _squeeze(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


if __name__ == "__main__":
    sys.exit(main())
