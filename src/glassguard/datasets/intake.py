"""Photographs to the aligned faces of a study.

The result does not depend on the number of workers, nor on interruptions.
"""

import sys
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

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
from glassguard.datasets.reading import Reader, Reading
from glassguard.datasets.scratch import Scratch
from glassguard.datasets.settings import Metrics
from glassguard.datasets.tables import Outputs, write_rejected
from glassguard.errors import InputError
from glassguard.progress import Progress

WORKERS = 2
"""Pictures worked on at a time."""


@dataclass(frozen=True)
class Intake:
    """How the pictures of a source become those of a study.

    Attributes:
        place: the source and its key in the configuration, for messages.
        limits: how much of the source is used.
        splitting: how its pictures are split.
        reading: how a file becomes an aligned picture.
        scratch: where aligned pictures are kept.
        seed: of the choice of pictures and of the split.
    """

    place: str
    limits: Limits
    splitting: Splitting
    reading: Reading
    scratch: Scratch
    seed: int

    def collect(
        self, given: GivenPeople, *, excluded: Set[str] = frozenset(), substitutes: int = 0
    ) -> Collection:
        """Decode and align the pictures of people.

        People are taken in the order of how many pictures they have, then by name, until enough
        have the least number of usable pictures. Of a person with more pictures than wanted, a
        seeded choice is read.

        Args:
            given: the people of the source.
            excluded: people to pass over since they are in the study, as ``same_person_key``
                writes them.
            substitutes: people to take beyond ``limits.identities``.
        """
        cv2.setNumThreads(1)  # the workers share the cores already
        limits = self.limits
        collection = Collection(rejected=list(given.rejected))
        ranked = sorted(given.people.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        taken = 0
        with (
            ThreadPoolExecutor(WORKERS) as workers,
            Progress(
                description=f"aligning the pictures of {self.place}",
                total=sum(map(len, given.people.values())),
            ) as progress,
        ):
            reader = Reader(self.reading, self.scratch)
            collecting = _Collecting(self, collection, reader, workers, progress)
            for name, pictures in ranked:
                if same_person_key(name) in excluded:
                    reason = "person is in the study"
                elif limits.identities is not None and taken >= limits.identities + substitutes:
                    reason = f"person beyond {limits.section}.identities={limits.identities}"
                elif len(pictures) < limits.minimum_images:
                    reason = limits.too_few(f"{len(pictures)} picture(s)")
                else:
                    taken += collecting.add(name, pictures)
                    continue
                collection.refuse(pictures, reason)
                progress.advance(len(pictures))
        collection.pictures.sort(key=lambda picture: (picture.identity, picture.image_id))
        return collection

    def collect_enough(self, given: GivenPeople) -> Collection:
        """Pictures of as many people as are wanted, as far as the source has them.

        A person may have too few pictures left after copies and pictures under two names are
        dropped, and is replaced by the person with the next most pictures. The pictures of people
        who are left out are still compared with those of others. Nothing is aligned twice.
        """
        wanted, substitutes = self.limits.identities, 0
        while True:
            collection = self.collect(given, substitutes=substitutes)
            read = set(collection.labels())
            reject_shared(collection, self.scratch.image, self.splitting.distance)
            if wanted is None:
                return collection
            reasons = people_left_out(collection, self.limits, self.splitting)
            for name in read.difference(collection.labels()):
                reasons[name] = "every picture is filed under somebody else too"
            if len(reasons) == substitutes or len(read) < wanted + substitutes:
                self._say_who_fell_out(reasons, len(read) - len(reasons))
                return collection
            substitutes = len(reasons)

    def _say_who_fell_out(self, reasons: dict[str, str], left: int) -> None:
        if not reasons:
            return
        who = "; ".join(f"{name} ({why})" for name, why in sorted(reasons.items()))
        wanted = self.limits.identities or 0
        instead = (
            "others took their place"
            if left >= wanted
            else f"nobody is left to take their place: {left} of data.identities={wanted}"
        )
        print(f"{self.place}: left out after reading: {who}; {instead}", file=sys.stderr)

    def split_and_write(
        self, collection: Collection, outputs: Outputs, *, least_people: int
    ) -> Metrics:
        """Split what is left of a source and write it.

        Args:
            collection: the pictures; people with too few are taken out of it.
            outputs: files to write; ``<rejected>.failed`` where too few people are left.
            least_people: fewer people are refused.

        Returns:
            How many people and pictures there are, by split and by kind of alignment.

        Raises:
            InputError: too few people are left.
        """
        limits = self.limits
        splits, near_duplicates = split(collection, limits, self.splitting, seed=self.seed)
        people = len(set(collection.labels()))
        # Under another name, since Snakemake removes what a failed rule promised to write.
        failed = outputs.rejected.with_name(f"{outputs.rejected.name}.failed")
        if people < least_people:
            write_rejected(collection.rejected, failed)
            raise InputError(
                f"{self.place}: {people} people with at least {limits.minimum_images} usable "
                f"pictures ({limits.section}.minimum_images); at least {least_people} are needed"
                f"{collection.commonest_reason()}; {failed} has the reason of each"
            )
        failed.unlink(missing_ok=True)
        written = outputs.write(
            self._rows(collection.pictures, splits),
            count=len(collection.pictures),
            size=self.scratch.size,
            rejected=collection.rejected,
        )
        print(
            f"{self.place}: {written['people']} people, {written['pictures']} pictures, of which "
            f"{written['aligned_by_crop']} are aligned by the crop alone; "
            f"{len(collection.rejected)} not used ({outputs.rejected} says why)",
            file=sys.stderr,
        )
        return {**written, "rejected": len(collection.rejected), "near_duplicates": near_duplicates}

    def _rows(
        self, pictures: Sequence[Picture], splits: np.ndarray
    ) -> Iterator[tuple[np.ndarray, tuple[object, ...]]]:
        """Pixels and row of the manifest of every picture."""
        for one, name in zip(pictures, splits, strict=True):
            yield self.scratch.image(one.row), (
                one.image_id, one.identity, name, one.source, one.sha256, one.width, one.height,
                *one.eyes, one.aligned_by,
            )  # fmt: skip


@dataclass(frozen=True)
class _Collecting:
    """Adds people to a collection, one after the other."""

    intake: Intake
    collection: Collection
    reader: Reader
    workers: ThreadPoolExecutor
    progress: Progress

    def add(self, name: str, pictures: Sequence[GivenPicture]) -> bool:
        """Add a person's pictures; False when too few of them are usable."""
        limits, collection = self.intake.limits, self.collection
        limit = limits.images_per_identity
        order = list(range(len(pictures)))
        if limit is not None and len(pictures) > limit:
            generator = np.random.default_rng([self.intake.seed, *name.encode()])
            order = [int(at) for at in generator.permutation(len(pictures))]
        wanted = len(pictures) if limit is None else max(limit, limits.minimum_images)
        kept: dict[str, Picture] = {}
        while order and len(kept) < wanted:
            step = min(wanted - len(kept), 64)
            batch, order = order[:step], order[step:]
            outcomes = self.workers.map(self.reader.read, [pictures[at] for at in batch])
            for at, outcome in zip(batch, outcomes, strict=True):
                self.progress.advance()
                source = pictures[at].source
                if isinstance(outcome, str):
                    collection.rejected.append((source, outcome))
                elif outcome.sha256 in kept:
                    reason = f"the same file as {kept[outcome.sha256].source}"
                    collection.rejected.append((source, reason))
                else:
                    image_id = f"{name}_{at:04d}"
                    kept[outcome.sha256] = Picture(
                        **vars(outcome), image_id=image_id, identity=name, source=source
                    )
        usable, left = [*kept.values()], [pictures[at] for at in order]
        if len(usable) < limits.minimum_images:
            collection.refuse(usable, limits.too_few(f"{len(usable)} usable picture(s)"))
            self.progress.advance(len(left))
            return False
        wanted = len(usable) if limit is None else limit
        beyond = f"beyond {limits.section}.images_per_identity={limit}"
        collection.refuse([*usable[wanted:], *left], beyond)
        collection.pictures += usable[:wanted]
        collection.spare += usable[wanted:]
        for digest in self.workers.map(self.reader.digest, left):
            self.progress.advance()
            if digest is not None:
                collection.unread.append((digest, name))
        return True
