"""The figures of a run in ``<study>-detection.csv``, and what docs/detection.md shows of them."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import published
from published import Figures, figures_of

from glassguard.detection.selection import GROUPS
from glassguard.detection.tables import COMPARED
from glassguard.detection.thresholds import BARE, HALF_WEARING
from glassguard.report import sources_figures
from glassguard.report.page import KINDS
from glassguard.report.tables import decimals
from glassguard.statistics import mean_interval

STUDY = "embedded"
"""The study whose figures the page shows where its marker does not say ``of`` which."""

VARIANTS = ("comparative_influence", "influence_times_activation", "influence_by_place")
"""Variants in ``conf/variant`` that change what a profile is made of."""

AT = {"auc": "auc", "detected at {wanted_fpr:g}": "tpr", "flagged at {wanted_fpr:g}": "fpr"}
SECTIONS = [*published.TEMPLATES.get_template("detection.jinja").blocks]
TABLE_1 = pd.DataFrame(sources_figures.TABLE_1)[[*GROUPS]].mean().map(decimals).to_dict()
"""Study I's, as means over its pairs."""


def write(results: Path) -> None:
    """Write every figure of a finished run; print those that no page shows."""
    table = f"{(study := results.name)}-detection"
    published.write(table, Figures.of(rows_of(results)).values())
    if study != STUDY:
        for section in SECTIONS:
            print(f"\n{section}\n\n{render(f'{section} of {study}')}")


def render(place: str) -> str:
    """The table of a section, of the default study or of another one."""
    section, _, study = place.partition(" of ")
    figures = Figures.of(published.read(f"{study or STUDY}-detection"))
    given = {"run": figures.of_run(), "source": TABLE_1, "pairs": len(sources_figures.TABLE_1)}
    return published.rendered("detection", section, figures=figures, **given)


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
    yield from figures_of(run, "run", "", [*run])
    yield from figures_of(kinds, "misnamed", "{control}", ("misnamed_bare", "misnamed"))
    yield from figures_of(first, "detector, {population}", "{detector}", AT)
    flags = controls["detector"].str.extract(r"(?P<name>.+)@(?P<rate>[\d.]+)@?(?P<population>.*)")
    flags = controls.join(flags.replace({"population": {"": BARE}})).dropna(subset="rate")
    kind = {"{control} at {rate}": "flag_rate"}
    yield from figures_of(flags, "detector, {population}", "{name}", kind)
    yield from figures_of(means_of(of["table1"]), "table 1", "{name}", ("pairs", *GROUPS))
    choices["part"] = choices["used"].map({True: "reads", False: "also chosen"})
    chosen = choices.rename(columns={"pairs": "chosen_by_n"})
    yield from figures_of(chosen, "{part}", "{detector}", {"{slice} {variant}": "chosen_by"})
    for part, table in (("layer", "layers"), ("activation layer", "activation_layers")):
        yield from figures_of(of[table], part, "{slice} {variant}", ("balanced_accuracy", "auc"))
    swept = (*GROUPS, "auc", "chosen")
    yield from figures_of(of["sweep"], "sweep", "{alpha:g} {max_iter}", swept)
    if points["attack"].nunique() > 1:
        half = points[points["population"] == HALF_WEARING]
        yield from figures_of(half, "attack {attack}", "{detector}", AT)
    gain = {"{against}": "difference"}
    yield from figures_of(of["gain"], "gain, {population}", "{detector}", gain)
    for variant in VARIANTS:
        if (folder := results / f"variant_{variant}").exists():
            other = pd.read_csv(folder / "detection" / "attacks.csv")
            other = other[other["attack"] == other["attack"].iloc[0]]
            other = other[other["detector"].isin([*chain(*COMPARED.items())])]
            yield from figures_of(other, f"variant {variant}, {{population}}", "{detector}", AT)
    yield from figures_of(inside, "share inside", "{slice}", {"{set}": "ratio"})


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
