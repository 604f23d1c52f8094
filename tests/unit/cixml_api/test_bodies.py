"""Bodies: what is refused, with which status, and where the pointer points."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cixml_api.bodies import check_media_type, parse, validate
from cixml_api.errors import (
    CHARACTER,
    MISSING,
    RANGE,
    UNKNOWN,
    VALUE,
    InvalidFieldsError,
    MalformedBodyError,
    MediaTypeError,
)
from cixml_api.schemas import JobRequest, SearchRequest

JOB: dict[str, Any] = {"corpus": "docs", "urls": ["https://example.com/"]}


def problems(model: type[JobRequest] | type[SearchRequest], value: object) -> list[tuple[str, int]]:
    with pytest.raises(InvalidFieldsError) as caught:
        validate(model, parse(json.dumps(value).encode()))
    assert all(each.detail for each in caught.value.problems)
    return [(each.pointer, each.number) for each in caught.value.problems]


def test_urls_may_be_texts_and_objects() -> None:
    body = validate(
        JobRequest, JOB | {"urls": ["https://a.example/", {"url": "https://b.example/", "metadata": {"x": 1}}]}
    )
    assert body.create_corpus is True
    assert len(body.urls) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"documents": [{"external_id": "a", "text": " \n"}]}, [("/documents/0/text", VALUE)]),
        ({"documents": [{"external_id": "a", "markdown": ""}]}, [("/documents/0/markdown", VALUE)]),
        ({"documents": [{"external_id": "a"}]}, [("/documents/0", VALUE)]),
        ({"documents": [{"external_id": "a", "text": "x", "markdown": "x"}]}, [("/documents/0", VALUE)]),
        ({"documents": [{"text": "x"}]}, [("/documents/0/external_id", MISSING)]),
        ({"documents": [{"external_id": "a", "text": "x", "html": "x"}]}, [("/documents/0/html", UNKNOWN)]),
        ({"documents": [{"external_id": "a", "text": 3}]}, [("/documents/0/text", VALUE)]),
        ({"documents": [{"external_id": "a", "text": "x", "title": ""}]}, [("/documents/0/title", RANGE)]),
        ({"urls": None}, [("/urls", VALUE)]),
        ({"urls": [3]}, [("/urls/0", VALUE)]),
        ({"urls": ["https://a.example/", {}]}, [("/urls/1/url", MISSING)]),
        ({"urls": [{"url": "https://a.example/", "metdata": {}}]}, [("/urls/0/metdata", UNKNOWN)]),
        ({"urls": [{"url": 3}]}, [("/urls/0/url", VALUE)]),
        ({"urls": [{"url": "https://a.example/", "external_id": ""}]}, [("/urls/0/external_id", RANGE)]),
        ({"urls": [{"url": "https://a.example/", "metadata": {"x": "y" * 20_000}}]}, [("/urls/0/metadata", VALUE)]),
        ({"urls": [{"url": "https://a.example/", "metadata": {"x": [1]}}]}, [("/urls/0/metadata/x", VALUE)]),
        ({"urls": [{"url": "https://a.example/", "metadata": {"x": 2**63}}]}, [("/urls/0/metadata/x", VALUE)]),
        (
            {"urls": [{"url": "https://a.example/", "metadata": {str(n): n for n in range(65)}}]},
            [("/urls/0/metadata", RANGE)],
        ),
        ({"corpus": "Docs"}, [("/corpus", VALUE)]),
        ({"corpus": "docs\n"}, [("/corpus", VALUE)]),
        ({"corpus": "a" * 64}, [("/corpus", VALUE)]),
        ({"corpus": "-a"}, [("/corpus", VALUE)]),
        ({"corpus": None}, [("/corpus", VALUE)]),
        ({"create_corpus": "yes"}, [("/create_corpus", VALUE)]),
        ({"colour": 1, "a/b~c": 2}, [("/colour", UNKNOWN), ("/a~1b~0c", UNKNOWN)]),
    ],
)
def test_each_wrong_field_of_a_job_is_named(change: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    assert problems(JobRequest, JOB | change) == expected


@pytest.mark.parametrize("value", [[], "text", 3, None, True])
def test_a_body_that_is_no_object_is_refused(value: object) -> None:
    assert problems(JobRequest, value) == [("", VALUE)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("/query", MISSING)]),
        ({"query": ""}, [("/query", RANGE)]),
        ({"query": " \n"}, [("/query", VALUE)]),
        ({"query": "x" * 8193}, [("/query", RANGE)]),
        ({"query": "x", "top_k": 0}, [("/top_k", RANGE)]),
        ({"query": "x", "top_k": 101}, [("/top_k", RANGE)]),
        ({"query": "x", "top_k": "10"}, [("/top_k", VALUE)]),
        ({"query": "x", "top_k": 1.5}, [("/top_k", VALUE)]),
        ({"query": "x", "top_k": True}, [("/top_k", VALUE)]),
        ({"query": "x", "topk": 3}, [("/topk", UNKNOWN)]),
    ],
)
def test_each_wrong_field_of_a_search_is_named(body: object, expected: list[tuple[str, int]]) -> None:
    assert problems(SearchRequest, body) == expected


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a': 1}", b"\xff", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": 1}x', b"[" * 100_000]
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        parse(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (rb'{"a": ["x", "b\u0000c"]}', "/a/1"),
        (rb'{"a": "\ud800"}', "/a"),
        (rb'{"a": {"\u0000": 1}}', "/a/\0"),
        (rb'{"a": "\uDC00 alone"}', "/a"),
    ],
)
def test_a_nul_or_half_a_pair_is_refused_where_it_stands(body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        parse(body)
    assert [(each.pointer, each.number) for each in caught.value.problems] == [(pointer, CHARACTER)]


def test_a_whole_pair_and_an_escaped_backslash_are_text() -> None:
    assert parse(rb'{"a": "\ud83d\ude00", "b": "\\u0000"}') == {"a": "\U0001f600", "b": "\\u0000"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_parsing_gives_the_value_or_a_callers_error(value: object) -> None:
    try:
        assert parse(json.dumps(value).encode()) == value
    except InvalidFieldsError:
        assert "\0" in repr(value).encode().decode("unicode_escape") or "\\ud" in json.dumps(value)


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_json_is_taken(value: str) -> None:
    check_media_type(value)


@pytest.mark.parametrize(
    "value", ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "multipart/json"]
)
def test_other_types_are_refused(value: str) -> None:
    with pytest.raises(MediaTypeError):
        check_media_type(value)


@pytest.mark.parametrize(
    ("body", "pointer", "number"),
    [
        (b'{"corpus": "a", "corpus": "b"}', "/corpus", VALUE),
        (b'{"urls": ["x", {"url": 1, "a/b": 2, "a/b": 2}]}', "/urls/1/a~1b", VALUE),
        (b'{"a": {"b": 1, "\\u0062": 1}}', "/a/b", VALUE),
        (b'{"a": {%s}}' % b",".join(b'"k%d": 1' % number for number in range(1001)), "/a", RANGE),
    ],
)
def test_a_field_that_stands_there_twice_is_refused(body: bytes, pointer: str, number: int) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        parse(body)
    assert [(each.pointer, each.number) for each in caught.value.problems] == [(pointer, number)]


def test_a_hundred_thousand_refused_characters_name_a_thousand() -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        parse(b"[" + rb'"\u0000",' * 100_000 + b"1]")
    assert len(caught.value.problems) == 1000
