"""Published collections in which a picture's path says who is shown."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glassguard.datasets.archives import open_files
from glassguard.datasets.folders import printable
from glassguard.datasets.pictures import FoundFiles, GivenPeople, GivenPicture, PictureFile
from glassguard.errors import InputError
from glassguard.faces.decoding import SUFFIXES
from glassguard.faces.rectangles import Rectangle


@contextmanager
def open_people(
    root: Path,
    *,
    scratch: Path,
    layout: str,
    path_of: re.Pattern[str],
    rectangle: Rectangle | None = None,
) -> Iterator[GivenPeople]:
    """The people of a collection, readable while the context is open.

    Args:
        root: ``data.root``, a folder or archive.
        scratch: folder for a nameless temporary file.
        layout: an example of a picture's path, for messages.
        path_of: finds the end of a picture's path; its first group is the person.
        rectangle: of the face in every picture; None where the face fills the picture.

    Raises:
        InputError: the root is missing or damaged, or holds no such picture, or two variants of
            the collection.
    """
    with open_files(root, key="data.root", scratch=scratch) as found:
        people = {path: match[1] for path in found.files if (match := path_of.search(path))}
        pictures, given = find_pictures(
            found, root, layout, lambda path: _last_two(path) if path in people else None
        )
        for path, file in pictures.values():
            picture = GivenPicture(printable(path), file, rectangle)
            given.people.setdefault(printable(people[path]), []).append(picture)
        yield given


def find_pictures(
    found: FoundFiles, root: Path, layout: str, name_of: Callable[[str], str | None]
) -> tuple[dict[str, tuple[str, PictureFile]], GivenPeople]:
    """The pictures of a collection.

    Args:
        found: the files.
        root: where they were found, for messages.
        layout: an example of a path, for messages.
        name_of: name that a picture has in every variant of the collection, by its path; None for
            a path outside the layout.

    Returns:
        Path and file by name, and an object for the people with what is rejected.

    Raises:
        InputError: no file is in the layout, or two have one name: two variants of a collection
            would be duplicates of each other.
    """
    pictures: dict[str, tuple[str, PictureFile]] = {}
    given = GivenPeople(rejected=list(found.rejected))
    for path, file in found.files.items():
        name = name_of(path)
        if name is None:
            # Lists and texts go unmentioned.
            if os.path.splitext(path)[1].lower() in SUFFIXES:  # noqa: PTH122 - may be in an archive
                reason = f"not in the published layout, {layout}"
                given.rejected.append((printable(path), reason))
            continue
        if name in pictures:
            raise InputError(
                f"data.root: {root}: holds {pictures[name][0]} and {path}; give the folder of one "
                "variant"
            )
        pictures[name] = path, file
    if not pictures:
        raise InputError(f"data.root: {root}: no pictures in the published layout, {layout}")
    return pictures, given


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])
