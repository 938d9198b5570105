"""Tables of the guard."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from glassguard.report.page import KINDS
from glassguard.report.tables import Table, rate
from glassguard.report.wording import percent, spelt, whole_percent

NOT_COVERED = (
    "Not covered: the eyes are taken where they are in the bare face, and nothing outside the band "
    "is painted. Where alignment is computed on the attacked picture, an attacker may move the "
    "band."
)
"""What no number of the guard speaks of."""

RATES = {
    "certified": "certified",
    "accepted_right": "accepted, right",
    "wrong_accepts": "accepted, wrong",
    "corrected_right": "banded answer right",
}
"""Columns of ``certificate.csv`` that are shown."""


def certificate_table(
    table: pd.DataFrame, *, band: Mapping[str, Any], thresholds: Mapping[str, Any]
) -> Table:
    """What the guard does with the test pictures of every set.

    Args:
        table: ``guard/certificate.csv``.
        band: ``guard/band.json``.
        thresholds: ``guard/thresholds.json``.
    """
    rows = tuple(
        (
            KINDS.get(row["set"], f"attacks: {spelt(str(row['set']))}"),
            str(row["n"]),
            *(rate(row, name, counted=False) for name in RATES),
        )
        for row in table.to_dict("records")
    )
    return Table(
        "The guard: what is certified",
        ("test pictures", "n", *RATES.values()),
        rows,
        emphasised=frozenset({0}),
        note=(
            f"The band is {percent(band['share_of_picture'])} of the picture and holds the frame "
            "at every placement that the configuration admits. Certified: the banded recognizer is "
            "right and sees what it sees of the bare face, so its answer is right whatever is "
            "painted in the band. Accepted: both recognizers say the same name, with confidences "
            f"of at least {thresholds['least_full']:.3f} and {thresholds['least_banded']:.3f}, at "
            f"which each rejects {whole_percent(thresholds['largest_rejected'])} or fewer of its "
            f"right answers to bare validation pictures. {NOT_COVERED}"
        ),
    )
