"""Labeled Faces in the Wild (Huang et al. 2007), from a copy or scikit-learn's address."""

import re
import shutil
import sys
import tarfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from glassguard.datasets import layouts, settings
from glassguard.datasets.downloads import DownloadError, alone_in, digest_of, download
from glassguard.datasets.folders import find_files
from glassguard.datasets.pictures import GivenPeople
from glassguard.datasets.settings import Metrics, PhotographData
from glassguard.errors import InputError
from glassguard.faces.rectangles import Rectangle
from glassguard.settings import GivenPath

FACE: Rectangle = (56, 51, 202, 197)
"""Where a face lies in the 250×250 pixels of LFW (Huang et al. 2007, section 3). The pictures were
cut 2.2 times as large as the box of a face detector, in which eyes usually lie at 0.31 and 0.69 of
the width and 0.38 of the height. In this square they lie at
:data:`glassguard.faces.alignment.CROP_EYES`."""

_PATH = re.compile(r"(?:^|/)([^/]+)/\1_\d{4}\.(?i:jpe?g)$")


@dataclass(frozen=True)
class Archive:
    """One variant of LFW, as scikit-learn's fetcher has it; ``folder`` is what it unpacks to."""

    folder: str
    file: str
    url: str
    sha256: str


ORIGINAL = Archive(
    "lfw",
    "lfw.tgz",
    "https://ndownloader.figshare.com/files/5976018",
    "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
)
FUNNELED = Archive(
    "lfw_funneled",
    "lfw-funneled.tgz",
    "https://ndownloader.figshare.com/files/5976015",
    "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
)
LONGEST_ARCHIVE = 400_000_000
"""Bytes; the archives have about 200 million."""


class Fetch(settings.Fetch):
    """Download of LFW as scikit-learn does it."""

    data_home: GivenPath | None = Field(description="scikit-learn's data folder; its own when null")
    funneled: bool = Field(description="the variant of which in-plane rotation is removed")

    def download(self, *, listing: Path, gone: Path) -> Metrics:
        """Download LFW, once for all experiments, and list the pictures.

        Archive and folder are scikit-learn's: what its fetcher has downloaded is used, and it
        finds what is downloaded here. Its own download starts again after an interruption; this
        one continues. Calls with one ``data_home`` take turns. Interrupted unpacking is repeated.

        See :meth:`glassguard.datasets.settings.Fetch.download`.
        """
        from glassguard.datasets.tables import write_listing, write_rejected  # pandas takes long

        wanted = FUNNELED if self.funneled else ORIGINAL
        home = _data_home(self.data_home) / "lfw_home"
        folder = home / wanted.folder
        archive = home / wanted.file
        with alone_in(home):
            # The archive is removed once it is unpacked: as long as it is there, the folder may be
            # incomplete.
            if archive.exists() or not folder.is_dir():
                if archive.exists():
                    _check(archive, wanted)
                else:
                    _download(wanted, archive)
                _unpack(archive, folder)
        files, _ = find_files(folder, key="data.fetch.data_home")
        pictures = [
            (match[1], name, folder / name, FACE) for name in files if (match := _PATH.search(name))
        ]
        if not pictures:
            raise InputError(f"{folder}: no pictures of LFW; delete it and start again")
        write_listing(pictures, listing)
        write_rejected([], gone)
        return {"people": len({person for person, *_ in pictures}), "pictures": len(pictures)}


class Pictures(PhotographData):
    """Labeled Faces in the Wild."""

    source: Literal["lfw"]
    root: GivenPath | None = Field(description="folder or archive of LFW; downloaded when null")
    fetch: Fetch | None = None

    @property
    def needs_fetching(self) -> bool:
        """Whether no copy is given."""
        return self.root is None

    def open_people(
        self, *, listing: Path | None, scratch: Path
    ) -> AbstractContextManager[GivenPeople]:
        """See :meth:`PhotographData.open_people`."""
        if self.root is None:
            return nullcontext(self.people_of(listing))
        return layouts.open_people(
            self.root,
            scratch=scratch,
            layout="lfw/NAME/NAME_0001.jpg",
            path_of=_PATH,
            rectangle=FACE,
        )


def _data_home(given: Path | None) -> Path:
    """scikit-learn's folder of downloads, created if missing."""
    from sklearn import datasets  # takes a second

    try:
        return Path(datasets.get_data_home(given))
    except OSError as error:
        raise InputError(
            f"data.fetch.data_home: {error.filename or given}: cannot be made: {error.strerror}"
        ) from None


def _check(archive: Path, wanted: Archive) -> None:
    """Refuse an archive that is not the published one."""
    try:
        digest = digest_of(archive)
    except OSError as error:
        raise InputError(f"{archive}: cannot be read: {error.strerror}") from None
    if digest != wanted.sha256:
        raise InputError(
            f"{archive}: has the SHA-256 {digest}; allowed is the published archive's, "
            f"{wanted.sha256}: delete it to download that"
        )


def _download(wanted: Archive, archive: Path) -> None:
    try:
        download(wanted.url, archive, sha256=wanted.sha256, maximum_bytes=LONGEST_ARCHIVE)
    except DownloadError as error:
        raise InputError(
            f"data.source=lfw: {error}; the same command goes on with what has arrived; allowed "
            f"is also data.root=FOLDER with a copy of LFW, or {wanted.file} put at {archive}"
        ) from None


def _unpack(archive: Path, folder: Path) -> None:
    """Replace a folder by what an archive holds, and remove the archive."""
    if folder.exists():
        print(f"{folder}: was not unpacked to the end; unpacking it again", file=sys.stderr)
    # Into another folder first, so that a second interruption leaves the same state.
    fresh = folder.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as packed:
            packed.extractall(fresh, filter="data")
        if folder.exists():
            shutil.rmtree(folder)
        (fresh / folder.name).replace(folder)
        shutil.rmtree(fresh)
        archive.unlink()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"{archive}: cannot be unpacked: {' '.join(str(error).split())[:200]}; make room if "
            f"the disk is full, else delete it and {folder} to download it again"
        ) from None
