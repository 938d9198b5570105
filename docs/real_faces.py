"""Write the figures of docs/real-faces.md from a finished run of experiment ``faces``.

``python docs/real_faces.py results/faces`` reads ``summary.json``, ``timings.csv``,
``backbone/metrics.json`` and, for the machine that it ran on, ``report.html`` there, writes
``docs/tables/real-faces.csv`` and puts the same figures into the page, beside the comparison of
backbones (``docs/tables/backbones.csv``, which ``benchmarks/backbones.py`` writes). Without an
argument the page is written anew from the tables.
"""

import argparse
import csv
import html
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glassguard.report import sources_figures as source

HERE = Path(__file__).parent
TABLE = HERE / "tables" / "real-faces.csv"
BACKBONES = HERE / "tables" / "backbones.csv"
PAGE = HERE / "real-faces.md"
COLUMNS = ("part", "figure", "here", "low", "high", "n", "source")
PAIR = "pair"
SHOWN_FALSE_POSITIVE_RATE = 0.05

RECOGNIZER = {
    "train_accuracy": source.RECOGNIZER.train_accuracy,
    "val_accuracy": source.RECOGNIZER.validation_accuracy,
    "test_accuracy": "",
}
ATTACK = {
    "success": source.UNDEFENDED.adversarial_success,
    "success_jpeg": "",
    "still_correct": source.UNDEFENDED.adversarial_correct,
}
DEFENCES = {
    "before": source.UNDEFENDED,
    "after": source.DEFENDED,
    "after_threshold_0.8": source.DEFENDED_WITH_THRESHOLD,
}
BACKBONE = ("pool_identities", "pool_images", "pool_val_accuracy", "precision", "accelerator")
MACHINE = ("system", "processor", "cores", "memory")
"""As the report names them, the only file of a run that says what it ran on."""
TIMES = {"wall_s": "wall_s", "cpu_s": "processor_s"}


def main() -> None:
    """Write the table where results are given, and the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", help="folder of a run, or none")
    results = parser.parse_args().results
    if results is not None:
        rows = list(rows_of_run(results))
        TABLE.parent.mkdir(exist_ok=True)
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page), encoding="utf-8")


def rows_of_run(results: Path) -> Iterator[dict[str, Any]]:
    """The table's rows out of a finished run."""
    try:
        summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
        if summary["experiment"] != "faces":
            sys.exit(f"{results}: of experiment {summary['experiment']}; the page is of faces")
        backbone = json.loads((results / "backbone/metrics.json").read_text(encoding="utf-8"))
        with (results / "timings.csv").open(encoding="utf-8", newline="") as file:
            timings = list(csv.DictReader(file))
        machine = machine_of((results / "report.html").read_text(encoding="utf-8"))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}; give the folder of a finished run")
    return rows_of(summary, backbone, timings, machine)


def filled(page: str) -> str:
    """The page with what the committed tables hold between its markers."""
    parts = {
        "figures": rendered(read_rows(TABLE)),
        "backbones": rendered_backbones(read_rows(BACKBONES)),
    }
    for name, text in parts.items():
        start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
        before, rest = page.split(start)
        page = before + start + text + end + rest.split(end)[1]
    return page


def read_rows(table: Path) -> list[dict[str, str]]:
    """A committed table."""
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(
    summary: dict[str, Any],
    backbone: dict[str, Any],
    timings: list[dict[str, str]],
    machine: dict[str, str],
) -> Iterator[dict]:
    """Every figure of a run, with the source's where it prints one."""
    for name in BACKBONE:
        if name in backbone:
            value = backbone[name]
            here = shown(value) if isinstance(value, float) else value
            yield {"part": "backbone", "figure": name, "here": here}
    for name, printed in RECOGNIZER.items():
        yield measured("recognizer", name, summary["recognizer"], name, printed)
    for attack, figures in summary["attacks"].items():
        yield {"part": f"attack {attack}", "figure": "pairs", "here": figures["pairs"]}
        for name, printed in ATTACK.items():
            yield measured(f"attack {attack}", name, figures, name, printed)
    yield from detection_rows(summary["detection"])
    yield from saliency_rows(summary["saliency"])
    yield {"part": "run", "figure": "started", "here": summary["started"]}
    yield {"part": "run", "figure": "wall_s", "here": round(summary["wall_s"])}
    seconds = seconds_of(timings)
    total = sum(times["processor_s"] for times in seconds.values())
    yield {"part": "run", "figure": "processor_s", "here": round(total)}
    for stage, times in seconds.items():
        for name, value in times.items():
            yield {"part": "run", "figure": f"{stage}, {name}", "here": round(value)}
    for name, value in machine.items():
        yield {"part": "run", "figure": name, "here": value}


