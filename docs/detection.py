"""Write the figures of docs/detection.md from finished runs.

``python docs/detection.py results/embedded`` writes ``docs/tables/embedded-detection.csv`` from
``summary.json``, ``detection/`` and ``influence/share_inside.csv`` there and puts the same figures
into the page. The figures of another study go where the page shows tables ``of`` that study; all
others are printed. Without an argument the page is written anew from the tables. No person is
named.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import published
from published import Figures, figures_of

from glassguard.detection.selection import GROUPS
from glassguard.detection.tables import COMPARED
from glassguard.detection.thresholds import BARE, FALSE_POSITIVE_RATES, HALF_WEARING
from glassguard.report import sources_figures
from glassguard.report.tables import decimals, markdown
from glassguard.report.wording import NOTHING, spelt
from glassguard.statistics import mean_interval

STUDY = "embedded"
KINDS = {
    "benign": "bare",
    "benign_targets": "targets' bare",
    "plain_frames": "plain",
    "random_frames": "random",
    "failed_attacks": "failed attacks",
}
WANTED = {f"{rate:g}": f"at {100 * rate:g} %" for rate in FALSE_POSITIVE_RATES}
_, SHOWN, OF_AMI = WANTED
"""Rates that thresholds were set for: the study's own, and the one at which AmI is published."""

BY_KIND = (
    *(*COMPARED, *COMPARED.values()),
    *("masking", "feature_squeezing", "influence_and_masking", "squeezing_and_masking"),
)
"""Detectors whose flag rates on every kind of wearer are shown."""

TITLES = ("benign target", "benign others", "impersonation")
BEST_SHOWN = 5
LARGEST_OF_A_KIND = 0.10
AIMS = {"embedded": {"auc": 0.97, "detected": 0.90}, "faces": {"auc": 0.95, "detected": 0.80}}
"""What a study set out to reach at 5 % false alarms among honest wearers."""

VARIANTS = ("comparative_influence", "influence_times_activation", "influence_by_place")
"""Variants in ``conf/variant`` that change what a profile is made of."""

BOTH = "detected at {0}{1}; flagged at {0}{1}"
LISTED = {
    "bare": (
        f"detector, {BARE}",
        {"detector": "", "AUC": "auc±"}
        | {f"{WANTED[rate]}: detected; flagged": BOTH.format(rate, "±") for rate in (SHOWN, OF_AMI)}
        | {
            f"{KINDS[kind]} flagged (n = {{{kind}}})": f"{kind} at {SHOWN}"
            for kind in ("plain_frames", "random_frames", "failed_attacks")
        },
    ),
    "half_wearing": (
        f"detector, {HALF_WEARING}",
        {"detector": "", "AUC": "auc±"}
        | {f"{at}: detected; flagged": BOTH.format(rate, "") for rate, at in WANTED.items()},
    ),
    "inside": (
        "share inside",
        {
            "slice": "",
            "impersonations": "impersonations±",
            "honest wearers of plain frames": "plain_frames±",
            "the attacked faces without glasses, same place": "without_glasses±",
        },
    ),
}
"""By section that lists all of a part: the part, and figures by column."""

RUN = """\
Experiment `{experiment}`, seed {seed}, run {started}; {impersonations} successful test \
impersonations over {pairs} pairs, {benign} benign test pictures, {plain_frames} with plain and \
{random_frames} with random frames, {half_wearing} in the mixture of which half wear either, \
{failed_attacks} attacks that missed their target, of whom the network misnames \
{misnamed_failed_attacks} all the same. The attack succeeds in {success} of the test pictures, \
after a JPEG round trip in {success_jpeg}. Before the glasses the network misnames \
{misnamed_benign} of the benign, with plain frames {misnamed_plain_frames}, with random ones \
{misnamed_random_frames}."""


def main() -> None:
    """Write the tables of the results that are given, and the page."""
    for folder in published.folders(__doc__, write_table):
        if (study := folder.resolve().name) != STUDY:
            table = Figures.read(f"{study}-detection")
            for section in (*SECTIONS, *LISTED):
                print(f"\n{section}\n\n{shown(table, section)}")
    published.rewrite(render, "detection")


