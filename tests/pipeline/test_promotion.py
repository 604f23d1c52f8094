"""A corpus that outgrows the exact scan is moved to an HNSW index by a run of its own, with searches going on."""

from __future__ import annotations

import psycopg

from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import PROMOTE_ROWS, Stack, ended, poll


def test_a_large_corpus_is_promoted_by_a_visible_run_while_it_answers(stack: Stack, dagster_api: DagsterApi) -> None:
    texts = [
        f"Paragraph {number} tells of animal{number} and of plant{number}. " * 30 for number in range(PROMOTE_ROWS)
    ]
    page = Page("<html lang=en><main>" + "".join(f"<p>{text}</p>" for text in texts) + "</main></html>")
    with WebServer({"/large": page}) as site, stack.client() as client:
        job = ended(client, client.submit("large", [f"{site.url}/large"])["id"])
        assert job["status"] == "succeeded"
        assert job["usage"]["chunks"] > PROMOTE_ROWS

        def kind() -> str:
            hits = client.search("large", "animal17 plant17", top_k=3)["results"]
            assert "animal17" in hits[0]["text"], "an answer at any time"
            with psycopg.connect(stack.values["DATABASE_URL"]) as owner:
                row = owner.execute(
                    "SELECT v.kind FROM cixml.index_versions v JOIN cixml.corpora c ON c.id = v.corpus_id "
                    "WHERE c.name = 'large' AND v.state = 'serving'"
                ).fetchone()
            assert row
            return str(row[0])

        poll(lambda: kind() == "hnsw", "the promotion", timeout_seconds=90)
        assert kind() == "hnsw"
        site.pages["/late"] = Page("<html lang=en><main><p>" + "The latecomer is a yak. " * 30 + "</p></main></html>")
        assert ended(client, client.submit("large", [f"{site.url}/late"])["id"])["status"] == "succeeded"
        assert "yak" in client.search("large", "latecomer yak", top_k=1)["results"][0]["text"]
    poll(lambda: not dagster_api.unfinished(corpus_prefix="large-"), "the end of the runs")
    [promotion] = [run for run in dagster_api.runs(corpus_prefix="large-") if "cixml/promotion" in run["tags"]]
    assert (promotion["status"], promotion["tags"]["cixml/queue"]) == ("SUCCESS", "backfill")
    with psycopg.connect(stack.values["DATABASE_URL"]) as owner:
        left = owner.execute(
            "SELECT count(*) FROM cixml.index_versions v JOIN cixml.corpora c ON c.id = v.corpus_id "
            "WHERE c.name = 'large' AND v.state = 'retired' AND v.released_at IS NULL"
        )
        assert left.fetchone() == (0,)
