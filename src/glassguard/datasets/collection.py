"""Which aligned pictures a study uses: no copies under two names, nobody with too few pictures.

A photograph that is filed under two people shows one of them, and nothing says which. Near
duplicates of one person's pictures stay on one side of a split
(:mod:`glassguard.faces.duplicates`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from glassguard.datasets.pictures import GivenPicture
from glassguard.datasets.scratch import AlignedPicture
from glassguard.faces import duplicates
from glassguard.faces.splits import split_by_person


@dataclass(frozen=True)
class Limits:
    """How much of a source is used.

    Attributes:
        section: section of the configuration that has these limits, for messages.
        identities: how many people are kept, those with most files; all when None.
        images_per_identity: pictures of a person at most; all when None.
        minimum_images: people with fewer usable pictures are left out.
    """

    section: str
    identities: int | None
    images_per_identity: int | None
    minimum_images: int

    def too_few(self, count: str) -> str:
        """Reason for leaving out a person with so few pictures."""
        return f"person has {count}, fewer than {self.section}.minimum_images={self.minimum_images}"


@dataclass(frozen=True)
class Splitting:
    """How the pictures of people are split.

    Attributes:
        fractions: share by name of the split; what is left is ``train``.
        distance: Hamming distance up to which two pictures of a person are near-duplicates.
        fold: see :func:`glassguard.faces.splits.split_by_person`.
    """

    fractions: Mapping[str, float]
    distance: int
    fold: int | None = None

    @property
    def distinct(self) -> int:
        """How many distinct pictures a person needs."""
        parts = len(self.fractions) if self.fold is None else round(1 / self.fractions["test"])
        return parts + 1


@dataclass(frozen=True, kw_only=True)
class Picture(AlignedPicture):
    """An aligned picture of a person.

    Attributes:
        image_id: unique name.
        identity: the person.
        source: name in tables.
    """

    image_id: str
    identity: str
    source: str


@dataclass
class Collection:
    """Pictures that may be used, and why others may not.

    Attributes:
        pictures: those that may be used.
        rejected: source and reason of the others.
        spare: aligned pictures of the same people beyond the number that is wanted.
        unread: SHA-256 and person of further pictures of these people.
    """

    pictures: list[Picture] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    spare: list[Picture] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, pictures: Iterable[GivenPicture | Picture], reason: str) -> None:
        """Put pictures that are not in the collection on record, all for one reason."""
        self.rejected += [(picture.source, reason) for picture in pictures]

    def reject(self, reasons: Mapping[int, str]) -> None:
        """Drop pictures by position, each with its reason."""
        self.rejected += [(self.pictures[at].source, why) for at, why in sorted(reasons.items())]
        self.pictures = [picture for at, picture in enumerate(self.pictures) if at not in reasons]

    def hashes(self) -> np.ndarray:
        """uint64 N."""
        return _hashes(self.pictures)

    def labels(self) -> list[str]:
        """Person of each picture."""
        return [picture.identity for picture in self.pictures]

    def commonest_reason(self) -> str:
        """What most pictures were rejected for, as part of a message; empty when none was."""
        if not self.rejected:
            return ""
        reason, count = Counter(reason for _, reason in self.rejected).most_common(1)[0]
        return f"; {count} file(s) not used, most often: {reason}"


Pixels = Callable[[int], np.ndarray]
"""The aligned picture of a row, uint8 RGB, H×W×3."""


def reject_shared(collection: Collection, image: Pixels, distance: int) -> None:
    """Reject photographs that are filed under two people: exact copies and look-alikes.

    Spare pictures are compared too. Files that were not decoded are compared by their bytes alone.

    Args:
        collection: the pictures.
        image: their pixels.
        distance: Hamming distance up to which two hashes may be of one photograph.
    """
    pictures = collection.pictures + collection.spare
    copies = duplicates.copies_under_several_names(
        [picture.sha256 for picture in pictures] + [digest for digest, _ in collection.unread],
        [picture.identity for picture in pictures] + [person for _, person in collection.unread],
    )
    reasons = {
        at: f"the same file under {' and '.join(names)}"
        for at, names in copies.items()
        if at < len(collection.pictures)
    }
    for one, other in duplicates.near_pairs(collection.hashes(), _hashes(pictures), distance):
        first, second = pictures[one], pictures[other]
        if first.identity == second.identity or one in reasons:
            continue
        if duplicates.same_photograph(image(first.row), image(second.row)):
            reasons[int(one)] = f"the same photograph as {second.source}, of another person"
    collection.reject(reasons)


def reject_people_of_study(
    collection: Collection,
    image: Pixels,
    *,
    digests: Iterable[str],
    study: np.ndarray,
    hashes: np.ndarray,
    distance: int,
) -> None:
    """Reject everybody of whom a study has a photograph.

    One photograph tells who somebody is, whatever name the collection has for that person.

    Args:
        collection: the pictures.
        image: their pixels.
        digests: SHA-256 of the study's files.
        study: the study's aligned pictures, uint8 RGB, N×H×W×3.
        hashes: their perceptual hashes, uint64 N.
        distance: Hamming distance up to which two hashes may be of one photograph.
    """
    known_files = set(digests)
    reasons = {
        at: "the same file is in the study"
        for at, picture in enumerate(collection.pictures)
        if picture.sha256 in known_files
    }
    for at, other in duplicates.near_pairs(collection.hashes(), hashes, distance):
        pixels = image(collection.pictures[at].row)
        if at not in reasons and duplicates.same_photograph(pixels, study[other]):
            reasons[int(at)] = "the same photograph is in the study"
    known: dict[str, str] = {}
    for at in sorted(reasons):
        known.setdefault(collection.pictures[at].identity, collection.pictures[at].source)
    for at, picture in enumerate(collection.pictures):
        if picture.identity in known and at not in reasons:
            reasons[at] = f"person is in the study: {known[picture.identity]} is a photograph of it"
    collection.reject(reasons)


def people_left_out(collection: Collection, limits: Limits, splitting: Splitting) -> dict[str, str]:
    """Why people cannot be used with the pictures that are left, by name."""
    groups = _groups(collection, splitting)
    labels = np.array(collection.labels(), dtype=str)
    wanted = limits.minimum_images
    if limits.images_per_identity is not None:
        wanted = min(wanted, limits.images_per_identity)
    reasons = {}
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        distinct = len(np.unique(groups[rows]))
        if len(rows) < wanted:
            reasons[str(name)] = limits.too_few(f"{len(rows)} usable picture(s)")
        elif distinct < splitting.distinct:
            reasons[str(name)] = (
                f"person has {distinct} distinct picture(s), too few for separate splits"
            )
    return reasons


def split(
    collection: Collection, limits: Limits, splitting: Splitting, *, seed: int
) -> tuple[np.ndarray, int]:
    """Reject people with too few pictures, and split those of the others.

    Args:
        collection: the pictures; people with too few are taken out of it.
        limits: how many pictures a person needs.
        splitting: how they are split.
        seed: of the split.

    Returns:
        The split of each picture that is left, and how many of these are near-duplicates of
        another one.
    """
    people = people_left_out(collection, limits, splitting)
    groups = _groups(collection, splitting)
    labels = collection.labels()
    kept = np.array([name not in people for name in labels], dtype=bool)
    collection.reject({at: people[name] for at, name in enumerate(labels) if name in people})
    splits = split_by_person(
        np.array(labels, dtype=str)[kept],
        groups[kept],
        fractions=splitting.fractions,
        seed=seed,
        fold=splitting.fold,
    )
    return splits, int(kept.sum()) - len(np.unique(groups[kept]))


def _groups(collection: Collection, splitting: Splitting) -> np.ndarray:
    return duplicates.group_near_duplicates(
        collection.hashes(), collection.labels(), splitting.distance
    )


def _hashes(pictures: Iterable[Picture]) -> np.ndarray:
    return np.array([picture.hash for picture in pictures], dtype=np.uint64)
