"""The figures of the pages are those of the committed tables; those of docs/detection.md."""

import doctest
import json
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from shipped import DOCS, script_of

figures = script_of("figures")
page = figures.detection_tables
published = figures.published
PAGE = DOCS / "detection.md"

POPULATIONS = ("bare", "half_wearing")


@pytest.mark.parametrize("name", figures.PAGES)
def test_the_pages_show_the_committed_tables(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert "end -->" in text
    assert published.filled(text, figures.render) == text, "run: python docs/figures.py"


def test_every_table_of_the_page_has_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    places = {found["name"] for found in published.PLACES.finditer(text)}
    sections = {place.removeprefix("figures: ").partition(" of ")[0] for place in places}
    assert sections == {*page.SECTIONS}


def test_the_worked_example_of_the_documentation_runs() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert failed == 0
    assert tried > 5


def rate(name: str, value: float, n: int = 8) -> dict:
    return {name: value, f"{name}_n": n, f"{name}_low": value / 2, f"{name}_high": 1.0}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What ``docs/figures.py`` reads for docs/detection.md of a study with two attacks."""

    def write(name: str, rows: list[dict]) -> None:
        pd.DataFrame(rows).to_csv(tmp_path / "detection" / f"{name}.csv", index=False)

    (tmp_path / "detection").mkdir()
    areas = {"influence": (0.6, 0.5, 0.7), "activations": (0.9, 0.8, 1.0), "masking": (0.7, 0, 1)}
    write(
        "attacks",
        [
            {"attack": attack, "detector": detector, "population": population}
            | {"wanted_fpr": wanted, "auc": area, "auc_low": low, "auc_high": high}
            | rate("tpr", 0.5, 7 if attack == "glasses" else 3)
            | rate("fpr", wanted, 8 if population == "bare" else 4)
            for attack, population, (detector, (area, low, high)), wanted in product(
                ("glasses", "whole"), POPULATIONS, areas.items(), (0.01, 0.05, 0.0991)
            )
        ],
    )
    write(
        "controls",
        [
            {"detector": f"masking@{wanted}{ending}", "control": kind, "flag_rate": value, "n": n}
            | {"flag_rate_low": 0.0, "flag_rate_high": 1.0}
            | rate("misnamed_bare", 0.0)
            | rate("misnamed", value)
            for wanted, ending in product((0.01, 0.05, 0.0991), ("", "@half_wearing"))
            for kind, value, n in (
                ("benign", 0.02, 8),
                ("plain_frames", 0.1, 6),
                ("random_frames", 0.2, 5),
                ("failed_attacks", 0.3, 2),
            )
        ],
    )
    write(
        "table1",
        [
            {"target": "Tess", "attacker": "Abe", "slice": slice_name, "variant": "standardised"}
            | rate("benign_target", accepted)
            | rate("benign_other", 1.0)
            | rate("impersonation", 0.5)
            for slice_name, accepted in (("fc6", 1.0), ("fc6", 0.8), ("fc7", 0.6))
        ],
    )
    choice = {"detector": "influence", "variant": "standardised", "chosen_by": "most pairs"}
    write(
        "choices",
        [
            choice | {"slice": "fc6", "pairs": 2, "used": True},
            choice | {"slice": "fc7", "pairs": 1, "used": False},
            choice
            | {"detector": "distance_euclidean", "slice": "fc6", "pairs": None, "used": True}
            | {"chosen_by": "as influence", "variant": "euclidean"},
        ],
    )
    gain = {"detector": "influence", "against": "activations", "population": "bare"}
    gain |= {"difference": -0.3, "difference_low": -0.4, "difference_high": -0.2}
    write("gain", [gain])
    measured = {"balanced_accuracy": 0.8, "auc": 0.75, "variant": "standardised"}
    measured |= {"benign_target": 0.9, "benign_other": 1.0, "impersonation": float("nan")}
    for name in ("layers", "activation_layers"):
        write(name, [measured | {"slice": "fc6"}])
    write("sweep", [measured | {"alpha": 0.005, "max_iter": 500, "chosen": 3}])
    variant = tmp_path / "variant_influence_by_place" / "detection"
    variant.mkdir(parents=True)
    points = pd.read_csv(tmp_path / "detection" / "attacks.csv")
    changed = points["detector"].eq("influence") & points["population"].eq("bare")
    points.loc[changed, "auc"] = 0.65
    points.to_csv(variant / "attacks.csv", index=False)
    (tmp_path / "influence").mkdir()
    inside = {"set": "impersonations", "slice": "fc6", "n": 4}
    pd.DataFrame([inside | {"ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3}]).to_csv(
        tmp_path / "influence" / "share_inside.csv", index=False
    )
    summary = {
        "experiment": "made_up",
        "seed": 4,
        "started": "2026-01-01T00:00:00+00:00",
        "detection": {"slice": "fc6", "variant": "standardised", "pairs": [{}, {}, {}]},
    }
    summary["attacks"] = {"glasses": {"success": 0.875, "success_jpeg": 0.25}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def test_figures_of_a_run_end_in_the_tables(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "docs"
    (folder / "tables").mkdir(parents=True)
    monkeypatch.setattr(published, "DOCS", folder)
    monkeypatch.setattr(figures, "PAGES", ("detection",))
    # Masks have a test of their own.
    monkeypatch.setattr(figures.saliency_tables, "write", lambda results: None)
    start, end = f"<!-- figures: attacks of {results.name} -->", "<!-- figures: end -->"
    (folder / "detection.md").write_text(f"a\n{start}\nold\n{end}\nb")
    monkeypatch.setattr(sys, "argv", ["figures.py", str(results)])
    figures.main()
    shown = capsys.readouterr().out
    table = page.Figures.of(published.read(f"{results.name}-detection"))
    assert table["table 1", "all", "benign_target"]["here"] == "0.800"
    assert table["table 1", "fc6 standardised", "benign_target"]["here"] == "0.900"
    assert table["detector, bare", "masking", "detected at 0.05"]["n"] == "7"
    flagged = table["detector, half_wearing", "masking", "random_frames at 0.0991"]
    assert (flagged["here"], flagged["n"]) == ("0.200", "5")
    for line in (
        "seed 4, run 2026-01-01; 7 successful test impersonations over 3 pairs, 8 benign",
        "missed their target, of whom the network misnames",
        "succeeds in 0.875 of the test pictures, after a JPEG round trip in 0.250.",
        "| `masking` | 0.700 [0.000–1.000] | 0.500 [0.250–1.000]; 0.050 [0.025–1.000] | 0.500",
        "| `influence` | 0.600 [0.500–0.700] | 0.500; 0.010 | 0.500; 0.050 | 0.500; 0.099 |",
        "| `masking` | 0.",
        "| detector | AUC | impersonations detected | half wearing flagged | bare flagged |",
        "| `fc6 standardised` | 2 | 0.900 [0.000–1.000] | 1.000 [1.000–1.000] | 0.500 [0.500",
        "| `influence` | `fc6 standardised` | most pairs, 2 | `fc7 standardised`, 1 |",
        "| `distance_euclidean` | `fc6 euclidean` | as influence | – |",
        "| `influence` − `activations` | bare | 0.600 − 0.900 | -0.300 [-0.400–-0.200] | activa",
        "| `fc6` | 1.200 [1.100–1.300] | – | – |",
        "| 0.005 | 500 | 0.900 | 1.000 | – | 0.750 | 3 |",
        "| detector | glasses (n = 7): detected; AUC | whole (n = 3): detected; AUC |",
        "| as in the study | `influence` | 0.600 [0.500–0.700] | 0.600 [0.500–0.700] | 0.500 | 0.0",
        "| `influence_by_place` | `influence` | 0.650 [0.500–0.700] | 0.600 [0.500–0.700] | 0.500",
    ):
        assert line in shown
    # The same row again says nothing.
    assert "| `influence_by_place` | `activations` |" not in shown
    written = (folder / "detection.md").read_text()
    assert written.startswith(f"a\n{start}\n\n| detector | glasses (n = 7): detected; AUC | whole")
    assert written.endswith(f"|\n\n{end}\nb")
    # A published table need not name people.
    assert "Tess" not in (folder / f"tables/{results.name}-detection.csv").read_text()
