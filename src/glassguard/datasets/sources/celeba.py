"""CelebA (Liu et al. 2015): aligned and cropped pictures, and lists of people and landmarks."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from pydantic import Field

from glassguard.datasets.archives import open_files
from glassguard.datasets.folders import printable
from glassguard.datasets.layouts import find_pictures
from glassguard.datasets.pictures import (
    FileOnDisk,
    FoundFiles,
    GivenPeople,
    GivenPicture,
    PictureFile,
)
from glassguard.datasets.settings import PhotographData, RequiredRoot
from glassguard.errors import InputError
from glassguard.faces.decoding import PictureError
from glassguard.faces.rectangles import Rectangle
from glassguard.settings import GivenPath

FACE: Rectangle = (26, 57, 158, 189)
"""Where a face lies in the 178×218 pixels of ``img_align_celeba``, which were aligned with the eyes
at about (69, 111) and (108, 111). In this square they lie at
:data:`glassguard.faces.alignment.CROP_EYES`."""

_LISTS = {
    "people_file": "identity_CelebA.txt",
    "landmarks_file": "list_landmarks_align_celeba.txt",
}
_LONGEST_LIST = 64 * 2**20
"""Bytes; the longest list has 11 million."""

_PATH = re.compile(r"(?:^|/)(\d{6}\.(?:jpg|png))$")
_MALFORMED = "line {}: {!r} is not {}"


class Pictures(PhotographData):
    """CelebA, aligned and cropped pictures."""

    source: Literal["celeba"]
    root: RequiredRoot = Field(description="img_align_celeba, folder or archive; required")
    people_file: GivenPath | None = Field(
        description="identity_CelebA.txt; looked for in and beside root when null"
    )
    landmarks_file: GivenPath | None = Field(
        description="list_landmarks_align_celeba.txt; looked for in and beside root when null"
    )

    @contextmanager
    def open_people(self, *, listing: Path | None, scratch: Path) -> Iterator[GivenPeople]:
        """See :meth:`PhotographData.open_people`."""
        with open_files(self.root, key="data.root", scratch=scratch) as found:
            pictures, given = find_pictures(
                found, self.root, "img_align_celeba/000001.jpg", listed_name
            )
            people = self._people(found)
            for name, (path, _) in pictures.items():
                if name not in people:
                    given.rejected.append((printable(path), "not in the list of people"))
            listed = {name: people[name] for name in pictures if name in people}
            landmarks = self._landmarks(found, listed)
            for name, person in listed.items():
                path, file = pictures[name]
                picture = GivenPicture(printable(path), file, FACE, landmarks.get(name))
                given.people.setdefault(person, []).append(picture)
            if not given.people:
                raise InputError(
                    f"data.root: {self.root}: no pictures in the published layout, "
                    "img_align_celeba/000001.jpg"
                )
            yield given

    def _people(self, found: FoundFiles) -> dict[str, str]:
        text = self._list("people_file", self.people_file, found)
        if text is None:
            raise InputError(
                f"data.people_file: {self.root}: there is no {_LISTS['people_file']} in it or "
                "beside it; give its path"
            )
        return _parsed(people_of, *text, "data.people_file")

    def _landmarks(self, found: FoundFiles, listed: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Landmarks of the listed pictures; empty where there is no list of them."""
        text = self._list("landmarks_file", self.landmarks_file, found)
        if text is None:
            return {}
        return _parsed(lambda content: landmarks_of(content, listed), *text, "data.landmarks_file")

    def _list(self, key: str, given: Path | None, found: FoundFiles) -> tuple[str, str] | None:
        """Text of a list and where it was found: as given, among the pictures, or beside them."""
        name, above = _LISTS[key], self.root.parent
        beside = [above / name, above / "Anno" / name, above.parent / "Anno" / name]
        places: list[tuple[PictureFile, str]]
        if given is not None:
            places = [(FileOnDisk(given), str(given))]
        else:
            places = [
                (file, f"{self.root}: {printable(path)}")
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


def listed_name(path: str) -> str | None:
    """Name of a picture in CelebA's lists, six digits and ``.jpg``; None for another path."""
    found = _PATH.search(path)
    return found and found[1].replace(".png", ".jpg")


def people_of(text: str) -> dict[str, str]:
    """Read ``identity_CelebA.txt``: lines of ``<file> <number of the person>``.

    Returns:
        The person of each file, as ``celeba_<five digits>``; the people have no names.

    Raises:
        ValueError: a line is something else, or a file is listed twice.
    """
    people: dict[str, str] = {}
    for number, line in _lines(text):
        values = line.split()
        if len(values) != 2 or not values[1].isdecimal():
            raise ValueError(_MALFORMED.format(number, line[:60], "a file and a number"))
        if values[0] in people:
            raise ValueError(f"line {number}: {values[0]!r} is listed twice")
        people[values[0].replace(".png", ".jpg")] = f"celeba_{int(values[1]):05d}"
    if not people:
        raise ValueError("no line of a file and a number")
    return people


def landmarks_of(text: str, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Read ``list_landmarks_align_celeba.txt``: a count, a header, then a file and ten integers.

    Args:
        text: the file.
        wanted: names of files; other lines are skipped, since all of them take much memory.

    Returns:
        int32 5×2 by file, in the order of :data:`glassguard.faces.alignment.COMMON_POSE`; in
        CelebA, left means the left of the picture.

    Raises:
        ValueError: the header is missing, or a line is something else.
    """
    names = set(wanted)
    lines = _lines(text)
    _, count = next(lines, (1, ""))
    _, header = next(lines, (2, ""))
    if not count.strip().isdecimal() or header.split()[:2] != ["lefteye_x", "lefteye_y"]:
        raise ValueError("does not start with a count and the names of ten columns")
    landmarks = {}
    for number, line in lines:
        file, *values = line.split()
        file = file.replace(".png", ".jpg")
        if file not in names:
            continue
        if len(values) != 10 or not all(re.fullmatch(r"-?\d{1,5}", value) for value in values):
            raise ValueError(_MALFORMED.format(number, line[:60], "a file and ten integers"))
        landmarks[file] = np.array(values, dtype=np.int32).reshape(5, 2)
    return landmarks


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line
