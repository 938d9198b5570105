"""Write the figures of docs/detection.md from a finished run of the default study.

``python docs/detection.py results/embedded`` reads ``summary.json`` and ``detection/`` there,
writes ``docs/tables/embedded-detection.csv`` and puts the same figures between the page's markers.
Of another study it writes the table under that study's name, puts those figures into the page that
stand there ``of`` that study, and prints the rest. Without an argument the page is written anew
from the tables. No person is named.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from glassguard.detection.selection import GROUPS
from glassguard.detection.tables import COMPARED
from glassguard.detection.thresholds import BARE, FALSE_POSITIVE_RATES, HALF_WEARING
from glassguard.report import sources_figures
from glassguard.statistics import mean_interval

HERE = Path(__file__).parent
PAGE = HERE / "detection.md"
STUDY = "embedded"
COLUMNS = ("part", "name", "figure", "here", "low", "high", "n")
KINDS = {
    "benign": "bare",
    "benign_targets": "targets' bare",
    "plain_frames": "plain",
    "random_frames": "random",
    "failed_attacks": "failed attacks",
}
SHOWN_RATE = f"{FALSE_POSITIVE_RATES[1]:g}"
RATES = tuple(f"{rate:g}" for rate in FALSE_POSITIVE_RATES)
BARE_RATES = (SHOWN_RATE, RATES[-1])
"""The study's own rate, and that at which AmI is published."""

BY_KIND = (
    *COMPARED,
    *COMPARED.values(),
    "masking",
    "feature_squeezing",
    "influence_and_masking",
    "squeezing_and_masking",
)
"""Detectors whose flag rates on every kind of wearer are shown."""

LARGEST_OF_A_KIND = 0.10
AIMS = {"embedded": {"auc": 0.97, "detected": 0.90}, "faces": {"auc": 0.95, "detected": 0.80}}
"""What a study set out to reach at 5 % false alarms among honest wearers."""

PROFILE_VARIANTS = (
    "comparative_influence",
    "influence_times_activation",
    "influence_by_place",
)
"""Variants in ``conf/variant`` that change what a profile is made of."""

INSIDE = {
    "impersonations": "impersonations",
    "plain_frames": "honest wearers of plain frames",
    "without_glasses": "the attacked faces without glasses, same place",
}
"""Sets of pictures in ``influence/share_inside.csv``, in words."""

BEST_SHOWN = 5
"""How many slices of each kind of profile are shown."""

MARKERS = re.compile(
    r"(<!-- figures: (?P<section>\w+)(?: of (?P<study>\w+))? -->)\n.*?(<!-- figures: end -->)",
    re.DOTALL,
)
"""Where a section stands, of the default study or of another one."""

ITSELF = "as in the study"
NOTHING = "–"

Row = dict[str, Any]
Rows = dict[tuple[str, str, str], Row]


def main() -> None:
    """Write the table where results are given, and the page."""
    study = STUDY
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", help="folder of a run, or none")
    results = parser.parse_args().results
    if results is not None:
        study = results.resolve().name
        try:
            rows = list(rows_of(results))
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}; give the folder of a finished run")
        with table_of(study).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page), encoding="utf-8")
    if study != STUDY:
        table = read_table(study)
        for name, render in SECTIONS.items():
            print(f"\n{name}\n\n{render(table)}")


def table_of(study: str) -> Path:
    """Where a study's table is."""
    return HERE / "tables" / f"{study}-detection.csv"


def read_table(study: str) -> Rows:
    """The rows of a study's table by part, name and figure, in order."""
    with table_of(study).open(encoding="utf-8", newline="") as file:
        return {(row["part"], row["name"], row["figure"]): row for row in csv.DictReader(file)}


def filled(page: str) -> str:
    """The page with every pair of markers filled from the committed tables."""

    def fill(found: re.Match[str]) -> str:
        table = read_table(found["study"] or STUDY)
        return f"{found[1]}\n{SECTIONS[found['section']](table)}\n{found[4]}"

    return MARKERS.sub(fill, page)


