"""Settings that all sources of pictures share, and those of published files.

Each source is a module of :mod:`glassguard.datasets.sources`, which adds its own.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from glassguard.datasets.pictures import GivenPeople
from glassguard.errors import InputError
from glassguard.settings import Fraction, GivenPath, PositiveFraction, SetName, Strict

Metrics = dict[str, float | int | str]


def _given(root: object) -> object:
    if root is None:
        raise ValueError("is required: the folder or archive of the pictures")
    return root


RequiredRoot = Annotated[GivenPath, BeforeValidator(_given)]
"""``data.root`` of a source that cannot be downloaded."""


PosePoint = tuple[Fraction, Fraction]
FivePoints = tuple[PosePoint, PosePoint, PosePoint, PosePoint, PosePoint]


class Fetch(Strict, ABC):
    """Settings of a source's download, and the download."""

    @abstractmethod
    def download(self, *, listing: Path, gone: Path) -> Metrics:
        """Download the pictures, once for all experiments.

        Args:
            listing: table to write, a row per picture
                (:data:`glassguard.datasets.tables.LISTING_COLUMNS`).
            gone: table to write, a row per picture that is no longer there, with the reason.

        Returns:
            How many people and pictures there are.

        Raises:
            InputError: the pictures cannot be downloaded.
        """


class DataCommon(Strict):
    """Settings of every source of pictures."""

    image_size: int = Field(
        ge=32, le=512, description="side of an aligned face, pixels; a multiple of 32 for VGG-16"
    )
    validation_fraction: PositiveFraction = Field(
        description="share of each person's pictures that choices are made on"
    )
    test_fraction: PositiveFraction = Field(
        description="share of each person's pictures that nothing is chosen on"
    )
    fold: int | None = Field(
        ge=0,
        description="which of the 1/test_fraction test splits that share no picture (cross-"
        "validation); a random test split when null",
    )
    source: str

    @model_validator(mode="after")
    def _splits_exist(self) -> "DataCommon":
        if self.validation_fraction + self.test_fraction > 0.8:
            raise ValueError(
                "validation_fraction + test_fraction must leave at least 0.2 for training"
            )
        if self.fold is None:
            return self
        folds = round(1 / self.test_fraction)
        if abs(folds * self.test_fraction - 1) > 1e-6:
            raise ValueError(
                f"fold: test_fraction must be one part of a whole number, such as 0.2 (5 folds), "
                f"and is {self.test_fraction:g}"
            )
        if self.fold >= folds:
            raise ValueError(
                f"fold: {self.fold} is none of the {folds} folds of test_fraction="
                f"{self.test_fraction:g}; allowed are 0 to {folds - 1} and null"
            )
        return self

    @property
    def needs_fetching(self) -> bool:
        """Whether a job must download the pictures first."""
        return False

    @property
    def fractions(self) -> dict[str, float]:
        """Share of each split; the rest is for training."""
        return {"val": self.validation_fraction, "test": self.test_fraction}

    @property
    def inputs(self) -> dict[str, Path]:
        """Files and folders that the user gave, by their keys."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {f"data.{key}": path for key, path in values.items() if isinstance(path, Path)}


class PhotographData(DataCommon, ABC):
    """Settings of every source of photographs."""

    detector: GivenPath | None = Field(
        description="YuNet ONNX file, or the name of a download; without it faces are aligned by "
        "the crop"
    )
    pose: Literal["close", "arcface"] | FivePoints = Field(
        description="where eyes, nose and mouth are put: arcface, as most published networks "
        "expect it; close, the same with less background; or x and y of the five points, as shares "
        "of the side",
    )
    identities: int | None = Field(
        ge=4, description="keep the people with most pictures; all when null"
    )
    images_per_identity: int | None = Field(
        ge=8, description="at most this many pictures a person; all when null"
    )
    minimum_images: int = Field(ge=5, description="people with fewer usable pictures are left out")
    maximum_pixels: int = Field(
        ge=10_000, description="larger pictures are rejected before decoding"
    )
    duplicate_distance: int = Field(
        ge=0,
        le=16,
        description="Hamming distance of 64-bit perceptual hashes up to which two pictures of a "
        "person are near-duplicates",
    )

    @abstractmethod
    def open_people(
        self, *, listing: Path | None, scratch: Path
    ) -> AbstractContextManager[GivenPeople]:
        """The people and their pictures, readable while the context is open.

        Args:
            listing: what :meth:`Fetch.download` wrote; needed for pictures that are downloaded.
            scratch: folder for a nameless temporary file, into which TAR archives are unpacked.

        Raises:
            InputError: the pictures are missing, damaged, or not in their published layout.
        """

    def people_of(self, listing: Path | None) -> GivenPeople:
        """The people of a listing, for sources whose pictures are downloaded."""
        from glassguard.datasets.tables import people_of_listing  # pandas takes long

        if listing is None:
            raise InputError(f"data.source={self.source}: needs --listing, or data.root")
        return people_of_listing(listing)


class PublishedFile(Strict):
    """A file to download, and what is known about it in advance."""

    file: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name in the folder of downloads"
    )
    url: str = Field(pattern=r"^https?://\S+$", description="where it is published")
    sha256: str | None = Field(
        pattern=r"^[0-9a-f]{8,64}$",
        description="digest of the file, or its first characters as far as published; when null, "
        "the digest of the first download is kept next to it and later downloads must match it",
    )
    maximum_bytes: int = Field(ge=1, description="longer files are refused")


class Download(PublishedFile):
    """A published file that a study can ask for by name."""

    key: Literal["backbone.weights", "data.detector"] = Field(
        description="the key that may ask for it by its name"
    )


def _without_braces(folder: Path) -> Path:
    if set("{}") & set(str(folder)):
        raise ValueError(f"{folder}: holds a brace, which Snakemake takes for a wildcard")
    return folder


class Downloads(Strict):
    """Published files by the name under which other sections may ask for them."""

    folder: Annotated[GivenPath, AfterValidator(_without_braces)] = Field(
        description="where they are kept, for all experiments"
    )
    files: dict[SetName, Download]
