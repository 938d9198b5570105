"""Aligned faces and their tables: what the stages ``data`` and ``pool`` have in common."""

import math
import multiprocessing
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL

from glassguard.configuration.sources import sources
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.alignment import Rectangle, clipped
from glassguard.faces.decoding import (
    MINIMUM_SIDE,
    PictureError,
    decode,
    maximum_bytes,
    stored_size,
)
from glassguard.faces.detection import LandmarkDetector, align
from glassguard.faces.embedded.population import render_person
from glassguard.faces.folder import same_person_key
from glassguard.faces.manifest import COLUMNS, REJECTED_COLUMNS, SPLITS
from glassguard.faces.splits import split_by_person
from glassguard.files.formats import write_csv
from glassguard.progress import Progress, track
from glassguard.stages.picture_files import GivenPeople, GivenPicture
from glassguard.stages.scratch import AlignedPicture, Scratch, key_of

WORKERS = 2
"""Pictures worked on at a time. The results do not depend on it."""

LARGE = 8_000_000
"""Pixels from which pictures are worked on one at a time: decoding takes up to sixteen bytes a
pixel, and memory must not grow with :data:`WORKERS`."""

_DRAWN_IN_ONE_PROCESS = 500
"""Pictures up to which starting more processes takes longer than it saves."""


@dataclass(frozen=True)
class Limits:
    """How much of a source is used.

    Attributes:
        section: part of the configuration that the limits stand in, for messages.
        identities: people with most files that are kept; all when None.
        images_per_identity: pictures of a person, at most; all when None.
        minimum_images: people with fewer usable pictures are left out.
        maximum_pixels: larger pictures are rejected.
    """

    section: str
    identities: int | None
    images_per_identity: int | None
    minimum_images: int
    maximum_pixels: int


@dataclass
class Picture:
    """An aligned picture of a person; its pixels lie in :class:`Scratch`, at ``row``."""

    image_id: str
    identity: str
    source: str
    sha256: str
    width: int
    height: int
    eyes: tuple[float, float, float, float]
    aligned_by: str
    hash: int
    row: int


@dataclass
class Collection:
    """Pictures that may be used, and (source, reason) of those that may not.

    Attributes:
        pictures: those that may be used.
        rejected: source and reason of the others.
        spare: of the same people beyond the number that is wanted, and aligned all the same.
        unread: digest and person of further pictures of these people.
    """

    pictures: list[Picture] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    spare: list[Picture] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)

    def reject(self, reasons: Mapping[int, str]) -> None:
        """Drop pictures by position, each with its reason."""
        self.rejected += [(self.pictures[at].source, why) for at, why in sorted(reasons.items())]
        self.pictures = [picture for at, picture in enumerate(self.pictures) if at not in reasons]

    def hashes(self) -> np.ndarray:
        """uint64 N."""
        return np.array([picture.hash for picture in self.pictures], dtype=np.uint64)

    def labels(self) -> list[str]:
        """Person of each picture."""
        return [picture.identity for picture in self.pictures]

    def commonest_reason(self) -> str:
        """What most pictures were rejected for, to go into a message; empty when none was."""
        if not self.rejected:
            return ""
        reason, count = Counter(reason for _, reason in self.rejected).most_common(1)[0]
        return f"; {count} file(s) not used, most often: {reason}"