def rows_of(results: Path) -> Iterator[Row]:
    """Every figure of a finished run."""
    detection = results / "detection"
    tables = {
        name: pd.read_csv(detection / f"{name}.csv")
        for name in ("attacks", "controls", "table1", "sweep", "choices", "layers", "gain")
    }
    activation_layers = pd.read_csv(detection / "activation_layers.csv")
    summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
    yield from run_rows(summary, tables["attacks"], tables["controls"])
    yield from detector_rows(tables["attacks"], tables["controls"])
    yield from table1_rows(tables["table1"])
    yield from choice_rows(tables["choices"])
    yield from layer_rows("layer", tables["layers"])
    yield from layer_rows("activation layer", activation_layers)
    yield from sweep_rows(tables["sweep"])
    yield from attack_rows(tables["attacks"])
    yield from gain_rows(tables["gain"])
    yield from variant_rows(results)
    yield from inside_rows(pd.read_csv(results / "influence" / "share_inside.csv"))


def run_rows(
    summary: dict[str, Any], points: pd.DataFrame, controls: pd.DataFrame
) -> Iterator[Row]:
    """What was run, and how many pictures stand behind the rates."""
    detection = summary["detection"]
    first = points[points["attack"] == points["attack"].iloc[0]]
    benign = first.drop_duplicates("population").set_index("population")["fpr_n"]
    counts = controls.drop_duplicates("control").set_index("control")["n"]
    values = {
        "experiment": summary["experiment"],
        "seed": summary["seed"],
        "started": summary["started"][:10],
        "slice": detection["slice"],
        "variant": detection["variant"],
        "pairs": len(detection["pairs"]),
        "impersonations": first["tpr_n"].iloc[0],
        **{
            figure: shown(next(iter(summary["attacks"].values())).get(figure))
            for figure in ("success", "success_jpeg")
        },
        "half_wearing": benign[HALF_WEARING],
        **{kind: counts.get(kind, 0) for kind in KINDS},
    }
    yield from ({"part": "run", "name": "", "figure": k, "here": v} for k, v in values.items())
    for row in controls.drop_duplicates("control").to_dict("records"):
        for what in ("misnamed_bare", "misnamed"):
            yield measured("misnamed", str(row["control"]), what, row, what)


def detector_rows(points: pd.DataFrame, controls: pd.DataFrame) -> Iterator[Row]:
    """Every detector on the first attack: areas, detection, and flag rates of every kind."""
    first = points[points["attack"] == points["attack"].iloc[0]]
    flags = controls.set_index(["detector", "control"]).to_dict("index")
    for (detector, population), group in first.groupby(["detector", "population"], sort=False):
        by_rate = {f"{row['wanted_fpr']:g}": row for row in group.to_dict("records")}
        part = f"detector, {population}"
        yield measured(part, str(detector), "auc", by_rate[SHOWN_RATE], "auc")
        for rate, row in by_rate.items():
            for key, what in (("tpr", "detected"), ("fpr", "flagged")):
                yield measured(part, str(detector), f"{what} at {rate}", row, key)
            name = f"{detector}@{rate}" + ("" if population == BARE else f"@{population}")
            for kind in KINDS:
                if (name, kind) in flags:
                    flagged = flags[name, kind] | {"flag_rate_n": flags[name, kind]["n"]}
                    figure = f"{kind} at {rate}"
                    yield measured(part, str(detector), figure, flagged, "flag_rate")


def table1_rows(pairs: pd.DataFrame) -> Iterator[Row]:
    """Means over all pairs, and over those that chose the same slice and variant."""
    groups = [("all", pairs)]
    groups += [(" ".join(key), group) for key, group in pairs.groupby(["slice", "variant"])]
    for name, group in groups:
        yield {"part": "table 1", "name": name, "figure": "pairs", "here": len(group)}
        for column in GROUPS:
            low, high = (min(max(end, 0.0), 1.0) for end in mean_interval(group[column]))
            mean = {"mean": group[column].mean(), "mean_low": low, "mean_high": high}
            yield measured("table 1", name, column, mean | {"mean_n": len(group)}, "mean")


