"""Write the figures of docs/real-faces.md from a finished run of experiment ``faces``.

``python docs/real_faces.py results/faces`` writes ``docs/tables/real-faces.csv`` from
``summary.json``, ``timings.csv``, ``backbone/metrics.json`` and, for the machine, ``report.html``
there. It puts the same figures into the page, and the comparison of backbones
(``docs/tables/backbones.csv``, which ``benchmarks/backbones.py`` writes). Without an argument the
page is written anew from the tables.
"""

import html
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import published
from published import figures_of

from glassguard.report import sources_figures as source
from glassguard.report.tables import decimals, markdown
from glassguard.report.wording import RATES, TABLE_1_RATES, spelt

COLUMNS = ("part", "figure", "here", "low", "high", "n", "source")
PAIR = "detection, pair {}"
BACKBONE = ("pool_identities", "pool_images", "pool_val_accuracy", "precision", "accelerator")
MACHINE = ("system", "processor", "cores", "memory")
"""As the report names them, the only file of a run that says what it ran on."""
TIMES = {"wall_s": "wall_s", "cpu_s": "processor_s"}
SHOWN = 0.05
"""The false-alarm rate at which detectors are compared."""

MASK = ("map", "mu", "n", "phi", "fill")
DEFENCES = {
    "before": source.UNDEFENDED,
    "after": source.DEFENDED,
    "after_threshold_0.8": source.DEFENDED_WITH_THRESHOLD,
}
TABLE_1_MEANS = {
    name: sum(getattr(pair, name) for pair in source.TABLE_1) / len(source.TABLE_1)
    for name in TABLE_1_RATES
}
PRINTED = {
    "recognizer: train_accuracy": source.RECOGNIZER.train_accuracy,
    "recognizer: val_accuracy": source.RECOGNIZER.validation_accuracy,
    "attack glasses: success": source.UNDEFENDED.adversarial_success,
    "attack glasses: still_correct": source.UNDEFENDED.adversarial_correct,
    "detection: slice": f"layer {source.BEST_LAYER_INDEX}",
    **{f"detection: {name}, mean over pairs": decimals(x) for name, x in TABLE_1_MEANS.items()},
    f"detection: tpr at fpr {source.AMI_FALSE_POSITIVE_RATE}": "AmI {:g} to {:g}".format(
        *source.AMI_DETECTION
    ),
    "saliency: best map, mu, n, phi, fill": (
        f"guided, {source.BEST_MU:g}, {source.BEST_N}, {source.BEST_PHI}, zero"
    ),
    **{
        f"saliency, test, {name}: {rate}": printed
        for (name, row), rate in product(DEFENCES.items(), RATES)
        if (printed := getattr(row, rate)) is not None
    },
}
"""What the sources print, by part and figure."""


def main() -> None:
    """Write the table of the results that are given, and the page."""
    published.folders(__doc__, write_table)
    published.rewrite(render, "real-faces")


def render(place: str) -> str:
    """The table of a run without single pairs, or the comparison of backbones."""
    if place == "figures":
        return rendered(published.read("real-faces"))
    right = (
        (row["backbone"], f"{row['right']} [{row['low']}–{row['high']}]", row["n"], row[DIMENSION])
        for row in published.read("backbones")
    )
    return markdown(["backbone", "right", "n", spelt(DIMENSION)], right)


DIMENSION = "effective_dimension"


def rendered(rows: list[dict[str, str]]) -> str:
    """The table of a run in Markdown, without single pairs."""
    lines = []
    for row in rows:
        if not row["part"].startswith(PAIR.format("")):
            interval = f"{row['low']}–{row['high']}" if row["low"] else ""
            name = f"{row['part']}: {row['figure']}"
            lines.append([name, row["here"], interval, row["n"], row["source"]])
    return markdown(["", "here", "95 % interval", "n", "source"], lines)


def write_table(results: Path) -> None:
    """Write the figures of a finished run."""
    summary = published.read_json(results / "summary.json")
    if summary["experiment"] != "faces":
        sys.exit(f"{results}: of experiment {summary['experiment']}; the page is of faces")
    backbone = published.read_json(results / "backbone" / "metrics.json")
    machine = machine_of((results / "report.html").read_text(encoding="utf-8"))
    rows = rows_of(summary, backbone, pd.read_csv(results / "timings.csv"), machine)
    published.write("real-faces", COLUMNS, rows)


