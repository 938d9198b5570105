"""Settings of where pictures come from, and of files that are downloaded."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from glassguard.settings import GivenPath, PositiveFraction, SetName, Strict


class DataCommon(Strict):
    """What every source of pictures has."""

    image_size: int = Field(
        ge=32, le=512, multiple_of=32, description="side of an aligned face, pixels"
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

    @model_validator(mode="after")
    def _leaves_training_pictures(self) -> "DataCommon":
        if self.validation_fraction + self.test_fraction > 0.8:
            raise ValueError(
                "validation_fraction + test_fraction must leave at least 0.2 for training"
            )
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> "DataCommon":
        if self.fold is not None:
            folds = round(1 / self.test_fraction)
            if abs(folds * self.test_fraction - 1) > 1e-6:
                raise ValueError(
                    f"fold: test_fraction must be one part of a whole number, such as 0.2 (5 "
                    f"folds), and is {self.test_fraction:g}"
                )
            if self.fold >= folds:
                raise ValueError(
                    f"fold: {self.fold} is none of the {folds} folds of test_fraction="
                    f"{self.test_fraction:g}; allowed are 0 to {folds - 1} and null"
                )
        return self


class EmbeddedData(DataCommon):
    """Procedurally drawn faces: no download, not real people."""

    source: Literal["embedded"]
    identities: int = Field(ge=4, le=1000)
    images_per_identity: int = Field(ge=8, le=10000)


class PhotographData(DataCommon):
    """What every source of photographs has."""

    source: str
    detector: GivenPath | None = Field(
        description="YuNet ONNX file, or the name of a download; without it faces are aligned by "
        "the crop"
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


class FolderData(PhotographData):
    """A folder of photographs with one sub-folder per person."""

    source: Literal["folder"]
    root: GivenPath | None = Field(description="folder with one sub-folder per person; required")


class LfwPictures(PhotographData):
    """Labeled Faces in the Wild (Huang et al. 2007), as it is read."""

    source: Literal["lfw"]
    root: GivenPath | None = Field(description="folder or archive of LFW; downloaded when null")


class LfwFetch(Strict):
    """How LFW is downloaded, as scikit-learn has it."""

    data_home: GivenPath | None = Field(description="scikit-learn's data folder; its own when null")
    funneled: bool = Field(description="the variant of which in-plane rotation is removed")


class LfwData(LfwPictures):
    """Labeled Faces in the Wild."""

    fetch: LfwFetch


class PubfigPictures(PhotographData):
    """PubFig (Kumar et al. 2009), as it is read."""

    source: Literal["pubfig"]


class PubfigFetch(Strict):
    """How PubFig's photographs are downloaded from where they were found in 2010."""

    list_file: GivenPath | None = Field(description="dev_urls.txt; downloaded when null")
    list_address: str = Field(pattern=r"^https?://.+")
    list_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        description="of the list, given or downloaded; any list is taken when null"
    )
    downloads: GivenPath | None = Field(
        description="folder of photographs that experiments share; one of the experiment when null"
    )
    hosts: int = Field(ge=1, le=256, description="servers asked at a time, each for one file")
    pause: float = Field(ge=0, description="seconds between two requests to a server")
    attempts: int = Field(ge=1, le=20, description="tries for passing failures")
    silence: float = Field(gt=0, description="seconds without a byte: the connection is broken")
    deadline: float = Field(gt=0, description="seconds that one try may take")
    maximum_bytes: int = Field(ge=1, description="longer files are refused")
    give_up: int = Field(
        ge=1, description="failures in a row after which a server is not asked any more"
    )


class PubfigData(PubfigPictures):
    """PubFig."""

    fetch: PubfigFetch


class Pubfig83Data(PhotographData):
    """PubFig83 (Pinto et al. 2011)."""

    source: Literal["pubfig83"]
    root: GivenPath | None = Field(description="folder or archive of PubFig83; required")


class CelebaData(PhotographData):
    """CelebA (Liu et al. 2015), aligned and cropped pictures."""

    source: Literal["celeba"]
    root: GivenPath | None = Field(description="img_align_celeba, folder or archive; required")
    people_file: GivenPath | None = Field(
        description="identity_CelebA.txt; looked for in and beside root when null"
    )
    landmarks_file: GivenPath | None = Field(
        description="list_landmarks_align_celeba.txt; looked for in and beside root when null"
    )


Data = EmbeddedData | FolderData | LfwData | PubfigData | Pubfig83Data | CelebaData
"""Where the study's faces come from, told apart by ``source``."""


class PublishedFile(Strict):
    """A file to download, as whoever downloads it has to know it."""

    file: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name in the folder of downloads"
    )
    url: str = Field(pattern=r"^https?://\S+$")
    sha256: str | None = Field(
        pattern=r"^[0-9a-f]{8,64}$",
        description="digest of the file, or its first characters as far as published; when null, "
        "that of the first download is kept beside it and every later download must have the same",
    )
    maximum_bytes: int = Field(ge=1, description="longer files are refused")


class Download(PublishedFile):
    """A published file that a study may use."""

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