def choice_rows(choices: pd.DataFrame) -> Iterator[Row]:
    """Where detectors read; ``n`` is how many pairs chose it, empty where they were not asked."""
    for row in choices.to_dict("records"):
        part = "reads" if row["used"] else "also chosen"
        figure = f"{row['slice']} {row['variant']}"
        votes = "" if pd.isna(row["pairs"]) else int(row["pairs"])
        yield {
            "part": part,
            "name": row["detector"],
            "figure": figure,
            "here": row["chosen_by"],
            "n": votes,
        }


def layer_rows(part: str, layers: pd.DataFrame) -> Iterator[Row]:
    """Every slice and variant on validation pictures."""
    for row in layers.to_dict("records"):
        name = f"{row['slice']} {row['variant']}"
        for figure in ("balanced_accuracy", "auc"):
            yield {"part": part, "name": name, "figure": figure, "here": shown(row[figure])}


def sweep_rows(settings: pd.DataFrame) -> Iterator[Row]:
    """Alpha and iterations on validation pictures, and who would choose them."""
    for row in settings.to_dict("records"):
        name = f"{row['alpha']:g} {row['max_iter']}"
        for figure in (*GROUPS, "auc"):
            yield measured("sweep", name, figure, row, figure)
        yield {"part": "sweep", "name": name, "figure": "chosen", "here": row["chosen"]}


def attack_rows(points: pd.DataFrame) -> Iterator[Row]:
    """Every detector on every attack among honest wearers, where there are several."""
    if points["attack"].nunique() > 1:
        kept = points[points["population"] == HALF_WEARING]
        for row in kept[kept["wanted_fpr"] == float(SHOWN_RATE)].to_dict("records"):
            part = f"attack {row['attack']}"
            yield measured(part, row["detector"], f"detected at {SHOWN_RATE}", row, "tpr")
            yield measured(part, row["detector"], "auc", row, "auc")


def gain_rows(gain: pd.DataFrame) -> Iterator[Row]:
    """Areas of detectors on influence less those of the same detectors on activations."""
    for row in gain.to_dict("records"):
        part = f"gain, {row['population']}"
        yield measured(part, row["detector"], row["against"], row, "difference")


def variant_rows(results: Path) -> Iterator[Row]:
    """Detectors on profiles of another kind, of those variants that the study was run with."""
    for variant in PROFILE_VARIANTS:
        folder = results / f"variant_{variant}"
        if not folder.exists():
            continue
        points = pd.read_csv(folder / "detection" / "attacks.csv")
        points = points[points["attack"] == points["attack"].iloc[0]]
        points = points[points["wanted_fpr"] == float(SHOWN_RATE)]
        for row in points[points["detector"].isin(chain(*COMPARED.items()))].to_dict("records"):
            part = f"variant {variant}, {row['population']}"
            yield measured(part, row["detector"], "auc", row, "auc")
            for key, what in (("tpr", "detected"), ("fpr", "flagged")):
                yield measured(part, row["detector"], f"{what} at {SHOWN_RATE}", row, key)


def inside_rows(shares: pd.DataFrame) -> Iterator[Row]:
    """The experts' influence inside the glasses over the glasses' share of the area."""
    for row in shares.to_dict("records"):
        ratio = row | {"ratio_n": row["n"]}
        yield measured("share inside", str(row["slice"]), str(row["set"]), ratio, "ratio")


def measured(part: str, name: str, figure: str, row: dict[Any, Any], key: str) -> Row:
    """A figure with its interval and n, where they are given."""
    ends = {end: shown(row.get(f"{key}_{end}")) for end in ("low", "high")}
    n = row.get(f"{key}_n", "")
    return {"part": part, "name": name, "figure": figure, "here": shown(row[key]), **ends, "n": n}


def shown(value: float | None) -> str:
    """Three decimals; empty where there is nothing."""
    return "" if value is None or pd.isna(value) else f"{value:.3f}"


