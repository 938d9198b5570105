"""Write the figures of docs/saliency.md from finished runs.

``python docs/saliency.py results/embedded`` writes ``docs/tables/embedded-saliency.csv`` from
``summary.json``, ``saliency/best.json`` and ``saliency/working_point.json`` there and puts the same
figures into the page. Of a study with several attacks (``results/accessories``) it reads
``saliency/generality.csv`` instead, of the variant ``all_fills`` ``saliency/grid.csv``. Without an
argument the page is written anew from the tables.
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
from glassguard.report.tables import decimals, markdown
from glassguard.report.wording import NOTHING, RATES

SHOWN = {**RATES, "mask_iou": "overlap", "mask_recall": "frame masked"}
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
MEASURES = {
    "ac_clean_real": "AC(clean, real)",
    "ac_adv_real": "AC(adv, real)",
    "ac_adv_target": "AC(adv, target)",
    "goodness": "goodness",
}
FILLS = ("fill", "mu_as", "mu", "n", "phi", "goodness", "n_adv", "n_clean")
CROSSED = ("undefended_success", "adversarial_success", "adversarial_correct", "clean_accuracy")
ALL_FILLS = "variant_all_fills"
AIMS = {
    "embedded": {
        "goodness": (">=", 0.88),
        "adversarial_success": ("<=", 0.10),
        "adversarial_correct": (">=", 0.80),
        "clean_accuracy": (">=", 0.95),
        "defence_success": (">=", 0.75),
    },
    "faces": {
        "goodness": (">=", sources_figures.BEST_GOODNESS),
        "adversarial_success": ("<=", 0.15),
        "relative_clean_accuracy": (">=", 0.90),
    },
}
"""What each study set out to reach with its best mask, before anything was measured."""
SPELT_AIMS = {
    "goodness": "goodness on validation attacks",
    "relative_clean_accuracy": "clean, right, over undefended",
    **RATES,
}


def main() -> None:
    """Write the tables of the results that are given, and the page."""
    published.folders(__doc__, write_tables)
    published.rewrite(render, "saliency")


def render(place: str) -> str | None:
    """What stands between the markers of a name; None where it is not of this script."""
    if place in OTHER_TABLES:
        return OTHER_TABLES[place](pd.DataFrame(published.read(place)))
    return rendered(Figures.read(f"{place}-saliency"), place) if place in AIMS else None


def write_tables(results: Path) -> None:
    """Write the tables that a finished run has something for."""
    saliency = results / "saliency"
    if results.name == ALL_FILLS:
        published.write("fills", FILLS, best_of_fills(pd.read_csv(saliency / "grid.csv")))
    elif (saliency / "generality.csv").exists():
        table = crossed(pd.read_csv(saliency / "generality.csv"))
        published.write("generality", table[0], table)
    else:
        test = distinct(published.read_json(results / "summary.json")["saliency"]["test"])
        best = published.read_json(saliency / "best.json")
        if "saliency_affordable" in test:
            point = published.read_json(saliency / "working_point.json")
            best["affordable"] = point["affordable_mask"]
        rows = [*masks(best), *rates(test)]
        published.write(f"{results.name}-saliency", published.COLUMNS, rows)


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
        yield from figures_of(chosen, "validation", name, "parameters", *MEASURES)
    yield from figures_of(best, "search", "", "network_passes", "network_passes_naive")


def parameters(row: Mapping[str, Any]) -> str:
    """What a mask is made with."""
    return ", ".join(str(row[key]).replace("_", "-") for key in PARAMETERS)


def rates(test: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The test split without and with every defence, every answer counted."""
    for name, label in DEFENCES.items():
        found = test.get(name, {})
        yield from figures_of(found, "test", label, *(key for key in SHOWN if key in found))


def rendered(of: Figures, study: str) -> str:
    """What was aimed at and both parts as tables in Markdown."""
    first = of.names("validation")[0]
    counts = [of["validation", first, key]["n"] for key in ("ac_adv_real", "ac_clean_real")]
    figures = {"": "", "map, μ, n, φ, fill": "parameters"}
    figures |= {title: key for key, title in MEASURES.items()}
    passes, naive = (int(row["here"]) for (part, *_), row in of.items() if part == "search")
    tested = [of["test", "none", key]["n"] for key in ("adversarial_success", "clean_accuracy")]
    rates = {"": "", **{title: f"{key}±" for key, title in SHOWN.items()}}
    text = [
        f"Validation split, mean confidences over {counts[0]} attacked and {counts[1]} clean "
        "pictures:",
        of.listed("validation", figures).replace("_", "-").replace("`", ""),
        f"The search took {passes:,} passes through the network, {100 * passes / naive:.0f} % of "
        "those of a loop over everything.",
        f"Test split, {tested[0]} attacked and {tested[1]} clean pictures, with 95 % intervals:",
        of.listed("test", rates).replace("`", ""),
    ]
    return "\n\n".join([aims_of(of, AIMS[study]), *text] if study in AIMS else text)


