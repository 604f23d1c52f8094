from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.pages import host_of


def test_a_page_has_the_same_host_at_each_run() -> None:
    assert host_of("/0/pg/indexes.html", 20) == "127.0.0.6"


@pytest.mark.parametrize("hosts", [1, 2, 20])
def test_pages_are_spread_over_all_hosts_and_no_other(hosts: int) -> None:
    found = Counter(host_of(f"/0/{number}.html", hosts) for number in range(2000))
    assert found.keys() == {f"127.0.0.{1 + number}" for number in range(hosts)}
    assert min(found.values()) > 0.5 * 2000 / hosts
