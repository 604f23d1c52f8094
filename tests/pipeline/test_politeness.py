"""One site under the work of several workers: it sees one polite reader."""

from __future__ import annotations

from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended

CORPORA = 3
PAGES = 7
DELAY_SECONDS = 0.25


def test_several_workers_are_one_reader_to_a_site(stack: Stack) -> None:
    pages = {
        f"/{number}": Page(f"<main><p>A page with number {number}.</p></main>") for number in range(CORPORA * PAGES)
    }
    slow = {path: Page(page.body, delay_seconds=0.2) for path, page in pages.items()}
    with (
        stack.client() as client,
        WebServer(pages, host="127.0.0.41", robots=f"User-agent: *\nCrawl-delay: {DELAY_SECONDS}\n") as delaying,
        WebServer(slow, host="127.0.0.42") as busy,
    ):
        jobs = [
            client.submit(f"polite-{number}", [f"{site.url}/{number * PAGES + page}" for page in range(PAGES)])["id"]
            for number in range(CORPORA)
            for site in (delaying, busy)
        ]
        assert {ended(client, job)["status"] for job in jobs} == {"succeeded"}
        times = sorted(request.at for request in delaying.requests if request.path != "/robots.txt")
        assert len(times) == CORPORA * PAGES
        assert times[-1] - times[0] > DELAY_SECONDS * (len(times) - 2)  # the first may have taken longer to arrive
        robots = [request for request in delaying.requests if request.path == "/robots.txt"]
        assert len(robots) > 1, "one worker did it all"
        assert 1 < busy.most_at_once <= 4