def seconds_of(timings: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Wall and processor seconds of every stage, the shards of one added up."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TIMES.values(), 0.0))
    for row in timings:
        stage = re.sub(r"_\d+-of-\d+$", "", row["stage"])
        for column, name in TIMES.items():
            found[stage][name] += float(row[column] or 0)
    return dict(found)


def machine_of(page: str) -> dict[str, str]:
    """What a report says of the machine that its study ran on."""
    listed = dict(re.findall(r"<dt>(\w+)</dt><dd>(.*?)</dd>", page))
    return {name: html.unescape(listed[name]) for name in MACHINE if name in listed}


def detection_rows(detection: dict[str, Any]) -> Iterator[dict]:
    """Table 1, curves and flag rates."""
    part = "detection"
    index = source.BEST_LAYER_INDEX
    yield {"part": part, "figure": "slice", "here": detection["slice"], "source": f"layer {index}"}
    yield {"part": part, "figure": "variant", "here": detection["variant"]}
    for name in ("benign_target", "benign_other", "impersonation"):
        printed = sum(getattr(pair, name) for pair in source.TABLE_1) / len(source.TABLE_1)
        row = {"part": part, "figure": f"{name}, mean over pairs", "source": shown(printed)}
        yield {**row, "here": shown(detection["mean"][name])}
    # By number: the photographs show real people, whom a published table need not name.
    for number, pair in enumerate(detection["pairs"], start=1):
        of = f"{part}, {PAIR} {number}"
        for name in ("benign_target", "benign_other", "impersonation"):
            yield measured(of, name, pair, name, "")
    yield measured(part, "auc", detection, "auc", "")
    for rate, value in detection["tpr_at_fpr"].items():
        ami = f"AmI {source.AMI_DETECTION[0]:g} to {source.AMI_DETECTION[1]:g}"
        printed = ami if float(rate) == source.AMI_FALSE_POSITIVE_RATE else ""
        row = measured(part, f"tpr at fpr {rate}", of_key(detection, "tpr_at_fpr", rate), rate, "")
        yield {**row, "here": shown(value), "source": printed}
    for name in detection["flag_rate"]:
        figures = of_key(detection, "flag_rate", name)
        yield measured(part, f"flag rate, {name}", figures, name, "")
    for point in detection["detectors"]:
        if point["wanted_fpr"] == SHOWN_FALSE_POSITIVE_RATE:
            of = f"detector {point['detector']}, benign {point['population'].replace('_', ' ')}"
            yield measured(of, "auc", point, "auc", "")
            for name in ("tpr", "fpr"):
                figure = f"{name} at {SHOWN_FALSE_POSITIVE_RATE:g}"
                yield measured(of, figure, point, name, "")


def of_key(detection: dict[str, Any], rates: str, key: str) -> dict[str, Any]:
    """One of several rates with its n and interval, as :func:`measured` takes it."""
    found = {key: detection[rates][key]}
    for end in ("n", "low", "high"):
        found[f"{key}_{end}"] = detection.get(f"{rates}_{end}", {}).get(key)
    return found


def saliency_rows(saliency: dict[str, Any]) -> Iterator[dict]:
    """The chosen mask, the source's, and the test split."""
    part = "saliency"
    printed = f"guided, {source.BEST_MU:g}, {source.BEST_N}, {source.BEST_PHI}, zero"
    best = saliency["best"]
    chosen = ", ".join(str(best[key]) for key in ("map", "mu", "n", "phi", "fill"))
    yield {"part": part, "figure": "best map, mu, n, phi, fill", "here": chosen, "source": printed}
    row = {"part": part, "source": source.BEST_GOODNESS}
    yield {**row, "figure": "goodness, best", "here": shown(best["goodness"])}
    for fill, value in saliency["by_fill"].items():
        yield {**row, "figure": f"goodness, best with fill {fill}", "here": shown(value)}
    for kind, value in saliency["by_map"].items():
        yield {**row, "figure": f"goodness, best {kind} map", "here": shown(value)}
    here = shown(saliency["source_setting"]["goodness"])
    yield {**row, "figure": "goodness, source's mask", "here": here}
    for defence, figures in saliency["test"].items():
        for key in figures:
            if f"{key}_n" in figures:
                printed_here = getattr(DEFENCES.get(defence), key, None)
                of = f"{part}, test, {defence}"
                yield measured(of, key, figures, key, "" if printed_here is None else printed_here)


def measured(
    part: str, figure: str, figures: dict[str, Any], key: str, printed: float | str
) -> dict[str, Any]:
    """A figure with its interval and n, where they are given."""
    ends = {end: shown(figures.get(f"{key}_{end}")) for end in ("low", "high")}
    row = {"part": part, "figure": figure, "here": shown(figures[key]), **ends}
    n = figures.get(f"{key}_n")
    return {**row, "n": "" if n is None else int(n), "source": printed}


def shown(value: float | None) -> str:
    """Three decimals of a rate, whole counts; empty where there is nothing."""
    if value is None:
        return ""
    return f"{value:.0f}" if value == round(value) and value > 1 else f"{value:.3f}"


def rendered(rows: list[dict[str, str]]) -> str:
    """The table in Markdown, without single pairs."""
    lines = ["", "", "| | here | 95 % interval | n | source |", "|---|---|---|---|---|"]
    for row in rows:
        if row["part"].startswith(f"detection, {PAIR} "):
            continue
        interval = f"{row['low']}–{row['high']}" if row["low"] else ""
        name = f"{row['part']}: {row['figure']}"
        lines.append(f"| {name} | {row['here']} | {interval} | {row['n']} | {row['source']} |")
    return "\n".join([*lines, "", ""])


def rendered_backbones(rows: list[dict[str, str]]) -> str:
    """The comparison of backbones in Markdown."""
    lines = ["", "", "| backbone | right | n | effective dimension |", "|---|---|---|---|"]
    for row in rows:
        right = f"{row['right']} [{row['low']}–{row['high']}]"
        cells = (row["backbone"], right, row["n"], row["effective_dimension"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", ""])


if __name__ == "__main__":
    main()
