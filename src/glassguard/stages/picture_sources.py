"""Where photographs come from: each source names people, their files, and where the faces are."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from glassguard.datasets.settings import (
    CelebaData,
    FolderData,
    LfwPictures,
    PhotographData,
    Pubfig83Data,
    PubfigPictures,
)
from glassguard.errors import InputError
from glassguard.faces import published
from glassguard.faces.alignment import Rectangle
from glassguard.faces.decoding import SUFFIXES, PictureError
from glassguard.faces.folder import find_pictures, printable
from glassguard.files.formats import read_table, require_columns
from glassguard.stages.picture_files import (
    FileOnDisk,
    FoundFiles,
    GivenPeople,
    GivenPicture,
    PictureFile,
    open_files,
)

LISTING_COLUMNS = ("identity", "source", "path", "left", "top", "right", "bottom")
"""A row of a listing is a picture that a fetching stage put on disk: its person, its name in
tables, its file, and the rectangle of the face in pixels of the stored picture (see
:data:`glassguard.faces.alignment.Rectangle`)."""

_CELEBA_LISTS = {
    "people_file": "identity_CelebA.txt",
    "landmarks_file": "list_landmarks_align_celeba.txt",
}
_LONGEST_LIST = 64 * 2**20
"""Bytes; CelebA's longest list has 11 million."""


@contextmanager
def open_people(
    data: PhotographData, *, listing: Path | None, scratch: Path
) -> Iterator[GivenPeople]:
    """The people of a source and their pictures, to be read while the context is open.

    Args:
        data: the section ``data``.
        listing: what a fetching stage made (:data:`LISTING_COLUMNS`); needed where the source has
            to be downloaded.
        scratch: folder for a nameless temporary file, used for TAR archives.

    Raises:
        InputError: the source is missing, damaged, or not in its published layout.
    """
    if isinstance(data, FolderData):
        yield people_of_folder(_root(data.root), key="data.root")
    elif isinstance(data, PubfigPictures) or (isinstance(data, LfwPictures) and data.root is None):
        if listing is None:
            raise InputError(f"data.source={data.source}: needs --listing, or data.root")
        yield _people_of_listing(listing)
    elif isinstance(data, LfwPictures | Pubfig83Data | CelebaData):
        root = _root(data.root)
        with open_files(root, key="data.root", scratch=scratch) as found:
            match data:
                case LfwPictures():
                    person_of, layout = published.lfw_person, "lfw/NAME/NAME_0001.jpg"
                    yield _people_by_name(found, root, person_of, layout, published.LFW_FACE)
                case Pubfig83Data():
                    person_of, layout = published.pubfig83_person, "pubfig83/NAME/1.jpg"
                    yield _people_by_name(found, root, person_of, layout, None)
                case CelebaData():
                    yield _people_of_celeba(found, data, root)
    else:
        raise TypeError(f"{type(data).__name__} is no source of photographs")


def people_of_folder(root: Path, *, key: str) -> GivenPeople:
    """A folder with one sub-folder per person.

    Args:
        root: the folder.
        key: the configuration's key that names it, for messages.

    Raises:
        InputError: the folder is missing or empty.
    """
    found = find_pictures(root, key=key)
    base = root.resolve()

    def given(path: Path) -> GivenPicture:
        return GivenPicture(printable(path.relative_to(base).as_posix()), FileOnDisk(path))

    people = {name: [given(path) for path in files] for name, files in found.people.items()}
    return GivenPeople(people, list(found.rejected))


def write_listing(pictures: list[tuple[str, str, Path, Rectangle]], path: Path) -> None:
    """Write a listing: person, name in tables, file and rectangle of every picture."""
    rows = [(person, source, str(file), *edges) for person, source, file, edges in pictures]
    frame = pd.DataFrame(rows, columns=list(LISTING_COLUMNS))
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _people_of_listing(listing: Path) -> GivenPeople:
    frame = read_table(listing)
    require_columns(frame, LISTING_COLUMNS, listing)
    people: dict[str, list[GivenPicture]] = defaultdict(list)
    columns = [frame[name].tolist() for name in LISTING_COLUMNS]
    for person, source, path, left, top, right, bottom in zip(*columns, strict=True):
        picture = GivenPicture(source, FileOnDisk(Path(path)), (left, top, right, bottom))
        people[person].append(picture)
    return GivenPeople(dict(people))