def render(place: str) -> str | None:
    """The table of a section, of the default study or of another one."""
    section, _, study = place.removeprefix("figures: ").partition(" of ")
    return shown(Figures.read(f"{study or STUDY}-detection"), section)


def shown(table: Figures, section: str) -> str:
    """A section of the page."""
    return table.listed(*LISTED[section]) if section in LISTED else SECTIONS[section](table)


def write_table(results: Path) -> None:
    """Write every figure of a finished run."""
    name = f"{results.resolve().name}-detection"
    published.write(name, published.COLUMNS, Figures.of(rows_of(results)).values())


def rows_of(results: Path) -> Iterator[dict[str, Any]]:
    """Every figure of a finished run."""
    of = {path.stem: pd.read_csv(path) for path in (results / "detection").glob("*.csv")}
    inside = pd.read_csv(results / "influence" / "share_inside.csv")
    for table in ("layers", "activation_layers", "sweep"):
        # Whole numbers would pass for counts.
        of[table] = of[table].astype({"balanced_accuracy": float, "auc": float})
    points, controls, choices = of["attacks"], of["controls"], of["choices"]
    first = points[points["attack"] == points["attack"].iloc[0]]
    kinds = controls.drop_duplicates("control")
    run = run_of(published.read_json(results / "summary.json"), first, kinds)
    yield from figures_of(run, "run", "", *run)
    yield from figures_of(kinds, "misnamed", "{control}", "misnamed_bare", "misnamed")
    at = {"auc": "auc", "detected at {wanted_fpr:g}": "tpr", "flagged at {wanted_fpr:g}": "fpr"}
    yield from figures_of(first, "detector, {population}", "{detector}", **at)
    flags = controls["detector"].str.extract(r"(?P<name>.+)@(?P<rate>[\d.]+)@?(?P<population>.*)")
    flags = controls.join(flags.replace({"population": {"": BARE}})).dropna(subset="rate")
    kind = {"{control} at {rate}": "flag_rate"}
    yield from figures_of(flags, "detector, {population}", "{name}", **kind)
    yield from figures_of(means_of(of["table1"]), "table 1", "{name}", "pairs", *GROUPS)
    choices["part"] = choices["used"].map({True: "reads", False: "also chosen"})
    chosen = choices.rename(columns={"pairs": "chosen_by_n"})
    yield from figures_of(chosen, "{part}", "{detector}", **{"{slice} {variant}": "chosen_by"})
    for part, table in (("layer", "layers"), ("activation layer", "activation_layers")):
        yield from figures_of(of[table], part, "{slice} {variant}", "balanced_accuracy", "auc")
    yield from figures_of(of["sweep"], "sweep", "{alpha:g} {max_iter}", *GROUPS, "auc", "chosen")
    if points["attack"].nunique() > 1:
        half = points[points["population"] == HALF_WEARING]
        yield from figures_of(half, "attack {attack}", "{detector}", **at)
    yield from figures_of(
        of["gain"], "gain, {population}", "{detector}", **{"{against}": "difference"}
    )
    for folder in (results / f"variant_{name}" for name in VARIANTS):
        if folder.exists():
            other = pd.read_csv(folder / "detection" / "attacks.csv")
            other = other[other["attack"] == other["attack"].iloc[0]]
            other = other[other["detector"].isin([*chain(*COMPARED.items())])]
            part = f"variant {folder.name.removeprefix('variant_')}, {{population}}"
            yield from figures_of(other, part, "{detector}", **at)
    yield from figures_of(inside, "share inside", "{slice}", **{"{set}": "ratio"})


def run_of(summary: Mapping[str, Any], first: pd.DataFrame, kinds: pd.DataFrame) -> dict[str, Any]:
    """What was run, and how many pictures stand behind the rates."""
    detection, attack = summary["detection"], next(iter(summary["attacks"].values()))
    counts = dict(zip(kinds["control"], kinds["n"], strict=True))
    return {
        **{key: summary[key] for key in ("experiment", "seed")},
        "started": summary["started"][:10],
        **{key: detection[key] for key in ("slice", "variant")},
        "pairs": len(detection["pairs"]),
        "impersonations": int(first["tpr_n"].iloc[0]),
        **{key: attack.get(key) for key in ("success", "success_jpeg")},
        "half_wearing": int(first.loc[first["population"] == HALF_WEARING, "fpr_n"].iloc[0]),
        **{kind: int(counts.get(kind, 0)) for kind in KINDS},
    }