def read_detector(path: Path | None) -> bytes | None:
    """Read ``data.detector`` and try it out.

    Raises:
        InputError: the file cannot be read or is no YuNet model.
    """
    if path is None:
        return None
    try:
        model = path.read_bytes()
        LandmarkDetector(model)
    except OSError as error:
        raise InputError(f"data.detector: {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"data.detector: {path}: {error}") from None
    return model


def open_scratch(
    images: Path, *, detector: bytes | None, size: int, maximum_pixels: int
) -> Scratch:
    """Where aligned pictures are put, or still lie from an interrupted call.

    Args:
        images: file of pictures that is made in the end.
        detector: content of the YuNet model, or None.
        size: side of an aligned picture.
        maximum_pixels: see :class:`Limits`.
    """
    code = b"".join(file.read_bytes() for file in sources("aligned_faces"))
    settings = {
        "maximum_pixels": maximum_pixels,
        "detector": detector and duplicates.digest(detector),
        "code": duplicates.digest(code),
        "libraries": [cv2.__version__, PIL.__version__, np.__version__],
    }
    return Scratch(images, size, settings)


def collect(
    given: GivenPeople,
    *,
    key: str,
    limits: Limits,
    detector: bytes | None,
    size: int,
    seed: int,
    scratch: Scratch,
    excluded: Set[str],
    substitutes: int = 0,
) -> Collection:
    """Decode and align the pictures of people.

    People are taken in the order of how many pictures they have, then by name, until enough have
    the least number of usable pictures. Where a person has more pictures than wanted, a seeded
    choice is read.

    Args:
        given: the people of a source.
        key: the configuration's key that names it.
        limits: how much of it is used.
        detector: content of the YuNet model, or None to align by the crop.
        size: side of an aligned picture.
        seed: of the choice of pictures.
        scratch: where the aligned pictures are put.
        excluded: people of the study who are passed over, as ``same_person_key`` writes them.
        substitutes: people beyond ``limits.identities``, for as many who are left out later.
    """
    cv2.setNumThreads(1)  # the workers share the cores already
    collection = Collection(rejected=list(given.rejected))
    reader = _Reader(scratch, detector, size, limits.maximum_pixels)
    ranked = sorted(given.people, key=lambda name: (-len(given.people[name]), name))
    taken = 0
    total = sum(map(len, given.people.values()))
    with (
        ThreadPoolExecutor(WORKERS) as workers,
        Progress(description=f"aligning the pictures of {key}", total=total) as progress,
    ):
        for name in ranked:
            pictures = given.people[name]
            if same_person_key(name) in excluded:
                _refuse(pictures, "person is in the study", collection)
            elif limits.identities is not None and taken >= limits.identities + substitutes:
                reason = f"person beyond {limits.section}.identities={limits.identities}"
                _refuse(pictures, reason, collection)
            elif len(pictures) < limits.minimum_images:
                reason = _too_few(f"{len(pictures)} picture(s)", limits)
                _refuse(pictures, reason, collection)
            else:
                taken += _collect_person(
                    name, pictures, reader, workers, limits, seed, scratch, collection, progress
                )
                continue
            progress.advance(len(pictures))
    collection.pictures.sort(key=lambda picture: (picture.identity, picture.image_id))
    return collection


def reject_shared(collection: Collection, scratch: Scratch, distance: int) -> None:
    """Reject photographs that are filed under two people: exact copies and look-alikes.

    What is beyond the number that is wanted of a person tells of the others' pictures too; files
    that were not decoded do so by their bytes alone.
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
    hashes = np.array([picture.hash for picture in pictures], dtype=np.uint64)
    for one, other in duplicates.near_pairs(collection.hashes(), hashes, distance):
        first, second = pictures[one], pictures[other]
        if first.identity == second.identity or one in reasons:
            continue
        if duplicates.same_photograph(scratch.image(first.row), scratch.image(second.row)):
            reasons[int(one)] = f"the same photograph as {second.source}, of another person"
    collection.reject(reasons)


def people_left_out(
    collection: Collection,
    *,
    distance: int,
    limits: Limits,
    fractions: Mapping[str, float],
    fold: int | None = None,
) -> dict[str, str]:
    """Whom :func:`split_and_write` will leave out, and why; arguments as there."""
    groups = duplicates.group_near_duplicates(collection.hashes(), collection.labels(), distance)
    labels = np.array(collection.labels(), dtype=str)
    return _with_too_few(labels, groups, limits=limits, fractions=fractions, fold=fold)


def split_and_write(
    collection: Collection,
    scratch: Scratch,
    *,
    place: str,
    limits: Limits,
    least_people: int,
    distance: int,
    fractions: Mapping[str, float],
    seed: int,
    images: Path,
    manifest: Path,
    rejected: Path,
    fold: int | None = None,
) -> dict[str, float | int | str]:
    """Split what is left of a source, near-duplicates on one side, and write it.

    Args:
        collection: the pictures; people with too few are taken out of it.
        scratch: where the pictures are.
        place: the source and its key in the configuration, for messages.
        limits: how many pictures a person needs.
        least_people: fewer people than this are refused.
        distance: Hamming distance up to which two pictures of a person are near-duplicates.
        fractions: share by name of the split; what is left is ``train``.
        seed: of the split.
        images: file of pictures to write.
        manifest: table of the pictures to write.
        rejected: table of what is not used to write; ``<rejected>.failed`` where that is too much.
        fold: see :func:`glassguard.faces.splits.split_by_person`.

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: too few people are left.
    """
    groups, splits = _group_and_split(
        collection, distance=distance, limits=limits, fractions=fractions, seed=seed, fold=fold
    )
    people = len(set(collection.labels()))
    # Under a name of its own: what a failed rule promised to write, Snakemake removes.
    failed = rejected.with_name(f"{rejected.name}.failed")
    if people < least_people:
        write_rejected(collection.rejected, failed)
        raise InputError(
            f"{place}: {people} people with at least {limits.minimum_images} usable "
            f"pictures ({limits.section}.minimum_images); at least {least_people} are needed"
            f"{collection.commonest_reason()}; {failed} has the reason of each"
        )
    failed.unlink(missing_ok=True)
    frame = _write_pictures(collection, scratch, splits, images, manifest)
    write_rejected(collection.rejected, rejected)
    found = summary(frame)
    print(
        f"{place}: {found['people']} people, {found['pictures']} pictures, of which "
        f"{found['aligned_by_crop']} are aligned by the crop alone; {len(collection.rejected)} not "
        f"used ({rejected} says why)",
        file=sys.stderr,
    )
    return {
        **found,
        "rejected": len(collection.rejected),
        "near_duplicates": len(groups) - len(np.unique(groups)),
    }


def summary(frame: pd.DataFrame) -> dict[str, float | int | str]:
    """How many people and pictures a manifest has, by split, and how many only a crop aligned."""
    counts = frame.split.value_counts()
    return {
        "people": int(frame.identity.nunique()),
        "pictures": len(frame),
        **{str(split): int(counts[split]) for split in SPLITS if split in counts},
        "aligned_by_crop": int((frame.aligned_by == "crop").sum()),
    }


def write_rejected(rejected: Sequence[tuple[str, str]], path: Path) -> None:
    """Write which pictures are not used and why, sorted."""
    write_csv(pd.DataFrame(sorted(rejected), columns=list(REJECTED_COLUMNS)), path)


def draw(
    people: Mapping[str, int],
    *,
    images_per_identity: int,
    size: int,
    fractions: Mapping[str, float],
    seed: int,
    images: Path,
    manifest: Path,
    fold: int | None = None,
) -> pd.DataFrame:
    """Draw people, split their pictures, write both; returns the manifest.

    Every picture is drawn independently, so none is a near-duplicate of another.

    Args:
        people: number of the identity by name, in the order of the rows.
        images_per_identity: pictures of each.
        size: side of a picture.
        fractions: share by name of the split; what is left is ``train``.
        seed: of the people and of the split.
        images: file of pictures to write.
        manifest: table to write.
        fold: see :func:`glassguard.faces.splits.split_by_person`.
    """
    count = len(people) * images_per_identity
    array = np.lib.format.open_memmap(
        images, mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
    )
    labels = np.repeat(list(people), images_per_identity)
    splits = split_by_person(labels, np.arange(count), fractions=fractions, seed=seed, fold=fold)
    rows: list[tuple[object, ...]] = []
    drawn = _drawn(list(people.values()), seed, images_per_identity, size)
    for name, (pictures, eyes) in zip(
        people, track(drawn, description="drawing people", total=len(people)), strict=True
    ):
        array[len(rows) : len(rows) + images_per_identity] = pictures
        for number, (picture, points) in enumerate(zip(pictures, eyes, strict=True)):
            rows.append(
                (f"{name}_{number:04d}", name, splits[len(rows)], f"drawn:{name}/{number}",
                 duplicates.digest(np.ascontiguousarray(picture).data), size, size,
                 *points.ravel(), "drawn")
            )  # fmt: skip
    array.flush()
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    write_csv(frame, manifest)
    return frame


def _group_and_split(
    collection: Collection,
    *,
    distance: int,
    limits: Limits,
    fractions: Mapping[str, float],
    seed: int,
    fold: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Group near-duplicates, leave out people with too few pictures, and split the others.

    Returns:
        Group (int64 N) and name of the split (N) of each picture that is left.
    """
    groups = duplicates.group_near_duplicates(collection.hashes(), collection.labels(), distance)
    labels = np.array(collection.labels(), dtype=str)
    people = _with_too_few(labels, groups, limits=limits, fractions=fractions, fold=fold)
    reasons = {at: people[name] for at, name in enumerate(labels) if name in people}
    kept = np.array([at not in reasons for at in range(len(labels))], dtype=bool)
    collection.reject(reasons)
    splits = split_by_person(labels[kept], groups[kept], fractions=fractions, seed=seed, fold=fold)
    return groups[kept], splits


def _with_too_few(
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    limits: Limits,
    fractions: Mapping[str, float],
    fold: int | None,
) -> dict[str, str]:
    """Why people cannot be used with the pictures that are left, by their name."""
    reasons = {}
    wanted = limits.minimum_images
    if limits.images_per_identity is not None:
        wanted = min(wanted, limits.images_per_identity)
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        distinct = len(np.unique(groups[rows]))
        if len(rows) < wanted:
            reason = _too_few(f"{len(rows)} usable picture(s)", limits)
        elif distinct <= (len(fractions) if fold is None else round(1 / fractions["test"])):
            reason = f"person has {distinct} distinct picture(s), too few for separate splits"
        else:
            continue
        reasons[str(name)] = reason
    return reasons


def _write_pictures(
    collection: Collection, scratch: Scratch, splits: np.ndarray, images: Path, manifest: Path
) -> pd.DataFrame:
    """Write the pictures of a folder and their manifest; returns the manifest."""
    shape = (len(collection.pictures), scratch.size, scratch.size, 3)
    rows = []
    # Not through a memory map: its pages would count as memory until the last one is written.
    with images.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for picture, split in zip(collection.pictures, splits, strict=True):
            file.write(scratch.image(picture.row).tobytes())
            rows.append(
                (picture.image_id, picture.identity, split, picture.source, picture.sha256,
                 picture.width, picture.height, *picture.eyes, picture.aligned_by)
            )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    write_csv(frame, manifest)
    return frame


def _drawn(
    identities: Sequence[int], seed: int, images: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    render = partial(render_person, seed, images=images, size=size)
    if len(identities) * images <= _DRAWN_IN_ONE_PROCESS:
        yield from map(render, identities)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, cv2.setNumThreads, (1,)) as workers:
        # A few people at a time: drawing far ahead of writing would fill the memory.
        for start in range(0, len(identities), 8 * WORKERS):
            yield from workers.map(render, identities[start : start + 8 * WORKERS])


def _collect_person(
    name: str,
    pictures: Sequence[GivenPicture],
    reader: "_Reader",
    workers: ThreadPoolExecutor,
    limits: Limits,
    seed: int,
    scratch: Scratch,
    collection: Collection,
    progress: Progress,
) -> bool:
    """Add a person's pictures to the collection; False when there are too few of them."""
    limit = limits.images_per_identity
    order = list(range(len(pictures)))
    if limit is not None and len(pictures) > limit:
        generator = np.random.default_rng([seed, *name.encode()])
        order = [int(at) for at in generator.permutation(len(pictures))]
    wanted = len(pictures) if limit is None else max(limit, limits.minimum_images)
    kept: list[Picture] = []
    seen: dict[str, str] = {}
    while order and len(kept) < wanted:
        step = min(wanted - len(kept), 64)
        batch, order = order[:step], order[step:]
        results = workers.map(reader.read, [pictures[at] for at in batch])
        for at, result in zip(batch, results, strict=True):
            progress.advance()
            source = pictures[at].source
            outcome = _kept(result, scratch)
            if isinstance(outcome, str):
                collection.rejected.append((source, outcome))
                continue
            if outcome.sha256 in seen:
                reason = f"the same file as {seen[outcome.sha256]}"
                collection.rejected.append((source, reason))
                continue
            seen[outcome.sha256] = source
            picture = Picture(
                f"{name}_{at:04d}", name, source, outcome.sha256, outcome.width, outcome.height,
                outcome.eyes, outcome.aligned_by, outcome.hash, outcome.row,
            )  # fmt: skip
            kept.append(picture)
    if len(kept) < limits.minimum_images:
        reason = _too_few(f"{len(kept)} usable picture(s)", limits)
        collection.rejected += [(picture.source, reason) for picture in kept]
        progress.advance(len(order))
        return False
    beyond = f"beyond {limits.section}.images_per_identity={limit}"
    collection.rejected += [(picture.source, beyond) for picture in kept[limit:]] if limit else []
    left = [pictures[at] for at in order]
    _refuse(left, beyond, collection)
    collection.pictures += kept[:limit]
    collection.spare += kept[len(kept) if limit is None else limit :]
    for digest in workers.map(reader.digest, left):
        progress.advance()
        if digest is not None:
            collection.unread.append((digest, name))
    return True


def _refuse(pictures: Sequence[GivenPicture], reason: str, collection: Collection) -> None:
    """Reject pictures without reading them."""
    collection.rejected += [(picture.source, reason) for picture in pictures]


def _too_few(count: str, limits: Limits) -> str:
    return f"person has {count}, fewer than {limits.section}.minimum_images={limits.minimum_images}"


@dataclass(frozen=True)
class _Read:
    """What a worker made of a file, and under which key that is kept."""

    key: str
    image: np.ndarray
    known: dict[str, Any]


@dataclass(frozen=True)
class _Refused:
    """Why a file gives no picture; without a key where another time it may give one."""

    key: str | None
    reason: str


def _kept(result: _Read | _Refused | AlignedPicture, scratch: Scratch) -> AlignedPicture | str:
    """Put on disk what a worker made, where it is not there yet."""
    if isinstance(result, AlignedPicture):
        return result
    if isinstance(result, _Read):
        return scratch.keep(result.key, result.image, **result.known)
    if result.key is not None:
        scratch.refuse(result.key, result.reason)
    return result.reason


class _Reader:
    """Reads, decodes and aligns one file at a time, on any thread."""

    def __init__(
        self, scratch: Scratch, detector: bytes | None, size: int, maximum_pixels: int
    ) -> None:
        self._scratch = scratch
        self._model = detector
        self._size = size
        self._maximum_pixels = maximum_pixels
        self._of_thread = threading.local()
        self._one_large_picture = threading.Lock()

    def read(self, given: GivenPicture) -> _Read | _Refused | AlignedPicture:
        """The aligned picture, or the reason why there is none, or what was made of it before."""
        key = None
        try:
            points = None if given.landmarks is None else given.landmarks.tolist()
            key = key_of([given.source, given.file.version(), given.rectangle, points])
            done = self._scratch.recall(key)
            if done is not None:
                return done if isinstance(done, AlignedPicture) else _Refused(None, done)
            content = given.file.read(maximum_bytes(self._maximum_pixels))
            return self._align(key, content, given)
        except OSError as error:
            return _Refused(None, f"cannot be read: {error.strerror}")
        except PictureError as rejected:
            return _Refused(key, str(rejected))

    def digest(self, given: GivenPicture) -> str | None:
        """Of a file's bytes, without decoding them; None where it cannot be read."""
        try:
            return duplicates.digest(given.file.read(maximum_bytes(self._maximum_pixels)))
        except (OSError, PictureError):
            return None

    def _align(self, key: str, content: bytes, given: GivenPicture) -> _Read:
        pixels = math.prod(stored_size(content, maximum_pixels=self._maximum_pixels))
        with self._one_large_picture if pixels > LARGE else nullcontext():
            return self._aligned(key, content, given)

    def _aligned(self, key: str, content: bytes, given: GivenPicture) -> _Read:
        stored = given.rectangle is not None or given.landmarks is not None
        picture = decode(content, maximum_pixels=self._maximum_pixels, rotate=not stored)
        height, width = picture.shape[:2]
        face = align(
            picture,
            self._detector(),
            size=self._size,
            rectangle=given.rectangle and _face_of(picture, given.rectangle),
            landmarks=None if given.landmarks is None else given.landmarks.astype(np.float64),
        )
        known = {
            "width": width,
            "height": height,
            "eyes": tuple(face.eyes.ravel().tolist()),
            "aligned_by": face.aligned_by,
            "sha256": duplicates.digest(content),
            "hash": int(duplicates.perceptual_hash(face.image)),
        }
        return _Read(key, face.image, known)

    def _detector(self) -> LandmarkDetector | None:
        if self._model is None:
            return None
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = LandmarkDetector(self._model)
        return self._of_thread.detector


def _face_of(picture: np.ndarray, rectangle: Rectangle) -> Rectangle:
    """The part of a published rectangle that lies inside of the picture."""
    left, top, right, bottom = clipped(rectangle, picture)
    if min(right - left, bottom - top) < MINIMUM_SIDE:
        raise PictureError(
            f"{right - left}×{bottom - top} pixels of the face's rectangle lie in the picture: "
            f"a side is shorter than {MINIMUM_SIDE} pixels"
        )
    return left, top, right, bottom
