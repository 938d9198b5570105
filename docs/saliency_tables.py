"""The figures of runs in the tables of docs/saliency.md, and what the page shows of them.

A study has ``<study>-saliency.csv``, from ``summary.json``, ``saliency/best.json`` and
``saliency/working_point.json``. Of the study ``accessories``, ``saliency/generality.csv`` is read
instead, of the variant ``all_fills`` ``saliency/grid.csv``.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import published
from published import Figures, figures_of

from glassguard.report import sources_figures
from glassguard.report.defences import repeats
from glassguard.report.tables import decimals
from glassguard.report.wording import OVERLAPS, RATES

SHOWN = RATES | OVERLAPS
BEST, AFFORDABLE = "saliency mask", "best affordable mask"
DEFENCES = {
    "before": "none",
    "after": BEST,
    "saliency_affordable": AFFORDABLE,
    "saliency_guided": "best mask of the guided map",
    "saliency_source": "Study S's setting",
    "oracle": "oracle mask",
    "random": "random mask",
}
PARAMETERS = ("map", "mu", "n", "phi", "fill")
MEASURES = ("ac_clean_real", "ac_adv_real", "ac_adv_target", "goodness")
FILLS = ("fill", "mu_as", "mu", "n", "phi", "goodness", "n_adv", "n_clean")
CROSSED = ("undefended_success", "adversarial_success", "adversarial_correct")
ALL_FILLS, ACCESSORIES = "variant_all_fills", "accessories"


def render(place: str) -> str:
    """The tables of a study, or one that is called as its file."""
    if (published.DOCS / "tables" / f"{place}-saliency.csv").exists():
        return rendered(Figures.of(published.read(f"{place}-saliency")), place)
    rows = published.read(place)
    return published.rendered("saliency", place.replace("-", "_"), rows=rows)


def rendered(figures: Figures, study: str) -> str:
    """What was aimed at, masks on validation attacks, and defences on the test split."""
    tested = figures.rows("test")
    return published.rendered(
        "saliency",
        "study",
        study=study,
        figures=figures,
        chosen={mask: reached(figures, mask) for mask in (BEST, AFFORDABLE) if mask in tested},
        source_goodness=sources_figures.BEST_GOODNESS,
    )


def reached(figures: Figures, mask: str) -> dict[str, str]:
    """What a mask that was chosen reaches of what was aimed at."""
    goodness = {name: of("goodness") for name, of in figures.rows("validation").items()}
    affordable = goodness.pop(AFFORDABLE, "")
    best = max(text for name, text in goodness.items() if name.startswith("best"))
    # The table has rounded rates: whole pictures are counted.
    clean = (figures["test", name, "clean_accuracy"] for name in (mask, "none"))
    right, undefended = (round(float(row["here"]) * int(row["n"])) for row in clean)
    return {
        "goodness": affordable if mask == AFFORDABLE else best,
        "relative_clean_accuracy": decimals(right / undefended),
        **{rate: figures.cell("test", mask, f"{rate}±") for rate in RATES},
    }


def write(results: Path) -> None:
    """Write the tables that a finished run has something for."""
    saliency = results / "saliency"
    if results.name == ALL_FILLS:
        published.write("fills", best_of_fills(pd.read_csv(saliency / "grid.csv")), FILLS)
    elif results.name == ACCESSORIES:
        table = crossed(pd.read_csv(saliency / "generality.csv"))
        published.write("generality", table, table[0])
    else:
        test = distinct(published.read_json(results / "summary.json")["saliency"]["test"])
        best = published.read_json(saliency / "best.json")
        if "saliency_affordable" in test:
            point = published.read_json(saliency / "working_point.json")
            best["affordable"] = point["affordable_mask"]
        published.write(f"{results.name}-saliency", [*masks(best), *rates(test)])


def distinct(test: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows without tuned masks that are another row's mask."""
    names = {"after": "saliency"}
    measured = {names.get(name, name): json.dumps(row) for name, row in test.items()}
    return {name: row for name, row in test.items() if name not in repeats(measured)}


def masks(best: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The best combinations on validation attacks: of every map, every fill, and the source's."""
    of = {f"best {kind} map": row for kind, row in best["by_map"].items()}
    of |= {f"best with fill {fill}": row for fill, row in best["by_fill"].items()}
    of |= {AFFORDABLE: best["affordable"]} if "affordable" in best else {}
    for name, row in {**of, "Study S's setting": best["source_setting"]}.items():
        counts = {f"{key}_n": best["n_clean" if "clean" in key else "n_adv"] for key in MEASURES}
        chosen = row | counts | {"goodness_n": None, "parameters": parameters(row)}
        yield from figures_of(chosen, "validation", name, ("parameters", *MEASURES))
    yield from figures_of(best, "search", "", ("network_passes", "network_passes_naive"))


def parameters(row: Mapping[str, Any]) -> str:
    """What a mask is made with."""
    return ", ".join(str(row[key]).replace("_", "-") for key in PARAMETERS)


def rates(test: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The test split without and with every defence, every answer counted."""
    for name, label in DEFENCES.items():
        found = test.get(name, {})
        yield from figures_of(found, "test", label, [key for key in SHOWN if key in found])


def crossed(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The best mask of every attack on every attack, every answer counted."""
    return [
        {
            **{key: row[key] for key in ("tuned_on", "tested_on")},
            "mask": parameters(row),
            **{key: decimals(row[key]) for key in CROSSED},
            "n": row["adversarial_success_n"],
            "clean_accuracy": decimals(row["clean_accuracy"]),
        }
        for row in rows[rows["threshold"].isna()].to_dict("records")
    ]


def best_of_fills(grid: pd.DataFrame) -> list[dict[str, Any]]:
    """Of every fill and kind of threshold the point of the best goodness."""
    best = grid.loc[grid.groupby(["fill", "mu_as"], sort=False)["goodness"].idxmax(), [*FILLS]]
    return best.assign(goodness=best["goodness"].map(decimals)).to_dict("records")
