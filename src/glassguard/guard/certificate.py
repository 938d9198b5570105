"""What holds whatever is painted in the eye band.

The banded recognizer sees the same picture under every texture in the band. So its answer is that
to the bare face, and where it is right, no attacker in the band changes that:

* the guard accepts nobody but the person whom the banded recognizer names;
* in mode ``correct`` it answers with the right name under every attack.

Both hold for the alignment that the band was computed with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.saliency.evaluation import Predictions
from glassguard.statistics import Rate

EYE_BAND = "eye_band"


@dataclass(frozen=True)
class Judged:
    """Pictures of one set under both recognizers.

    Attributes:
        full: answers of the recognizer that sees everything.
        banded: answers of the one that does not see the eye band.
        real: N int64, who is in the pictures.
        accepted: N bool, on whom both agree with enough confidence.
        covered: N bool, whether all that a frame or an attacker changed lies within the band.
    """

    full: Predictions
    banded: Predictions
    real: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    covered: NDArray[np.bool_]

    @property
    def certified(self) -> NDArray[np.bool_]:
        """Pictures whose banded answer is right and is the same under every texture."""
        return (self.banded.classes == self.real) & self.covered


def certificate_rates(judged: Judged) -> dict[str, Rate]:
    """The shares of a set of pictures that ``certificate.csv`` reports.

    ``wrong_accepts`` bounds what any attacker reaches in the band: the guard accepts nobody but the
    person whom the banded recognizer names.
    """
    right = judged.banded.classes == judged.real
    counted = {
        "certified": judged.certified,
        "accepted": judged.accepted,
        "accepted_right": judged.accepted & right,
        "wrong_accepts": judged.accepted & ~right,
        "corrected_right": right,
    }
    return {name: Rate.counted(int(which.sum()), len(which)) for name, which in counted.items()}


def certificate_table(sets: Mapping[str, Judged]) -> pd.DataFrame:
    """``certificate.csv``: a row for every set of pictures.

    Args:
        sets: test pictures by the name of their set.
    """
    rows = []
    for name, judged in sets.items():
        row: dict[str, object] = {"set": name, "region": EYE_BAND, "n": len(judged.real)}
        for rate_name, rate in certificate_rates(judged).items():
            row |= rate.columns(rate_name)
        rows.append(row)
    return pd.DataFrame(rows)


def targets_table(bare: Judged, identities: Sequence[str], *, least_banded: float) -> pd.DataFrame:
    """``targets.csv``: how many others could be taken for each person, whatever they wear.

    ``named`` is the share of other people's bare faces that the banded recognizer takes for the
    person; ``acceptable`` the same with its confidence threshold. No attacker in the band gets more
    faces accepted as that person.

    Args:
        bare: benign test pictures.
        identities: names of the people, in the order of the classes.
        least_banded: the threshold.
    """
    return pd.DataFrame(_target_rows(bare, identities, least_banded))


def _target_rows(
    bare: Judged, identities: Sequence[str], least_banded: float
) -> Iterator[dict[str, object]]:
    for person, name in enumerate(identities):
        others = bare.real != person
        named = others & (bare.banded.classes == person)
        sure = named & (bare.banded.confidences >= least_banded)
        row: dict[str, object] = {"target": name, "n": int(others.sum())}
        for rate_name, which in (("named", named), ("acceptable", sure)):
            row |= Rate.counted(int(which.sum()), int(others.sum())).columns(rate_name)
        yield row


def headline(
    honest: Mapping[str, Judged], attacked: Judged, target: NDArray[np.int64]
) -> dict[str, Any]:
    """What ``summary.json`` says of the guard; every rate has n and interval.

    Args:
        honest: benign test pictures by what is worn, bare faces (``bare``) first.
        attacked: attacked test pictures.
        target: N int64, who is impersonated there.
    """
    bare = certificate_rates(honest["bare"])
    as_target = attacked.accepted & (attacked.full.classes == target)
    corrected = certificate_rates(attacked)["corrected_right"]
    return {
        "certified": bare["certified"].known("rate"),
        "wrong_accepts": bare["wrong_accepts"].known("rate"),
        "honest": {
            worn: {
                **Rate.counted(int((~judged.accepted).sum()), len(judged.real)).known("rejected"),
                **certificate_rates(judged)["wrong_accepts"].known("wrong_accepts"),
                **certificate_rates(judged)["corrected_right"].known("named_right"),
            }
            for worn, judged in honest.items()
        },
        "attack": {
            "accepted_as_target": Rate.counted(int(as_target.sum()), len(target)).known("rate"),
            "corrected": corrected.known("rate"),
        },
    }
