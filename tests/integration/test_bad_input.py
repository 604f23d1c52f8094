"""Whatever is sent, on every route: never a 500, never slow, and a problem that names what is wrong.

Routes, fields and parameters come from the app's own document, so that a new one can't be forgotten. What the document
allows may be answered as it likes; what it does not allow must be refused.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest_asyncio

from cixml_api.errors import MEDIA_TYPE
from cixml_api.schemas import CLEANED
from tests.api import OPERATOR, Api, authorization, running_api
from tests.contract import JSON, MULTIPART, Operation, make_one_of_each, operations
from tests.database import Database

MOST_CPU_SECONDS = 5.0
"""Of this process for one request on a busy machine: the worst takes 1.3 on an idle one."""
MOST_BYTES = 10 * 2**20
SURROGATE, NUL = "a\ud800b", "a\0b"
VALUES: tuple[Any, ...] = (
    None, True, 3, -1, 3.5, 10**30, -(2**63) - 1, "", " ", "x" * 100_000, "\U0001f600", NUL, SURROGATE, [], [[]], {},
    {"a": 1},
)  # fmt: skip
TEXTS = ("", " ", "\0", "a\0b", "-1", "0", "1.5", "1e999", "NaN", "null", "[]", "{}", "9" * 400, "\U0001f600",
         "x" * 9000, "a,,b", ",", "'; DROP TABLE jobs; --", "%", "0001-01-01T00:00:00+14:00",
         "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "1700000000", "true")  # fmt: skip
PLACES: tuple[Any, ...] = (
    None, 3, "text", {}, [], [[]], [None], ["-created_at"], ["ordinal", -1], ["ordinal", 2**63], ["ordinal", 10**30],
    ["ordinal", 1.5], ["ordinal", True], ["ordinal", "1"], ["name", "a\0", "b"], ["name", "A", "b"], ["-at", "x"],
    ["-at", "0" * 32], ["created_at", "0" * 32], ["created_at", 1], ["usage", "", -1], ["usage", "", 2**40],
    ["usage", "x", 0],
    ["-created_at", "0001-01-01T00:00:00+14:00", "0" * 32], ["-created_at", "9999-12-31T23:59:59-14:00", "0" * 32],
    ["-created_at", 1e300, "0" * 32], ["-created_at", "2026-11-24T00:00:00Z", "x"], [["a"] * 50] * 2,
)  # fmt: skip
HEADERS = ("If-Match", "If-None-Match", "Idempotency-Key", "Last-Event-ID", "Prefer", "X-Request-Id", "traceparent",
           "Accept", "Range", "X-Forwarded-For", "Host")  # fmt: skip
HEADER_VALUES = (b"", b"*", b'"' * 1000, b"x" * 9000, b"\xff\xfe", b"9" * 400, b" ", b'"', "\xe9\u20ac".encode(),
                 b"-1", b"1.1.1", b"wait=-1", b"wait=" + b"9" * 30, b"wait=1;wait=2", b"W/", b'W/"' + b"9" * 400 + b'"',
                 b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"bytes=0-99999999999999999999")  # fmt: skip
LIMITED = b"multipart/form-data; boundary=limit"
IDS = ("%00", "a%00b", "%ff", "%ed%a0%80", "%F0%9F%98%80", "x" * 4000, "job_" + "0" * 32, "JOB_" + "a" * 32,
       "job_" + "%D9%A3" * 32, "%2e%2e%2f", "a:b:c", ":", "%0a", "docs%0a", "'", "*", "-")  # fmt: skip


@dataclass(kw_only=True)
class Probe:
    """Sends requests to the API and keeps what is wrong with the answers."""

    api: Api
    ids: dict[str, str]
    wrong: list[str] = field(default_factory=list)

    def operations(self) -> list[Operation]:
        """Return every operation; those that delete come last."""
        found = [each for each in operations(self.api.app) if each.needs_key]
        return sorted(found, key=lambda each: each.method == "DELETE" or each.path.endswith("/delete"))

    def path(self, operation: Operation) -> str:
        return operation.at(**{name: self.ids[name] for name in operation.ids})

    async def send(
        self,
        operation: Operation,
        what: str,
        *,
        path: str | None = None,
        expected: tuple[int, ...] = (),
        pointers: tuple[str, ...] = (),
        **more: Any,
    ) -> httpx.Response | None:
        """Send one request; `pointers`: a 422 must name one of these, or something in it."""
        started = time.process_time()
        headers = [(b"Authorization", f"Bearer {OPERATOR}".encode()), *more.pop("headers", [])]
        given = httpx.QueryParams(more.pop("params", None))
        if path is None or "?" not in path:
            needed = [(name, value) for name, value in operation.needed.items() if name not in given]
            more["params"] = [*needed, *given.multi_items()]
        answer = await self.api.client.request(operation.method, path or self.path(operation), headers=headers, **more)
        seconds = time.process_time() - started
        for complaint in complaints(answer, expected, pointers):
            self.wrong.append(f"{operation.name}, {what}: {complaint}: {answer.status_code} {answer.text[:300]}")
        if seconds > MOST_CPU_SECONDS:
            self.wrong.append(f"{operation.name}, {what}: {seconds:.1f} s")
        return answer

    async def send_json(self, operation: Operation, what: str, body: bytes | Any, **more: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.send(operation, what, content=content, headers=[(b"Content-Type", b"application/json")], **more)

    async def send_parts(self, operation: Operation, what: str, parts: list[bytes], **more: Any) -> None:
        await self.send(operation, what, content=joined(parts), headers=[(b"Content-Type", LIMITED)], **more)

    def check(self) -> None:
        assert not self.wrong, f"{len(self.wrong)} answers are wrong:\n" + "\n".join(self.wrong[:40])


def complaints(answer: httpx.Response, expected: tuple[int, ...], pointers: tuple[str, ...]) -> Iterator[str]:
    if answer.status_code >= 500:
        yield "a fault of ours"
    if expected and answer.status_code not in expected:
        yield f"not {expected}"
    if answer.status_code < 400:
        return
    if answer.headers["content-type"] != MEDIA_TYPE:
        yield "no problem"
        return
    body = answer.json()
    if answer.status_code == 422 and body["error_code"].endswith("_203"):
        return  # the key of a request that was something else
    if answer.status_code == 422 and not body["errors"]:
        yield "no field is named"
    if (
        answer.status_code == 422
        and pointers
        and not any(_names(each, at) for each in body["errors"] for at in pointers)
    ):
        yield f"not {pointers} is named"


def _names(error: dict[str, Any], at: str) -> bool:
    """Return whether an error is of this field, of one in it or around it, or speaks of it by its name."""
    pointer = error["pointer"]
    is_near = pointer == at or pointer.startswith(f"{at}/") or (pointer != "" and at.startswith(f"{pointer}/"))
    return is_near or f"'{at.rpartition('/')[2]}'" in error["detail"]


@pytest_asyncio.fixture
async def probe(database: Database, tmp_path: Path) -> AsyncIterator[Probe]:
    limits = {"requests_per_minute": 0, "queued_pages": 0, "corpora": 0}
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"}, limits=limits)) as api:
        ids = await make_one_of_each(api, database, key=OPERATOR, corpus="product-docs")
        # Streams and waits of a job that has ended are over at once.
        cancelled = await api.post(f"/v1/jobs/{ids['job_id']}/cancel", {}, key=OPERATOR)
        assert cancelled.json()["status"] == "cancelled"
        yield Probe(api=api, ids=ids)


def bodies(probe: Probe) -> list[Operation]:
    found = [each for each in probe.operations() if each.media_type == JSON]
    assert found
    return found


async def test_what_is_no_json(probe: Probe) -> None:
    for operation in bodies(probe):
        for what, body in (
            ("half an object", b'{"a": '),
            ("invalid UTF-8", b'{"a": "\xff"}'),
            ("UTF-16", '{"a": 1}'.encode("utf-16")),
            ("a byte order mark", b"\xef\xbb\xbf{}"),
            ("deep lists", b"[" * 100_000),
            ("deep lists that end", b"[" * 100_000 + b"]" * 100_000),
            ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
            ("NaN", b'{"a": NaN}'),
            ("Infinity", b'{"a": -Infinity}'),
            ("too large a number", b'{"a": 1e999}'),
            ("5,000 digits", b'{"a": ' + b"9" * 5000 + b"}"),
            ("two values", b"{}{}"),
            ("a raw NUL", b'{"a": "\0"}'),
        ):
            await probe.send_json(operation, what, body, expected=(400,))
        await probe.send_json(operation, "11 MB", b" " * (MOST_BYTES + 1), expected=(413,))
        for value in (None, 3, "text", [], [{}], True):
            await probe.send_json(operation, f"{value!r} for an object", value, expected=(422,))
        for media_type in (
            b"",
            b"text/plain",
            b"application/xml",
            b"application/jsonx",
            b"multipart/form-data",
            b"\xff",
        ):
            headers = [(b"Content-Type", media_type)] if media_type else []
            await probe.send(operation, f"type {media_type!r}", content=b"{}", headers=headers, expected=(415,))
        await probe.send(operation, "no body", expected=(415, 409, 202))
    probe.check()


async def test_large_bodies(probe: Probe) -> None:
    """What any body may be is sent to one route: it is read before the route's own schema is looked at."""
    first, *others = (each for each in bodies(probe) if "." not in each.name)  # the others are the same under old names
    entries = (b"[]", b"{}", b'"\\u0000"', b'"\\ud800"', b'{"a":1,"a":1}', b"[[[[]]]]")
    for content in (*map(many, entries), b"{%s}" % b",".join(b'"k%d":1' % number for number in range(800_000))):
        await probe.send_json(first, f"10 MB of {content[:20]!r}", content, expected=(422,))
    for operation in (first, *others):
        for name, value in operation.example.items():
            key = json.dumps(name).encode()
            if isinstance(value, list):
                for entry in (b"1", b"{}"):
                    content = b"{%s: %s}" % (key, many(entry))
                    await probe.send_json(operation, f"10 MB of {entry!r} in {name}", content, expected=(422,))
            else:
                content = b'{%s: "%s"}' % (key, b"x" * (MOST_BYTES - 1000))
                await probe.send_json(operation, f"10 MB of text in {name}", content, expected=(422, 404))
    probe.check()


