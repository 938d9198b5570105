"""Aligned faces and their tables: what the stages ``data`` and ``pool`` have in common."""

import multiprocessing
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pandas as pd

from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.decoding import PictureError, decode, maximum_bytes
from glassguard.faces.detection import LandmarkDetector, align
from glassguard.faces.embedded import render_person
from glassguard.faces.folder import find_pictures, printable, same_person_key
from glassguard.faces.manifest import COLUMNS, REJECTED_COLUMNS, SPLITS
from glassguard.faces.splits import split_by_person
from glassguard.progress import track
from glassguard.stages.files import write_csv

WORKERS = 2
"""Pictures worked on at a time. The results do not depend on it."""

_DRAWN_IN_ONE_PROCESS = 500
"""Pictures up to which starting more processes takes longer than it saves."""


@dataclass(frozen=True)
class FolderLimits:
    """How much of a folder is used.

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
    """An aligned picture of a folder; its pixels lie in :class:`Scratch`, at ``row``."""

    image_id: str
    identity: str
    source: str
    sha256: str
    width: int
    height: int
    eyes: np.ndarray
    aligned_by: str
    hash: np.uint64
    row: int


class Scratch:
    """Aligned pictures on disk while it is not known yet which of them are kept.

    Args:
        folder: where the nameless file is made: beside the output, where there is room.
        size: side of the pictures.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._size = size
        self._rows = 0

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, image: np.ndarray) -> int:
        """Keep a picture; returns its row."""
        self._file.write(np.ascontiguousarray(image).tobytes())
        self._rows += 1
        return self._rows - 1

    def image(self, row: int) -> np.ndarray:
        """The picture of a row, uint8 size×size×3."""
        length = self._size * self._size * 3
        self._file.seek(row * length)
        pixels = np.frombuffer(self._file.read(length), dtype=np.uint8)
        self._file.seek(0, 2)
        return pixels.reshape(self._size, self._size, 3)


@dataclass
class Collection:
    """Pictures that may be used, and (source, reason) of those that may not."""

    pictures: list[Picture] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

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


def collect(
    root: Path,
    *,
    key: str,
    limits: FolderLimits,
    detector: bytes | None,
    size: int,
    seed: int,
    scratch: Scratch,
    excluded: Set[str],
) -> Collection:
    """Decode and align the pictures of a folder of people.

    People are taken in the order of how many files they have, then by name, until enough have
    the least number of usable pictures. Where a person has more pictures than wanted, a seeded
    choice is read.

    Args:
        root: folder with one sub-folder per person.
        key: the configuration's key that names it.
        limits: how much of it is used.
        detector: content of the YuNet model, or None to align by the crop.
        size: side of an aligned picture.
        seed: of the choice of pictures.
        scratch: where the aligned pictures are put.
        excluded: people of the study who are passed over, as ``same_person_key`` writes them.

    Raises:
        InputError: the folder is missing or empty.
    """
    cv2.setNumThreads(1)  # the workers share the cores already
    found = find_pictures(root, key=key)
    collection = Collection(rejected=list(found.rejected))
    reader = _Reader(root.resolve(), detector, size, limits.maximum_pixels)
    ranked = sorted(found.people, key=lambda name: (-len(found.people[name]), name))
    taken = 0
    with ThreadPoolExecutor(WORKERS) as workers:
        for name in track(ranked, description=f"aligning the pictures of {key}"):
            files = found.people[name]
            if same_person_key(name) in excluded:
                reader.refuse(files, "person is in the study", collection)
            elif limits.identities is not None and taken >= limits.identities:
                reason = f"person beyond {limits.section}.identities={limits.identities}"
                reader.refuse(files, reason, collection)
            else:
                taken += _collect_person(
                    name, files, reader, workers, limits, seed, scratch, collection
                )
    collection.pictures.sort(key=lambda picture: (picture.identity, picture.image_id))
    return collection


def reject_shared(collection: Collection, scratch: Scratch, distance: int) -> None:
    """Reject photographs that are filed under two people: exact copies and look-alikes."""
    pictures = collection.pictures
    copies = duplicates.copies_under_several_names(
        [picture.sha256 for picture in pictures], collection.labels()
    )
    reasons = {at: f"the same file under {' and '.join(names)}" for at, names in copies.items()}
    hashes = collection.hashes()
    for one, other in duplicates.near_pairs(hashes, hashes, distance):
        first, second = pictures[one], pictures[other]
        if first.identity == second.identity or one in reasons:
            continue
        if duplicates.same_photograph(scratch.image(first.row), scratch.image(second.row)):
            reasons[int(one)] = f"the same photograph as {second.source}, of another person"
    collection.reject(reasons)


