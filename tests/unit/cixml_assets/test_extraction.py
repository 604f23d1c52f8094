"""Extraction: charsets, headings, furniture, coverage, and pages made to hurt."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cixml_assets.decoding import decode
from cixml_assets.extraction import HUGE_CHARACTERS, extract
from cixml_assets.text_layer import clean_text
from resources.errors import ChunkingError
from resources.types import Exclusions

PAGES = Path(__file__).parents[2] / "data" / "pages"
PARAGRAPH = "The pump moves water from the lower tank to the upper one, and stops by itself when that is full. "


def page(body: str, head: str = "<title>Pump</title>", attributes: str = "") -> str:
    return f"<!doctype html><html {attributes}><head>{head}</head><body>{body}</body></html>"


def news(article: str) -> str:
    """Return a page with what marks a news site: scripts and social meta tags."""
    meta = '<meta property="og:type" content="article"><title>News</title>' + "<script>1</script>" * 12
    teasers = "".join(f'<li><a href="/{n}">Another story that you may like, number {n}</a></li>' for n in range(12))
    menu = '<nav><a href="/">Home</a> <a href="/a">Politics</a></nav>'
    return page(f'{menu}<article>{article}</article><ul class="related">{teasers}</ul><footer>Imprint</footer>', meta)


def test_nul_and_lone_surrogates_are_cleaned() -> None:
    assert clean_text("a\x00b\ud800c\r\nd\re\x0b") == "ab\ufffdc\nd\ne"
    assert extract("a\x00b", "text/plain").text == "ab"
    text = extract(page(f"<p>{PARAGRAPH}&#0;&#xD800;x\ud800</p>")).text
    text.encode()
    assert "\x00" not in text


def test_headings_lists_code_and_tables_stay_readable() -> None:
    text = extract(
        page(
            "<h1>Pump</h1><p>Intro<br>second line with <b>bold</b>   text</p><h2>Use<a href='#use'>¶</a></h2>"
            "<ul><li>one</li><li>two <i>items</i></li></ul><pre>  if x:\n    go()\n</pre>"
            "<table><tr><th>Name</th><th>Size</th></tr><tr><td>a</td><td><p>1</p></td></tr></table>"
        )
    ).text
    assert text == (
        "# Pump\n\nIntro\nsecond line with bold text\n\n## Use\n\none\ntwo items\n\n"
        "  if x:\n    go()\n\nName | Size\na | 1"
    )


def test_furniture_is_left_out_of_documentation() -> None:
    text = extract(
        page(
            "<header>Top</header><nav>Menu</nav><div class='breadcrumbs'>You are here</div>"
            f"<main><h1>Pump</h1><p>{PARAGRAPH}</p><aside class='note'>Mind the valve.</aside></main>"
            "<div id='comments'>First!</div><p hidden>secret</p><script>var x</script><style>p{}</style>"
            "<footer>Imprint</footer>"
        )
    ).text
    assert text == f"# Pump\n\n{PARAGRAPH.strip()}\n\nMind the valve."


def test_article_is_found_among_teasers() -> None:
    result = extract(news(f"<h1>Flood</h1><p>{PARAGRAPH * 3}</p><h2>Later</h2><p>{PARAGRAPH * 3}</p>"))
    assert result.extractor == "trafilatura"
    assert "## Later" in result.text
    assert "Another story" not in result.text
    assert "Imprint" not in result.text
    assert result.coverage > 0.9


def test_code_of_an_article_keeps_its_indentation() -> None:
    code = "def go():\n    if full:\n        stop()"
    result = extract(news(f"<h1>Pump</h1><p>{PARAGRAPH * 3}</p><pre>{code}</pre><p>{PARAGRAPH * 3}</p>"))
    assert result.extractor == "trafilatura"
    assert code in result.text


def test_heading_that_the_article_lost_stands_above_its_paragraph_again() -> None:
    box = '<div class="meta"><h2>Later</h2></div>'
    result = extract(news(f"<h1>Flood</h1><p>{PARAGRAPH * 3}</p>{box}<p>Then {PARAGRAPH * 3}</p>"))
    assert result.extractor == "trafilatura"
    assert f"\n\n## Later\n\nThen {PARAGRAPH}" in result.text
    assert result.text.count("Later") == 1


def test_page_whose_code_lost_its_lines_is_read_by_its_structure() -> None:
    code = "def go():\n    if full:\n        stop()"
    result = extract(news(f"<h1>Pump</h1><p>{PARAGRAPH * 3}</p><ul><li>Thus:<pre>{code}</pre></li></ul>"))
    assert result.extractor == "structure"
    assert f"Thus:\n\n{code}" in result.text


@pytest.mark.parametrize("name", ["titlepage", "navheader", "toctree-wrapper", "docblock", "markdown-section"])
def test_page_of_a_documentation_tool_is_documentation_beside_social_tags(name: str) -> None:
    short = "".join(f"<h2>Step {number}</h2><p>Turn it.</p>" for number in range(5))
    result = extract(news(f'<div class="x {name}"><h1>Pump</h1></div><p>{PARAGRAPH}</p>{short}'))
    assert result.extractor == "structure"
    assert result.text.count("Turn it.") == 5
    assert "Another story" not in result.text


def test_page_with_code_that_loses_paragraphs_is_read_by_its_structure() -> None:
    asides = "".join(f'<div class="post-tags"><p>{number} {PARAGRAPH}</p></div>' for number in range(5))
    result = extract(
        news(f"<h1>Pump</h1><p>{PARAGRAPH * 3}</p><pre>go()</pre>{asides}") + f"<div><p>{PARAGRAPH} outside</p></div>"
    )
    assert (result.extractor, result.coverage > 0.8) == ("structure", True)
    assert result.text.count("The pump") == 8
    assert "outside" not in result.text


def test_notes_are_kept_and_the_signs_behind_headings_are_not() -> None:
    html = page(
        f"<h1>Pump<a class='headerlink' href='#pump'>&para;</a></h1><p>{PARAGRAPH}</p>"
        "<dl><dt>go()<a class='reference viewcode-link' href='x'>[source]</a></dt><dd>Goes.</dd></dl>"
        "<aside class='footnote-list'><aside class='footnote' role='note'><p>Since 1998.</p></aside></aside>"
        "<aside><a href='/b'>Read this too</a></aside>"
    )
    assert extract(html).text == f"# Pump\n\n{PARAGRAPH.strip()}\n\ngo()\n\nGoes.\n\nSince 1998."


def test_frame_named_for_its_sidebar_is_no_sidebar() -> None:
    links = "".join(f"<a href='/{number}'>Another page of this site, number {number}</a> " for number in range(6))
    html = page(
        f"<div class='has-sidebar'><p>{PARAGRAPH}</p><p>{PARAGRAPH}</p><div class='sidebar'>{links}</div></div>"
    )
    assert extract(html).text.count("The pump") == 2
    assert "Another page" not in extract(html).text


def test_exclusions_hold_for_articles_and_documentation() -> None:
    article = f"<h1>Flood</h1><p>{PARAGRAPH * 3}</p><div class='legal box'><p>{PARAGRAPH} by law</p></div>after"
    rules = Exclusions(tags=["details", "html", "body"], classes=["legal"])
    for html in (news(article), page(article)):
        assert "by law" in extract(html).text
        text = extract(html, exclusions=rules).text
        assert "by law" not in text
        assert text.count("The pump") == 3


def test_same_page_twice_in_one_process_gives_the_same() -> None:
    html = news(f"<h1>Flood</h1><p>{PARAGRAPH * 4}</p>")
    assert len({extract(html).text for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("name", "charset", "sentence", "title"),
    [
        ("postgresql-functions-json.html", "utf-8", "jsonb_path_query", "9.16. JSON Functions and Operators"),
        ("sqlite-pragma.html", "utf-8", "PRAGMA statement", "PRAGMA Statements"),
        ("apache-content-negotiation.ko.euc-kr.html", None, "내용협상", "내용협상 (Content Negotiation)"),
    ],
)
def test_documentation_page_keeps_its_own_paragraphs(name: str, charset: str | None, sentence: str, title: str) -> None:
    result = extract(decode((PAGES / name).read_bytes(), "text/html", charset))
    assert result.coverage >= 0.97
    assert sentence in result.text
    assert result.title is not None
    assert title in result.title


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>Pump - Docs</title>", "<h1>Pump</h1>", "Pump"),
        ("<title>Pump</title>", "<h1>Welcome</h1>", "Pump"),
        ("<title>Pump - Docs</title>", "<h1>Docs</h1><h1>Pump</h1>", "Pump"),
        ("<title>Pump - Docs</title>", "<nav><h1>Pump</h1></nav><h1>Docs</h1>", "Pump"),
        ('<title>Docs: Pump</title><meta property="og:title" content="Pump">', "", "Pump"),
        ('<meta property="og:title" content="Pump">', "<h2>Use</h2>", "Pump"),
        ("", "<svg><title>Icon</title></svg><h1>A</h1>", "A"),
        ("", "<h1>A</h1>", "A"),
        ("", "<h3>B</h3>", "B"),
        ("", "", None),
    ],
)
def test_title_is_the_heading_that_the_title_repeats(head: str, body: str, title: str | None) -> None:
    assert extract(page(f"{body}<p>{PARAGRAPH}</p>", head)).title == title


@pytest.mark.parametrize("tag", ["font", "b", "span", "div", "center", "table", "h2", "my-box", "blockquote", "ul"])
def test_what_stands_below_very_many_open_elements_is_not_lost(tag: str) -> None:
    open_elements = "".join(f"<{tag}>step {number} " for number in range(3000))
    text = extract(page(f"<h1>Pump</h1><p>{PARAGRAPH}</p>{open_elements}<p>The end of it.</p>")).text
    assert text.startswith("# Pump" if tag != "h2" else "Pump")
    assert "step 0" in text
    assert "step 2999" in text
    assert text.endswith("The end of it.")


@pytest.mark.parametrize(
    "hidden",
    [
        "<p style='display: none'>x</p>",
        "<p style='VISIBILITY : hidden'>x</p>",
        "<div style='font-size:0'>x</div>",
        "<div style='opacity:0;top:1px'>x</div>",
        "<div style='position:absolute; left:-9999px'>x</div>",
        "<span class='sr-only'>x</span>",
        "<p>before<span class='visually-hidden'>x</span></p>",
        "<p>before <span style='display:none'>x</span>after</p>",
        "<div style='display:none'><p>x</p></div>",
        "<div id='seo' style='display: none'><ul><li>x</li></ul></div>",
        "<template><p>x</p></template>",
        "<p aria-hidden='true'>x</p>",
    ],
)
def test_text_that_nobody_sees_is_left_out(hidden: str) -> None:
    text = extract(page(f"<p>{PARAGRAPH}</p>{hidden.replace('x', 'nobody sees this')}")).text
    assert "nobody" not in text


@pytest.mark.parametrize(
    "box",
    [
        "<h3>Why?</h3><div style='display:none'><p>x</p></div>",
        "<p><a href='#more'>more</a></p><div id='more' style='display:none'><p>x</p></div>",
        '<p>Which?</p><span onclick="show(\'b7\')">more</span> of it<div id="b7" style="display:none"><p>x</p></div>',
        "<p>Which?</p><div class='tab-panel' style='display:none'><p>x</p></div>",
        f"<div style='display:none'><p>x</p><p>{PARAGRAPH}</p><p>{PARAGRAPH}</p></div>",
    ],
)
def test_text_that_a_click_or_the_page_s_script_shows_is_kept(box: str) -> None:
    assert "is seen later" in extract(page(f"<p>{PARAGRAPH}</p>{box.replace('x<', 'is seen later<')}")).text


def test_text_that_is_only_faint_or_small_is_kept() -> None:
    boxes = "<p style='opacity:0.5'>faint</p><p style='font-size:0.8em'>small</p><p style='left:-3px'>moved</p>"
    assert extract(page(boxes)).text == "faint\n\nsmall\n\nmoved"


@pytest.mark.parametrize(
    "code",
    [
        "<div class='line'>if full:</div><div class='line'>    stop()</div>",
        "<code><span style='display: block'>if full:</span><span style='display: block'>    stop()</span></code>",
        "<code><span class='token-line'>if <b>full</b>:</span><span class='token-line'>    stop()</span></code>",
        "<span class='line'>if full:</span>\n<span class='line'>    stop()</span>",
        "<span class='line'>if full:</span><br><span class='line'>    stop()</span>",
        "<span class='line'>if full:<br></span><span class='line'>    stop()<br></span>",
        "<div>if full:\n</div><div>    stop()\n</div>",
    ],
)
def test_lines_of_code_that_are_elements_stay_lines(code: str) -> None:
    assert extract(page(f"<p>{PARAGRAPH}</p><pre>{code}</pre>")).text.endswith("\n\nif full:\n    stop()")


def test_nul_is_no_letter_of_a_page() -> None:
    assert extract(page(PARAGRAPH.replace("water", "wa\0ter"))).text == PARAGRAPH.strip()


def test_language_is_taken_from_elsewhere_where_the_page_element_has_none() -> None:
    for head, attributes, language in (
        ("<meta http-equiv='Content-Language' content='fr-CA'>", "", "fr"),
        ("<meta property='og:locale' content='de_AT'>", "", "de"),
        ("<meta property='og:locale' content='en_US'>", "lang='ja'", "ja"),
    ):
        assert (
            extract(f"<html><head>{head}</head><body {attributes}><p>{PARAGRAPH}</p></body></html>").language
            == language
        )


@pytest.mark.parametrize(
    ("attributes", "language"), [("lang='de-AT'", "de"), ("xml:lang='EN'", "en"), ("lang='x-none'", None), ("", None)]
)
def test_language_is_the_page_s(attributes: str, language: str | None) -> None:
    assert extract(page(f"<p>{PARAGRAPH}</p>", attributes=attributes)).language == language


def test_plain_text_passes_through() -> None:
    result = extract("# Title\n\nsome *text*\r\n", "text/plain")
    assert (result.text, result.title, result.coverage) == ("# Title\n\nsome *text*", "Title", 1.0)


def test_json_is_text_without_a_title() -> None:
    result = extract('{"key": "value"}\n', "application/json")
    assert (result.text, result.title) == ('{"key": "value"}', None)


MARKDOWN = """---
title: never shown
---
Rotate a key
============

