"""Decisions as a table, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.guard.answers import Answers
from glassguard.guard.certificate import Judged
from glassguard.guard.decision import ACCEPT, NOBODY, agreed, decided, least_confidence
from glassguard.guard.eye_band import EyeBand
from glassguard.guard.landmarks import within
from glassguard.guard.settings import Mode
from glassguard.saliency.evaluation import Predictions

PARTS = ("full", "banded", "masked")


def least_confidences(
    table: pd.DataFrame, answers: Answers, identities: Sequence[str], *, largest_rejected: float
) -> dict[str, float]:
    """``least_full`` and ``least_banded`` from the validation pictures among bare faces.

    Args:
        table: split and identity of N bare faces.
        answers: to the same pictures.
        identities: names of the classes.
        largest_rejected: see :func:`glassguard.guard.decision.least_confidence`.
    """
    names, real = np.array(identities), table["identity"].to_numpy(dtype=str)
    validation = (table["split"] == "val").to_numpy()
    found = {}
    for part in ("full", "banded"):
        one: Predictions = getattr(answers, part)
        right = one.confidences[validation & (names[one.classes] == real)]
        found[f"least_{part}"] = least_confidence(right, largest_rejected=largest_rejected)
    return found


def decisions_table(
    held_out: Mapping[str, pd.DataFrame],
    found: Mapping[str, Answers],
    identities: Sequence[str],
    *,
    least: Mapping[str, float],
    mode: Mode,
    moved: pd.DataFrame | None = None,
    margin: float = 0.0,
) -> pd.DataFrame:
    """``decisions.csv``: a row for every picture of every set.

    Columns: image_id, the bare face; example_id, the picture; set; split; identity, who is in it;
    target, who is impersonated, or empty; ``answer_…`` and ``confidence_…`` of the recognizer
    (full), the banded one (banded) and the recognizer behind the saliency mask (masked); decision;
    answer, empty where the picture is rejected; covered, whether the banded recognizer sees what it
    sees of the bare face, and would with the eyes that are found; certified, whether its answer is
    right and covered.

    Args:
        held_out: tables of the sets with image_id, example_id, split, and identity or attacker and
            target; the first is of the bare faces.
        found: answers to the same pictures.
        identities: names of the classes.
        least: ``least_full`` and ``least_banded``, see :func:`glassguard.guard.decision.agreed`.
        mode: what becomes of pictures on which the recognizers disagree.
        moved: ``landmarks.csv`` with a row for every picture; None where nobody looks for eyes.
        margin: how far landmarks may have moved.

    Raises:
        ValueError: ``moved`` lacks a picture.
    """
    names = np.array([*identities, ""])
    bare = next(iter(held_out))
    row_of = {name: row for row, name in enumerate(held_out[bare]["image_id"])}
    parts = []
    for name, table in held_out.items():
        answers = found[name]
        accepted = agreed(answers.full, answers.banded, **least)
        verdict = decided(answers.full, answers.banded, accepted, mode=mode)
        identity = table["attacker" if "attacker" in table.columns else "identity"].to_numpy(str)
        same = found[bare].hidden[[row_of[one] for one in table["image_id"]]] == answers.hidden
        covered = same.all(axis=(1, 2, 3))
        if moved is not None:
            covered &= within(_rows_of(moved, name, table["example_id"]), margin)
        columns: dict[str, object] = {
            "image_id": table["image_id"],
            "example_id": table["example_id"],
            "set": name,
            "split": table["split"],
            "identity": identity,
            "target": table.get("target", ""),
        }
        for part in PARTS:
            one: Predictions = getattr(answers, part)
            columns[f"answer_{part}"] = names[one.classes]
            columns[f"confidence_{part}"] = one.confidences
        columns["decision"] = verdict.decision
        # The last of the names is that of nobody.
        columns["answer"] = names[verdict.answer]
        columns["covered"] = covered
        columns["certified"] = covered & (names[answers.banded.classes] == identity)
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _rows_of(moved: pd.DataFrame, name: str, examples: pd.Series) -> pd.DataFrame:
    """The rows of a set, in the order of its pictures."""
    of_set = moved[moved["set"] == name].set_index("example_id")
    if lacking := sorted(set(examples) - set(of_set.index)):
        raise ValueError(f"lacks {lacking[0]} of {name}")
    return of_set.loc[examples]


def band_description(band: EyeBand, area: NDArray[np.float64]) -> dict[str, float]:
    """What ``band.json`` says of the rectangle, and its share of N pictures."""
    return {
        **asdict(band),
        "share_of_picture": float(area.mean()),
        "smallest_share": float(area.min()),
        "largest_share": float(area.max()),
    }


def predictions_in(table: pd.DataFrame, part: str, identities: Sequence[str]) -> Predictions:
    """Answers of one of :data:`PARTS` in rows of ``decisions.csv``."""
    return Predictions(
        classes_in(table[f"answer_{part}"], identities),
        table[f"confidence_{part}"].to_numpy(dtype=np.float32),
    )


def classes_in(names: pd.Series, identities: Sequence[str]) -> NDArray[np.int64]:
    """Positions of names among the classes; :data:`NOBODY` of any other."""
    place = {name: position for position, name in enumerate(identities)}
    return np.array([place.get(name, NOBODY) for name in names], dtype=np.int64)


def judged_in(table: pd.DataFrame, identities: Sequence[str]) -> Judged:
    """Rows of ``decisions.csv`` as :mod:`glassguard.guard.certificate` counts them."""
    return Judged(
        full=predictions_in(table, "full", identities),
        banded=predictions_in(table, "banded", identities),
        real=classes_in(table["identity"], identities),
        accepted=(table["decision"] == ACCEPT).to_numpy(),
        covered=table["covered"].to_numpy(dtype=bool),
    )
