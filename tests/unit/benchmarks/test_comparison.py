from __future__ import annotations

from benchmarks.comparison import compare, table


def test_ratio_is_product_over_yardstick() -> None:
    rows = compare({"bulk": {"wall_s": 5.0}}, {"bulk": {"wall_s": 10.0}})
    assert rows == [{"figure": "bulk: wall, s", "product": 5.0, "yardstick": 10.0, "ratio": 0.5}]


def test_no_ratio_to_a_figure_that_is_0() -> None:
    fetched = {"again": {"site": {"304": 0, "fetches": 2}}}
    rows = compare({"again": {"site": {"304": 2, "fetches": 2}}}, fetched)
    assert [(row["figure"], row["ratio"]) for row in rows] == [("again: fetches", 1.0), ("again: answered 304", None)]


def test_a_figure_that_one_lacks_is_left_out() -> None:
    assert compare({"bulk": {"wall_s": 5.0}}, {"bulk": {}}) == []


def test_table_has_a_line_for_each_figure() -> None:
    rows = compare(
        {"bulk": {"wall_s": 5.0}, "again": {"texts_at_embedding_server": 0}},
        {"bulk": {"wall_s": 10.0}, "again": {"texts_at_embedding_server": 0}},
    )
    head, *lines = table(rows).splitlines()
    assert head.split() == ["product", "yardstick", "ratio"]
    assert [line.split()[-3:] for line in lines] == [["5.0", "10.0", "0.50"], ["0", "0", "-"]]
