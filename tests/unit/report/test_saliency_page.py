"""The figures of docs/saliency.md are those of the committed tables."""

from pathlib import Path

import pandas as pd
import pytest
from shipped import script_of

figures = script_of("figures")
saliency = figures.saliency_tables
published = figures.published


def table(name: str, rows: list[dict]) -> str:
    """A table of the page, of rows that went through a file."""
    texts = [{key: str(value) for key, value in row.items()} for row in rows]
    return published.rendered("saliency", name, rows=texts)


def test_the_best_point_of_every_fill_and_threshold() -> None:
    def point(fill: str, mu_as: str, mu: float, goodness: float) -> dict[str, object]:
        values = {"fill": fill, "mu_as": mu_as, "mu": mu, "n": 1, "phi": 4, "goodness": goodness}
        return values | {"n_adv": 9, "n_clean": 8}

    grid = [
        point("zero", "quantile", 0.9, 0.51),
        point("zero", "quantile", 0.8, 0.6249),
        point("zero", "value", 0.3, 0.4),
        point("navier_stokes", "quantile", 0.9, 0.75),
        point("navier_stokes", "value", 0.2, 0.7),
    ]
    text = table("fills", saliency.best_of_fills(pd.DataFrame(grid)))
    assert "over 9 attacked and 8 clean validation pictures" in text
    assert "| zero | 0.625 (0.8, 1, 4) | 0.400 (0.3, 1, 4) |" in text
    assert "| navier-stokes | 0.750 (0.9, 1, 4) | 0.700 (0.2, 1, 4) |" in text


def test_masks_and_rates_become_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = {"ac_clean_real": 0.8, "ac_adv_real": 0.7, "ac_adv_target": 0.1, "goodness": 0.8}
    mask = {"map": "relative", "mu": 0.96, "n": 1, "phi": 4, "fill": "navier_stokes", **measures}
    guided = mask | {"map": "guided", "goodness": 0.6}
    best = {
        "by_map": {"guided": guided, "relative": mask},
        "by_fill": {"navier_stokes": mask},
        "source_setting": guided,
        "n_clean": 60,
        "n_adv": 90,
        "network_passes": 900,
        "network_passes_naive": 1200,
    }

    def rate(name: str, value: float, n: int) -> dict:
        ends = {f"{name}_low": value / 2, f"{name}_high": 1.0}
        return {name: value, f"{name}_n": n, **ends}

    before = rate("adversarial_success", 0.97, 300) | rate("clean_accuracy", 0.9, 400)
    after = rate("adversarial_success", 0.05, 300) | rate("mask_recall", 0.5, 300)
    after |= rate("clean_accuracy", 0.45, 400)
    cheaper = after | rate("clean_accuracy", 0.88, 400)
    test = {"before": before, "after": after, "saliency_affordable": cheaper}
    best["affordable"] = mask | {"goodness": 0.78}
    rows = [*saliency.masks(best), *saliency.rates(test)]
    (tmp_path / "tables").mkdir()
    monkeypatch.setattr(published, "DOCS", tmp_path)
    published.write("made_up", rows)
    read = saliency.Figures.of(published.read("made_up"))
    text = saliency.rendered(read, "somebody's")
    assert "aim" not in text
    assert "900 passes through the network, 75 % of those" in text
    with_aims = saliency.rendered(read, "faces")
    assert (
        "| goodness on validation attacks | ≥ 0.7768 | 0.800, reached | 0.780, reached |"
        in with_aims
    )
    both = "0.050 [0.025–1.000], reached"
    assert f"| attack succeeds | ≤ 0.15 | {both} | {both} |" in with_aims
    assert list(saliency.distinct(test | {"saliency_guided": after})) == list(test)
    assert "saliency_guided" in saliency.distinct(test | {"saliency_guided": before})
    assert (
        "| clean, right, over undefended | ≥ 0.9 | 0.500, **missed** | 0.978, reached |"
        in with_aims
    )
    assert "90 attacked and 60 clean" in text
    assert "| best relative map | relative, 0.96, 1, 4, navier-stokes | 0.800 | 0.700 |" in text
    assert "300 attacked and 400 clean" in text
    assert "| saliency mask | 0.050 [0.025–1.000] | – | 0.450 [0.225–1.000] | – | – | 0.5" in text
    page = "a <!-- cost of x: start -->\n\nold\n\n<!-- cost of x: end --> b"
    monkeypatch.setattr(figures, "render", {"cost of x": text}.get)
    assert figures.published.filled(page, figures.render) == page.replace("old", text)


def test_what_finds_the_frame_becomes_a_table() -> None:
    row = {"pictures": "9", "at_0.067": "0.20", "at_0.12": "0.30", "over_guided_time": "1.10"}
    rows = [
        row | {"figure": "recall", "of": "guided"},
        row | {"figure": "sensitivity inside over outside", "of": "bare faces"},
    ]
    text = table("frame_recall", rows)
    assert "| map | top 6.7 % | top 12 % | time, of guided |" in text
    assert "| guided | 0.20 | 0.30 | 1.10 |" in text
    assert text.endswith("| bare faces | 0.20 |")


def test_masks_of_every_attack_on_every_attack_become_a_table() -> None:
    mask = {"map": "guided", "mu": 0.94, "n": 1, "phi": 0, "fill": "telea"}
    rows = [
        mask
        | {"tuned_on": tuned, "tested_on": tested, "threshold": threshold, "clean_accuracy": 0.97}
        | {"undefended_success": 0.9, "adversarial_success": 0.1, "adversarial_success_n": 30}
        | {"adversarial_correct": 0.8 if tested == tuned else 0.5}
        for tuned in ("glasses", "sticker")
        for tested in ("glasses", "sticker")
        for threshold in (None, 0.8)
    ]
    crossed = saliency.crossed(pd.DataFrame(rows))
    assert len(crossed) == 4
    lines = table("generality", crossed).splitlines()
    assert lines[0].endswith("| glasses (n = 30) | sticker (n = 30) | clean, right |")
    assert lines[2] == "| no mask | – | 0.900; – | 0.900; – | – |"
    assert lines[4].startswith("| sticker | guided, 0.94, 1, 0, telea | 0.100; 0.500 | 0.100; 0.8")
