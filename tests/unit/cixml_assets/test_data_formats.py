"""JSON, XML and feeds: readable, and nothing lost."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cixml_assets.extraction import extract, read_page
from resources.errors import ChunkingError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def test_json_in_one_line_is_laid_out_and_written_out() -> None:
    content = '{"name":"\\u65e5\\u672c","sizes":[1,2.50],"none":{},"a":"x: y, \\"z\\""}'
    assert extract(content, "application/json").text == (
        '{\n  "name": "日本",\n  "sizes": [\n    1,\n    2.50\n  ],\n  "none": {},\n  "a": "x: y, \\"z\\""\n}'
    )
    assert extract('{"a": 1}', "application/json").text == '{"a": 1}'


@given(JSON)
def test_layout_of_json_changes_no_value(value: object) -> None:
    content = json.dumps([value, "x" * 500])
    told = extract(content, "application/json").text
    assert json.loads(told, strict=False)[1] == "x" * 500
    if all(character.isascii() and character.isprintable() for character in json.dumps(value, ensure_ascii=False)):
        assert json.loads(told)[0] == value


@pytest.mark.parametrize("content", ['["' + '\\"' * 100_000, "[" * 200_000, '{"a":' * 50_000, '"\\u12'])
def test_wrong_json_is_kept_as_it_is(content: str) -> None:
    started = time.process_time()
    assert extract(content, "application/json").text == content
    assert time.process_time() - started < 2


FEED = """<?xml version="1.0" encoding="ISO-8859-1"?>
<rss version="2.0"><channel><title>Pumps</title><language>en-us</language>
<item><title>A new valve</title><link>http://a.example/1</link>
<description>&lt;p&gt;It is &lt;b&gt;red&lt;/b&gt;.&lt;/p&gt;&lt;p&gt;And gro\xdf.&lt;/p&gt;</description></item>
<item><title>Old valves</title><description><![CDATA[Gone <i>now</i>.]]></description></item>
</channel></rss>"""


def test_feed_has_its_entries_with_titles_as_headings() -> None:
    result = read_page(FEED.encode("iso-8859-1"), "application/rss+xml", None)
    assert result.text == (
        "## Pumps\n\nen-us\n\n## A new valve\n\nhttp://a.example/1\n\nIt is red.\n\nAnd groß.\n\n## Old valves\n\n"
        "Gone now."
    )
    assert (result.title, result.language) == ("Pumps", "en")


def test_xml_keeps_mixed_content_together_and_leaves_in_lines() -> None:
    content = "<book><info><id>7</id><year>1998</year></info><para>Turn <emph>left</emph> now.</para><s/></book>"
    assert extract(content, "application/xml").text == "7\n1998\n\nTurn left now."


def test_entities_of_xml_are_neither_read_nor_unfolded() -> None:
    bomb = (
        '<!DOCTYPE a [<!ENTITY b "' + "x" * 1000 + '"><!ENTITY c "&b;&b;&b;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    )
    text = extract(f"{bomb}<a><d>text</d><e>&c;</e><e>&f;</e></a>", "application/xml").text
    assert "text" in text
    assert "root:" not in text
    assert "xxx" not in text


def test_deep_xml_is_read_or_refused() -> None:
    with pytest.raises(ChunkingError):
        extract("<a>" * 300_000, "application/xml")
    assert extract("<a>" * 200 + "bottom" + "</a>" * 200, "application/xml").text == "bottom"


@pytest.mark.parametrize("content", ["", "  ", "<a/>", "<?xml version='1.0'?>", "no xml"])
def test_xml_without_text_is_an_error(content: str) -> None:
    with pytest.raises(ChunkingError):
        extract(content, "application/xml")