def means_of(pairs: pd.DataFrame) -> pd.DataFrame:
    """Table 1 in means over all pairs, and over those that chose the same slice and variant."""
    means = []
    for name, group in (("all", pairs), *pairs.groupby(["slice", "variant"])):
        mean = {"name": name if name == "all" else " ".join(name), "pairs": len(group)}
        for column in GROUPS:
            low, high = (min(max(end, 0.0), 1.0) for end in mean_interval(group[column]))
            mean |= {column: group[column].mean(), f"{column}_n": len(group)}
            mean |= {f"{column}_low": low, f"{column}_high": high}
        means.append(mean)
    return pd.DataFrame(means)


def run_section(table: Figures) -> str:
    """What was run, and how many pictures stand behind the rates."""
    misnamed = {f"misnamed_{kind}": table.cell("misnamed", kind, "misnamed") for kind in KINDS}
    return RUN.format_map(table.of_run() | misnamed)


def kinds_section(table: Figures) -> str:
    """Those that come into question at the threshold for honest wearers, kind by kind."""
    part = f"detector, {HALF_WEARING}"
    kinds = [kind for kind in KINDS if kind != "failed_attacks"]
    figures = {what: f"{what} at {SHOWN}" for what in ("detected", "flagged", *kinds)}
    figures = {"auc": "auc", **figures}
    header = ["detector", "AUC", "impersonations detected", "half wearing flagged"]
    header += [*(f"{KINDS[kind]} flagged" for kind in kinds), "aims missed"]
    aims = AIMS.get(table.cell("run", "", "experiment"), {})
    bounds = {key: (">=", aim) for key, aim in aims.items()}
    lines = []
    if aims:
        bounds |= dict.fromkeys(kinds, ("<=", LARGEST_OF_A_KIND))
        # The share of the mixture was set on validation pictures.
        asked_for = {"flagged": f"{WANTED[SHOWN][3:]} on validation pictures"}
        asked_for |= {key: published.bound(*bound) for key, bound in bounds.items()}
        lines.append(["aim", *(asked_for[key] for key in figures), ""])
    for name in (one for one in BY_KIND if (part, one, "auc") in table):
        found = {key: table.cell(part, name, figures[key]) for key in bounds}
        missed = [
            KINDS.get(key, key)
            for key, value in found.items()
            if value != NOTHING and not published.kept(value, *bounds[key])
        ]
        said = ", ".join(missed) or ("none" if aims else NOTHING)
        cells = table.cells(part, name, (f"{figure}±" for figure in figures.values()))
        lines.append([f"`{name}`", *cells, said])
    return markdown(header, lines)


def table1_section(table: Figures) -> str:
    """Table 1 in means, and Study I's."""
    pairs = sources_figures.TABLE_1
    means = [sum(getattr(pair, column) for pair in pairs) / len(pairs) for column in GROUPS]
    figures = {"slice and variant that the pair chose": "", "pairs": "pairs"}
    figures |= {title: f"{key}±" for title, key in zip(TITLES, GROUPS, strict=True)}
    own = " | ".join(["Study I", str(len(pairs)), *map(decimals, means)])
    return f"{table.listed('table 1', figures).replace('`all`', 'all')}\n| {own} |"


def choices_section(table: Figures) -> str:
    """Where every detector reads, and what else pairs chose."""
    lines = []
    for name in table.names("reads"):
        used, others = (
            {figure: row for (*of, figure), row in table.items() if of == [part, name]}
            for part in ("reads", "also chosen")
        )
        votes = "".join(f", {row['n']}" for row in used.values() if row["n"])
        reads = "; ".join(f"`{figure}`" for figure in used)
        also = "; ".join(f"`{figure}`, {row['n']}" for figure, row in others.items())
        by = next(iter(used.values()))["here"]
        lines.append([f"`{name}`", reads, f"{by}{votes}", also or NOTHING])
    return markdown(["detector", "reads", "chosen by", "what else pairs chose"], lines)


