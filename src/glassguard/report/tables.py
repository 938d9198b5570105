"""Tables of the report: our figures with n and interval beside those that the sources print."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from glassguard.report import sources_figures
from glassguard.report.detection_figures import TABLE_1_RATES
from glassguard.report.saliency_figures import DEFENCES, RATES, guided_and_tuned, repeats
from glassguard.report.style import spelt, whole_percent

NOTHING = "–"
OVERLAPS = {"mask_iou": "mask overlap (IoU)", "mask_recall": "accessory masked (recall)"}
SOURCE_LABELS = {
    "none": "none",
    "saliency": "guided mask",
    "saliency_guided": "guided mask",
    "saliency_source": "guided mask",
}
"""What Study S's own figures stand for, by the rows that they are printed below."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: what it shows.
        header: a heading for every column.
        rows: cells; the first of a row names it.
        emphasised: positions of rows that carry the result.
        from_source: positions of rows that a source prints.
        note: how to read it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    emphasised: frozenset[int] = frozenset()
    from_source: frozenset[int] = frozenset()
    note: str = ""


def percent(value: Any) -> str:
    """``0.853`` to ``85.3 %``; a dash for nothing."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.1f} %"


def rate(values: Mapping[Any, Any], name: str, *, counted: bool = True) -> str:
    """A rate with its interval and, if ``counted``, n: ``85.3 % [81.2–88.6], n = 360``."""
    value = values.get(name)
    if value is None or not math.isfinite(value):
        return NOTHING
    text = percent(value)
    low, high, n = (values.get(f"{name}_{part}") for part in ("low", "high", "n"))
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        text += f" [{100 * low:.1f}–{100 * high:.1f}]"
    if counted and n is not None and math.isfinite(n):
        text += f", n = {int(n)}"
    return text


def recognizer_table(summary: Mapping[str, Any]) -> Table:
    """Accuracy of the recognizer beside Study S's."""
    ours = summary["recognizer"]
    source = sources_figures.RECOGNIZER
    return Table(
        "Recognizer",
        ("split", "here", "Study S"),
        (
            ("training", rate(ours, "train_accuracy"), percent(source.train_accuracy)),
            ("validation", rate(ours, "val_accuracy"), percent(source.validation_accuracy)),
            ("test", rate(ours, "test_accuracy"), NOTHING),
        ),
        note="Nothing is chosen on the test split, which the sources do not have.",
    )


def attack_table(summary: Mapping[str, Any]) -> Table:
    """Success of the undefended attacks beside Study S's."""
    source = sources_figures.UNDEFENDED
    rows = []
    for name, attack in summary["attacks"].items():
        for label, values in (
            (f"{spelt(name)}, test", attack),
            (f"{spelt(name)}, validation", attack["validation"]),
        ):
            rows.append(
                (
                    label,
                    str(values["pairs"]),
                    rate(values, "success"),
                    rate(values, "success_jpeg"),
                    rate(values, "still_correct"),
                )
            )
    rows.append(
        (
            "Study S",
            NOTHING,
            percent(source.adversarial_success),
            NOTHING,
            percent(source.adversarial_correct),
        )
    )
    return Table(
        "Attacks, undefended",
        ("attack", "pairs", "success", "success after JPEG", "still recognized"),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset({len(rows) - 1}),
        note="Success is counted after rounding to 8 bits.",
    )