def cell(table: Rows, part: str, name: str, figure: str, *, interval: bool = False) -> str:
    """One figure as text, a dash where the table has none."""
    row = table.get((part, name, figure))
    if row is None or row["here"] == "":
        return NOTHING
    return f"{row['here']} [{row['low']}–{row['high']}]" if interval and row["low"] else row["here"]


def names_of(table: Rows, part: str) -> list[str]:
    """The names in one part, each once, in order."""
    return list(dict.fromkeys(name for where, name, _ in table if where == part))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown with an empty line around it, which Markdown wants."""
    lines = [header, *rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(["", text[0], "|---" * len(header) + "|", *text[1:], ""])


def percent(rate: str) -> str:
    """``0.05`` to ``5 %``."""
    return f"{100 * float(rate):g} %"


def run_section(table: Rows) -> str:
    """What was run, and how many pictures stand behind the rates."""

    def of(figure: str) -> str:
        return cell(table, "run", "", figure)

    return (
        f"Experiment `{of('experiment')}`, seed {of('seed')}, run {of('started')}; "
        f"{of('impersonations')} successful test impersonations over {of('pairs')} pairs, "
        f"{of('benign')} benign test pictures, {of('plain_frames')} with plain and "
        f"{of('random_frames')} with random frames, {of('half_wearing')} in the mixture of which "
        f"half wear either, {of('failed_attacks')} attacks that missed their target, of whom the "
        f"network misnames {cell(table, 'misnamed', 'failed_attacks', 'misnamed')} all the same. "
        f"The attack succeeds in {of('success')} of the test pictures, after a JPEG round trip in "
        f"{of('success_jpeg')}. "
        "Before the glasses the network misnames "
        f"{cell(table, 'misnamed', 'benign', 'misnamed')} of the benign, with plain frames "
        f"{cell(table, 'misnamed', 'plain_frames', 'misnamed')}, with random ones "
        f"{cell(table, 'misnamed', 'random_frames', 'misnamed')}."
    )


def bare_section(table: Rows) -> str:
    """Every detector at a threshold for bare faces."""
    part = f"detector, {BARE}"
    header = ["detector", "AUC", *(f"at {percent(rate)}: detected; flagged" for rate in BARE_RATES)]
    kinds = {
        kind: label for kind, label in KINDS.items() if kind not in ("benign", "benign_targets")
    }
    header += [
        f"{label} flagged (n = {cell(table, 'run', '', kind)})" for kind, label in kinds.items()
    ]
    rows = [
        [
            f"`{name}`",
            cell(table, part, name, "auc", interval=True),
            *(
                "; ".join(
                    cell(table, part, name, f"{what} at {rate}", interval=True)
                    for what in ("detected", "flagged")
                )
                for rate in BARE_RATES
            ),
            *(cell(table, part, name, f"{kind} at {SHOWN_RATE}") for kind in kinds),
        ]
        for name in names_of(table, part)
    ]
    return markdown(header, rows)


def half_wearing_section(table: Rows) -> str:
    """Every detector where half of the benign wear honest frames."""
    part = f"detector, {HALF_WEARING}"
    header = ["detector", "AUC", *(f"at {percent(rate)}: detected; flagged" for rate in RATES)]
    rows = []
    for name in names_of(table, part):
        cells = [
            "; ".join(
                cell(table, part, name, f"{what} at {rate}") for what in ("detected", "flagged")
            )
            for rate in RATES
        ]
        rows.append([f"`{name}`", cell(table, part, name, "auc", interval=True), *cells])
    return markdown(header, rows)


def kinds_section(table: Rows) -> str:
    """Those that come into question at the threshold for honest wearers, kind by kind."""
    part = f"detector, {HALF_WEARING}"
    kinds = [kind for kind in KINDS if kind != "failed_attacks"]
    aims = AIMS.get(cell(table, "run", "", "experiment"))
    header = ["detector", "AUC", "impersonations detected", "half wearing flagged"]
    header += [*(f"{KINDS[kind]} flagged" for kind in kinds), "aims missed"]
    rows = []
    for name in (name for name in BY_KIND if (part, name, "auc") in table):
        figures = {
            "auc": "auc",
            "detected": f"detected at {SHOWN_RATE}",
            "flagged": f"flagged at {SHOWN_RATE}",
            **{kind: f"{kind} at {SHOWN_RATE}" for kind in kinds},
        }
        missed = [] if aims is None else _missed(table, part, name, figures, aims)
        cells = (cell(table, part, name, one, interval=True) for one in figures.values())
        rows.append([f"`{name}`", *cells, ", ".join(missed) or ("none" if aims else NOTHING)])
    if aims is not None:
        asked_for = f"{percent(SHOWN_RATE)} on validation pictures"
        bounds = [f"≥ {aims['auc']:g}", f"≥ {aims['detected']:g}", asked_for]
        rows.insert(0, ["aim", *bounds, *[f"≤ {LARGEST_OF_A_KIND:g}"] * len(kinds), ""])
    return markdown(header, rows)


def _missed(
    table: Rows, part: str, name: str, figures: dict[str, str], aims: dict[str, float]
) -> list[str]:
    """Which aims a detector misses; the share of the mixture was set on validation pictures."""
    found = {key: cell(table, part, name, figure) for key, figure in figures.items()}
    missed = [key for key, aim in aims.items() if found[key] != NOTHING and float(found[key]) < aim]
    return missed + [
        KINDS[kind]
        for kind in KINDS
        if kind in found and found[kind] != NOTHING and float(found[kind]) > LARGEST_OF_A_KIND
    ]


def table1_section(table: Rows) -> str:
    """Table 1 in means, beside Study I's."""
    header = ["slice and variant that the pair chose", "pairs"]
    header += ["benign target", "benign others", "impersonation"]
    rows = [
        [
            "all" if name == "all" else f"`{name}`",
            cell(table, "table 1", name, "pairs"),
            *(cell(table, "table 1", name, column, interval=True) for column in GROUPS),
        ]
        for name in names_of(table, "table 1")
    ]
    printed = sources_figures.TABLE_1
    means = [sum(getattr(pair, column) for pair in printed) / len(printed) for column in GROUPS]
    rows.append(["Study I", str(len(printed)), *(f"{mean:.3f}" for mean in means)])
    return markdown(header, rows)