def group_and_split(
    collection: Collection,
    *,
    distance: int,
    limits: FolderLimits,
    fractions: Mapping[str, float],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Group near-duplicates, leave out people with too few pictures, and split the others.

    Returns:
        Group (int64 N) and name of the split (N) of each picture that is left.
    """
    groups = duplicates.group_near_duplicates(collection.hashes(), collection.labels(), distance)
    reasons = {}
    labels = np.array(collection.labels(), dtype=str)
    wanted = limits.minimum_images
    if limits.images_per_identity is not None:
        wanted = min(wanted, limits.images_per_identity)
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        distinct = len(np.unique(groups[rows]))
        if len(rows) < wanted:
            reason = _too_few(len(rows), limits)
        elif distinct <= len(fractions):
            reason = f"person has {distinct} distinct picture(s), too few for separate splits"
        else:
            continue
        reasons.update({int(row): reason for row in rows})
    kept = np.array([at not in reasons for at in range(len(labels))], dtype=bool)
    collection.reject(reasons)
    splits = split_by_person(labels[kept], groups[kept], fractions=fractions, seed=seed)
    return groups[kept], splits


def write_pictures(
    collection: Collection, scratch: Scratch, splits: np.ndarray, images: Path, manifest: Path
) -> pd.DataFrame:
    """Write the pictures of a folder and their manifest; returns the manifest."""
    size = scratch.image(0).shape[0] if collection.pictures else 0
    shape = (len(collection.pictures), size, size, 3)
    array = np.lib.format.open_memmap(images, mode="w+", dtype=np.uint8, shape=shape)
    rows = []
    for at, (picture, split) in enumerate(zip(collection.pictures, splits, strict=True)):
        array[at] = scratch.image(picture.row)
        rows.append(
            (picture.image_id, picture.identity, split, picture.source, picture.sha256,
             picture.width, picture.height, *picture.eyes.ravel(), picture.aligned_by)
        )  # fmt: skip
    array.flush()
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    write_csv(frame, manifest)
    return frame


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
    """
    count = len(people) * images_per_identity
    array = np.lib.format.open_memmap(
        images, mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
    )
    labels = np.repeat(list(people), images_per_identity)
    splits = split_by_person(labels, np.arange(count), fractions=fractions, seed=seed)
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
    files: Sequence[Path],
    reader: "_Reader",
    workers: ThreadPoolExecutor,
    limits: FolderLimits,
    seed: int,
    scratch: Scratch,
    collection: Collection,
) -> bool:
    """Add a person's pictures to the collection; False when there are too few of them."""
    limit = limits.images_per_identity
    order = list(range(len(files)))
    if limit is not None and len(files) > limit:
        generator = np.random.default_rng([seed, *name.encode()])
        order = [int(at) for at in generator.permutation(len(files))]
    wanted = len(files) if limit is None else max(limit, limits.minimum_images)
    kept: list[Picture] = []
    seen: dict[str, str] = {}
    while order and len(kept) < wanted:
        step = min(wanted - len(kept), 64)
        batch, order = order[:step], order[step:]
        results = workers.map(reader.read, [files[at] for at in batch])
        for at, result in zip(batch, results, strict=True):
            source = reader.source(files[at])
            if isinstance(result, str):
                collection.rejected.append((source, result))
                continue
            if result.sha256 in seen:
                reason = f"the same file as {seen[result.sha256]}"
                collection.rejected.append((source, reason))
                continue
            seen[result.sha256] = source
            picture = Picture(
                f"{name}_{at:04d}", name, source, result.sha256, result.width, result.height,
                result.eyes, result.aligned_by, result.hash, scratch.append(result.image),
            )  # fmt: skip
            kept.append(picture)
    if len(kept) < limits.minimum_images:
        reason = _too_few(len(kept), limits)
        collection.rejected += [(picture.source, reason) for picture in kept]
        return False
    beyond = f"beyond {limits.section}.images_per_identity={limit}"
    collection.rejected += [(picture.source, beyond) for picture in kept[limit:]] if limit else []
    reader.refuse([files[at] for at in order], beyond, collection)
    collection.pictures += kept[:limit]
    return True


def _too_few(count: int, limits: FolderLimits) -> str:
    return (
        f"person has {count} usable picture(s), fewer than "
        f"{limits.section}.minimum_images={limits.minimum_images}"
    )


@dataclass(frozen=True)
class _Read:
    image: np.ndarray
    eyes: np.ndarray
    aligned_by: str
    width: int
    height: int
    sha256: str
    hash: np.uint64


class _Reader:
    """Reads, decodes and aligns one file at a time, on any thread."""

    def __init__(self, root: Path, detector: bytes | None, size: int, maximum_pixels: int) -> None:
        self._root = root
        self._model = detector
        self._size = size
        self._maximum_pixels = maximum_pixels
        self._of_thread = threading.local()

    def source(self, path: Path) -> str:
        """Path below the root, as it is written into tables."""
        return printable(path.relative_to(self._root).as_posix())

    def refuse(self, files: Sequence[Path], reason: str, collection: Collection) -> None:
        """Reject files without reading them."""
        collection.rejected += [(self.source(path), reason) for path in files]

    def read(self, path: Path) -> _Read | str:
        """The aligned picture, or the reason why there is none."""
        try:
            if path.stat().st_size > maximum_bytes(self._maximum_pixels):
                return f"file too large for a picture of {self._maximum_pixels} pixels"
            content = path.read_bytes()
            picture = decode(content, maximum_pixels=self._maximum_pixels)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except PictureError as rejected:
            return str(rejected)
        face = align(picture, self._detector(), size=self._size)
        height, width = picture.shape[:2]
        return _Read(
            face.image,
            face.eyes,
            face.aligned_by,
            width,
            height,
            duplicates.digest(content),
            duplicates.perceptual_hash(face.image),
        )

    def _detector(self) -> LandmarkDetector | None:
        if self._model is None:
            return None
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = LandmarkDetector(self._model)
        return self._of_thread.detector
