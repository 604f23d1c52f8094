"""When a page was published: what it states, where and how."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfWriter

from cixml_assets.dates import read_date
from cixml_assets.extraction import extract
from cixml_assets.pdf import read_pdf

SAMPLE = (Path(__file__).parents[2] / "data" / "pages" / "sqlite-copyright-release.pdf").read_bytes()
DAY = datetime(2021, 11, 8, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
PROSE = "The pump moves water from the lower tank to the upper one, and stops by itself when that is full. "


def date_of(head: str = "", body: str = "") -> datetime | None:
    return extract(f"<html><head><title>T</title>{head}</head><body>{body}<p>{PROSE}</p></body></html>").published_at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-11-08", DAY),
        ("20211108", DAY),
        ("2021/11/8", DAY),
        ("08.11.2021", DAY),
        ("8 November 2021", DAY),
        ("November 8, 2021", DAY),
        ("2021-11-08T12:00:00.000Z", NOON),
        ("2021-11-08 12:00:00 UTC", NOON),
        ("2021-11-08 14:00:00 +0200", NOON),
        ("2021-11-08T14:00+02:00", NOON),
        ("Mon, 08 Nov 2021 14:00:00 +0200", NOON),
        ("Mon Nov 08 12:00:00 UTC 2021", NOON),
        *(
            (text, None)
            for text in ("", "2021", "2021-11", "05/06/2021", "PT5M", "yesterday", "2021-13-45", "0000-00-00")
        ),
        *((text, None) for text in ("1970-01-01T00:00:00Z", "9999-12-31", "0001-01-01", "2021-11-08T12:00+19:00")),
    ],
)
def test_dates_are_read_as_they_are_usually_written(text: str, expected: datetime | None) -> None:
    assert read_date(text) == expected


@given(st.text(max_size=80) | st.from_regex(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T ]?[\d:+Z.]{0,12}"))
def test_no_text_breaks_the_reading_of_dates(text: str) -> None:
    date = read_date(text)
    assert date is None or date.astimezone(UTC).year >= 999


@pytest.mark.parametrize(
    "head",
    [
        '<meta property="article:published_time" content="2021-11-08T13:00:00+01:00">',
        '<meta name="DC.date.issued" content="2021-11-08T12:00Z">',
        '<meta name="date" content="2020-01-01"><meta name="citation_date" content="2021/11/08 12:00">',
        '<script type="application/ld+json">{"@graph": [{"@type": "WebSite"}, {"@type": "Article", "comment": '
        '[{"datePublished": "2022-01-01"}], "datePublished": "2021-11-08T12:00Z"}]}</script>',
        '<script type="application/ld+json">{"a": "not\tJSON", "datePublished": "2021-11-08T12:00Z",}</script>',
    ],
)
def test_date_is_read_from_the_head(head: str) -> None:
    assert date_of(head) == NOON


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<article><h1>A</h1><span itemprop="datePublished" content="2021-11-08">8.11.</span></article>', DAY),
        (
            '<article><h1>A</h1><time datetime="PT5M">5 min</time><time datetime="2021-11-08">today</time></article>',
            DAY,
        ),
        ('<time datetime="2020-01-01">news</time><main><h1>A</h1><time datetime="2021-11-08">then</time></main>', DAY),
        (f'<article><p>{PROSE}</p><time class="entry-date" datetime="2021-11-08">then</time></article>', DAY),
        ('<article><time class="updated" datetime="2021-11-08">now</time></article>', None),
        (f'<article><p>{PROSE}On <time datetime="1914-07-28">that day</time> it broke.</p></article>', None),
        ('<article><time datetime="2021-11-08">1</time></article><article>2</article>', None),
        ("<p>Published on 2021-11-08</p>", None),
        ('<time datetime="">?</time><time>2021-11-08</time>', None),
    ],
)
def test_date_is_read_from_marks_in_the_body(body: str, expected: datetime | None) -> None:
    assert date_of(body=body) == expected


def test_what_was_changed_is_not_what_was_published() -> None:
    assert (
        date_of('<meta property="article:modified_time" content="2021-11-08"><meta name="date" content="soon">') is None
    )


@pytest.mark.parametrize(
    "data", ["[" * 100_000, '{"a":' * 50_000, '[{"datePublished": 7}, null, "datePublished"]', "{}"]
)
def test_hostile_linked_data_gives_no_date(data: str) -> None:
    assert date_of(f'<script type="application/ld+json">{data} "datePublished"</script>') is None


def test_feeds_markdown_and_pdf_have_dates_too() -> None:
    feed = "<rss><channel><title>T</title><item><pubDate>Mon, 08 Nov 2021 12:00:00 GMT</pubDate></item></channel></rss>"
    assert extract(feed, "application/xml").published_at == NOON
    markdown = extract(
        '---\nlayout: post\ntitle: "On pumps"\ndate: 2021-11-08 12:00:00 +0000\n---\nText.', "text/markdown"
    )
    assert (markdown.title, markdown.published_at, markdown.text) == ("On pumps", NOON, "Text.")
    for written, expected in (("D:20211108130000+01'00'", NOON), ("D:20211108", DAY), ("yesterday", None)):
        writer = PdfWriter(clone_from=io.BytesIO(SAMPLE))
        writer.add_metadata({"/CreationDate": written})
        target = io.BytesIO()
        writer.write(target)
        assert read_pdf(target.getvalue()).published_at == expected