def pairs_table(table: pd.DataFrame) -> Table:
    """Study I's Table 1: means, every pair, and the source's pairs.

    Args:
        table: ``detection/table1.csv``.
    """
    means = {name: float(table[name].mean()) for name in TABLE_1_RATES}
    rows = [
        (
            "mean over pairs",
            f"{len(table)} pairs",
            *(percent(means[name]) for name in TABLE_1_RATES),
        )
    ]
    for row in table.to_dict("records"):
        used = f"{row['slice']}, {spelt(str(row['variant']))}"
        rows.append(
            (
                f"{spelt(str(row['attacker']))} → {spelt(str(row['target']))}",
                used,
                *(rate(row, name) for name in TABLE_1_RATES),
            )
        )
    first_source = len(rows)
    rows += [
        (
            f"{pair.attacker} → {pair.target}",
            "Study I",
            *(percent(getattr(pair, name)) for name in TABLE_1_RATES),
        )
        for pair in sources_figures.TABLE_1
    ]
    return Table(
        "Study I, Table 1: detection by influence",
        ("pair", "slice and detector", *TABLE_1_RATES.values()),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset(range(first_source, len(rows))),
        note=(
            "Test split. Slice and detector of each pair were chosen on validation pictures and "
            "attacks without every pair that shares its target or attacker. Rates are means over "
            "the seeds of the classifier."
        ),
    )


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
            f"{row['slice']} ({row['paper_index']})",
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
        rows.append(
            (
                spelt(str(detector)),
                parts[True],
                str(group["chosen_by"].iloc[0]),
                parts.get(False, NOTHING),
            )
        )
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
    "bare": ("Detection at fixed false-alarm rates", "benign test pictures"),
    "half_wearing": (
        "Detection among honest wearers of glasses",
        "benign test pictures, half of which wear honest frames,",
    ),
}
"""Title of the table, and who the false alarms are counted on."""

THRESHOLDS = {
    "bare": "",
    "half_wearing": " of the same mixture, and so that surely no kind, bare, plain frames or "
    "random frames, is flagged twice as often",
}
"""What else thresholds were held to."""


def operating_table(detection: Mapping[str, Any], population: str) -> Table:
    """Area under the curve and detection at fixed false-alarm rates, for every detector.

    Args:
        detection: ``detection/summary.json``, of which ``detectors`` is shown.
        population: one of :data:`POPULATIONS`.
    """
    title, counted = POPULATIONS[population]
    points = pd.DataFrame(detection["detectors"])
    points = points[points["population"] == population]
    wanted = points["wanted_fpr"].drop_duplicates().tolist()
    rows = []
    for detector, group in points.groupby("detector", sort=False):
        at = {row["wanted_fpr"]: row for row in group.to_dict("records")}
        cells = (
            f"{rate(at[one], 'tpr', counted=False)}; {percent(at[one]['fpr'])}" for one in wanted
        )
        rows.append((spelt(str(detector)), _area(at[wanted[0]]), *cells))
    counts = points.iloc[0]
    return Table(
        title,
        ("detector", "area under the curve", *(f"at {100 * one:g} %" for one in wanted)),
        tuple(rows),
        emphasised=frozenset({0}),
        note=(
            "Share of successful test impersonations that is flagged "
            f"(n = {int(counts['tpr_n'])}), and behind the semicolon the share of "
            f"{counted} "
            f"that is (n = {int(counts['fpr_n'])}). Thresholds were set on benign validation "
            f"pictures{THRESHOLDS[population]}. Where a detector reads was chosen by all pairs' "
            "validation attacks, the reported ones' among them. AmI (Tao et al. 2018) detects "
            f"{_ami()} of adversarial glasses at 9.91 %, on photographs and with another network."
        ),
    )


def _ami() -> str:
    low, high = sources_figures.AMI_DETECTION
    return f"{100 * low:g}–{100 * high:g} %"


def _area(row: Mapping[Any, Any]) -> str:
    if row["auc"] is None or not math.isfinite(row["auc"]):
        return NOTHING
    return f"{row['auc']:.3f} [{row['auc_low']:.3f}–{row['auc_high']:.3f}]"


HEADLINE_RATE = 0.05
"""False-alarm rate that the page speaks of; the files have the others as well."""