Keys are *rotated* by [the service](https://a.example/x) &amp; by hand.\x00

## By hand

1. first
2. second, `with code`

| what | when |
|------|------|
| key  | 30 days |

```sql
SELECT 1
  FROM keys; -- <b>
```

<p>HTML<br>in it</p><script>no text</script>
"""


def test_markdown_keeps_headings_lists_tables_and_code_apart_and_loses_its_marks() -> None:
    result = extract(MARKDOWN, "text/markdown")
    assert result.text == (
        "# Rotate a key\n\nKeys are rotated by the service & by hand.\n\n## By hand\n\nfirst\nsecond, with code\n\n"
        "what | when\nkey | 30 days\n\nSELECT 1\n  FROM keys; -- <b>\n\nHTML\nin it"
    )
    assert (result.title, result.coverage, result.extractor) == ("Rotate a key", 1.0, "markdown-it")


@pytest.mark.parametrize("content", ["", "---\ntitle: x\n---\n", "<!-- nothing -->", "![](a.png)"])
def test_markdown_without_text_is_an_error(content: str) -> None:
    with pytest.raises(ChunkingError) as caught:
        extract(content, "text/markdown")
    assert caught.value.code == "empty_text"


def test_rules_around_text_are_no_front_matter() -> None:
    assert extract("---\nHello\n\n---\nworld", "text/markdown").text == "Hello\n\nworld"


def test_lists_deep_in_lists_keep_their_text() -> None:
    content = "\n".join(f"{'  ' * depth}- level {depth}" for depth in range(15))
    assert extract(content, "text/markdown").text == "\n".join(f"level {depth}" for depth in range(15))


def test_huge_markdown_is_read_as_it_is() -> None:
    content = "# Title\n\n" + "some *text* " * (HUGE_CHARACTERS // 12 + 1)
    assert extract(content, "text/markdown").text == content.strip()


@pytest.mark.parametrize(
    "bomb",
    ["[" * 50_000, "*a_ " * 25_000, "> " * 20_000 + "x", "`" * 100_000, "[a](<b" * 20_000, "- " * 5_000 + "x"],
)
def test_hostile_markdown_ends_within_the_workers_time(bomb: str) -> None:
    started = time.process_time()
    with contextlib.suppress(ChunkingError):
        extract(bomb, "text/markdown")
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "content", ["", "   ", "<html></html>", page("<script>x</script><p hidden>x</p>"), "<!-- x -->"]
)
def test_page_without_text_is_an_error_and_never_an_empty_result(content: str) -> None:
    with pytest.raises(ChunkingError) as caught:
        extract(content)
    assert caught.value.code == "empty_text"


@pytest.mark.parametrize(
    "bomb",
    [
        "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x</p>",
        "<p " + "".join(f'a{n}=""' for n in range(50_000)) + ">x</p>",
        "<b>x</b>" * 250_000,
    ],
    ids=["attributes", "attributes-without-space", "elements"],
)
def test_bomb_is_refused_at_once(bomb: str) -> None:
    started = time.process_time()
    with pytest.raises(ChunkingError) as caught:
        extract(page(bomb))
    assert caught.value.code == "extraction_failed"
    assert time.process_time() - started < 3


def test_inline_image_is_no_bomb() -> None:
    assert (
        PARAGRAPH.strip()
        in extract(page(f"<img src='data:image/png;base64,{'ab/+' * 60_000}'><p>{PARAGRAPH}</p>")).text
    )


def test_huge_page_takes_the_cheap_path() -> None:
    html = news("".join(f"<p>{number} {PARAGRAPH}</p>" for number in range(15_000)))
    started = time.process_time()
    result = extract(html)
    assert result.extractor == "structure"
    assert result.coverage == 1.0
    assert time.process_time() - started < 4


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<div>", "</div>", "<p>", "<td>", "<tr>", "<table>", "<li>", "text ", "<pre>", "<a>", "<h2>", "</p>"]
        )
    )
)
def test_broken_markup_loses_no_text(pieces: list[str]) -> None:
    try:
        text = extract(f"<html><body>{''.join(pieces)}</body></html>").text
    except ChunkingError:
        text = ""
    assert text.count("text") == pieces.count("text ")


def test_deep_nesting_is_read_to_the_bottom_or_refused() -> None:
    assert "bottom" in extract(page("<div>" * 200 + "bottom" + "</div>" * 200)).text


def test_names_made_of_headings_and_unfolding_boxes_are_no_furniture() -> None:
    html = page(
        f"<section id='cookies'><h2>Cookies</h2><p>{PARAGRAPH}</p></section>"
        "<dl><dt id='x.comment'>comment</dt><dd>Text.</dd></dl>"
        "<button>More</button><div style='display: none'><p>Unfolded later.</p></div>"
        "<table class='related'><tr><td>cell</td></tr></table>"
        "<div class='sidebar'><p>A box of text, as DocBook writes it.</p></div>"
    )
    text = extract(html).text
    for kept in ("Cookies", "comment", "Text.", "Unfolded later.", "cell", "A box of text"):
        assert kept in text


def test_links_before_and_behind_the_prose_are_left_out_and_those_within_kept() -> None:
    links = "<ul>" + "".join(f"<li><a href='/{n}'>Chapter {n}</a></li>" for n in range(5)) + "</ul>"
    prose = f"<p>{PARAGRAPH}</p>"
    assert "Chapter" not in extract(page(f"{links}{prose}{prose}{links}")).text
    assert extract(page(f"{prose}{links}{prose}")).text.count("Chapter") == 5
    assert extract(page(links * 9 + prose)).text.count("Chapter") == 45  # a page that is a table of contents
