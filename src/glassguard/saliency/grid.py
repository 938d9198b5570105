"""The grid of mask parameters, measured with one network pass for each distinct mask (blog 2019).

A mask depends only on the picture's saliency map and on (μ, n, φ), and few masks of a picture
differ. So

* each kind of map is thresholded once per μ, closed and labelled once per (μ, n); every φ then
  follows from the areas of the components;
* equal masks of a picture are filled and classified once, whichever parameters led to them;
* an empty mask is the picture itself: one pass for all fills.

The numbers are those of a loop over all points.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np

from glassguard.saliency.fill import filled
from glassguard.saliency.mask import (
    closed,
    components,
    exceeding,
    kept_components,
    threshold_levels,
)
from glassguard.saliency.settings import Fill, MapKind, SourceSetting, ThresholdKind

if TYPE_CHECKING:
    from torch import nn

NO_TARGET = -1
# Confidences are added as multiples of 2^-40: sums of integers do not depend on the order, so means
# do not depend on how the pictures were dealt to shards. 2^23 pictures fit into 63 bits.
FIXED_POINT = 2.0**40

Maps = Mapping[MapKind, np.ndarray]
"""Saliency maps of a picture, or of several, by kind."""

Pictured = tuple[np.ndarray, Maps]
"""A picture, H x W x 3 uint8 RGB, and its saliency maps by kind, H x W float32 in [0, 1] each."""

SeenKey = tuple[int, bytes, Fill | None]
"""A picture's position, the digest of its mask, and the fill (None: an empty mask needs none)."""

Seen = dict[SeenKey, tuple[np.float32, np.float32]]
"""Confidence of the real and of the target class of masked pictures."""


@dataclass(frozen=True)
class Combination:
    """One point of the grid: saliency map, threshold μ and how it is read, n, φ in pixels, fill."""

    map: MapKind
    mu: float
    mu_as: ThresholdKind
    n: int
    phi: int
    fill: Fill


PARAMETERS = tuple(field.name for field in fields(Combination))


def mask_parameters(point: Combination) -> dict[str, Any]:
    """The arguments of :func:`glassguard.saliency.mask.saliency_mask` that a point stands for."""
    return {name: getattr(point, name) for name in ("mu", "mu_as", "n", "phi")}


def source_combination(setting: SourceSetting) -> Combination:
    """The setting that Study S found, as a point of the grid."""
    return Combination(**setting.model_dump())


def with_maps(images: np.ndarray, rows: Iterable[int], maps: Maps) -> list[Pictured]:
    """Pictures with their saliency maps, as :func:`search` takes them.

    Args:
        images: N x H x W x 3 uint8 RGB; may be memory-mapped, since nothing is copied.
        rows: which pictures.
        maps: of every kind, one map for each of ``rows``, in their order.
    """
    return [
        (images[row], {kind: of_kind[place] for kind, of_kind in maps.items()})
        for place, row in enumerate(rows)
    ]


@dataclass(frozen=True)
class DistinctMask:
    """A mask of one picture, H x W bool, and the positions of its points by fill."""

    mask: np.ndarray
    combinations: dict[Fill, list[int]]


@dataclass(frozen=True)
class SearchResult:
    """What a search measured.

    Attributes:
        confidences: pictures x points x 2 float32 in [0, 1]: confidence of the real and of the
            target class after masking. If a picture has no target (:data:`NO_TARGET`: dodging, or
            no attack), the second is 1 - the first, the confidence of anybody else.
        network_passes: pictures that the network classified.
        network_passes_naive: pictures that a loop over all points would have classified.
    """

    confidences: np.ndarray
    network_passes: int
    network_passes_naive: int


def combinations(
    *,
    map: Sequence[MapKind],
    mu: Sequence[float],
    mu_as: Sequence[ThresholdKind],
    n: Sequence[int],
    phi: Sequence[int],
    fill: Sequence[Fill],
    extra: Sequence[Combination] = (),
) -> list[Combination]:
    """Every combination of the values once, then those of ``extra`` that are not among them."""
    points = [
        Combination(one_map, one_mu, kind, one_n, one_phi, one_fill)
        for one_map, kind, one_mu, one_n, one_phi, one_fill in product(map, mu_as, mu, n, phi, fill)
    ]
    return list(dict.fromkeys([*points, *extra]))


class MaskPlan:
    """The points in the order in which their masks are cheapest to make.

    Args:
        points: the combinations, each once.
        asked: points bool, which of them; all by default.
        kernel: side of the square structuring element, odd.
    """

    def __init__(
        self,
        points: Sequence[Combination],
        asked: np.ndarray | None = None,
        *,
        kernel: int = 3,
    ) -> None:
        self.kernel = kernel
        # (map, mu_as) -> mu -> n -> phi -> fill -> position among the points
        self._tree: dict[
            tuple[MapKind, ThresholdKind], dict[float, dict[int, dict[int, dict[Fill, int]]]]
        ] = {}
        for position, point in enumerate(points):
            if asked is not None and not asked[position]:
                continue
            by_mu = self._tree.setdefault((point.map, point.mu_as), {})
            by_phi = by_mu.setdefault(point.mu, {}).setdefault(point.n, {})
            by_phi.setdefault(point.phi, {})[point.fill] = position

    def distinct_masks(self, maps: Maps) -> list[DistinctMask]:
        """The different masks that the points make of one picture's saliency maps.

        Args:
            maps: H x W float32 in [0, 1] of every kind that a point asks for.

        Returns:
            Masks in the order in which they were first met; every point leads to exactly one.
        """
        found: dict[bytes, DistinctMask] = {}
        for labels, areas, by_phi in self._labelled(maps):
            # Two φ that keep as many components keep the same ones.
            by_count: dict[int, DistinctMask] = {}
            for phi, by_fill in by_phi.items():
                kept = kept_components(areas, phi)
                count = int(kept.sum())
                if count not in by_count:
                    mask = kept[labels]
                    by_count[count] = found.setdefault(_packed(mask), DistinctMask(mask, {}))
                for fill, position in by_fill.items():
                    by_count[count].combinations.setdefault(fill, []).append(position)
        return list(found.values())

    def _labelled(
        self, maps: Maps
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[int, dict[Fill, int]]]]:
        """Components of every closed mask, their areas, and the points by φ and fill."""
        for (kind, mu_as), by_mu in self._tree.items():
            levels = threshold_levels(maps[kind], tuple(by_mu), mu_as)
            for level, by_n in zip(levels, by_mu.values(), strict=True):
                above = exceeding(maps[kind], level)
                for n, by_phi in by_n.items():
                    yield *components(closed(above, n, kernel=self.kernel)), by_phi


