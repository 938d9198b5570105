"""Photographs to aligned faces: read, decoded, aligned, and kept over interruptions.

The result is the same whatever the number of workers and however often the work is interrupted.
"""

import math
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

from glassguard.datasets.collection import (
    Collection,
    Limits,
    Picture,
    Splitting,
    people_left_out,
    reject_shared,
    split,
)
from glassguard.datasets.folders import same_person_key
from glassguard.datasets.pictures import GivenPeople, GivenPicture
from glassguard.datasets.scratch import AlignedPicture, Scratch, key_of
from glassguard.datasets.tables import Outputs, write_rejected
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.decoding import (
    MINIMUM_SIDE,
    PictureError,
    decode,
    maximum_bytes,
    stored_size,
)
from glassguard.faces.detection import LandmarkDetector, align
from glassguard.faces.rectangles import Rectangle, clipped
from glassguard.progress import Progress

WORKERS = 2
"""Pictures worked on at a time. The results do not depend on it."""

LARGE = 8_000_000
"""Pixels from which pictures are worked on one at a time: decoding takes up to sixteen bytes a
pixel, and memory must not grow with :data:`WORKERS`."""


@dataclass(frozen=True)
class Reading:
    """How a file becomes an aligned picture.

    Attributes:
        detector: content of the YuNet model; None aligns by the crop.
        size: side of an aligned picture, pixels.
        maximum_pixels: larger pictures are rejected before decoding.
    """

    detector: bytes | None
    size: int
    maximum_pixels: int

    @classmethod
    def with_detector(cls, path: Path | None, *, size: int, maximum_pixels: int) -> "Reading":
        """Read ``data.detector`` and try it out.

        Raises:
            InputError: the file cannot be read or is no YuNet model.
        """
        if path is None:
            return cls(None, size, maximum_pixels)
        try:
            model = path.read_bytes()
            LandmarkDetector(model)
        except OSError as error:
            raise InputError(f"data.detector: {path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"data.detector: {path}: {error}") from None
        return cls(model, size, maximum_pixels)


def open_scratch(images: Path, reading: Reading, *, code: Mapping[str, str]) -> Scratch:
    """Where aligned pictures are put, or still lie from an interrupted call.

    Args:
        images: file of pictures that is made in the end.
        reading: how a file becomes an aligned picture.
        code: digests of the code that does it; what other code left is not used.
    """
    settings = {
        "maximum_pixels": reading.maximum_pixels,
        "detector": reading.detector and duplicates.digest(reading.detector),
        "code": dict(code),
        "libraries": [cv2.__version__, PIL.__version__, np.__version__],
    }
    return Scratch(images, reading.size, settings)


def collect(
    given: GivenPeople,
    *,
    key: str,
    limits: Limits,
    reading: Reading,
    seed: int,
    scratch: Scratch,
    excluded: Set[str] = frozenset(),
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
        reading: how a file becomes an aligned picture.
        seed: of the choice of pictures.
        scratch: where the aligned pictures are put.
        excluded: people of the study who are passed over, as ``same_person_key`` writes them.
        substitutes: people beyond ``limits.identities``, for as many who are left out later.
    """
    cv2.setNumThreads(1)  # the workers share the cores already
    collection = Collection(rejected=list(given.rejected))
    reader = _Reader(scratch, reading)
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
                reason = limits.too_few(f"{len(pictures)} picture(s)")
                _refuse(pictures, reason, collection)
            else:
                taken += _collect_person(
                    name, pictures, reader, workers, limits, seed, scratch, collection, progress
                )
                continue
            progress.advance(len(pictures))
    collection.pictures.sort(key=lambda picture: (picture.identity, picture.image_id))
    return collection


def collect_enough(
    given: GivenPeople,
    *,
    limits: Limits,
    splitting: Splitting,
    reading: Reading,
    seed: int,
    scratch: Scratch,
    place: str,
) -> Collection:
    """Pictures of as many people as are wanted, where there are so many.

    A person who has too few pictures left, once those are gone that show somebody else too or are
    one photograph, is replaced by the person with the next most pictures. The pictures of whoever
    fell out are still compared: they say which of the others' are theirs. Nothing is aligned
    twice.

    Args:
        given: the people of a source.
        limits: how much of it is used.
        splitting: how it will be split.
        reading: how a file becomes an aligned picture.
        seed: of the choice of pictures.
        scratch: where the aligned pictures are put.
        place: the source and its key in the configuration, for messages.
    """
    substitutes = 0
    while True:
        collection = collect(
            given,
            key="data",
            limits=limits,
            reading=reading,
            seed=seed,
            scratch=scratch,
            substitutes=substitutes,
        )
        read = sorted(set(collection.labels()))
        reject_shared(collection, scratch.image, splitting.distance)
        if limits.identities is None:
            return collection
        reasons = people_left_out(collection, limits, splitting)
        shown = set(collection.labels())
        for name in read:
            if name not in shown:
                reasons[name] = "every picture is filed under somebody else too"
        if len(reasons) == substitutes or len(read) < limits.identities + substitutes:
            _say_who_fell_out(reasons, read, limits.identities, place)
            return collection
        substitutes = len(reasons)


def _say_who_fell_out(
    reasons: dict[str, str], read: Sequence[str], identities: int, place: str
) -> None:
    if not reasons:
        return
    who = "; ".join(f"{name} ({why})" for name, why in sorted(reasons.items()))
    left = len(read) - len(reasons)
    instead = "others took their place"
    if left < identities:
        instead = f"nobody is left to take their place: {left} of data.identities={identities}"
    print(f"{place}: left out after reading: {who}; {instead}", file=sys.stderr)


def split_and_write(
    collection: Collection,
    scratch: Scratch,
    outputs: Outputs,
    *,
    limits: Limits,
    splitting: Splitting,
    least_people: int,
    seed: int,
    place: str,
) -> dict[str, float | int | str]:
    """Split what is left of a source and write it.

    Args:
        collection: the pictures; people with too few are taken out of it.
        scratch: their pixels.
        outputs: files to write; ``<rejected>.failed`` where too few people are left.
        limits: how many pictures a person needs.
        splitting: how they are split.
        least_people: fewer people than this are refused.
        seed: of the split.
        place: the source and its key in the configuration, for messages.

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: too few people are left.
    """
    splits, near_duplicates = split(collection, limits, splitting, seed=seed)
    people = len(set(collection.labels()))
    # Under another name, since Snakemake removes what a failed rule promised to write.
    failed = outputs.rejected.with_name(f"{outputs.rejected.name}.failed")
    if people < least_people:
        write_rejected(collection.rejected, failed)
        raise InputError(
            f"{place}: {people} people with at least {limits.minimum_images} usable "
            f"pictures ({limits.section}.minimum_images); at least {least_people} are needed"
            f"{collection.commonest_reason()}; {failed} has the reason of each"
        )
    failed.unlink(missing_ok=True)
    written = outputs.write(
        _rows(collection.pictures, splits, scratch),
        count=len(collection.pictures),
        size=scratch.size,
        rejected=collection.rejected,
    )
    print(
        f"{place}: {written['people']} people, {written['pictures']} pictures, of which "
        f"{written['aligned_by_crop']} are aligned by the crop alone; {len(collection.rejected)} "
        f"not used ({outputs.rejected} says why)",
        file=sys.stderr,
    )
    return {**written, "rejected": len(collection.rejected), "near_duplicates": near_duplicates}


def _rows(
    pictures: Sequence[Picture], splits: np.ndarray, scratch: Scratch
) -> Iterator[tuple[np.ndarray, tuple[object, ...]]]:
    """Pixels and row of the manifest of every picture."""
    for one, name in zip(pictures, splits, strict=True):
        yield scratch.image(one.row), (
            one.image_id, one.identity, name, one.source, one.sha256, one.width, one.height,
            *one.eyes, one.aligned_by,
        )  # fmt: skip


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
        reason = limits.too_few(f"{len(kept)} usable picture(s)")
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

    def __init__(self, scratch: Scratch, reading: Reading) -> None:
        self._scratch = scratch
        self._model = reading.detector
        self._size = reading.size
        self._maximum_pixels = reading.maximum_pixels
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
