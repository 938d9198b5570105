"""One attacked face through every step of the study."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.faces.manifest import EYES
from glassguard.guard.banding import banded
from glassguard.guard.eye_band import EyeBand
from glassguard.report.wording import percent, spelt


@dataclass(frozen=True)
class Step:
    """A picture of the story.

    Attributes:
        title: what is done.
        text: what comes of it, with the numbers of this face.
        picture: H x W x 3 uint8 RGB.
        described: what the picture shows, for those who do not see it.
        outcome: ``good``, ``bad`` or nothing: what it means for the person who is impersonated.
    """

    title: str
    text: str
    picture: NDArray[np.uint8]
    described: str
    outcome: str = ""

    @property
    def address(self) -> str:
        """The picture as a ``data:`` address, without loss."""
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(self.picture[..., ::-1]))
        return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def story(
    *,
    attack: str,
    examples: pd.DataFrame,
    read: Mapping[str, Any],
    colour: Sequence[float],
) -> tuple[Step, ...]:
    """The first attacked face whose masks the study kept, from the bare face to the decision.

    These are faces that fooled the recognizer; those on which the mask worked come first.

    Args:
        attack: name of the attack on which masks were tuned.
        examples: its ``examples.csv``.
        read: ``manifest`` (``data/manifest.csv``), ``images`` (``data/images.npy``), ``masks``
            (``saliency/masks.npz``), ``decisions`` (``guard/decisions.csv``), ``band``
            (``guard/band.json``) and ``pairs`` (``detection/table1.csv``).
        colour: R, G, B in [0, 1] of plain frames.

    Returns:
        The steps; none where no attack fooled the recognizer.
    """
    masks, manifest, decisions = read["masks"], read["manifest"], read["decisions"]
    if not len(masks["example_ids"]):
        return ()
    example = examples[examples["example_id"] == str(masks["example_ids"][0])].iloc[0]
    attacker, target = str(example["attacker"]), str(example["target"])
    at = int(np.flatnonzero(manifest["image_id"] == example["image_id"])[0])
    bare, attacked = np.asarray(read["images"][at]), masks["images"][0]
    frame = masks["frames"][0]
    framed = bare.copy()
    framed[frame] = np.round(255 * np.asarray(colour)).astype(np.uint8)
    band = read["band"]
    cover = EyeBand(band["half_width"], band["top"], band["bottom"], band["placements"]["shift"])
    eyes = manifest.loc[[at], list(EYES)].to_numpy(dtype=float).reshape(1, 2, 2)
    hidden = banded(attacked[None], cover.masks(eyes, attacked.shape[0]))[0]
    honest = decisions[
        (decisions["set"] == "benign") & (decisions["image_id"] == example["image_id"])
    ].iloc[0]
    judged = decisions[
        (decisions["set"] == attack) & (decisions["example_id"] == example["example_id"])
    ].iloc[0]
    wearer = spelt(attacker)
    return (
        Step(
            "The bare face",
            f"{_named(honest, 'full')}{_judged(honest, 'full', attacker)}",
            bare,
            f"the bare face of {wearer}",
            _outcome(honest["answer_full"] == attacker),
        ),
        Step(
            "Where paint is allowed",
            f"Glasses, {percent(frame.mean())} of the picture. Nothing else changes.",
            framed,
            "the same face with plain glasses",
        ),
        Step(
            "The attack",
            f"{spelt(str(masks['prediction_before'][0]))}, {masks['confidence_before'][0]:.2f}: "
            f"taken for {_other(masks['prediction_before'][0], target)} after "
            f"{example['iterations']} steps.",
            attacked,
            "the same face with adversarial glasses",
            "bad",
        ),
        *_influence(read["pairs"], manifest, read["images"], attacker, target),
        Step(
            "Behind the saliency mask",
            f"{spelt(str(masks['prediction_after'][0]))}, {masks['confidence_after'][0]:.2f}: "
            + ("the wearer’s own name again." if masks["worked"][0] else "not the wearer."),
            masks["filled"][0],
            "the attacked face, its most salient pixels filled in",
            _outcome(bool(masks["worked"][0])),
        ),
        Step(
            "Eyes hidden",
            f"{_named(judged, 'banded')}{_judged(judged, 'banded', attacker)} No paint in the band "
            "changes this picture.",
            hidden,
            "the attacked face, the band of the eyes filled with one colour",
            _outcome(judged["answer_banded"] == attacker),
        ),
        _decision(judged, attacker, attacked),
    )


def _influence(
    pairs: pd.DataFrame,
    manifest: pd.DataFrame,
    images: NDArray[np.uint8],
    attacker: str,
    target: str,
) -> tuple[Step, ...]:
    """The target, whose detector looks at the profile of the attacked face, if there is one."""
    of_pair = pairs[(pairs["target"] == target) & (pairs["attacker"] == attacker)]
    if of_pair.empty:
        return ()
    row = of_pair.iloc[0]
    own = np.flatnonzero((manifest["identity"] == target) & (manifest["split"] == "test"))
    flagged = row["impersonation"]
    step = Step(
        "Inside, is it the target?",
        f"At {row['slice']}, the detector of {spelt(target)}, the target, rejects "
        f"{percent(flagged)} of this wearer’s n = {row['impersonation_n']:.0f} impersonations.",
        np.asarray(images[int(own[0])]),
        f"a picture of {spelt(target)}, the target",
        {0.0: "bad", 1.0: "good"}.get(flagged, ""),
    )
    return (step,)


def _decision(judged: "pd.Series[Any]", attacker: str, attacked: NDArray[np.uint8]) -> Step:
    answer, rejects = str(judged["answer"]), judged["decision"] == "reject"
    if judged["decision"] == "accept":
        said = f"Accepted as {spelt(answer)}: both recognizers say so."
    elif not rejects:
        said = f"Corrected to {spelt(answer)}, the answer with the eyes hidden."
    elif judged["answer_full"] == judged["answer_banded"]:
        said = "Rejected: the recognizers agree, but one is not sure enough."
    else:
        said = "Rejected: with the eyes hidden the answer is another."
    return Step(
        "The guard decides",
        said,
        attacked,
        "the attacked face once more",
        _outcome(rejects or answer == attacker),
    )


def _named(row: "pd.Series[Any]", part: str) -> str:
    return f"{spelt(str(row[f'answer_{part}']))}, {row[f'confidence_{part}']:.2f}: "


def _judged(row: "pd.Series[Any]", part: str, person: str) -> str:
    return "right." if row[f"answer_{part}"] == person else "wrong."


def _other(answer: Any, target: str) -> str:
    return "the target" if str(answer) == target else "somebody else"


def _outcome(good: bool) -> str:
    return "good" if good else "bad"
