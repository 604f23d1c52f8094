"""Fetching, against a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from resources.errors import InvalidUrlError, ScrapingError
from resources.web.fetcher import Fetcher
from tests.fakes.web_server import Page, WebServer
from tests.unit.resources.web.conftest import MakeFetcher


async def failure(fetcher: Fetcher, url: str) -> ScrapingError:
    with pytest.raises(ScrapingError) as caught:
        await fetcher.fetch(url)
    return caught.value


async def test_fetcher_returns_a_page_with_its_headers(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page("<p>Hallo</p>", "Text/HTML; Charset=UTF-8", last_modified="Mon, 01 Jan 2024 00:00:00 GMT")
    page = await fetcher.fetch(f"{server.url}/a#part")
    assert (page.status, page.body, page.content_type, page.charset) == (200, b"<p>Hallo</p>", "text/html", "utf-8")
    assert page.url == page.final_url == f"{server.url}/a"
    assert page.etag == server.pages["/a"].etag
    assert page.last_modified == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert page.robots.allowed
    assert page.robots.rule == "no robots.txt"
    request = server.requests[-1].headers
    assert request["accept-encoding"] == "gzip"
    assert request["user-agent"] == "cixml/0.1 (+https://www.cloudcix.com/)"
    assert request["host"] == f"127.0.0.1:{server.port}"


async def test_unchanged_page_has_no_body_and_keeps_its_connection(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page("<p>a</p>")
    first = await fetcher.fetch(f"{server.url}/a")
    for _ in range(3):
        again = await fetcher.fetch(f"{server.url}/a", etag=first.etag, last_modified=first.last_modified)
        assert (again.status, again.body, again.is_unchanged) == (304, None, True)
    assert server.connections == 1


async def test_page_is_conditional_by_date_alone(server: WebServer, fetcher: Fetcher) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    server.pages["/a"] = Page("<p>a</p>", last_modified=date, etag=False)
    assert (await fetcher.fetch(f"{server.url}/a", last_modified=date)).is_unchanged
    assert not (await fetcher.fetch(f"{server.url}/a", etag='"x"\r\nEvil: 1')).is_unchanged


async def test_validators_go_to_the_url_that_gave_them(server: WebServer, fetcher: Fetcher) -> None:
    """After a move to a page that happens to have the same ETag, it comes whole."""
    server.pages |= {
        "/a": Page("", status=302, headers={"Location": "/old"}),
        "/old": Page("<p>old</p>"),
        "/new": Page("<p>new</p>", etag=False, headers={"ETag": Page("<p>old</p>").etag}),
    }
    first = await fetcher.fetch(f"{server.url}/a")
    known = {"etag": first.etag, "validated_url": first.final_url}
    assert (await fetcher.fetch(f"{server.url}/a", **known)).is_unchanged
    assert "if-none-match" not in [request for request in server.requests if request.path == "/a"][-1].headers
    server.pages["/a"] = Page("", status=302, headers={"Location": "/new"})
    assert (await fetcher.fetch(f"{server.url}/a", **known)).body == b"<p>new</p>"
    assert "if-none-match" not in server.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (404, "http_4xx", False),
        (403, "http_4xx", False),
        (401, "login_required", False),
        (429, "http_4xx", True),
        (500, "http_5xx", True),
        (503, "http_5xx", True),
    ],
)
async def test_error_status_becomes_a_code(
    server: WebServer, fetcher: Fetcher, status: int, code: str, *, retryable: bool
) -> None:
    server.pages["/a"] = Page("no", "text/plain", status=status)
    error = await failure(fetcher, f"{server.url}/a")
    assert (error.code, error.retryable, error.http_status) == (code, retryable, status)


@pytest.mark.parametrize(("value", "most"), [("120", 120), ("in a minute", 60), ("soon", 0), ("", 0), ("-5", 0)])
async def test_retry_after_is_read_in_seconds_and_as_a_date(
    server: WebServer, fetcher: Fetcher, value: str, most: int
) -> None:
    if value == "in a minute":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    server.pages["/a"] = Page("", status=503, headers={"Retry-After": value})
    seconds = (await failure(fetcher, f"{server.url}/a")).retry_after_seconds or 0
    assert max(0, most - 10) <= seconds <= most


async def test_host_that_names_a_time_is_not_asked_before(server: WebServer, make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(max_retry_after_seconds=30)
    server.pages |= {"/a": Page("", status=429, headers={"Retry-After": "3600"}), "/b": Page("<p>b</p>")}
    assert (await failure(fetcher, f"{server.url}/a")).code == "http_4xx"
    error = await failure(fetcher, f"{server.url}/b")
    assert (error.code, error.retryable) == ("host_paused", True)
    assert 25 < (error.retry_after_seconds or 0) <= 30
    assert server.paths == ["/a"]


async def test_pause_of_a_host_that_was_redirected_to_is_its_own(server: WebServer, make_fetcher: MakeFetcher) -> None:
    names = {"first.test": ["127.0.0.1"], "second.test": ["127.0.0.1"]}
    fetcher, first = make_fetcher(names=names), f"http://first.test:{server.port}"
    location = {"Location": f"http://second.test:{server.port}/busy"}
    server.pages |= {
        "/away": Page("", status=302, headers=location),
        "/busy": Page("", status=503, headers={"Retry-After": "60"}),
        "/here": Page("<p>a</p>"),
    }
    assert (await failure(fetcher, f"{first}/away")).is_of_redirect
    assert not (await failure(fetcher, f"{first}/busy")).is_of_redirect


async def test_redirects_are_followed_up_to_the_limit(server: WebServer, fetcher: Fetcher) -> None:
    for step in range(6):
        server.pages[f"/{step}"] = Page("", status=302, headers={"Location": f"/{step + 1}"})
    server.pages["/6"] = Page("<p>end</p>")
    page = await fetcher.fetch(f"{server.url}/1")
    assert (page.url, page.final_url) == (f"{server.url}/1", f"{server.url}/6")
    assert (await failure(fetcher, f"{server.url}/0")).code == "redirect_loop"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("/loop", "redirect_loop"),
        ("file:///etc/passwd", "redirect_blocked"),
        ("http://user:pw@example.com/", "redirect_blocked"),
        ("http://intranet/", "redirect_blocked"),
        ("http://169.254.169.254/latest/meta-data", "address_blocked"),
        ("http://[::ffff:127.0.0.1]:1/", "address_blocked"),
    ],
)
async def test_redirect_is_checked_like_the_first_url(
    server: WebServer, fetcher: Fetcher, location: str, code: str
) -> None:
    server.pages["/loop"] = Page("", status=301, headers={"Location": location})
    assert (await failure(fetcher, f"{server.url}/loop")).code == code


def refresh(target: str) -> Page:
    return Page(f'<html><head><meta http-equiv="refresh" content="0; url={target}"></head></html>')


async def test_page_that_sends_its_reader_on_is_followed_like_a_redirect(server: WebServer, fetcher: Fetcher) -> None:
    server.pages |= {"/a": refresh("b"), "/b": Page("<p>end</p>"), "/self": refresh("/self#x"), "/1": refresh("/2")}
    server.pages |= {
        "/2": refresh("/1"),
        "/inner": refresh("http://169.254.169.254/"),
        "/file": refresh("file:///etc/passwd"),
    }
    page = await fetcher.fetch(f"{server.url}/a")
    assert (page.url, page.final_url, page.body) == (f"{server.url}/a", f"{server.url}/b", b"<p>end</p>")
    assert (await fetcher.fetch(f"{server.url}/self")).final_url == f"{server.url}/self"
    assert (await fetcher.fetch(f"{server.url}/file")).final_url == f"{server.url}/file"
    assert (await failure(fetcher, f"{server.url}/1")).code == "redirect_loop"
    assert (await failure(fetcher, f"{server.url}/inner")).code == "address_blocked"


async def test_sitemap_may_be_of_any_type_and_robots_file_is_never_disallowed(
    server: WebServer, fetcher: Fetcher
) -> None:
    server.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /", "text/plain")
    server.pages["/s.xml.gz"] = Page(b"\x1f\x8b", "application/octet-stream")
    assert b"Disallow" in ((await fetcher.fetch(f"{server.url}/robots.txt", is_sitemap=True)).body or b"")
    with pytest.raises(ScrapingError, match="disallows"):
        await fetcher.fetch(f"{server.url}/s.xml.gz", is_sitemap=True)


async def test_page_tells_what_it_asks_of_robots(server: WebServer, fetcher: Fetcher) -> None:
    two = b"X-Robots-Tag: otherbot: none\r\nX-Robots-Tag: nofollow\r\n"
    tag = {"X-Robots-Tag": "noindex, follow"}
    server.pages |= {
        "/robots.txt": Page("", status=404),
        "/plain": Page("<p>a</p>"),
        "/header": Page(b"%PDF-1.7 ...", "application/pdf", headers=tag),
        "/two": Page(HEAD + two + b"\r\n<p>", raw=True),
        "/head": Page('<html><head><meta name="cixml" content="none"></head></html>'),
        "/text": Page('<meta name="robots" content="none"> is what to write', "text/plain"),
        "/redirect": Page("", status=301, headers=tag | {"Location": "/plain"}),
    }
    found = {path: await fetcher.fetch(server.url + path) for path in server.pages if path != "/robots.txt"}
    assert {path: (page.is_noindex, page.is_nofollow) for path, page in found.items()} == {
        "/plain": (False, False),
        "/header": (True, False),
        "/two": (False, True),
        "/head": (True, True),
        "/text": (False, False),
        "/redirect": (False, False),
    }
    sitemap = await fetcher.fetch(f"{server.url}/header", is_sitemap=True)
    assert not sitemap.is_noindex  # which is what many sites say of their sitemaps
    again = await fetcher.fetch(f"{server.url}/header", etag=found["/header"].etag)
    assert (again.status, again.is_noindex) == (304, True)


async def test_sitemap_is_taken_as_it_is(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/s.xml.gz"] = Page(b"\x1f\x8b", "application/octet-stream")
    assert (await fetcher.fetch(f"{server.url}/s.xml.gz", is_sitemap=True)).body == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("location", "path"), [("/é b".encode(), "/%C3%A9%20b"), (b"/\xe9", "/%E9"), (b"?x#y", "/a?x")]
)
async def test_location_that_is_not_escaped_is(server: WebServer, fetcher: Fetcher, location: bytes, path: str) -> None:
    redirect = Page("", status=302, headers={"Location": location.decode("latin-1")})
    server.pages |= {"/a": redirect, path: Page("<p>end</p>")}
    assert (await fetcher.fetch(f"{server.url}/a")).final_url == server.url + path


async def test_redirect_without_location_is_refused(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page("", status=302)
    assert (await failure(fetcher, f"{server.url}/a")).code == "redirect_blocked"


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://user:pw@example.com/", "nonsense"])
async def test_fetcher_refuses_a_url_that_can_not_be_fetched(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(InvalidUrlError):
        await fetcher.fetch(url)


async def test_refused_address_sees_no_connection(server: WebServer, make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(allow_networks=[])
    assert (await failure(fetcher, f"{server.url}/")).code == "address_blocked"
    assert server.connections == 0


async def test_own_endpoint_is_refused_though_its_network_is_allowed(
    server: WebServer, make_fetcher: MakeFetcher
) -> None:
    own = frozenset({("localhost", server.port)})
    fetcher = make_fetcher(own_endpoints=own, allow_networks=["127.0.0.0/8"])
    assert (await failure(fetcher, f"{server.url}/")).code == "address_blocked"
    assert server.connections == 0


async def test_name_that_stands_for_an_inner_address_is_refused(server: WebServer, make_fetcher: MakeFetcher) -> None:
    names = {
        "mixed.test.": [],
        "mixed.test": ["127.0.0.1", "10.0.0.1"],
        "good.test": ["127.0.0.1"],
        "db.test": ["127.0.0.1"],
    }
    fetcher = make_fetcher(names=names)
    server.pages["/"] = Page("<p>good</p>")
    assert (await failure(fetcher, f"http://mixed.test:{server.port}/")).code == "address_blocked"
    assert server.connections == 0
    page = await fetcher.fetch(f"http://good.test:{server.port}/")
    assert page.body == b"<p>good</p>"
    assert server.requests[-1].headers["host"] == f"good.test:{server.port}"
    guarded = make_fetcher(names=names, own_endpoints=frozenset({("db.test", server.port)}))
    for name in ("db.test", "good.test"):  # by name, and by the number behind it
        assert (await failure(guarded, f"http://{name}:{server.port}/")).code == "address_blocked"


@pytest.mark.parametrize(
    ("reason", "retryable"), [(socket.EAI_NONAME, False), (socket.EAI_NODATA, False), (socket.EAI_AGAIN, True)]
)
async def test_name_that_does_not_exist_is_refused_for_good(
    make_fetcher: MakeFetcher, reason: int, *, retryable: bool
) -> None:
    async def resolve(host: str) -> Sequence[str]:
        raise socket.gaierror(reason, "no")

    error = await failure(make_fetcher(resolve=resolve), "http://nowhere.test/")
    assert (error.code, error.retryable) == ("dns_failed", retryable)


async def test_name_that_no_name_server_can_hold_is_refused_for_good(make_fetcher: MakeFetcher) -> None:
    error = await failure(make_fetcher(), f"http://{'a' * 64}.test/")
    assert (error.code, error.retryable) == ("dns_failed", False)


async def test_name_server_that_hangs_is_not_waited_for(
    make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.web.backend.DNS_TIMEOUT_SECONDS", 0.1)

    async def resolve(host: str) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    error = await failure(make_fetcher(resolve=resolve), "http://slow.test/")
    assert (error.code, error.retryable) == ("dns_failed", True)


@pytest.mark.parametrize("addresses", [[], [f"127.0.{number}.1" for number in range(65)]])
async def test_answer_that_can_not_be_checked_whole_is_refused(make_fetcher: MakeFetcher, addresses: list[str]) -> None:
    fetcher = make_fetcher(names={"many.test": addresses}, allow_networks=["127.0.0.0/8"])
    assert (await failure(fetcher, "http://many.test/")).code == "dns_failed"


async def test_closed_port_is_retryable(make_fetcher: MakeFetcher, server: WebServer) -> None:
    fetcher = make_fetcher(allow_networks=["127.0.0.1/32"])
    with WebServer() as gone:
        url = gone.url
    error = await failure(fetcher, f"{url}/")
    assert (error.code, error.retryable) == ("connect_failed", True)


async def test_robots_txt_decides(server: WebServer, fetcher: Fetcher) -> None:
    server.pages |= {
        "/robots.txt": Page("\ufeffUser-agent: cixml\nDisallow: /private", "text/plain"),
        "/public": Page("<p>a</p>"),
    }
    error = await failure(fetcher, f"{server.url}/private/a")
    assert (error.code, error.retryable) == ("robots_disallowed", False)
    assert error.robots is not None
    assert (error.robots.allowed, error.robots.rule) == (False, "Disallow: /private")
    error = await failure(fetcher, f"{server.url}/missing")
    assert (error.code, error.robots is not None and error.robots.allowed) == ("http_4xx", True)
    assert (await fetcher.fetch(f"{server.url}/public")).robots.rule == "no rule for this URL"
    assert server.paths == ["/missing", "/public"]
    assert sum(request.path == "/robots.txt" for request in server.requests) == 1


async def test_redirect_into_a_disallowed_path_is_refused(server: WebServer, fetcher: Fetcher) -> None:
    server.pages |= {
        "/robots.txt": Page("User-agent: *\nDisallow: /private", "text/plain"),
        "/a": Page("", status=302, headers={"Location": "/private"}),
    }
    assert (await failure(fetcher, f"{server.url}/a")).code == "robots_disallowed"
    assert server.paths == ["/a"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_unreachable_robots_txt_refuses_for_now(server: WebServer, fetcher: Fetcher, status: int) -> None:
    server.pages |= {"/robots.txt": Page("", status=status), "/a": Page("<p>a</p>")}
    error = await failure(fetcher, f"{server.url}/a")
    assert (error.code, error.retryable, error.http_status) == ("robots_unreachable", True, status)
    assert server.paths == []


@pytest.mark.parametrize(
    ("status", "reads"), [(200, True), (203, True), (401, False), (403, False), (404, False), (410, False)]
)
async def test_robots_txt_that_is_missing_or_forbidden_allows_all(
    server: WebServer, fetcher: Fetcher, status: int, *, reads: bool
) -> None:
    server.pages |= {"/robots.txt": Page("User-agent: *\nDisallow: /a", status=status), "/a": Page("<p>a</p>")}
    if reads:
        assert (await failure(fetcher, f"{server.url}/a")).code == "robots_disallowed"
    else:
        assert (await fetcher.fetch(f"{server.url}/a")).robots.rule == "no robots.txt"


async def test_busy_robots_txt_says_when_to_come_again(server: WebServer, fetcher: Fetcher) -> None:
    server.pages |= {"/robots.txt": Page("", status=503, headers={"Retry-After": "40"})}
    assert (await failure(fetcher, f"{server.url}/a")).retry_after_seconds == 40


@pytest.mark.parametrize(("redirects", "allowed"), [(5, False), (6, True)])
async def test_robots_txt_is_looked_for_behind_five_redirects(
    server: WebServer, fetcher: Fetcher, redirects: int, *, allowed: bool
) -> None:
    for step in range(redirects):
        path = f"/r{step}" if step else "/robots.txt"
        server.pages[path] = Page("", status=302, headers={"Location": f"/r{step + 1}"})
    server.pages |= {f"/r{redirects}": Page("User-agent: *\nDisallow: /"), "/a": Page("<p>a</p>")}
    result = (await asyncio.gather(fetcher.fetch(f"{server.url}/a"), return_exceptions=True))[0]
    assert isinstance(result, ScrapingError) is not allowed


async def test_robots_txt_is_read_up_to_500_kib_in_whole_lines(server: WebServer, fetcher: Fetcher) -> None:
    head = "User-agent: *\nDisallow: /early\n"
    filler = "# " + "x" * (500 * 1024 - len(head) - len("\nDisallow: /") - 2)
    server.pages |= {
        "/robots.txt": Page(f"{head}{filler}\nDisallow: /late\nDisallow: /later\n", gzip=False),
        "/late": Page("<p>a</p>"),
        "/other": Page("<p>a</p>"),
    }
    assert (await failure(fetcher, f"{server.url}/early")).code == "robots_disallowed"
    for path in ("/late", "/other"):
        assert (await fetcher.fetch(f"{server.url}{path}")).robots.rule == "no rule for this URL"


@pytest.mark.parametrize("options", [{"truncate": True}, {"drop": True}, {"drip_seconds": 0.05}])
async def test_robots_txt_that_breaks_off_refuses_for_now(
    server: WebServer, make_fetcher: MakeFetcher, options: dict[str, object]
) -> None:
    server.pages |= {"/robots.txt": Page("User-agent: *\nDisallow: /x\n", **options), "/a": Page("<p>a</p>")}
    error = await failure(make_fetcher(read_timeout_seconds=0.3), f"{server.url}/a")
    assert (error.code, error.retryable) in {("robots_unreachable", True), ("connect_failed", True)}
    assert server.paths == []


async def test_robots_txt_is_fetched_once_for_many_pages_and_follows_redirects(
    server: WebServer, fetcher: Fetcher
) -> None:
    server.pages |= {
        "/robots.txt": Page("", status=301, headers={"Location": "/r"}),
        "/r": Page("User-agent: *\nDisallow: /p3", "text/plain", delay_seconds=0.05),
    } | {f"/p{number}": Page("<p>a</p>") for number in range(8)}
    results = await asyncio.gather(*(fetcher.fetch(f"{server.url}/p{n}") for n in range(8)), return_exceptions=True)
    assert [isinstance(each, ScrapingError) for each in results] == [n == 3 for n in range(8)]
    assert [request.path for request in server.requests].count("/robots.txt") == 1


async def test_robots_txt_that_redirects_inside_is_never_followed(server: WebServer, make_fetcher: MakeFetcher) -> None:
    with WebServer({"/robots.txt": Page("User-agent: *\nAllow: /", "text/plain")}) as inner:
        location = {"Location": f"{inner.url}/robots.txt"}
        server.pages |= {"/robots.txt": Page("", status=302, headers=location), "/a": Page("<p>a</p>")}
        error = await failure(make_fetcher(), f"{server.url}/a")
        assert error.code == "address_blocked"
        assert inner.connections == 0


async def test_gzip_is_decoded(server: WebServer, fetcher: Fetcher) -> None:
    body = "<p>" + "text " * 1000
    server.pages["/a"] = Page(body, gzip=True)
    server.pages["/b"] = Page(gzip.compress(b"one ") + gzip.compress(b"two"), headers={"Content-Encoding": "gzip"})
    assert (await fetcher.fetch(f"{server.url}/a")).body == body.encode()
    assert (await fetcher.fetch(f"{server.url}/b")).body == b"one two"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(b"a" * 2_000_001), "too_large"),
        (Page(b"a" * 2_000_001, chunked=True), "too_large"),
        (Page(b"a" * 2_000_001, gzip=True), "too_large"),
        (Page(gzip.compress(b"\0" * 1_900_000), headers={"Content-Encoding": "gzip"}), "too_large"),  # the ratio
        (Page(gzip.compress(b"<p>text</p>" * 50)[:-20], headers={"Content-Encoding": "gzip"}), "connect_failed"),
        (Page(b"no gzip", headers={"Content-Encoding": "gzip"}), "unsupported_type"),
        (Page(b"x", headers={"Content-Encoding": "br"}), "unsupported_type"),
        (Page(b"x", headers={"Content-Encoding": "gzip, gzip"}), "unsupported_type"),
        (Page(b"a" * 10_000, truncate=True), "connect_failed"),
        (Page(b"a" * 10_000, reset=True), "connect_failed"),
        (Page(gzip.compress(b"") * 5000, headers={"Content-Encoding": "gzip"}), "too_large"),  # members of nothing
        (
            Page(gzip.compress(b"a") + b"\0" * 2_000_000, chunked=True, headers={"Content-Encoding": "gzip"}),
            "too_large",
        ),
        (Page(b"\x89PNG\x00\x01", "image/png"), "unsupported_type"),
        (Page(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"), "unsupported_type"),
        (Page(b"PK\x03\x04\x00", "application/pdf"), "unsupported_type"),
        (Page(b"\x89PNG\x00\x01", None), "unsupported_type"),
        (Page(b"\x89PNG\r\n\x1a\n\x00", "text/html"), "unsupported_type"),
    ],
)
async def test_bad_body_is_an_error(server: WebServer, make_fetcher: MakeFetcher, page: Page, code: str) -> None:
    server.pages["/a"] = page
    assert (await failure(make_fetcher(max_body_bytes=2_000_000), f"{server.url}/a")).code == code


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\n<p>short", "connect_failed"),
        (HEAD + b"Content-Length: 3\r\n\r\n<p>more than it said", None),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n<p>a", "invalid_answer"),
        (HEAD + b"Content-Length: -3\r\n\r\n<p>a", "invalid_answer"),
        (HEAD + b"Content-Length: 3\xb2\r\n\r\n<p>a", "invalid_answer"),
        (HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n0\r\n\r\n", None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n<p>\r\n0\r\n\r\n", "invalid_answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n<p>toolong\r\n0\r\n\r\n", "invalid_answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n", "connect_failed"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n0\r\n", "connect_failed"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n<p>", "invalid_answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_001 + b"0\r\n\r\n", "too_large"),
        (HEAD + b"\r\n<p>", None),  # ends with the connection
        (HEAD + b"X-Flood: " + b"a" * 300_000 + b"\r\n\r\n<p>", "invalid_answer"),
        (HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(30_000)) + b"\r\n<p>", "invalid_answer"),
        (HEAD + b"X: a\x00b\r\n\r\n<p>", "invalid_answer"),
        (HEAD + b"no colon\r\n\r\n<p>", "invalid_answer"),
        (HEAD, "connect_failed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + HEAD + b"Content-Length: 3\r\n\r\n<p>", None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "invalid_answer"),
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>", None),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "http_5xx"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "invalid_answer"),
        (b"HTTP/2 200 OK\r\n\r\n", "invalid_answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "connect_failed"),
        (b"<html>HTTP/0.9</html>", "connect_failed"),
        (b"\x16\x03\x01\x00\xa5" * 100, "invalid_answer"),
        (b"", "connect_failed"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, bytes) else None,
)
async def test_wrong_answer_is_told_from_one_that_breaks_off(
    server: WebServer, fetcher: Fetcher, answer: bytes, code: str | None
) -> None:
    server.pages |= {"/robots.txt": Page("", status=404), "/a": Page(answer, raw=True)}
    if code is None:
        assert (await fetcher.fetch(f"{server.url}/a")).body == b"<p>"
    else:
        error = await failure(fetcher, f"{server.url}/a")
        assert (error.code, error.retryable) == (code, code == "connect_failed")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"\n<!-- a --> <!DOCTYPE html><p>a", "text/html"), (b"# Title\n\nplain", "text/plain")],
)
@pytest.mark.parametrize("said", [None, "", "html", "unknown/unknown", "*/*"])
async def test_missing_type_is_sniffed(
    server: WebServer, fetcher: Fetcher, body: bytes, content_type: str, said: str | None
) -> None:
    server.pages["/a"] = Page(body, said)
    assert (await fetcher.fetch(f"{server.url}/a")).content_type == content_type


@pytest.mark.parametrize(
    ("said", "charset"),
    [
        ("text/html, text/html; charset=UTF-8", "utf-8"),
        ("text/html charset=utf-8", "utf-8"),
        ("TEXT/HTML;charset = 'koi8-r'", "koi8-r"),
        ("text/html;;charset=", None),
    ],
)
async def test_type_is_read_however_it_is_written(
    server: WebServer, fetcher: Fetcher, said: str, charset: str | None
) -> None:
    server.pages["/a"] = Page("<p>a</p>", said)
    page = await fetcher.fetch(f"{server.url}/a")
    assert (page.content_type, page.charset) == ("text/html", charset)


async def test_true_type_is_kept_where_the_server_lies(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page(b"%PDF-1.7 ...", "application/octet-stream")
    assert (await fetcher.fetch(f"{server.url}/a")).content_type == "application/pdf"


async def test_drip_ends_at_the_total_deadline(server: WebServer, make_fetcher: MakeFetcher) -> None:
    server.pages["/a"] = Page(b"a" * 1000, drip_seconds=0.02)
    started = time.monotonic()
    error = await failure(make_fetcher(total_timeout_seconds=0.3), f"{server.url}/a")
    assert (error.code, error.retryable) == ("timeout", False)
    assert time.monotonic() - started < 2


async def test_head_that_drips_ends_at_the_total_deadline(server: WebServer, make_fetcher: MakeFetcher) -> None:
    head = HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(1000)) + b"\r\n<p>"
    server.pages |= {"/robots.txt": Page("", status=404), "/a": Page(head, raw=True, drip_seconds=0.02)}
    error = await failure(make_fetcher(total_timeout_seconds=0.3), f"{server.url}/a")
    assert (error.code, error.retryable) == ("timeout", False)


async def test_silence_ends_at_the_read_timeout(server: WebServer, make_fetcher: MakeFetcher) -> None:
    server.pages |= {"/robots.txt": Page("", status=404), "/a": Page(b"a", delay_seconds=5)}
    error = await failure(make_fetcher(read_timeout_seconds=0.2), f"{server.url}/a")
    assert (error.code, error.retryable) == ("timeout", True)


async def test_connection_closed_in_the_moment_of_reuse_is_tried_again(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page("<p>a</p>")
    await fetcher.fetch(f"{server.url}/a")
    server.close_next_reuse()
    assert (await fetcher.fetch(f"{server.url}/a")).body == b"<p>a</p>"
    assert server.connections == 2


async def test_connection_dropped_at_its_first_request_is_an_error(server: WebServer, fetcher: Fetcher) -> None:
    server.pages["/a"] = Page("<p>a</p>")
    await fetcher.fetch(f"{server.url}/a")
    server.fail_next("/a", times=2, status=0)
    error = await failure(fetcher, f"{server.url}/a")
    assert (error.code, error.retryable) == ("connect_failed", True)


async def test_host_is_asked_so_many_at_once(server: WebServer, make_fetcher: MakeFetcher) -> None:
    server.pages |= {f"/{number}": Page("<p>a</p>", delay_seconds=0.03) for number in range(9)}
    fetcher = make_fetcher(host_concurrency=3)
    await asyncio.gather(*(fetcher.fetch(f"{server.url}/{number}") for number in range(9)))
    assert server.most_at_once == 3


async def test_crawl_delay_is_kept_up_to_the_cap(server: WebServer, make_fetcher: MakeFetcher) -> None:
    server.pages |= {"/robots.txt": Page("User-agent: *\nCrawl-delay: 3600", "text/plain"), "/a": Page("<p>a</p>")}
    fetcher = make_fetcher(max_crawl_delay_seconds=0.1, total_timeout_seconds=0.15)  # waiting is not counted
    started = time.monotonic()
    await asyncio.gather(*(fetcher.fetch(f"{server.url}/a") for _ in range(4)))
    assert 0.3 <= time.monotonic() - started < 3


async def test_host_is_asked_no_faster_than_an_operator_wants(server: WebServer, make_fetcher: MakeFetcher) -> None:
    server.pages |= {"/robots.txt": Page("User-agent: *\nCrawl-delay: 0.01", "text/plain"), "/a": Page("<p>a</p>")}
    fetcher = make_fetcher(host_delay_seconds=0.1)
    started = time.monotonic()
    await asyncio.gather(*(fetcher.fetch(f"{server.url}/a") for _ in range(4)))
    assert time.monotonic() - started >= 0.3


async def test_proxy_of_the_environment_is_not_used(
    server: WebServer, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.pages["/a"] = Page("<p>a</p>")
    assert (await make_fetcher().fetch(f"{server.url}/a")).status == 200


async def test_certificate_that_nobody_trusts_is_refused_for_good(make_fetcher: MakeFetcher, tls_port: int) -> None:
    fetcher = make_fetcher(allow_networks=[f"127.0.0.1/32:{tls_port}"])
    error = await failure(fetcher, f"https://127.0.0.1:{tls_port}/")
    assert (error.code, error.retryable) == ("tls_failed", False)
