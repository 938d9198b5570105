"""Downloads Labeled Faces in the Wild into scikit-learn's folder, from where it has them."""

import hashlib
import shutil
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from sklearn import datasets

from glassguard.configuration.sections import FetchLfwSection
from glassguard.downloads import DownloadError, alone_in, download
from glassguard.errors import InputError
from glassguard.faces.folder import find_files
from glassguard.faces.published import LFW_FACE, lfw_person
from glassguard.stages.paths import OutputPath
from glassguard.stages.picture_sources import write_listing


@dataclass(frozen=True)
class Archive:
    """One variant of LFW, as scikit-learn's fetcher knows it.

    Attributes:
        folder: what it unpacks to.
        file: name of the archive.
        url: its address.
        sha256: its digest.
    """

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


def run(config: FetchLfwSection, *, listing: OutputPath) -> dict[str, float | int | str]:
    """Download LFW, once for all experiments, and list the pictures.

    Archive and folder are scikit-learn's, so what its fetcher has downloaded is used, and it finds
    what is downloaded here. Its own download begins anew after every interruption; this one goes
    on where it stopped. Calls with one ``data_home`` take turns. Unpacking that was interrupted is
    done again.

    Args:
        config: the section.
        listing: table to write
            (:data:`glassguard.stages.picture_sources.LISTING_COLUMNS`).

    Returns:
        How many people and pictures there are.

    Raises:
        InputError: LFW cannot be downloaded or unpacked, or its archive is damaged.
    """
    wanted = FUNNELED if config.fetch.funneled else ORIGINAL
    home = _data_home(config.fetch.data_home) / "lfw_home"
    folder = home / wanted.folder
    archive = home / wanted.file
    with alone_in(home):
        # The archive is removed when all of it is unpacked; nothing else tells a part from the
        # whole.
        if archive.exists() or not folder.is_dir():
            if archive.exists():
                _check(archive, wanted)
            else:
                _download(wanted, archive)
            _unpack(archive, folder)
    files, _ = find_files(folder, key="data.fetch.data_home")
    pictures = [
        (person, name, folder / name, LFW_FACE)
        for name in files
        if (person := lfw_person(name)) is not None
    ]
    if not pictures:
        raise InputError(f"{folder}: no pictures of LFW; delete it and start again")
    write_listing(pictures, listing)
    return {"people": len({person for person, *_ in pictures}), "pictures": len(pictures)}


def _data_home(given: Path | None) -> Path:
    """scikit-learn's folder of downloads, which it makes."""
    try:
        return Path(datasets.get_data_home(given))
    except OSError as error:
        raise InputError(
            f"data.fetch.data_home: {error.filename or given}: cannot be made: {error.strerror}"
        ) from None


def _check(archive: Path, wanted: Archive) -> None:
    """Refuse an archive that somebody put there and that is not the published one."""
    try:
        with archive.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
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
    """Unpack an archive beside a folder, put all of it in the folder's place, and remove it."""
    if folder.exists():
        print(f"{folder}: was not unpacked to the end; unpacking it again", file=sys.stderr)
    # Beside it, so that a second interruption finds the same state again.
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