def choices_section(table: Rows) -> str:
    """Where every detector reads, and what else pairs chose."""
    header = ["detector", "reads", "chosen by", "what else pairs chose"]
    rows = []
    for name in names_of(table, "reads"):
        used = {key[2]: row for key, row in table.items() if key[:2] == ("reads", name)}
        others = {key[2]: row for key, row in table.items() if key[:2] == ("also chosen", name)}
        votes = "".join(f", {row['n']}" for row in used.values() if row["n"])
        rows.append(
            [
                f"`{name}`",
                "; ".join(f"`{figure}`" for figure in used),
                next(iter(used.values()))["here"] + votes,
                "; ".join(f"`{figure}`, {row['n']}" for figure, row in others.items()) or NOTHING,
            ]
        )
    return markdown(header, rows)


def layers_section(table: Rows) -> str:
    """The best slices of influence and of activations, each at its best variant."""
    rows = []
    for part, what in (("layer", "influence"), ("activation layer", "activations")):
        names = names_of(table, part)
        names.sort(key=lambda name: -float(cell(table, part, name, "balanced_accuracy")))
        for name in names[:BEST_SHOWN]:
            figures = [cell(table, part, name, what) for what in ("balanced_accuracy", "auc")]
            rows.append([what, f"`{name}`", *figures])
    return markdown(["profile", "slice and variant", "balanced accuracy", "AUC"], rows)


