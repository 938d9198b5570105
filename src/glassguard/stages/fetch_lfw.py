"""Downloads Labeled Faces in the Wild through scikit-learn."""

import shutil
import sys
import tarfile
import zlib
from pathlib import Path

from sklearn import datasets

from glassguard.configuration.slices import FetchLfwSlice
from glassguard.downloads import alone_in
from glassguard.errors import InputError
from glassguard.faces.folder import find_files
from glassguard.faces.published import LFW_FACE, lfw_person
from glassguard.stages.paths import OutputPath
from glassguard.stages.picture_sources import write_listing

FEWEST_ON_ONE_FETCH = 500
"""Only one person has as many pictures: the fetcher also loads the pictures of everybody who has,
and they are of no use here."""


def run(config: FetchLfwSlice, *, listing: OutputPath) -> dict[str, float | int | str]:
    """Let scikit-learn download LFW, once for all experiments, and list the pictures.

    Calls with one ``data_home`` take turns. Unpacking that was interrupted is done again.

    Args:
        config: the slice.
        listing: table to write
            (:data:`glassguard.stages.picture_sources.LISTING_COLUMNS`).

    Returns:
        How many people and pictures there are.

    Raises:
        InputError: LFW cannot be downloaded, or its archive is damaged.
    """
    fetch = config.fetch
    home = Path(datasets.get_data_home(fetch.data_home)) / "lfw_home"
    folder = home / ("lfw_funneled" if fetch.funneled else "lfw")
    archive = home / ("lfw-funneled.tgz" if fetch.funneled else "lfw.tgz")
    with alone_in(home):
        # The archive is removed when all of it is unpacked; nothing else tells a part from the
        # whole.
        if archive.exists() and folder.exists():
            _unpack_again(archive, folder)
        elif not folder.is_dir():
            _download(fetch.data_home, fetch.funneled)
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


def _download(data_home: Path | None, funneled: bool) -> None:
    try:
        datasets.fetch_lfw_people(
            data_home=data_home, funneled=funneled, min_faces_per_person=FEWEST_ON_ONE_FETCH
        )
    except (OSError, EOFError, ValueError) as error:  # no network, another file, a full disk
        raise InputError(
            "data.source=lfw: scikit-learn cannot fetch LFW: "
            f"{' '.join(str(error).split())[:200]}; allowed is data.root=FOLDER with a copy of it"
        ) from None


def _unpack_again(archive: Path, folder: Path) -> None:
    """Replace a folder that holds a part of an archive by all of it, then remove the archive."""
    print(f"{folder}: was not unpacked to the end; unpacking it again", file=sys.stderr)
    # Beside it, so that a second interruption finds the same state again.
    fresh = folder.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as packed:
            packed.extractall(fresh, filter="data")
        shutil.rmtree(folder)
        (fresh / folder.name).replace(folder)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"{archive}: cannot be unpacked: {' '.join(str(error).split())[:200]}; delete it and "
            f"{folder} to download it again"
        ) from None
    shutil.rmtree(fresh)
    archive.unlink()
