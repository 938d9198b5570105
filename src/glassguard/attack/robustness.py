"""How often attacked pictures still succeed under circumstances that no attack saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from glassguard.attack.settings import Goal, Robustness, Transformations
from glassguard.attack.success import succeeded, through_jpeg
from glassguard.attack.transformations import KINDS, draw, only, seen_under
from glassguard.progress import track
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import Recognizer, to_images, to_pixels
from glassguard.statistics import Rate

ALL = "all"
"""The row of all transformations together."""
HELD_OUT = 0x4E1D
"""Separates these circumstances from those of attacks."""


@dataclass(frozen=True)
class Attacked:
    """Attacked pictures and what they were made for.

    Attributes:
        images: N x S x S x 3 uint8 RGB.
        faces: the same faces without the frame.
        frames: N x S x S bool.
        attacker: N numbers of identities.
        target: N numbers of identities; not read when dodging.
        goal: what the attack was for.
    """

    images: NDArray[np.uint8]
    faces: NDArray[np.uint8]
    frames: NDArray[np.bool_]
    attacker: NDArray[np.int64]
    target: NDArray[np.int64]
    goal: Goal

    def picture(self, row: int, times: int) -> "Attacked":
        """One of the pictures, so many times."""
        rows = np.full(times, row)
        return Attacked(
            self.images[rows],
            self.faces[rows],
            self.frames[rows],
            self.attacker[rows],
            self.target[rows],
            self.goal,
        )

    def succeeds(self, network: Recognizer, pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether the network errs as the attack wants it to; N x S x S x 3 pictures to N bool."""
        confidences = probabilities_of(network, pictures)
        return succeeded(confidences, self.attacker, self.target, self.goal)


def first_of_pairs(examples: pd.DataFrame, count: int) -> NDArray[np.int64]:
    """Rows of at most ``count`` test pictures: the first of every pair, then the second ones.

    Args:
        examples: one row per attacked picture, numbered from 0; columns split, attacker and target.
        count: how many rows, at most.
    """
    test = examples[examples["split"] == "test"]
    turn = test.groupby(["attacker", "target"], sort=False).cumcount()
    return np.sort(turn.sort_values(kind="stable").index[:count].to_numpy(dtype=np.int64))


def held_out_pictures(
    attacked: Attacked,
    transformations: Transformations,
    generators: Sequence[np.random.Generator],
) -> NDArray[np.uint8]:
    """What the network gets of N worn frames, in whole levels and through the real JPEG codec.

    Args:
        attacked: N pictures.
        transformations: how far circumstances range.
        generators: N sources of random draws.

    Returns:
        N x S x S x 3 uint8.
    """
    size = (attacked.images.shape[1], attacked.images.shape[2])
    circumstances = draw(transformations, generators, size)
    seen = seen_under(
        circumstances,
        to_pixels(torch.from_numpy(attacked.images)),
        to_pixels(torch.from_numpy(attacked.faces)),
        torch.from_numpy(attacked.frames)[:, None],
        compress=False,
    )
    pictures = to_images(seen).numpy()
    for row, quality in enumerate([] if circumstances.quality is None else circumstances.quality):
        pictures[row] = through_jpeg(pictures[row : row + 1], int(quality))[0]
    return pictures


def held_out_success(
    network: Recognizer,
    attacked: Attacked,
    transformations: Transformations,
    *,
    placements: int,
    seed: int,
) -> NDArray[np.bool_]:
    """Whether attacks succeed in each of a picture's held-out circumstances.

    Args:
        network: the recognizer, in evaluation mode.
        attacked: N pictures.
        transformations: how far circumstances range.
        placements: circumstances a picture; the same ones for all pictures and all attacks.
        seed: of the draw.

    Returns:
        N x placements bool.
    """
    found = np.zeros((len(attacked.images), placements), dtype=bool)
    for row in range(len(found)):
        generators = [np.random.default_rng([seed, HELD_OUT, one]) for one in range(placements)]
        copies = attacked.picture(row, placements)
        found[row] = copies.succeeds(
            network, held_out_pictures(copies, transformations, generators)
        )
    return found


def robustness_table(
    network: Recognizer, attacked: Attacked, settings: Robustness, *, seed: int
) -> pd.DataFrame:
    """Success under all transformations together and under each kind alone.

    Args:
        network: the recognizer, in evaluation mode.
        attacked: N pictures, at least 1.
        settings: transformations and numbers of circumstances.
        seed: of the draw of circumstances.

    Returns:
        A row for :data:`ALL` and for each kind: ``transformation``, ``placements`` of a picture;
        ``success``, the mean over pictures of the share of placements, with a 95 % interval over
        pictures; and ``undistorted``, the success of the same pictures as they are.
    """
    bare = Rate.mean(attacked.succeeds(network, attacked.images))
    asked = [(ALL, settings.transformations, settings.placements)]
    asked += [
        (kind, only(settings.transformations, kind), settings.placements_per_kind) for kind in KINDS
    ]
    rows = []
    for kind, transformations, placements in track(asked, description="circumstances"):
        found = held_out_success(
            network, attacked, transformations, placements=placements, seed=seed
        )
        rows.append(
            {
                "transformation": kind,
                "placements": placements,
                **Rate.mean(found.mean(axis=1)).columns("success"),
                **bare.columns("undistorted"),
            }
        )
    return pd.DataFrame(rows)