def gain_section(table: Rows) -> str:
    """Influence less what it is compared with, in words no stronger than the intervals."""
    rows = []
    for (part, ours, theirs), row in table.items():
        population = part.removeprefix("gain, ")
        if population == part:
            continue
        areas = [cell(table, f"detector, {population}", name, "auc") for name in (ours, theirs)]
        rows.append(
            [
                f"`{ours}` − `{theirs}`",
                population.replace("_", " "),
                " − ".join(areas),
                cell(table, part, ours, theirs, interval=True),
                verdict(row),
            ]
        )
    return markdown(
        ["detectors", "benign pictures", "AUC", "difference, 95 % interval", "shown"], rows
    )


def verdict(difference: Row) -> str:
    """What an interval of a difference shows; a dash where there is none."""
    if not difference["low"]:
        return NOTHING
    if float(difference["low"]) > 0:
        return "influence is better"
    return "activations are better" if float(difference["high"]) < 0 else "no difference"


def sweep_section(table: Rows) -> str:
    """Alpha and iterations."""
    figures = ("benign_target", "benign_other", "impersonation", "auc", "chosen")
    header = ["alpha", "iterations", "benign target", "benign others", "impersonation", "AUC"]
    rows = [
        [*name.split(), *(cell(table, "sweep", name, figure) for figure in figures)]
        for name in names_of(table, "sweep")
    ]
    return markdown([*header, "pairs that would choose it"], rows)


def attacks_section(table: Rows) -> str:
    """Every detector on every attack."""
    parts = list(dict.fromkeys(part for part, _, _ in table if part.startswith("attack ")))
    if not parts:
        return "\nThis run has one attack.\n"
    figure = f"detected at {SHOWN_RATE}"
    header = ["detector"]
    for part in parts:
        n = table[part, names_of(table, part)[0], figure]["n"]
        header.append(f"{part.removeprefix('attack ')} (n = {n}): detected; AUC")
    rows = [
        [
            f"`{name}`",
            *("; ".join(cell(table, part, name, one) for one in (figure, "auc")) for part in parts),
        ]
        for name in names_of(table, parts[0])
    ]
    return markdown(header, rows)


def variants_section(table: Rows) -> str:
    """Detectors on other profiles beside those of the study itself, where they differ."""
    ending = f", {BARE}"
    variants = [part for part, _, _ in table if part.startswith("variant ")]
    names = list(dict.fromkeys(part.removesuffix(ending) for part in variants if ending in part))
    header = ["profile", "detector", "AUC, bare", "AUC, half wearing"]
    own: list[list[str]] = []
    rows = []
    for name in ["detector", *names]:
        title = ITSELF if name == "detector" else f"`{name.removeprefix('variant ')}`"
        for detector in chain(*COMPARED.items()):
            areas = [
                cell(table, f"{name}, {population}", detector, "auc", interval=True)
                for population in (BARE, HALF_WEARING)
            ]
            rates = [
                cell(table, f"{name}, {HALF_WEARING}", detector, f"{what} at {SHOWN_RATE}")
                for what in ("detected", "flagged")
            ]
            row = [f"`{detector}`", *areas, *rates]
            if name == "detector" or row not in own:
                rows.append([title, *row])
            if name == "detector":
                own.append(row)
    at = f"at {percent(SHOWN_RATE)}, half wearing"
    return markdown([*header, f"detected {at}", f"flagged {at}"], rows)


def inside_section(table: Rows) -> str:
    """Every slice, for impersonations and for what they are compared with."""
    rows = [
        [f"`{name}`", *(cell(table, "share inside", name, kind, interval=True) for kind in INSIDE)]
        for name in names_of(table, "share inside")
    ]
    return markdown(["slice", *INSIDE.values()], rows)


SECTIONS: dict[str, Callable[[Rows], str]] = {
    "run": run_section,
    "bare": bare_section,
    "half_wearing": half_wearing_section,
    "kinds": kinds_section,
    "table1": table1_section,
    "choices": choices_section,
    "layers": layers_section,
    "gain": gain_section,
    "sweep": sweep_section,
    "attacks": attacks_section,
    "variants": variants_section,
    "inside": inside_section,
}
"""Name of each pair of markers to what stands between them."""


if __name__ == "__main__":
    main()