def search(
    network: "nn.Module",
    pictures: Iterable[Pictured],
    classes: np.ndarray,
    points: Sequence[Combination],
    *,
    kernel: int = 3,
    batch_size: int = 64,
    seen: Seen | None = None,
    wanted: np.ndarray | None = None,
) -> SearchResult:
    """Mask every picture in every way and classify it again.

    Pictures are taken one at a time and batches are filled across them, so only the result grows
    with their number.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        pictures: each with its saliency maps.
        classes: pictures x 2 int64: real and target class, :data:`NO_TARGET` for none.
        points: the combinations, each once.
        kernel: side of the square structuring element, odd.
        batch_size: pictures per forward pass.
        seen: answers of earlier searches over the same pictures and classes, which need no second
            pass; this search adds its own.
        wanted: pictures x points bool, which points are measured on which pictures; all by default.

    Returns:
        Confidences in the order of ``pictures`` and ``points``, NaN where none was wanted, and how
        many passes they took.
    """
    everything = np.ones(len(points), dtype=bool)
    plans: dict[bytes, MaskPlan] = {}
    confidences = np.full((len(classes), len(points), 2), np.nan, dtype=np.float32)
    waiting: deque[tuple[int, list[int], SeenKey]] = deque()
    known = {} if seen is None else seen

    def masked_pictures() -> Iterator[np.ndarray]:
        for picture, (image, maps) in enumerate(pictures):
            asked = everything if wanted is None else wanted[picture]
            if asked.tobytes() not in plans:
                plans[asked.tobytes()] = MaskPlan(points, asked, kernel=kernel)
            for distinct in plans[asked.tobytes()].distinct_masks(maps):
                by_fill: dict[Fill | None, list[int]] = dict(distinct.combinations.items())
                if not distinct.mask.any():
                    by_fill = {None: list(chain.from_iterable(by_fill.values()))}
                digest = hashlib.sha256(_packed(distinct.mask)).digest()
                for fill, positions in by_fill.items():
                    key = picture, digest, fill
                    if key in known:
                        confidences[picture, positions] = known[key]
                        continue
                    waiting.append((picture, positions, key))
                    yield image if fill is None else filled(image, distinct.mask, fill)

    # Imports torch, which takes seconds; whoever gathers results or chooses among them needs none.
    from glassguard.saliency.classification import probabilities

    passes = 0
    for probability in probabilities(network, masked_pictures(), batch_size=batch_size):
        picture, positions, key = waiting.popleft()
        real, target = classes[picture]
        of_real = probability[real]
        of_target = 1 - of_real if target == NO_TARGET else probability[target]
        confidences[picture, positions] = of_real, of_target
        if seen is not None:
            seen[key] = of_real, of_target
        passes += 1
    return SearchResult(confidences, passes, len(classes) * len(points))


def _packed(mask: np.ndarray) -> bytes:
    return np.packbits(mask).tobytes()


def exact_sum(confidences: np.ndarray) -> np.ndarray:
    """Sum over pictures that is the same in any order and any grouping.

    Args:
        confidences: pictures x ... float in [0, 1].

    Returns:
        ... int64, in units of 2^-40 (:data:`FIXED_POINT`).
    """
    return np.rint(confidences.astype(np.float64) * FIXED_POINT).astype(np.int64).sum(axis=0)


def exact_mean(sums: np.ndarray, count: int) -> np.ndarray:
    """Mean of ``count`` pictures from sums of :func:`exact_sum`, float64."""
    return sums / FIXED_POINT / count


def goodness(
    clean_real: np.ndarray, adversarial_real: np.ndarray, adversarial_target: np.ndarray
) -> np.ndarray:
    """Study S's score: ⅓ · (AC(clean, real) + AC(adv, real) + 1 − AC(adv, target)), in [0, 1]."""
    return (clean_real + adversarial_real + 1 - adversarial_target) / 3


def spread(count: int, most: int | None, seed: int) -> np.ndarray:
    """Evenly spaced positions with a random start.

    Args:
        count: number of things to choose from.
        most: how many are wanted; all when None or more than there are.
        seed: seed of the start.

    Returns:
        Increasing int64 positions in [0, count).
    """
    if most is None or most >= count:
        return np.arange(count)
    start = np.random.default_rng(seed).integers(count)
    return np.sort((start + np.arange(most) * count // most) % count)
