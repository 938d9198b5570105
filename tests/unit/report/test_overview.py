"""What a reader of the report sees first."""

import json

import pytest

from glassguard.report.overview import numbers, sentence


@pytest.fixture
def summary(results):
    return json.loads((results / "summary.json").read_text())


def test_one_sentence_says_what_is_attacked_and_what_defends(summary):
    said = sentence(summary, people=4)
    assert said.count(". ") == 0
    assert "of 4 people" in said
    assert "with 12 test pictures (the attack called glasses)" in said


def test_five_numbers_come_from_the_summary(summary):
    points = summary["detection"]["detectors"]
    (half,) = (
        point
        for point in points
        if (point["detector"], point["population"], point["wanted_fpr"])
        == ("influence", "half_wearing", 0.05)
    )
    half |= {"tpr": 0.123, "tpr_low": 0.1, "tpr_high": 0.2, "tpr_n": 99}
    honest = summary["guard"]["honest"]
    honest["plain_frames"] |= {"rejected": 0.456}
    found = numbers(summary)
    assert [number.value for number in found[:3]] == ["66.7 %", "12.3 %", "8.3 %"]
    assert found[1].interval == "[10.0–20.0], n = 99"
    assert "50.0 % where nobody does" in found[1].detail
    assert found[3].value == f"{100 * summary['guard']['certified']['rate']:.1f} %"
    assert found[4].value == "45.6 %"


def test_a_number_that_is_not_known_is_a_dash(summary):
    summary["detection"]["detectors"] = []
    assert numbers(summary)[1].value == "–"
    assert numbers(summary)[1].interval == ""