def many(entry: bytes) -> bytes:
    """Return a list as large as a body may be."""
    return b"[%s]" % b",".join([entry] * ((MOST_BYTES - 1000) // (len(entry) + 1)))


async def test_each_field_of_each_body(probe: Probe) -> None:
    document = probe.api.app.openapi()
    for operation in bodies(probe):
        schema = document["paths"][operation.path][operation.method.lower()]["requestBody"]["content"][JSON]["schema"]
        validator = jsonschema_rs.validator_for(schema | {"components": document["components"]})
        examples = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"]
        for example in examples:
            for steps in list(places(example)):
                at = "".join(f"/{step}" for step in steps)
                for value in VALUES:
                    body = changed(example, steps, value)
                    refused: tuple[int, ...] = ()
                    if value in (NUL, SURROGATE):
                        refused = () if CLEANED.fullmatch(at) else (422,)
                    elif not validator.is_valid(body):
                        refused = (422,)
                    await probe.send_json(operation, f"{at} = {value!r:.40}", body, expected=refused, pointers=(at,))
            for steps in [(), *places(example)]:
                if isinstance(at_place(example, steps), dict):
                    at = "".join(f"/{step}" for step in steps)
                    for name in ("unknown", "a/b~c", "\U0001f600", "x" * 5000, "__proto__"):
                        inner = {**at_place(example, steps), name: 1}
                        body = changed(example, steps, inner) if steps else inner
                        refused = () if validator.is_valid(body) else (422,)
                        pointer = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
                        await probe.send_json(operation, f"{pointer:.40}", body, expected=refused, pointers=(pointer,))
                    if at_place(example, steps):
                        pointer = f"{at}/{next(iter(at_place(example, steps)))}"
                        body = twice(example, steps)
                        await probe.send_json(operation, f"{pointer} twice", body, expected=(422,), pointers=(pointer,))
    probe.check()


def places(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every value in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        yield (*steps, step)
        yield from places(each, (*steps, step))


def at_place(value: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        value = value[step]
    return value


def changed(value: Any, steps: tuple[str | int, ...], new: Any) -> Any:
    """Return a copy of `value` with `new` at a place."""
    if not steps:
        return new
    step, *rest = steps
    inner = changed(value[step], tuple(rest), new)
    if isinstance(value, list):
        return [inner if position == step else each for position, each in enumerate(value)]
    return {**value, step: inner}


def twice(example: Any, steps: tuple[str | int, ...]) -> bytes:
    """Return the JSON of an example in which the object at a place has its first field twice."""
    found = at_place(example, steps)
    name, value = next(iter(found.items()))
    marked = changed(example, steps, {**found, "<again>": value}) if steps else {**found, "<again>": value}
    return json.dumps(marked).replace('"<again>"', json.dumps(name)).encode()


async def test_multipart_bodies(probe: Probe) -> None:
    for operation in probe.operations():
        if operation.media_type != MULTIPART:
            continue
        [file] = operation.file_fields
        texts = [name for name in operation.example if name != file]
        whole = parts_of(operation)
        await probe.send_parts(operation, "the example", whole, expected=(202, 403, 404))
        for what, parts, expected in (
            ("no part", [], (400, 422)),
            ("no file", whole[1:], (422,)),
            ("the file twice", [whole[0], *whole], (400, 422)),
            ("a field that is a file", [whole[0], *(part(name, b"x", "a.txt") for name in texts)], (400, 422)),
            ("a file that is a field", [part(file, b"Some text.")], (422,)),
            ("an unknown field", [*whole, part("unknown", b"1")], (422,)),
            ("a name in no charset", [whole[0], part("\udcff", b"1")], (400, 422)),
            ("100,000 parts", [part("unknown", b"1")] * 100_000, (400, 413, 422)),
            ("a part without a name", [*whole, b"Content-Disposition: form-data\r\n\r\nx"], (400, 422)),
            ("a part without a head", [*whole, b"\r\nx"], (400, 422)),
            ("a head of a megabyte", [b"X: " + b"x" * 2**20 + b"\r\n" + whole[0]], (400, 413, 422)),
            ("an empty file", [part(file, b"", "a.txt"), *whole[1:]], (422,)),
            ("a strange type", [part(file, b"x", "a.exe", b"application/x-msdownload"), *whole[1:]], (415, 422)),
            ("a type that is none", [part(file, b"x", "a.txt", b"\xff;;==")], (202, 403, 404, 415, 422)),
        ):
            await probe.send_parts(operation, what, parts, expected=expected)
        for name in ("", "../../etc/passwd", "a\\0b", "x" * 5000 + ".txt", "\U0001f600.txt", ".txt", "%00.txt"):
            await probe.send_parts(operation, f"a file {name!r:.40}", [part(file, b"Some text.", name), *whole[1:]])
        for name in texts:
            rest = [each for each in whole if f'name="{name}"'.encode() not in each]
            for value in (b"", b"\0", b"a\0b", b"\xff", b"\xed\xa0\x80", b"x" * 2_000_000, b"[" * 100_000, b"NaN",
                          b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": {"b": 1}}', rb'{"a": "\ud800"}',
                          b"[]", b"null"):  # fmt: skip
                what = f"{name} = {value[:20]!r}"
                await probe.send_parts(operation, what, [*rest, part(name, value)], pointers=(f"/{name}",))
            twice_given = [*whole, part(name, b"again")]
            await probe.send_parts(operation, f"{name} twice", twice_given, expected=(422,), pointers=(f"/{name}",))
        for boundary in (b"", b"; boundary=", b"; boundary=\xff", b"; boundary=" + b"x" * 5000, b"; boundary=limit"):
            media_type = b"multipart/form-data" + boundary
            headers = [(b"Content-Type", media_type)]
            for content in (b"", b"--x", b"--x\r\n", b"--x--\r\n", b"nothing of it", b"\0" * 1000):
                what = f"{media_type[:40]!r} {content[:10]!r}"
                await probe.send(operation, what, content=content, headers=headers, expected=(400, 415, 422))
    probe.check()


def example_of(operation: Operation) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]]]:
    """Return the body of a request that is in order, if it has one, and the header of its type."""
    if operation.media_type is None:
        return {}, []
    if operation.media_type == MULTIPART:
        return {"content": joined(parts_of(operation))}, [(b"Content-Type", LIMITED)]
    return {"content": json.dumps(operation.example).encode()}, [(b"Content-Type", b"application/json")]


def parts_of(operation: Operation) -> list[bytes]:
    """Return the example's parts, the file first."""
    texts = {name: value for name, value in operation.example.items() if name not in operation.file_fields}
    files = [part(name, b"Some text.", "a.txt") for name in operation.file_fields]
    return [*files, *(part(name, str(value).encode()) for name, value in texts.items())]


def joined(parts: list[bytes]) -> bytes:
    return b"".join(b"--limit\r\n" + each + b"\r\n" for each in parts) + b"--limit--\r\n"


def part(name: str, value: bytes, file_name: str | None = None, media_type: bytes = b"text/plain") -> bytes:
    """Return one part of a multipart body; with a file's name it is a file."""
    head = f'Content-Disposition: form-data; name="{name}"'.encode(errors="surrogateescape")
    if file_name is not None:
        head += f'; filename="{file_name}"\r\nContent-Type: '.encode() + media_type
    return head + b"\r\n\r\n" + value


async def test_each_query_parameter(probe: Probe) -> None:
    for operation in probe.operations():
        more, headers = example_of(operation)
        for name in ("unknown", "limt", "\0", "a[b]", "\U0001f600"):
            await probe.send(
                operation,
                f"?{name!r}=1",
                params={name: "1"},
                headers=headers,
                expected=(422,),
                pointers=(f"/{name}",),
                **more,
            )
        for parameter in operation.parameters:
            if parameter.where != "query":
                continue
            at = f"/{parameter.name}"
            for text in TEXTS:
                what = f"?{parameter.name}={text!r:.40}"
                await probe.send(operation, what, params={parameter.name: text}, pointers=(at,))
            for raw in ("%ff", "%ed%a0%80", "%", "%zz", "&&&", "=", "%00"):
                path = f"{probe.path(operation)}?{parameter.name}={raw}"
                await probe.send(operation, path, path=path)
            twice_given = [(parameter.name, "1"), (parameter.name, "2")]
            await probe.send(operation, f"{at} twice", params=twice_given, expected=(422,), pointers=(at,))
    probe.check()


async def test_cursors_that_nobody_gave(probe: Probe) -> None:
    lists = [each for each in probe.operations() if any(parameter.name == "cursor" for parameter in each.parameters)]
    assert lists
    for operation in lists:
        for place in PLACES:
            cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
            await probe.send(operation, f"cursor {place!r:.60}", params={"cursor": cursor[:500]}, pointers=("/cursor",))
        for cursor in ("=", "====", "a", "%%%", "x" * 500, "x" * 501, "\u0430", base64.b64encode(b"\xff\xfe").decode()):
            await probe.send(
                operation, f"cursor {cursor!r:.40}", params={"cursor": cursor}, expected=(422,), pointers=("/cursor",)
            )
    probe.check()


async def test_headers(probe: Probe) -> None:
    """Those that a route has get every value, the others some: they may be read where the document does not say so."""
    for operation in probe.operations():
        more, media_type = example_of(operation)
        own = [parameter.name for parameter in operation.parameters if parameter.where == "header"]
        sent = [(name, value) for name in own for value in HEADER_VALUES]
        sent += [
            (name, value) for name in HEADERS if name.lower() not in map(str.lower, own) for value in HEADER_VALUES[:6]
        ]
        for name, value in sent:
            headers = [(name.encode(), value), *media_type]
            what = f"{name}: {value!r:.40}"
            await probe.send(operation, what, headers=headers, pointers=(f"/{name.lower()}", f"/{name}"), **more)
    probe.check()


async def test_ids(probe: Probe) -> None:
    for operation in probe.operations():
        more, headers = example_of(operation)
        for name in operation.ids:
            for value in IDS:
                path = operation.path.format(**{**probe.ids, name: value})
                is_found = name == "caller_id" or operation.method == "PUT"  # what is put there may be new
                is_found |= path == "/jobs/%0a"  # a newline ends a path like nothing: it is /jobs/
                expected = () if is_found else (404, 405) if "%2f" in value else (404,)
                await probe.send(operation, path[:80], path=path, headers=headers, expected=expected, **more)
    probe.check()


async def test_keys(probe: Probe) -> None:
    """A key that can be none is unknown, like any other."""
    for headers in (
        [(b"Authorization", b"Bearer " + b"x" * 9000)],
        [(b"Authorization", b"Bearer \xff\xfe")],
        [(b"Authorization", b"Bearer a b")],
        [(b"Authorization", b"\xff")],
        [(b"X-API-Key", b"\xff")],
        [(b"X-API-Key", b"")],
        [(b"Authorization", b"Bearer x"), (b"Authorization", b"Bearer y")],
    ):
        answer = await probe.api.client.get("/v1/jobs", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, MEDIA_TYPE), headers
    assert (await probe.api.client.get("/v1/jobs", headers=authorization(OPERATOR))).status_code == 200