def attacks_table(points: pd.DataFrame) -> Table:
    """Every detector on every attack at one false-alarm rate, honest wearers among the benign.

    Args:
        points: ``detection/attacks.csv``: attack, detector, population, wanted_fpr, tpr with n and
            interval, auc with interval.
    """
    kept = points[
        (points["population"] == "half_wearing") & (points["wanted_fpr"] == HEADLINE_RATE)
    ]
    counts = kept.drop_duplicates("attack").set_index("attack")["tpr_n"]
    rows = []
    for detector, group in kept.groupby("detector", sort=False):
        of = {row["attack"]: row for row in group.to_dict("records")}
        cells = (
            f"{rate(of[name], 'tpr', counted=False)}; {_area(of[name])}" for name in counts.index
        )
        rows.append((spelt(str(detector)), *cells))
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
    """How often honest pictures with frames are flagged, beside the detection itself.

    Args:
        controls: ``detection/controls.csv``: detector, control, flag_rate, n, flag_rate_low,
            flag_rate_high; misnamed_bare and misnamed with interval.
    """
    kinds = controls.drop_duplicates("control").set_index("control")["n"]
    rows = []
    for detector, group in controls.groupby("detector", sort=False):
        at = {row["control"]: row for row in group.to_dict("records")}
        cells = (
            rate(at[kind], "flag_rate", counted=False) if kind in at else NOTHING
            for kind in kinds.index
        )
        name, *at_rate = str(detector).split("@")
        if at_rate and float(at_rate[0]) != HEADLINE_RATE:
            continue
        threshold = f"{100 * float(at_rate[0]):g} %" if at_rate else "own boundary"
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


def masks_table(best: Mapping[str, Any]) -> Table:
    """Best combinations of the mask's parameters on the validation split.

    Args:
        best: ``saliency/best.json``.
    """
    labels = {
        "goodness": "goodness",
        "clean": "clean pictures right",
        "adversarial_correct": "attacked pictures right",
        "adversarial_success": "attacks failing",
    }
    rows = [_mask_row(f"best for {label}", best[key]) for key, label in labels.items()]
    rows += [
        _mask_row(f"best with fill {spelt(fill)}", row) for fill, row in best["by_fill"].items()
    ]
    if len(best["by_map"]) > 1:
        rows += [
            _mask_row(f"best with the {kind} map", row) for kind, row in best["by_map"].items()
        ]
    rows.append(_mask_row("Study S's setting, here", best["source_setting"]))
    rows.append(
        (
            "Study S",
            "guided",
            f"{sources_figures.BEST_MU:g}",
            str(sources_figures.BEST_N),
            str(sources_figures.BEST_PHI),
            "zero",
            NOTHING,
            NOTHING,
            NOTHING,
            f"{sources_figures.BEST_GOODNESS:.4f}",
        )
    )
    return Table(
        "Study S: best masks",
        (
            "",
            "map",
            "μ",
            "n",
            "φ",
            "fill",
            "AC(clean, real)",
            "AC(adv, real)",
            "AC(adv, target)",
            "goodness",
        ),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset({len(rows) - 1}),
        note=(
            f"Mean confidences on the validation split: n = {best['n_adv']} attacked and "
            f"{best['n_clean']} clean pictures. The grid took {best['network_passes']:,} "
            f"passes through the network where a plain loop takes {best['network_passes_naive']:,}."
        ),
    )


