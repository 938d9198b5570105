"""The report's tables."""

import pandas as pd

from glassguard.report import sources_figures
from glassguard.report.detection_tables import attacks_table, choices_table, pairs_table
from glassguard.report.saliency_tables import evaluation_table
from glassguard.report.summary import evaluation_rates
from glassguard.report.tables import Table, markdown, rate
from glassguard.report.wording import whole_percent


def test_rate_says_interval_and_n():
    values = {"success": 0.5, "success_low": 0.25, "success_high": 0.75, "success_n": 10}
    assert rate(values, "success") == "50.0 % [25.0–75.0], n = 10"
    assert rate({"success": float("nan")}, "success") == "–"


def test_whole_percents_have_no_decimal() -> None:
    assert [whole_percent(x) for x in (0.05, 0.0991, 1.0, 0.0)] == ["5 %", "9.9 %", "100 %", "0 %"]


def test_other_attacks_stand_beside_the_first(results):
    table = attacks_table(pd.read_csv(results / "detection/attacks.csv"))
    assert table.header == ("detector", "glasses (n = 4)", "sticker (n = 6)")
    assert table.rows[0][1].startswith("75.0 %")
    assert table.rows[0][2].endswith("; 0.900 [0.800–1.000]")


def test_table_1_has_the_sources_rows_last(results):
    table = pairs_table(pd.read_csv(results / "detection" / "table1.csv", dtype={"attacker": str}))
    last = [table.rows[index] for index in sorted(table.from_source)]
    assert [row[-1] for row in last] == ["92.3 %", "100.0 %", "94.9 %"]
    assert table.rows[0][-1] == "50.0 %"


def test_the_page_says_where_detectors_read(results):
    found = choices_table(pd.read_csv(results / "detection/choices.csv"))
    assert found.rows == (
        ("influence", "conv4_3, raw (pairs: 3)", "most pairs", "fc6, raw (pairs: 1)"),
        ("distance euclidean", "conv4_3, euclidean", "as influence", "–"),
    )


def test_evaluation_stands_beside_the_source(results):
    test = evaluation_rates(pd.read_csv(results / "saliency" / "evaluation.csv"))
    table = evaluation_table(test, threshold=0.8)
    by_name = {(row[0], row[1]): row for row in table.rows}
    assert by_name["guided mask, Study S", "–"][2:6] == ("21.7 %", "60.0 %", "93.3 %", "56.7 %")
    assert by_name["guided mask, Study S", "≥ 0.8"][5] == "54.9 %"
    assert by_name["none", "–"][2].startswith("66.7 %")


def test_sources_figures_are_those_of_the_texts():
    assert [pair.benign_target for pair in sources_figures.TABLE_1] == [1.0, 0.75, 0.714]
    assert sources_figures.BEST_GOODNESS == 0.7768


def test_headings_of_markdown_may_be_empty():
    written = markdown(["", "n"], [["a", "1"], ["b", ""]])
    assert written == "| | n |\n|---|---|\n| a | 1 |\n| b |  |"


def test_a_long_table_shows_the_six_rows_that_matter():
    rows = tuple((str(at),) for at in range(12))
    table = Table("t", ("a",), rows, emphasised=frozenset({7}), from_source=frozenset({10, 11}))
    assert table.leading == {7, 10, 11, 0, 1, 2}
    assert Table("t", ("a",), rows[:8]).leading == set(range(8)), "two rows are not worth a click"
    many = Table("t", ("a",), rows, emphasised=frozenset(range(3, 12)))
    assert many.leading == {3, 4, 5, 6, 7, 8}
