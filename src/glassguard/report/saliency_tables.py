"""Tables of the saliency mask (Study S)."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from glassguard.report import sources_figures
from glassguard.report.defences import DEFENCES, guided_and_tuned, repeats
from glassguard.report.summary import KEYS
from glassguard.report.tables import Table, rate
from glassguard.report.wording import NOTHING, OVERLAPS, RATES, percent, spelt, whole_percent

MEASURED = RATES | OVERLAPS


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
    mask = (sources_figures.BEST_MU, sources_figures.BEST_N, sources_figures.BEST_PHI)
    goodness = f"{sources_figures.BEST_GOODNESS:.4f}"
    rows.append(("Study S", "guided", *map(str, mask), "zero", *[NOTHING] * 3, goodness))
    confidences = ("AC(clean, real)", "AC(adv, real)", "AC(adv, target)")
    return Table(
        "Study S: best masks",
        ("", "map", "μ", "n", "φ", "fill", *confidences, "goodness"),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset({len(rows) - 1}),
        note=(
            f"Mean confidences on the validation split: n = {best['n_adv']} attacked and "
            f"{best['n_clean']} clean pictures. The grid took {best['network_passes']:,} "
            f"passes through the network where a plain loop takes {best['network_passes_naive']:,}."
            + _dropped(best)
        ),
    )


def _dropped(best: Mapping[str, Any]) -> str:
    if not best.get("dropped"):
        return ""
    return (
        f" {best['dropped']:,} combinations were dropped before they had seen all pictures: they "
        "could no longer be best at anything."
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


def evaluation_table(
    test: Mapping[str, Mapping[str, Any]],
    *,
    threshold: float,
    others: pd.DataFrame | None = None,
) -> Table:
    """Study S's evaluation: before, after, controls, with and without threshold.

    Args:
        test: ``saliency.test`` of the summary.
        threshold: the confidence threshold of the study.
        others: ``saliency/generality.csv``, of a study with several attacks: what the mask does to
            the attacks that it was not tuned on stands beside.
    """
    keys = {name: KEYS.get(name, name) for name in DEFENCES}
    rows: list[tuple[str, ...]] = []
    source: set[int] = set()
    measured = {
        name: json.dumps(test[key], sort_keys=True) for name, key in keys.items() if key in test
    }
    of_source, shown_elsewhere = guided_and_tuned(measured), repeats(measured)
    printed = {
        ("none", ""): sources_figures.UNDEFENDED,
        (of_source, ""): sources_figures.DEFENDED,
        (of_source, "threshold"): sources_figures.DEFENDED_WITH_THRESHOLD,
    }
    emphasised: set[int] = set()
    for kind, suffix in (("", ""), ("threshold", f"_threshold_{threshold:g}")):
        for defence, label in DEFENCES.items():
            values = test.get(keys[defence] + suffix)
            if values is None or defence in shown_elsewhere:
                continue
            fill = f" ({spelt(values['fill'])})" if "fill" in values else ""
            least = f"≥ {threshold:g}" if kind else NOTHING
            if defence == "saliency":
                emphasised.add(len(rows))
            cells = (rate(values, name, counted=False) for name in MEASURED)
            rows.append((label + fill, least, *cells))
            figures = printed.get((defence, kind))
            if figures is not None:
                source.add(len(rows))
                label = "none" if defence == "none" else "guided mask"
                least = f"≥ {sources_figures.CONFIDENCE_THRESHOLD:g}" if kind else NOTHING
                printed_rates = (percent(getattr(figures, name)) for name in RATES)
                overlaps = (NOTHING for _ in OVERLAPS)
                rows.append((f"{label}, Study S", least, *printed_rates, *overlaps))
            if defence == "saliency" and others is not None:
                rows += _further(others, least, kind == "threshold")
    return Table(
        "Study S: what the mask does",
        ("defence", "confidence", *MEASURED.values()),
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


def _further(table: pd.DataFrame, least: str, limited: bool) -> list[tuple[str, ...]]:
    """What the mask that was tuned on the first attack does to each of the others."""
    own = table[(table["tuned_on"] == table["tuned_on"].iloc[0])]
    rows = own[own["threshold"].notna() == limited].to_dict("records")
    return [
        (
            f"saliency mask, {spelt(str(row['tested_on']))} attack (undefended "
            f"{percent(row['undefended_success'])})",
            least,
            *(rate(row, name, counted=False) for name in MEASURED),
        )
        for row in rows
        if row["tested_on"] != row["tuned_on"]
    ]


def working_point_table(chosen: Mapping[str, Any]) -> Table:
    """The effect of the confidence threshold that was chosen on validation pictures.

    Args:
        chosen: ``saliency/working_point.json``.
    """
    least = f"≥ {chosen['threshold']:g}"
    return Table(
        "The working point: which answers to reject behind the mask",
        ("split", "confidence", *RATES.values()),
        tuple(
            (label, least, *(rate(chosen[split], name) for name in RATES))
            for split, label in (("val", "validation"), ("test", "test"))
        ),
        emphasised=frozenset({1}),
        note=(
            "Of the confidences that cost clean validation pictures no more than "
            f"{whole_percent(chosen['largest_clean_loss'])}, the lowest at which attacks succeed "
            "least."
        ),
    )


def generality_table(table: pd.DataFrame) -> Table:
    """What masks tuned on one attack do to the others.

    Args:
        table: ``saliency/generality.csv``.
    """
    free = table[table["threshold"].isna()].to_dict("records")
    rows = tuple(
        (
            f"{spelt(str(row['tuned_on']))} → {spelt(str(row['tested_on']))}",
            f"{row['map']}, {row['mu']:g}, {row['n']}, {row['phi']}, {spelt(str(row['fill']))}",
            rate(row, "undefended_success"),
            *(rate(row, name, counted=False) for name in MEASURED),
        )
        for row in free
    )
    return Table(
        "Do masks tuned on one attack undo another?",
        ("tuned on → tested on", "map, μ, n, φ, fill", "undefended success", *MEASURED.values()),
        rows,
        emphasised=frozenset(
            place for place, row in enumerate(free) if row["tuned_on"] == row["tested_on"]
        ),
        note=(
            "Test split. Every combination is the best on validation attacks of the kind "
            "that it was tuned on. Rates with 95 % Wilson intervals; overlap and recall are means "
            "over attacked pictures with normal 95 % intervals."
        ),
    )