def aims_of(of: Figures, aims: Mapping[str, tuple[str, float]]) -> str:
    """The table of aims, with what the masks that were chosen reached."""
    masks = [name for name in (BEST, AFFORDABLE) if name in of.names("test")]
    lines = []
    for figure, (relation, aim) in aims.items():
        cells = []
        for mask in masks:
            cell = of.cell("test", mask, f"{figure}±")
            if figure == "goodness":
                cell = goodness_of(of, mask)
            elif figure == "relative_clean_accuracy":
                cell = decimals(right(of, mask) / right(of, "none"))
            kept = published.kept(cell.partition(" ")[0], relation, aim)
            cells.append(f"{cell}, {'reached' if kept else '**missed**'}")
        lines.append([SPELT_AIMS[figure], published.bound(relation, aim), *cells])
    return markdown(["", "aim", *masks], lines)


def right(of: Figures, defence: str) -> int:
    """How many clean pictures were named right; the table has the rounded rate."""
    accuracy = of["test", defence, "clean_accuracy"]
    return round(float(accuracy["here"]) * int(accuracy["n"]))


def goodness_of(of: Figures, mask: str) -> str:
    """Goodness of the affordable mask, or of the best of all others."""
    names = [mask] if mask == AFFORDABLE else of.names("validation")
    return max(
        of.cell("validation", name, "goodness")
        for name in names
        if mask == AFFORDABLE or (name.startswith("best") and name != AFFORDABLE)
    )


def crossed(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The best mask of every attack on every attack, every answer counted."""
    return [
        {
            **{key: row[key] for key in ("tuned_on", "tested_on")},
            "mask": parameters(row),
            **{key: decimals(row[key]) for key in CROSSED},
            "n": row["adversarial_success_n"],
        }
        for row in rows[rows["threshold"].isna()].to_dict("records")
    ]


def rendered_generality(rows: pd.DataFrame) -> str:
    """Attacks in columns, masks in rows."""
    first = rows.drop_duplicates("tested_on")
    undefended = [f"{rate}; {NOTHING}" for rate in first["undefended_success"]]
    lines = [["no mask", NOTHING, *undefended, NOTHING]]
    for tuned, own in rows.groupby("tuned_on", sort=False):
        cells = own["adversarial_success"] + "; " + own["adversarial_correct"]
        lines.append([str(tuned), own["mask"].iloc[0], *cells, own["clean_accuracy"].iloc[0]])
    headings = (first["tested_on"] + " (n = " + first["n"] + ")").tolist()
    return markdown(["tuned on", "map, μ, n, φ, fill", *headings, "clean, right"], lines)


def best_of_fills(grid: pd.DataFrame) -> list[dict[str, Any]]:
    """Of every fill and kind of threshold the point of the best goodness."""
    best = grid.loc[grid.groupby(["fill", "mu_as"], sort=False)["goodness"].idxmax(), [*FILLS]]
    return best.assign(goodness=best["goodness"].map(decimals)).to_dict("records")


def rendered_fills(rows: pd.DataFrame) -> str:
    """Fills in rows, kinds of threshold in columns."""
    at = rows["goodness"] + " (" + rows["mu"] + ", " + rows["n"] + ", " + rows["phi"] + ")"
    cells = rows.assign(at=at).groupby(["fill", "mu_as"], sort=False)["at"].first().unstack()
    lines = [
        [fill.replace("_", "-"), *cells.loc[fill, list(rows["mu_as"].unique())]]
        for fill in rows["fill"].unique()
    ]
    table = markdown(["fill", *(f"μ as {kind}" for kind in rows["mu_as"].unique())], lines)
    n_adv, n_clean = rows.loc[0, ["n_adv", "n_clean"]]
    return (
        f"Best goodness over {n_adv} attacked and {n_clean} clean validation pictures, behind it "
        f"μ, n and φ:\n\n{table}"
    )


def rendered_recall(rows: pd.DataFrame) -> str:
    """What finds the frame, and how sensitive decisions are inside it."""
    shares = [name for name in rows if name.startswith("at_")]
    headings = [f"top {100 * float(name.removeprefix('at_')):g} %" for name in shares]
    recall = rows[rows["figure"] == "recall"]
    found = markdown(
        ["map", *headings, "time, of guided"],
        recall[["of", *shares, "over_guided_time"]].to_numpy(),
    )
    others = rows.loc[rows["figure"] != "recall", ["of", shares[0]]].to_numpy()
    sensitivity = markdown(["the plain gradient inside the frame over outside", ""], others)
    return (
        f"{rows.loc[0, 'pictures']} attacked validation pictures; share of the frame among each "
        f"map's strongest pixels:\n\n{found}\n\n{sensitivity}"
    )


OTHER_TABLES = {
    "fills": rendered_fills,
    "generality": rendered_generality,
    "frame-recall": rendered_recall,
}
"""By marker; the name is that of the committed table as well."""


if __name__ == "__main__":
    main()
