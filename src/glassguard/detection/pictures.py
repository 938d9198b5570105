"""A set of pictures as the detectors see it: profiles, what the network says, who it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

NOBODY = -1

JOINED = "joined"
"""Name of a profile that several slices share."""


class UnmatchedFacesError(ValueError):
    """Sets of pictures do not show the same faces."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one kind; row = picture, people are indices of the network's classes.

    Attributes:
        profiles: per slice N x filters.
        prediction: N int, whom the network sees.
        confidence: N float in [0, 1], softmax of the prediction.
        identity: N int, who is in the picture; the attacker in an adversarial one.
        target: N int, who is impersonated; :data:`NOBODY` in a benign picture.
        split: N str, ``train``, ``val`` or ``test``.
        face: N str, id of the bare picture that is shown or was worn upon.
        agreement: N float, at most 0: mean logarithm of the confidence in ``prediction`` that is
            left when the picture is masked; NaN in training pictures, which are not masked.
        covered: N float in [0, 1], share of the picture that glasses cover; 0 without any.
        misnamed_bare: N bool, whether the network misnames the same face without any glasses.
        activations: per slice N x filters, largest activation over space.
        mean_activations: per slice N x filters, mean activation over space.
        pixel_scores: per array name N float, scores that were computed from the pixels
            (:mod:`glassguard.detection.pixel_detectors`); NaN in training pictures.
    """

    profiles: Mapping[str, NDArray]
    prediction: NDArray[np.integer]
    confidence: NDArray[np.floating]
    identity: NDArray[np.integer]
    target: NDArray[np.integer]
    split: NDArray[np.str_]
    face: NDArray[np.str_]
    agreement: NDArray[np.floating]
    covered: NDArray[np.floating]
    misnamed_bare: NDArray[np.bool_]
    activations: Mapping[str, NDArray]
    mean_activations: Mapping[str, NDArray]
    pixel_scores: Mapping[str, NDArray[np.floating]]

    def __len__(self) -> int:
        return len(self.prediction)

    def where(self, rows: NDArray[np.bool_]) -> "Pictures":
        """The pictures of a row mask."""
        return self.take(np.flatnonzero(rows))

    def take(self, rows: NDArray[np.integer]) -> "Pictures":
        """The pictures of some rows, in that order."""
        return self._changed(lambda values: values[rows])

    def _changed(self, change: Callable[..., NDArray], *others: "Pictures") -> "Pictures":
        """Change every array, given with the same array of other pictures."""

        def changed(name: str) -> Any:
            own, *further = [getattr(pictures, name) for pictures in (self, *others)]
            if isinstance(own, Mapping):
                return {key: change(one, *(of[key] for of in further)) for key, one in own.items()}
            return change(own, *further)

        return Pictures(**{field.name: changed(field.name) for field in fields(self)})

    def in_split(self, split: str) -> "Pictures":
        """The pictures of one split."""
        return self.where(self.split == split)

    @property
    def impersonating(self) -> NDArray[np.bool_]:
        """Which pictures the network takes for the person they are meant to be taken for."""
        return (self.target != NOBODY) & (self.prediction == self.target)

    @property
    def successful(self) -> "Pictures":
        """The adversarial pictures of :attr:`impersonating`."""
        return self.where(self.impersonating)

    @property
    def named_right(self) -> NDArray[np.bool_]:
        """Which pictures the network takes for who is in them."""
        return self.prediction == self.identity


def half_wearing(bare: Pictures, plain: Pictures, random: Pictures) -> Pictures:
    """Benign pictures of which half wear honest frames, every face once.

    Every second face is bare; the others wear a plain frame and a frame of random texture in turn.
    Faces that are not in all three sets are left out: otherwise more than half would be bare.

    Args:
        bare: benign pictures; their order decides who wears what.
        plain: some of the same faces with plain frames.
        random: some of the same faces with frames of random texture.

    Raises:
        UnmatchedFacesError: a face is twice in a set, or none is in all three.
    """
    kinds = bare, plain, random
    rows = half_wearing_rows(*(kind.face for kind in kinds))
    return together([kinds[kind].take(of_kind) for kind, of_kind in rows])


def half_wearing_rows(
    bare: NDArray[np.str_], plain: NDArray[np.str_], random: NDArray[np.str_]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Which pictures :func:`half_wearing` takes, from the faces that each set shows.

    Returns:
        Number of a set, 0 to 2, and rows of it, in their order in the mixture; the first set twice.

    Raises:
        UnmatchedFacesError: see there.
    """
    kinds = bare, plain, random
    row_of = [{str(face): row for row, face in enumerate(kind)} for kind in kinds]
    if any(len(rows) != len(kind) for rows, kind in zip(row_of, kinds, strict=True)):
        raise UnmatchedFacesError("a face is in one set of pictures more than once")
    shared = [face for face in row_of[0] if all(face in rows for rows in row_of)]
    if not shared:
        raise UnmatchedFacesError(
            "no face is in all three: bare, with plain and with random frames"
        )
    found = []
    for position, kind in enumerate((0, 1, 0, 2)):
        wanted = [row_of[kind][face] for face in shared[position::4]]
        found.append((kind, np.array(wanted, dtype=np.int64)))
    return found


def together(parts: Sequence[Pictures]) -> Pictures:
    """The pictures of several sets, one set after the other."""
    first, *others = parts
    return first._changed(lambda *values: np.concatenate(values), *others)


def only(pictures: Pictures, slice_name: str) -> Pictures:
    """The same pictures with the profiles of one slice and no activations."""
    profiles = {slice_name: pictures.profiles[slice_name]}
    return replace(pictures, profiles=profiles, activations={}, mean_activations={})


def joined(pictures: Pictures, slices: Sequence[str]) -> Pictures:
    """The same pictures with one profile, :data:`JOINED`: those of several slices side by side.

    Each is brought to unit length first, so that steep gradients of one slice do not drown others.
    """
    parts = [pictures.profiles[name] for name in slices]
    if len(pictures):
        parts = [normalize(part) for part in parts]
    return replace(pictures, profiles={JOINED: np.concatenate(parts, axis=1)})


def with_activations(pictures: Pictures) -> Pictures:
    """The same pictures with activations in the place of influence."""
    return replace(pictures, profiles=pictures.activations)