def layers_section(table: Figures) -> str:
    """The best slices of influence and of activations, each at its best variant."""
    figures = {"balanced accuracy": "balanced_accuracy", "AUC": "auc"}
    lines = []
    for part, what in (("layer", "influence"), ("activation layer", "activations")):
        found = [(name, table.cells(part, name, figures.values())) for name in table.names(part)]
        found.sort(key=lambda one: -float(one[1][0]))
        lines += [[what, f"`{name}`", *cells] for name, cells in found[:BEST_SHOWN]]
    return markdown(["profile", "slice and variant", *figures], lines)


def gain_section(table: Figures) -> str:
    """Influence less what it is compared with, in words no stronger than the intervals."""
    lines = []
    for (part, ours, theirs), row in table.items():
        if part.startswith("gain, "):
            population = part.removeprefix("gain, ")
            areas = [table.cell(f"detector, {population}", one, "auc") for one in (ours, theirs)]
            difference = table.cell(part, ours, f"{theirs}±")
            named = [f"`{ours}` − `{theirs}`", spelt(population), " − ".join(areas)]
            lines.append([*named, difference, verdict(row)])
    return markdown(
        ["detectors", "benign pictures", "AUC", "difference, 95 % interval", "shown"], lines
    )


def verdict(difference: Mapping[str, str]) -> str:
    """What an interval of a difference shows; a dash where there is none."""
    if not difference["low"]:
        return NOTHING
    if float(difference["low"]) > 0:
        return "influence is better"
    return "activations are better" if float(difference["high"]) < 0 else "no difference"


def sweep_section(table: Figures) -> str:
    """Alpha and iterations."""
    header = ["alpha", "iterations", *TITLES, "AUC"]
    figures = (*GROUPS, "auc", "chosen")
    names = table.names("sweep")
    lines = ([*name.split(), *table.cells("sweep", name, figures)] for name in names)
    return markdown([*header, "pairs that would choose it"], lines)


def attacks_section(table: Figures) -> str:
    """Every detector on every attack."""
    parts = list(dict.fromkeys(part for part, _, _ in table if part.startswith("attack ")))
    if not parts:
        return "This run has one attack."
    figures = f"detected at {SHOWN}; auc"
    names = table.names(parts[0])
    counts = [table[part, names[0], f"detected at {SHOWN}"]["n"] for part in parts]
    header = [
        f"{part.removeprefix('attack ')} (n = {n}): detected; AUC"
        for part, n in zip(parts, counts, strict=True)
    ]
    lines = (
        [f"`{name}`", *(table.cells(part, name, [figures])[0] for part in parts)] for name in names
    )
    return markdown(["detector", *header], lines)


def variants_section(table: Figures) -> str:
    """Detectors on other profiles and on those of the study itself, where they differ."""
    of = [part.removesuffix(f", {BARE}") for part, _, _ in table if part.endswith(f", {BARE}")]
    at = [f"{what} at {SHOWN}" for what in ("detected", "flagged")]
    own: dict[str, list[str]] = {}
    lines = []
    for part in dict.fromkeys(one for one in of if one == "detector" or one.startswith("variant ")):
        title = f"`{part.removeprefix('variant ')}`" if part != "detector" else "as in the study"
        for name in chain(*COMPARED.items()):
            cells = table.cells(f"{part}, {BARE}", name, ["auc±"])
            cells += table.cells(f"{part}, {HALF_WEARING}", name, ["auc±", *at])
            if own.setdefault(name, cells) != cells or part == "detector":
                lines.append([title, f"`{name}`", *cells])
    header = ["profile", "detector", "AUC, bare", "AUC, half wearing"]
    return markdown(
        [*header, *(f"{one.split()[0]} {WANTED[SHOWN]}, half wearing" for one in at)], lines
    )


SECTIONS: dict[str, Callable[[Figures], str]] = {
    name.removesuffix("_section"): section
    for name, section in list(globals().items())
    if name.endswith("_section")
}
"""What stands between the markers of each name."""


if __name__ == "__main__":
    main()