def _mask_row(label: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    measures = ("ac_clean_real", "ac_adv_real", "ac_adv_target", "goodness")
    return (
        label,
        str(row["map"]),
        f"{row['mu']:g} ({row['mu_as']})",
        str(row["n"]),
        str(row["phi"]),
        spelt(str(row["fill"])),
        *(f"{row[name]:.4f}" if name in row else NOTHING for name in measures),
    )


def evaluation_table(test: Mapping[str, Mapping[str, Any]], *, threshold: float) -> Table:
    """Study S's evaluation: before, after, controls, with and without threshold.

    Args:
        test: ``saliency.test`` of the summary.
        threshold: the confidence threshold of the study.
    """
    keys = {"none": "before", "saliency": "after"}
    named = {one: test[key] for one in DEFENCES if (key := keys.get(one, one)) in test}
    rows: list[tuple[str, ...]] = []
    source: set[int] = set()
    measured = {name: json.dumps(values, sort_keys=True) for name, values in named.items()}
    of_source, shown_elsewhere = guided_and_tuned(measured), repeats(measured)
    printed = {
        ("none", ""): sources_figures.UNDEFENDED,
        (of_source, ""): sources_figures.DEFENDED,
        (of_source, "threshold"): sources_figures.DEFENDED_WITH_THRESHOLD,
    }
    emphasised: set[int] = set()
    for kind, suffix in (("", ""), ("threshold", f"_threshold_{threshold:g}")):
        for defence, label in DEFENCES.items():
            values = test.get(keys.get(defence, defence) + suffix)
            if values is None or defence in shown_elsewhere:
                continue
            fill = f" ({spelt(values['fill'])})" if "fill" in values else ""
            least = f"≥ {threshold:g}" if kind else NOTHING
            if defence == "saliency":
                emphasised.add(len(rows))
            cells = (rate(values, name, counted=False) for name in (*RATES, *OVERLAPS))
            rows.append((label + fill, least, *cells))
            figures = printed.get((defence, kind))
            if figures is not None:
                source.add(len(rows))
                rows.append(
                    (
                        f"{SOURCE_LABELS[defence]}, Study S",
                        f"≥ {sources_figures.CONFIDENCE_THRESHOLD:g}" if kind else NOTHING,
                        *(percent(getattr(figures, name)) for name in RATES),
                        *(NOTHING for _ in OVERLAPS),
                    )
                )
    return Table(
        "Study S: what the mask does",
        ("defence", "confidence", *RATES.values(), *OVERLAPS.values()),
        tuple(rows),
        emphasised=frozenset(emphasised),
        from_source=frozenset(source),
        note=(
            f"Test split, n = {test['before']['adversarial_success_n']} attacked and "
            f"{test['before']['clean_accuracy_n']} clean pictures. Oracle masks exactly the frame; "
            "random masks as much area elsewhere. An answer below the confidence is rejected. "
            "Overlap and recall are means over attacked pictures with normal 95 % intervals. Study "
            "S's mask is cut from guided backpropagation, “saliency mask” from the kind of map "
            "that was better on validation attacks."
        ),
    )


def working_point_table(chosen: Mapping[str, Any]) -> Table:
    """What the confidence threshold does that was chosen on validation pictures.

    Args:
        chosen: ``saliency/working_point.json``.
    """
    splits = {"val": "validation", "test": "test"}
    return Table(
        "The working point: which answers to reject behind the mask",
        ("split", "confidence", *RATES.values()),
        tuple(
            (label, f"≥ {chosen['threshold']:g}", *(rate(chosen[split], name) for name in RATES))
            for split, label in splits.items()
        ),
        emphasised=frozenset({1}),
        note=(
            "Of the confidences that cost clean validation pictures no more than "
            f"{whole_percent(chosen['largest_clean_loss'])}, the lowest at which attacks succeed "
            "least."
        ),
    )


def generality_table(table: pd.DataFrame) -> Table:
    """What masks tuned on one accessory do to attacks with another.

    Args:
        table: ``saliency/generality.csv``.
    """
    free = table[table["threshold"].isna()].to_dict("records")
    rows = tuple(
        (
            f"{spelt(str(row['tuned_on']))} → {spelt(str(row['tested_on']))}",
            f"{row['map']}, {row['mu']:g}, {row['n']}, {row['phi']}, {spelt(str(row['fill']))}",
            rate(row, "undefended_success"),
            *(rate(row, name, counted=False) for name in (*RATES, *OVERLAPS)),
        )
        for row in free
    )
    return Table(
        "Do masks tuned on one accessory undo another?",
        (
            "tuned on → tested on",
            "map, μ, n, φ, fill",
            "undefended success",
            *RATES.values(),
            *OVERLAPS.values(),
        ),
        rows,
        emphasised=frozenset(
            place for place, row in enumerate(free) if row["tuned_on"] == row["tested_on"]
        ),
        note=(
            "Test split. Every combination is the best on validation attacks with the accessory "
            "that it was tuned on. Rates with 95 % Wilson intervals; overlap and recall are means "
            "over attacked pictures with normal 95 % intervals."
        ),
    )


def timings_table(timings: pd.DataFrame) -> Table:
    """Time and memory of every job."""

    def number(value: float, digits: int) -> str:
        return f"{value:.{digits}f}" if math.isfinite(value) else NOTHING

    rows = tuple(
        (
            str(row["stage"]),
            number(row["wall_s"], 1),
            number(row["cpu_s"], 1),
            number(row["max_rss_mb"], 0),
        )
        for row in timings.to_dict("records")
    )
    return Table("Time and memory", ("job", "wall s", "CPU s", "largest memory MB"), rows)
