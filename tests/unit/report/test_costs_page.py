"""The costs in the pages are those that benchmarks wrote."""

import csv
import io
import sys
from pathlib import Path

import pytest
from shipped import ROOT, script_of

figures = script_of("figures")
bounds = script_of("bounds", ROOT / "benchmarks")


def test_a_bound_that_is_not_kept_is_marked() -> None:
    row = {"figure": "share", "measured": "0.24", "relation": "<=", "bound": "0.1"}
    rows = [row, row | {"relation": ">="}, row | {"relation": "", "bound": ""}]
    table = figures.published.rendered("costs", "cost", rows=[*rows, {"measured": "a machine"}])
    assert table.splitlines()[2:] == [
        "| share | 0.24 | ≤ 0.1, **missed** |",
        "| share | 0.24 | ≥ 0.1 |",
        "| share | 0.24 |  |",
        "",
        "Machine: a machine.",
    ]


def test_a_missing_table_is_named_before_a_page_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "<!-- cost of influence: start -->\n\nold\n\n<!-- cost of influence: end -->"
    for name in figures.PAGES:
        (tmp_path / f"{name}.md").write_text(page)
    monkeypatch.setattr(figures.published, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["figures.py"])
    with pytest.raises(SystemExit, match=r"cost-influence\.csv: no such table; a run or, by --ta"):
        figures.main()
    assert (tmp_path / "influence.md").read_text() == page


def test_figures_become_a_table_and_an_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = [
        bounds.Figure("ratio", 1.101, 3, "<=", 1.15),
        bounds.Figure("times fewer", 2.0, 1, ">=", 2.2),
        bounds.Figure("seconds", 7.25),
    ]
    assert bounds.reported(figures, tmp_path / "cost.csv") == 1
    assert bounds.reported(figures[::2], None) == 0
    printed = capsys.readouterr().out
    assert "ratio: 1.101, <= 1.15\n" in printed
    assert "missed: times fewer\n" in printed
    assert printed.endswith("every bound holds\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "cost.csv").read_text())))
    assert rows[1] == {
        "figure": "times fewer",
        "measured": "2.0",
        "relation": ">=",
        "bound": "2.2",
    }
    assert rows[2]["bound"] == ""
    assert rows[-1]["figure"] == "machine"
