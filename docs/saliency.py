"""Write the figures of docs/saliency.md from finished runs.

``python docs/saliency.py results/embedded`` reads ``summary.json`` and ``saliency/best.json``,
writes ``docs/tables/embedded-saliency.csv`` and puts the same figures into the page. Of a study
with several attacks (``results/accessories``) it takes ``saliency/generality.csv`` instead, of the
variant ``all_fills`` ``saliency/grid.csv``. Without
an argument the page is written anew from the tables.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glassguard.report import sources_figures
from glassguard.report.defences import repeats

HERE = Path(__file__).parent
PAGE = HERE / "saliency.md"
TABLES = HERE / "tables"
COLUMNS = ("part", "figure", "value", "low", "high", "n")
RATES = {
    "adversarial_success": "attack succeeds",
    "adversarial_correct": "attacked, right",
    "clean_accuracy": "clean, right",
    "defence_success": "attack undone",
    "mask_iou": "overlap",
    "mask_recall": "frame masked",
}
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
STUDIES = ("embedded", "faces")
GENERALITY = TABLES / "generality.csv"
ALL_FILLS = "variant_all_fills"
FILLS = TABLES / "fills.csv"
FILLS_COLUMNS = ("fill", "mu_as", "mu", "n", "phi", "goodness", "n_adv", "n_clean")
GENERALITY_RATES = ("undefended_success", "adversarial_success", "adversarial_correct")
GENERALITY_COLUMNS = ("tuned_on", "tested_on", "mask", *GENERALITY_RATES, "n", "clean_accuracy")
GOODNESS = "validation, best"
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="*", help="folders of runs, or none")
    TABLES.mkdir(exist_ok=True)
    for results in parser.parse_args().results:
        try:
            write_tables(results)
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}; give the folder of a finished run")
    page = PAGE.read_text(encoding="utf-8")
    for study in STUDIES:
        if table_of(study).exists():
            page = replaced(page, study, rendered(read(table_of(study)), study))
    recall = TABLES / "frame-recall.csv"
    if recall.exists():
        page = replaced(page, "frame-recall", rendered_recall(read(recall)))
    if GENERALITY.exists():
        page = replaced(page, "generality", rendered_generality(read(GENERALITY)))
    if FILLS.exists():
        page = replaced(page, "fills", rendered_fills(read(FILLS)))
    PAGE.write_text(page, encoding="utf-8")


def distinct(test: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows without tuned masks that are another row's mask."""
    names = {"after": "saliency"}
    measured = {names.get(name, name): json.dumps(row) for name, row in test.items()}
    return {name: row for name, row in test.items() if name not in repeats(measured)}


def write_tables(results: Path) -> None:
    """Write the tables that a finished run has something for."""
    if results.name == ALL_FILLS:
        write(FILLS, FILLS_COLUMNS, best_of_fills(read(results / "saliency" / "grid.csv")))
        return
    generality = results / "saliency" / "generality.csv"
    if generality.exists():
        write(GENERALITY, GENERALITY_COLUMNS, crossed(read(generality)))
        return
    summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
    best = json.loads((results / "saliency" / "best.json").read_text(encoding="utf-8"))
    test = distinct(summary["saliency"]["test"])
    if "saliency_affordable" in test:
        point = (results / "saliency" / "working_point.json").read_text(encoding="utf-8")
        best["affordable"] = json.loads(point)["affordable_mask"]
    write(table_of(results.name), COLUMNS, [*masks(best), *rates(test)])


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table to be committed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table_of(study: str) -> Path:
    """The committed table of a study."""
    return TABLES / f"{study}-saliency.csv"


def read(path: Path) -> list[dict[str, str]]:
    """A committed table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def replaced(page: str, name: str, text: str) -> str:
    """The page with the part between the markers of ``name`` replaced."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    before, rest = page.split(start)
    return before + start + "\n\n" + text + "\n\n" + end + rest.split(end)[1]


def masks(best: dict[str, Any]) -> Iterator[dict[str, object]]:
    """The best combinations on validation attacks: of every map, every fill, and the source's."""
    rows = {f"best {kind} map": row for kind, row in best["by_map"].items()}
    rows |= {f"best with fill {fill}": row for fill, row in best["by_fill"].items()}
    if "affordable" in best:
        rows[AFFORDABLE] = best["affordable"]
    for name, row in (rows | {"Study S's setting": best["source_setting"]}).items():
        part = f"validation, {name}"
        chosen = ", ".join(str(row[key]).replace("_", "-") for key in PARAMETERS)
        yield {"part": part, "figure": "parameters", "value": chosen}
        for key in MEASURES:
            n = best["n_clean" if key == "ac_clean_real" else "n_adv"]
            value = {"part": part, "figure": key, "value": f"{row[key]:.3f}"}
            yield value if key == "goodness" else {**value, "n": n}
    for figure in ("network_passes", "network_passes_naive"):
        yield {"part": "search", "figure": figure, "value": best[figure]}


