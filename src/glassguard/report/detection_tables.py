"""Tables of the detection by influence (Study I)."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from glassguard.detection.thresholds import BARE, HALF_WEARING
from glassguard.report import sources_figures
from glassguard.report.tables import Table, area, rate
from glassguard.report.wording import HEADLINE_RATE, NOTHING, TABLE_1_RATES, percent, spelt


def pairs_table(table: pd.DataFrame) -> Table:
    """Study I's Table 1: means, every pair, and the source's pairs.

    Args:
        table: ``detection/table1.csv``.
    """
    means = (percent(float(table[name].mean())) for name in TABLE_1_RATES)
    rows = [("mean over pairs", f"{len(table)} pairs", *means)]
    for row in table.to_dict("records"):
        rates = (rate(row, name) for name in TABLE_1_RATES)
        rows.append((_pair(row), f"{row['slice']}, {spelt(str(row['variant']))}", *rates))
    ours = len(rows)
    for pair in sources_figures.TABLE_1:
        rates = (percent(getattr(pair, name)) for name in TABLE_1_RATES)
        rows.append((_pair(pair._asdict()), "Study I", *rates))
    return Table(
        "Study I, Table 1: detection by influence",
        ("pair", "slice and detector", *TABLE_1_RATES.values()),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset(range(ours, len(rows))),
        note=(
            "Test split. Slice and detector of each pair were chosen on validation pictures and "
            "attacks without every pair that shares its target or attacker. Rates are means over "
            "the seeds of the classifier."
        ),
    )


def _pair(row: Mapping[Any, Any]) -> str:
    return f"{spelt(str(row['attacker']))} → {spelt(str(row['target']))}"


def _numbered(paper_index: float) -> str:
    """A slice's index in Study I's count, where it has one."""
    return "" if pd.isna(paper_index) else f" ({paper_index:.0f})"


def variants_table(layers: pd.DataFrame, *, chosen: str) -> Table:
    """Every variant of the detector at the chosen slice and at Study I's.

    Args:
        layers: ``detection/layers.csv``.
        chosen: the slice that was chosen.
    """
    source_index = sources_figures.BEST_LAYER_INDEX
    kept = layers[(layers["slice"] == chosen) | (layers["paper_index"] == source_index)]
    prefix = "test_" if "test_benign_target" in layers.columns else ""
    rows = tuple(
        (
            f"{row['slice']}{_numbered(row['paper_index'])}",
            spelt(str(row["variant"])),
            *(rate(row, prefix + name) for name in TABLE_1_RATES),
        )
        for row in kept.to_dict("records")
    )
    return Table(
        "Variants of the detector",
        ("slice (Study I's index)", "variant", *TABLE_1_RATES.values()),
        rows,
        note=(
            "Test split, means over pairs and seeds. “raw” is the source's own setting: stochastic "
            "gradient descent on profiles as they are. “tuned” shifts the threshold until the "
            "target's validation pictures are accepted as often as the configuration asks."
        ),
    )


def choices_table(choices: pd.DataFrame) -> Table:
    """Where every detector reads that looks at a chosen slice, and what else pairs chose.

    Args:
        choices: ``detection/choices.csv``: detector, slice, variant, chosen_by, pairs, used.
    """

    def named(row: Mapping[Any, Any]) -> str:
        counted = "" if pd.isna(row["pairs"]) else f" (pairs: {int(row['pairs'])})"
        return f"{row['slice']}, {spelt(str(row['variant']))}{counted}"

    rows = []
    for detector, group in choices.groupby("detector", sort=False):
        parts = {
            used: "; ".join(named(row) for row in part.to_dict("records"))
            for used, part in group.groupby("used")
        }
        by, others = str(group["chosen_by"].iloc[0]), parts.get(False, NOTHING)
        rows.append((spelt(str(detector)), parts[True], by, others))
    return Table(
        "Where the detectors read",
        ("detector", "slice and variant", "chosen by", "what else pairs chose"),
        tuple(rows),
        note=(
            "Curves, thresholds and flag rates have one slice for all pairs: the one that most "
            "pairs chose on validation pictures and attacks, each without itself and all that "
            "share its target or attacker. Detectors that are not listed read no chosen slice."
        ),
    )


POPULATIONS = {
    BARE: ("Detection at fixed false-alarm rates", "benign test pictures", ""),
    HALF_WEARING: (
        "Detection among honest wearers of glasses",
        "benign test pictures, half of which wear honest frames,",
        " of the same mixture, and so that surely no kind, bare, plain frames or random frames, is "
        "flagged twice as often",
    ),
}
"""Title of the table, who the false alarms are counted on, and what else bounds thresholds."""


def operating_table(detection: Mapping[str, Any], population: str) -> Table:
    """Area under the curve and detection at fixed false-alarm rates, for every detector.

    Args:
        detection: ``detection/summary.json``, of which ``detectors`` is shown.
        population: one of :data:`POPULATIONS`.
    """
    title, counted, held_to = POPULATIONS[population]
    points = pd.DataFrame(detection["detectors"])
    points = points[points["population"] == population]
    wanted = points["wanted_fpr"].drop_duplicates().tolist()
    rows = []
    for detector, at in _by_detector(points, "wanted_fpr"):
        cells = (
            f"{rate(at[one], 'tpr', counted=False)}; {percent(at[one]['fpr'])}" for one in wanted
        )
        rows.append((spelt(detector), area(at[wanted[0]]), *cells))
    counts = points.iloc[0]
    low, high = sources_figures.AMI_DETECTION
    return Table(
        title,
        ("detector", "area under the curve", *(f"at {100 * one:g} %" for one in wanted)),
        tuple(rows),
        emphasised=frozenset({0}),
        note=(
            "Share of successful test impersonations that is flagged "
            f"(n = {int(counts['tpr_n'])}), and behind the semicolon the share of {counted} "
            f"that is (n = {int(counts['fpr_n'])}). Thresholds were set on benign validation "
            f"pictures{held_to}. Where a detector reads was chosen by all pairs' "
            "validation attacks, the reported ones' among them. AmI (Tao et al. 2018) detects "
            f"{100 * low:g}–{100 * high:g} % of adversarial glasses at 9.91 %, on photographs and "
            "with another network."
        ),
    )


def _by_detector(
    table: pd.DataFrame, key: str
) -> Iterator[tuple[str, dict[Any, dict[Hashable, Any]]]]:
    """Every detector and its rows by their value of ``key``."""
    for detector, group in table.groupby("detector", sort=False):
        yield str(detector), {row[key]: row for row in group.to_dict("records")}


def attacks_table(points: pd.DataFrame) -> Table:
    """Every detector on every attack at one false-alarm rate, honest wearers among the benign.

    Args:
        points: ``detection/attacks.csv``: attack, detector, population, wanted_fpr, tpr with n and
            interval, auc with interval.
    """
    half = points["population"] == HALF_WEARING
    kept = points[half & (points["wanted_fpr"] == HEADLINE_RATE)]
    counts = kept.drop_duplicates("attack").set_index("attack")["tpr_n"]
    rows = []
    for detector, of in _by_detector(kept, "attack"):
        cells = (
            f"{rate(of[name], 'tpr', counted=False)}; {area(of[name])}" for name in counts.index
        )
        rows.append((spelt(detector), *cells))
    return Table(
        "Other attacks than the one that layers were chosen on",
        ("detector", *(f"{spelt(str(name))} (n = {n})" for name, n in counts.items())),
        tuple(rows),
        note=(
            f"Successful test attacks that are flagged at {100 * HEADLINE_RATE:g} % false alarms "
            "among benign validation pictures, half of which wear honest frames; behind the "
            "semicolon the area under the curve. Detectors are fitted to benign pictures alone; "
            "the slice of the influence was chosen on validation attacks of the first kind."
        ),
    )


def controls_table(controls: pd.DataFrame) -> Table:
    """How often honest pictures with frames are flagged, and how often attacks are.

    Args:
        controls: ``detection/controls.csv``: detector, control, flag_rate, n, flag_rate_low,
            flag_rate_high; misnamed_bare and misnamed with interval.
    """
    kinds = controls.drop_duplicates("control").set_index("control")["n"]
    rows = []
    for detector, at in _by_detector(controls, "control"):
        name, *at_rate = detector.split("@")
        if at_rate and float(at_rate[0]) != HEADLINE_RATE:
            continue
        threshold = f"{100 * float(at_rate[0]):g} %" if at_rate else "own boundary"
        cells = (rate(at.get(kind, {}), "flag_rate", counted=False) for kind in kinds.index)
        rows.append((spelt(name), ", ".join([threshold, *map(spelt, at_rate[1:])]), *cells))
    of_kind = controls.drop_duplicates("control").to_dict("records")
    for name, when in (("misnamed_bare", "before the glasses"), ("misnamed", "as flagged")):
        cells = (rate(row, name, counted=False) for row in of_kind)
        rows.append(("the network's answer is not the wearer", when, *cells))
    return Table(
        "Does the detector only see glasses?",
        ("detector", "threshold", *(f"{spelt(str(kind))} (n = {n})" for kind, n in kinds.items())),
        tuple(rows),
        emphasised=frozenset({0}),
        note=(
            "Share of test pictures that are flagged; thresholds by their false-alarm rate on "
            "benign validation pictures: of bare ones, or with half of them wearing honest frames "
            "and surely no kind of them flagged twice as often (half wearing). Frames that are not "
            "adversarial should be flagged no more often than faces without any. The last two rows "
            "are no detector: the share whom the network misnames anyway, which a detector flags "
            "with some right. “Own "
            "boundary”: detectors of everybody at the slice that most pairs chose, where Table 1 "
            "has each pair's own choice."
        ),
    )