def machine_of(page: str) -> dict[str, str]:
    """What a report says of the machine that its study ran on."""
    listed = dict(re.findall(r"<dt>(\w+)</dt><dd>(.*?)</dd>", page))
    return {name: html.unescape(listed[name]) for name in MACHINE if name in listed}


def rows_of(
    summary: Mapping[str, Any],
    backbone: Mapping[str, Any],
    timings: pd.DataFrame,
    machine: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Every figure of a run, with the source's where it prints one."""
    for part, record in parts_of(summary, backbone, timings, machine):
        keys = [key for key in record if not str(key).endswith(("_n", "_low", "_high"))]
        for row in figures_of([record], part, "", {key: key for key in keys}):
            goodness = source.BEST_GOODNESS if row["figure"].startswith("goodness") else ""
            yield row | {"source": PRINTED.get(f"{part}: {row['figure']}", goodness)}


def parts_of(
    summary: Mapping[str, Any],
    backbone: Mapping[str, Any],
    timings: pd.DataFrame,
    machine: Mapping[str, str],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of the table, and the figures of each with their intervals and n."""
    yield "backbone", {key: backbone[key] for key in BACKBONE if key in backbone}
    yield "recognizer", summary["recognizer"]
    for name, attack in summary["attacks"].items():
        yield f"attack {name}", {k: v for k, v in attack.items() if k not in ("n", "validation")}
    yield from detection_of(summary["detection"])
    saliency = summary["saliency"]
    chosen = ", ".join(str(saliency["best"][key]) for key in MASK)
    yield (
        "saliency",
        {
            "best map, mu, n, phi, fill": chosen,
            "goodness, best": saliency["best"]["goodness"],
            **{f"goodness, best with fill {fill}": x for fill, x in saliency["by_fill"].items()},
            **{f"goodness, best {kind} map": x for kind, x in saliency["by_map"].items()},
            "goodness, source's mask": saliency["source_setting"]["goodness"],
        },
    )
    for defence, rates in saliency["test"].items():
        yield f"saliency, test, {defence}", {k: v for k, v in rates.items() if k != "fill"}
    stages = timings["stage"].str.replace(r"_\d+-of-\d+$", "", regex=True)
    seconds = timings.fillna(0).groupby(stages, sort=False)[[*TIMES]].sum().rename(columns=TIMES)
    run = {"started": summary["started"], "wall_s": round(summary["wall_s"])}
    run["processor_s"] = round(seconds["processor_s"].sum())
    for stage, times in seconds.iterrows():
        run |= {f"{stage}, {name}": round(value) for name, value in times.items()}
    yield "run", run | dict(machine)


def detection_of(detection: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table 1, curves and flag rates."""
    means = {f"{name}, mean over pairs": detection["mean"][name] for name in TABLE_1_RATES}
    yield "detection", {key: detection[key] for key in ("slice", "variant")} | means
    # By number: the photographs show real people, whom a published table need not name.
    for number, pair in enumerate(detection["pairs"], start=1):
        rates = {key: pair.get(key) for key in with_ends(TABLE_1_RATES)}
        yield PAIR.format(number), rates
    yield "detection", {key: detection.get(key) for key in with_ends(["auc"])}
    for rates, figure in (("tpr_at_fpr", "tpr at fpr {}"), ("flag_rate", "flag rate, {}")):
        yield (
            "detection",
            {
                f"{figure.format(key)}{end}": detection.get(f"{rates}{end}", {}).get(key)
                for key, end in product(detection[rates], ENDS)
            },
        )
    for point in detection["detectors"]:
        if point["wanted_fpr"] == SHOWN:
            of = f"detector {point['detector']}, benign {spelt(point['population'])}"
            names = {"auc": "auc", "tpr": f"tpr at {SHOWN:g}", "fpr": f"fpr at {SHOWN:g}"}
            yield (
                of,
                {f"{names[k]}{end}": point.get(f"{k}{end}") for k, end in product(names, ENDS)},
            )


ENDS = ("", "_n", "_low", "_high")


def with_ends(names: Mapping[str, str] | list[str]) -> list[str]:
    """The keys of rates: value, n and interval."""
    return [f"{name}{end}" for name, end in product(names, ENDS)]


if __name__ == "__main__":
    main()