def rates(test: dict[str, dict[str, Any]]) -> Iterator[dict[str, object]]:
    """The test split without and with every defence, every answer counted."""
    for name, label in DEFENCES.items():
        for key in RATES:
            if key in test.get(name, {}):
                figures = test[name]
                ends = {end: f"{figures[f'{key}_{end}']:.3f}" for end in ("low", "high")}
                row = {"part": f"test, {label}", "figure": key, "value": f"{figures[key]:.3f}"}
                yield {**row, **ends, "n": figures[f"{key}_n"]}


def rendered(rows: list[dict[str, str]], study: str) -> str:
    """What was aimed at and both parts as tables in Markdown."""
    of: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        of.setdefault(row["part"], {})[row["figure"]] = row
    validation = {name: found for name, found in of.items() if name.startswith("validation, ")}
    test = {name: found for name, found in of.items() if name.startswith("test, ")}
    passes = {figure: int(row["value"]) for figure, row in of["search"].items()}
    counted = next(iter(validation.values()))
    attacked, clean = counted["ac_adv_real"]["n"], counted["ac_clean_real"]["n"]
    lines = [
        *aims_of(of, study),
        f"Validation split, mean confidences over {attacked} attacked and {clean} clean pictures:",
        "",
        "| | map, μ, n, φ, fill | AC(clean, real) | AC(adv, real) | AC(adv, target) | goodness |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in validation.items():
        values = " | ".join(found[key]["value"] for key in MEASURES)
        label = name.removeprefix("validation, ").replace("_", "-")
        lines.append(f"| {label} | {found['parameters']['value']} | {values} |")
    share = passes["network_passes"] / passes["network_passes_naive"]
    lines += [
        "",
        f"The search took {passes['network_passes']:,} passes through the network, "
        f"{100 * share:.0f} % of those of a loop over everything.",
    ]
    before = test["test, none"]
    lines += [
        "",
        f"Test split, {before['adversarial_success']['n']} attacked and "
        f"{before['clean_accuracy']['n']} clean pictures, with 95 % intervals:",
        "",
        f"| | {' | '.join(RATES.values())} |",
        "|---" * (len(RATES) + 1) + "|",
    ]
    for name, found in test.items():
        values = (
            f"{found[key]['value']} [{found[key]['low']}–{found[key]['high']}]"
            if key in found
            else "–"
            for key in RATES
        )
        lines.append(f"| {name.removeprefix('test, ')} | {' | '.join(values)} |")
    return "\n".join(lines)


def aims_of(of: dict[str, dict[str, dict[str, str]]], study: str) -> Iterator[str]:
    """Lines of the table of aims, behind the masks that were chosen; nothing without any aim."""
    if study not in AIMS:
        return
    before = of["test, none"]
    masks = {}
    for name in (BEST, AFFORDABLE):
        if after := of.get(f"test, {name}"):
            masks[name] = {
                "goodness": goodness_of(of, name),
                "relative_clean_accuracy": right(after) / right(before),
                **{rate: float(after[rate]["value"]) for rate in RATES if rate in after},
            }
    yield f"| | aim | {' | '.join(masks)} |"
    yield "|---" * (len(masks) + 2) + "|"
    for name, (relation, aim) in AIMS[study].items():
        sign = "≥" if relation == ">=" else "≤"
        cells = []
        for mask, measured in masks.items():
            value = measured[name]
            reached = value >= aim if relation == ">=" else value <= aim
            found = of.get(f"test, {mask}", {}).get(name)
            interval = f" [{found['low']}–{found['high']}]" if found else ""
            cells.append(f"{value:.3f}{interval}, {'reached' if reached else '**missed**'}")
        yield f"| {SPELT_AIMS[name]} | {sign} {aim:g} | {' | '.join(cells)} |"
    yield ""


def right(found: dict[str, dict[str, str]]) -> int:
    """How many clean pictures were named right; the table has the rounded rate."""
    accuracy = found["clean_accuracy"]
    return round(float(accuracy["value"]) * int(accuracy["n"]))


def goodness_of(of: dict[str, dict[str, dict[str, str]]], name: str) -> float:
    """Goodness of the best mask, which stands in several rows, or of the affordable one."""
    parts = (GOODNESS,) if name == BEST else (f"validation, {name}",)
    return max(
        float(found["goodness"]["value"])
        for part, found in of.items()
        if part.startswith(parts) and (name == AFFORDABLE or AFFORDABLE not in part)
    )


def crossed(rows: list[dict[str, str]]) -> Iterator[dict[str, object]]:
    """The best mask of every attack on every attack, every answer counted."""
    for row in rows:
        if row["threshold"]:
            continue
        yield {
            "tuned_on": row["tuned_on"],
            "tested_on": row["tested_on"],
            "mask": ", ".join(row[key] for key in PARAMETERS),
            **{key: f"{float(row[key]):.3f}" for key in (*GENERALITY_RATES, "clean_accuracy")},
            "n": int(row["adversarial_success_n"]),
        }


def rendered_generality(rows: list[dict[str, str]]) -> str:
    """Attacks in columns, masks in rows."""
    tested = list(dict.fromkeys(row["tested_on"] for row in rows))
    first = {row["tested_on"]: row for row in rows if row["tuned_on"] == rows[0]["tuned_on"]}
    headings = [f"{name} (n = {first[name]['n']})" for name in tested]
    undefended = [f"{first[name]['undefended_success']}; –" for name in tested]
    lines = [
        f"| tuned on | map, μ, n, φ, fill | {' | '.join(headings)} | clean, right |",
        "|---" * (len(tested) + 3) + "|",
        f"| no mask | – | {' | '.join(undefended)} | – |",
    ]
    for tuned in dict.fromkeys(row["tuned_on"] for row in rows):
        own = {row["tested_on"]: row for row in rows if row["tuned_on"] == tuned}
        cells = [
            f"{own[name]['adversarial_success']}; {own[name]['adversarial_correct']}"
            for name in tested
        ]
        any_row = own[tested[0]]
        lines.append(
            f"| {tuned} | {any_row['mask']} | {' | '.join(cells)} | {any_row['clean_accuracy']} |"
        )
    return "\n".join(lines)


def best_of_fills(rows: list[dict[str, str]]) -> Iterator[dict[str, object]]:
    """Of every fill and kind of threshold the point of the best goodness."""
    best: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        key = row["fill"], row["mu_as"]
        if key not in best or float(row["goodness"]) > float(best[key]["goodness"]):
            best[key] = row
    for row in best.values():
        kept = {name: row[name] for name in FILLS_COLUMNS}
        yield {**kept, "goodness": f"{float(row['goodness']):.3f}"}


def rendered_fills(rows: list[dict[str, str]]) -> str:
    """Fills in rows, kinds of threshold in columns."""
    kinds = list(dict.fromkeys(row["mu_as"] for row in rows))
    of = {(row["fill"], row["mu_as"]): row for row in rows}
    lines = [
        f"Best goodness over {rows[0]['n_adv']} attacked and {rows[0]['n_clean']} clean validation "
        "pictures, behind it μ, n and φ:",
        "",
        f"| fill | {' | '.join(f'μ as {kind}' for kind in kinds)} |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for fill in dict.fromkeys(row["fill"] for row in rows):
        cells = []
        for kind in kinds:
            row = of[fill, kind]
            cells.append(f"{row['goodness']} ({row['mu']}, {row['n']}, {row['phi']})")
        lines.append(f"| {fill.replace('_', '-')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rendered_recall(rows: list[dict[str, str]]) -> str:
    """What finds the frame, and how sensitive decisions are inside it."""
    recall = [row for row in rows if row["figure"] == "recall"]
    shares = [name for name in recall[0] if name.startswith("at_")]
    headings = (f"top {100 * float(name.removeprefix('at_')):g} %" for name in shares)
    lines = [
        f"{recall[0]['pictures']} attacked validation pictures; share of the frame among each "
        "map's strongest pixels:",
        "",
        f"| map | {' | '.join(headings)} | time, of guided |",
        "|---" * (len(shares) + 2) + "|",
        *(
            f"| {row['of']} | {' | '.join(row[name] for name in shares)} "
            f"| {row['over_guided_time']} |"
            for row in recall
        ),
        "",
        "| the plain gradient inside the frame over outside | |",
        "|---|---|",
        *(f"| {row['of']} | {row[shares[0]]} |" for row in rows if row["figure"] != "recall"),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
