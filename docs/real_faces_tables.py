"""The figures of experiment ``faces`` in docs/tables/real-faces.csv, beside the sources' own.

They come from ``summary.json``, ``timings.csv``, ``backbone/metrics.json`` and, for the machine,
``report.html``.
"""

import html
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import published
from detection_tables import TABLE_1
from published import figures_of

from glassguard.report import sources_figures as source
from glassguard.report.wording import HEADLINE_RATE, RATES, TABLE_1_RATES, spelt

COLUMNS = ("part", "figure", "here", "low", "high", "n", "source")
BACKBONE = ("pool_identities", "pool_images", "pool_val_accuracy", "precision", "accelerator")
MACHINE = ("system", "processor", "cores", "memory")
"""As the report names them, the only file of a run that says what it ran on."""

TIMES = {"wall_s": "wall_s", "cpu_s": "processor_s"}
MASK = ("map", "mu", "n", "phi", "fill")
DEFENCES = {
    "before": source.UNDEFENDED,
    "after": source.DEFENDED,
    "after_threshold_0.8": source.DEFENDED_WITH_THRESHOLD,
}
PRINTED = {
    "recognizer: train_accuracy": source.RECOGNIZER.train_accuracy,
    "recognizer: val_accuracy": source.RECOGNIZER.validation_accuracy,
    "attack glasses: success": source.UNDEFENDED.adversarial_success,
    "attack glasses: still_correct": source.UNDEFENDED.adversarial_correct,
    "detection: slice": f"layer {source.BEST_LAYER_INDEX}",
    **{f"detection: {name}, mean over pairs": mean for name, mean in TABLE_1.items()},
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


def write(results: Path) -> None:
    """Write the figures of a finished run."""
    summary = published.read_json(results / "summary.json")
    backbone = published.read_json(results / "backbone" / "metrics.json")
    machine = machine_of((results / "report.html").read_text(encoding="utf-8"))
    rows = rows_of(summary, backbone, pd.read_csv(results / "timings.csv"), machine)
    published.write("real-faces", rows, COLUMNS)


def machine_of(page: str) -> dict[str, str]:
    """What a report says of the machine that its study ran on."""
    listed = dict(re.findall(r"<dt>(\w+)</dt><dd>(.*?)</dd>", page))
    return {name: html.unescape(listed[name]) for name in MACHINE if name in listed}


def rows_of(*given: Any) -> Iterator[dict[str, Any]]:
    """Every figure of a run (:func:`measured`), with the source's where it prints one."""
    for row in measured(*given):
        goodness = source.BEST_GOODNESS if row["figure"].startswith("goodness") else ""
        yield row | {"source": PRINTED.get(f"{row['part']}: {row['figure']}", goodness)}


def measured(
    summary: Mapping[str, Any],
    backbone: Mapping[str, Any],
    timings: pd.DataFrame,
    machine: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Every figure of a run."""
    yield from figures_of(backbone, "backbone", "", [key for key in BACKBONE if key in backbone])
    accuracies = [f"{split}_accuracy" for split in ("train", "val", "test")]
    yield from figures_of(summary["recognizer"], "recognizer", "", accuracies)
    for name, attack in summary["attacks"].items():
        rates = ("pairs", "success", "success_jpeg", "still_correct")
        yield from figures_of(attack, f"attack {name}", "", rates)
    yield from detection_of(summary["detection"])
    saliency = summary["saliency"]
    best = saliency["best"]
    chosen = {"best map, mu, n, phi, fill": ", ".join(str(best[key]) for key in MASK)}
    chosen |= {"goodness, best": best["goodness"]}
    chosen |= {f"goodness, best with fill {x}": y for x, y in saliency["by_fill"].items()}
    chosen |= {f"goodness, best {x} map": y for x, y in saliency["by_map"].items()}
    chosen |= {"goodness, source's mask": saliency["source_setting"]["goodness"]}
    yield from figures_of(chosen, "saliency", "", [*chosen])
    for defence, found in saliency["test"].items():
        rates = [key for key in found if f"{key}_n" in found]
        yield from figures_of(found, f"saliency, test, {defence}", "", rates)
    stages = timings["stage"].str.replace(r"_\d+-of-\d+$", "", regex=True)
    seconds = timings.fillna(0).groupby(stages, sort=False)[[*TIMES]].sum().rename(columns=TIMES)
    run = {"started": summary["started"], "wall_s": round(summary["wall_s"])}
    run["processor_s"] = round(seconds["processor_s"].sum())
    for stage, times in seconds.iterrows():
        run |= {f"{stage}, {name}": round(value) for name, value in times.items()}
    run |= machine
    yield from figures_of(run, "run", "", [*run])


def detection_of(detection: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Table 1, curves and flag rates."""
    part = "detection"
    yield from figures_of(detection, part, "", ("slice", "variant"))
    means = {f"{name}, mean over pairs": name for name in TABLE_1_RATES}
    yield from figures_of(detection["mean"], part, "", means)
    # By number: the photographs show real people, whom a published table need not name.
    for number, pair in enumerate(detection["pairs"], start=1):
        yield from figures_of(pair, f"detection, pair {number}", "", TABLE_1_RATES.keys())
    yield from figures_of(detection, part, "", ["auc"])
    for rates, figure in (("tpr_at_fpr", "tpr at fpr {}"), ("flag_rate", "flag rate, {}")):
        found = {
            f"{key}{end}": value
            for end in ("", "_n", "_low", "_high")
            for key, value in detection.get(f"{rates}{end}", {}).items()
        }
        keys = {figure.format(key): key for key in detection[rates]}
        yield from figures_of(found, part, "", keys)
    for point in detection["detectors"]:
        if point["wanted_fpr"] == HEADLINE_RATE:
            of = f"detector {point['detector']}, benign {spelt(point['population'])}"
            rates = {f"{name} at {HEADLINE_RATE:g}": name for name in ("tpr", "fpr")}
            yield from figures_of(point, of, "", {"auc": "auc"} | rates)