def _people_by_name(
    found: FoundFiles,
    root: Path,
    person_of: Callable[[str], str | None],
    layout: str,
    rectangle: Rectangle | None,
) -> GivenPeople:
    """People of a collection in which paths say who is shown, at any depth."""
    given = GivenPeople(rejected=list(found.rejected))
    places: dict[str, str] = {}
    for path, file in found.files.items():
        person = person_of(path)
        if person is None:
            _refuse_picture(path, layout, given)
            continue
        _refuse_second_copy("/".join(path.split("/")[-2:]), path, places, root)
        picture = GivenPicture(printable(path), file, rectangle)
        given.people.setdefault(printable(person), []).append(picture)
    return _not_empty(given, root, layout)


def _people_of_celeba(found: FoundFiles, data: CelebaData, root: Path) -> GivenPeople:
    layout = "img_align_celeba/000001.jpg"
    given = GivenPeople(rejected=list(found.rejected))
    pictures: dict[str, tuple[str, PictureFile]] = {}
    places: dict[str, str] = {}
    for path, file in found.files.items():
        name = published.celeba_file(path)
        if name is None:
            _refuse_picture(path, layout, given)
            continue
        name = name.replace(".png", ".jpg")
        _refuse_second_copy(name, path, places, root)
        pictures[name] = path, file
    text = _list_of_celeba("people_file", data.people_file, found, root)
    if text is None:
        raise InputError(
            f"data.people_file: {root}: there is no {_CELEBA_LISTS['people_file']} in it or beside "
            "it; give its path"
        )
    people = _parsed(published.celeba_people, *text, "data.people_file")
    for name, (path, _) in pictures.items():
        if name not in people:
            given.rejected.append((printable(path), "not in the list of people"))
    listed = {name: people[name] for name in pictures if name in people}
    landmarks = _landmarks_of_celeba(found, data, root, listed)
    for name, person in listed.items():
        path, file = pictures[name]
        picture = GivenPicture(printable(path), file, published.CELEBA_FACE, landmarks.get(name))
        given.people.setdefault(person, []).append(picture)
    return _not_empty(given, root, layout)


def _landmarks_of_celeba(
    found: FoundFiles, data: CelebaData, root: Path, listed: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Landmarks of everybody of whom there may be enough pictures; empty where none are given."""
    text = _list_of_celeba("landmarks_file", data.landmarks_file, found, root)
    if text is None:
        return {}
    return _parsed(
        lambda content: published.celeba_landmarks(content, listed), *text, "data.landmarks_file"
    )


def _list_of_celeba(
    key: str, given: Path | None, found: FoundFiles, root: Path
) -> tuple[str, str] | None:
    """A list by its path, else inside of the pictures' folder or archive, else beside it.

    Returns:
        Its text, and where it was found.
    """
    name = _CELEBA_LISTS[key]
    beside = [root.parent / name, root.parent / "Anno" / name, root.parent.parent / "Anno" / name]
    places: list[tuple[PictureFile, str]]
    if given is not None:
        places = [(FileOnDisk(given), str(given))]
    else:
        places = [
            (file, f"{root}: {printable(path)}")
            for path, file in found.files.items()
            if path.split("/")[-1] == name
        ]
        places += [(FileOnDisk(path), str(path)) for path in beside if path.is_file()]
    if not places:
        return None
    file, place = places[0]
    try:
        return file.read(_LONGEST_LIST).decode("utf-8", "replace"), place
    except (OSError, PictureError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"data.{key}: {place}: cannot be read: {reason}") from None


def _parsed(parse: Callable[[str], dict], text: str, place: str, key: str) -> dict:
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"{key}: {place}: {error}") from None


def _refuse_picture(path: str, layout: str, given: GivenPeople) -> None:
    """Put on record a picture that is not where the layout has pictures; lists are no pictures."""
    if os.path.splitext(path)[1].lower() in SUFFIXES:  # noqa: PTH122 - a path inside of an archive
        given.rejected.append((printable(path), f"not in the published layout, {layout}"))


def _refuse_second_copy(name: str, path: str, places: dict[str, str], root: Path) -> None:
    """Several variants of a collection lie side by side: each would be the other's duplicate."""
    if name in places:
        raise InputError(
            f"data.root: {root}: holds {places[name]} and {path}; give the folder of one variant"
        )
    places[name] = path


def _not_empty(given: GivenPeople, root: Path, layout: str) -> GivenPeople:
    if not given.people:
        raise InputError(f"data.root: {root}: no pictures in the published layout, {layout}")
    return given


def _root(root: Path | None) -> Path:
    if root is None:
        raise InputError("data.root is required: a folder with one sub-folder per person")
    return root
