"""Layouts of published collections: which file shows whom, and where in the picture the face is."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from glassguard.faces.alignment import Rectangle

LFW_FACE: Rectangle = (56, 51, 202, 197)
"""Where a face lies in the 250×250 pixels of LFW (Huang et al. 2007, section 3): the pictures were
cut 2.2 times as large as the box of a face detector, in which eyes usually lie at 0.31 and 0.69 of
the width and 0.38 of the height. This square has them at
:data:`glassguard.faces.alignment.CROP_EYES`."""

CELEBA_FACE: Rectangle = (26, 57, 158, 189)
"""Likewise in the 178×218 pixels of ``img_align_celeba``, whose eyes were brought to about
(69, 111) and (108, 111)."""

_LFW = re.compile(r"(?:^|/)([^/]+)/\1_\d{4}\.(?i:jpe?g)$")
_PUBFIG83 = re.compile(r"(?:^|/)([^/]+)/\d+\.(?i:jpe?g)$")
_CELEBA = re.compile(r"(?:^|/)(\d{6}\.(?:jpg|png))$")
_MALFORMED = "line {}: {!r} is not {}"


def lfw_person(path: str) -> str | None:
    """Who is shown by ``.../<Name>/<Name>_<four digits>.jpg``; None for another path."""
    found = _LFW.search(path)
    return found and found.group(1)


def pubfig83_person(path: str) -> str | None:
    """Who is shown by ``.../<Person Name>/<number>.jpg``; None for another path."""
    found = _PUBFIG83.search(path)
    return found and found.group(1)


def celeba_file(path: str) -> str | None:
    """The six-digit name by which CelebA's lists know a picture; None for another path."""
    found = _CELEBA.search(path)
    return found and found.group(1)


def celeba_people(text: str) -> dict[str, str]:
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


def celeba_landmarks(text: str, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Read ``list_landmarks_align_celeba.txt``: a count, a header, then a file and ten integers.

    Args:
        text: the file.
        wanted: names of files; other lines are passed over, since all take a lot of memory.

    Returns:
        int32 5×2 by file, in the order of :data:`glassguard.faces.alignment.COMMON_POSE` (CelebA's
        left is the left of the picture).

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
