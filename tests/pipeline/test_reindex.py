"""Another index of a corpus through the whole stack: built from what is stored, flipped under searches, taken back."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from tests.fakes.web_server import Page, WebServer
from tests.models import SECOND
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll

NAME = "reindexed"
VERSIONS = f"/v1/corpora/{NAME}/index-versions"
MODEL = "all-MiniLM-L6-v2"


class Searches:
    """Searches one after the other from a thread, and what answered each."""

    def __init__(self, http: httpx.Client) -> None:
        self.answers: list[tuple[str, str, str]] = []
        self.errors: list[str] = []
        self._http = http
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> Searches:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _go(self) -> None:
        while not self._is_over.is_set():
            answer = self._http.post(f"/v1/corpora/{NAME}/search", json={"query": "yak", "top_k": 1})
            if answer.status_code != 200:
                self.errors.append(answer.text)
                continue
            body = answer.json()
            self.answers.append((body["query"]["index_version"], body["query"]["model"], body["results"][0]["text"]))


def test_an_index_is_built_anew_with_the_network_off_flipped_and_taken_back(
    stack: Stack, dagster_api: DagsterApi
) -> None:
    key = stack.new_key()
    with (
        stack.client(key) as client,
        httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        ) as http,
    ):

        def chunks() -> list[tuple[str, str]]:
            documents = http.get(f"/v1/corpora/{NAME}/documents").json()["content"]
            paths = [f"/v1/corpora/{NAME}/documents/{each['id']}/chunks" for each in documents]
            return [(each["id"], each["text"]) for path in paths for each in http.get(path).json()["content"]]

        def version(path: str) -> dict[str, Any]:
            found: dict[str, Any] = http.get(path).json()
            assert found["state"] != "failed", found
            return found

        def ask(**body: str) -> str:
            answer = http.post(VERSIONS, json=body)
            assert answer.status_code == 202, answer.text
            return answer.headers["location"]

        def reach(path: str, state: str) -> dict[str, Any]:
            poll(lambda: version(path)["state"] == state, f"{path} to be {state}", timeout_seconds=60)
            return version(path)

        texts = ["The yak is a long-haired animal. " * 20, "Rivers run to the sea. " * 20]
        pages = {
            f"/{n}": Page(f"<html lang=en><main><h1>Page {n}</h1><p>{t}</p></main></html>") for n, t in enumerate(texts)
        }
        with WebServer(pages) as site:
            job = ended(client, client.submit(NAME, [f"{site.url}/{n}" for n in range(2)])["id"])
            assert job["status"] == "succeeded"
        before = chunks()
        labels = {"labels": [{"query": "yak", "relevant": [f"{site.url}/0"]}]}
        assert http.put(f"/v1/corpora/{NAME}/labels", json=labels).status_code == 200
        raw, text = ask(**{"from": "raw"}, activate="auto"), ask(**{"from": "text"})  # the site is gone
        made = ask(model=SECOND)
        for path, chunk_source in ((raw, "raw"), (text, "text")):
            if path == text:
                reach(text, "ready")
                assert http.post(f"{text}/activate").status_code == 202
            retired = reach(path, "serving")
            assert chunks() == before, chunk_source
        ready = reach(made, "ready")
        assert ready["progress"]["chunks"] == {"done": len(before), "total": len(before)}
        poll(lambda: version(made)["comparison"] is not None, "the comparison, which follows")
        report = version(made)["comparison"]
        assert (report["queries"], report["is_labelled"], report["is_good"]) == (1, True, True)
        assert report["serving"]["model"] == MODEL
        with Searches(http) as searches:
            assert http.post(f"{made}/activate").status_code == 202
            reach(made, "serving")
            assert http.post(f"{VERSIONS}/{retired['id']}/activate").status_code == 202
            reach(f"{VERSIONS}/{retired['id']}", "serving")
        assert searches.errors == []
        models = {SECOND: {ready["id"]}, MODEL: {retired["id"]}}
        assert {model: {each[0] for each in searches.answers if each[1] == model} for model in models} == models
        assert all("yak" in text for _, _, text in searches.answers)
    poll(lambda: not dagster_api.unfinished(corpus_prefix=f"{NAME}-"), "the end of the runs")
    runs = [run for run in dagster_api.runs(corpus_prefix=f"{NAME}-") if "cixml/index_version" in run["tags"]]
    assert {(run["status"], run["tags"]["cixml/queue"]) for run in runs} == {("SUCCESS", "backfill")}
    [partition] = {run["partition"] for run in runs}
    assert partition in dagster_api.materialized_partitions("index_comparison")
    assert partition in dagster_api.materialized_partitions("embeddings", "second_model")
