"""The list of PubFig (Kumar et al. 2009): addresses of photographs, and where the face is."""

import re
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import urlsplit

from glassguard.faces.alignment import Rectangle

COLUMNS = ("person", "imagenum", "url", "rect", "md5sum")

_LONGEST_LINE = 4096
_MD5 = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_RECTANGLE = re.compile(r"(-?[0-9]{1,5}),(-?[0-9]{1,5}),(-?[0-9]{1,5}),(-?[0-9]{1,5})")


@dataclass(frozen=True)
class ListedPicture:
    """A row of the list.

    Attributes:
        person: name, as listed.
        number: of the picture among the person's; has holes.
        address: http or https.
        rectangle: of the face in the picture, pixels; may reach out of it.
        md5: of the file's bytes when the list was made, lower case.
    """

    person: str
    number: int
    address: str
    rectangle: Rectangle
    md5: str

    @property
    def source(self) -> str:
        """How tables name the picture."""
        return f"{self.person}/{self.number}"


def parse_list(text: str) -> tuple[list[ListedPicture], list[tuple[str, str]]]:
    """Read ``dev_urls.txt`` or ``eval_urls.txt`` strictly.

    Public copies are cut off or mangled by spreadsheets; a row that is not exactly as published
    is left out. A photograph is listed once for a person; one that is listed for two people is
    used for neither, since nothing tells on which side of a split the other face would be.

    Args:
        text: lines of five values separated by tabs; lines that start with ``#`` say which.

    Returns:
        The rows to be used, in their order, and (source, reason) of those left out; the source of
        a malformed row is ``line <number>``.

    Raises:
        ValueError: the columns are named and are others than :data:`COLUMNS`, or no row is left.
    """
    rows: list[tuple[int, ListedPicture]] = []
    refused: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line.startswith("#"):
            names = tuple(line.lstrip("#").strip().split("\t"))
            if len(names) > 1 and names != COLUMNS:
                raise ValueError(f"line {number}: columns must be {', '.join(COLUMNS)}")
        elif line.strip():
            try:
                rows.append((number, _parse_row(line)))
            except ValueError as error:
                refused.append((f"line {number}", f"malformed row: {error}"))
    people: dict[str, set[str]] = defaultdict(set)
    for _, row in rows:
        people[row.md5].add(row.person)
    used: list[ListedPicture] = []
    lines: dict[str, int] = {}
    for number, row in rows:
        earlier = next((lines[key] for key in (row.md5, row.address) if key in lines), None)
        if len(people[row.md5]) > 1:
            names_of = " and ".join(sorted(people[row.md5]))
            refused.append((row.source, f"the same file is listed for {names_of}"))
        elif earlier is not None:
            refused.append((row.source, f"the same picture is listed in line {earlier}"))
        else:
            lines[row.md5] = lines[row.address] = number
            used.append(row)
    if not used:
        raise ValueError(f"no row of {', '.join(COLUMNS)}, separated by tabs")
    return used, refused


def _parse_row(line: str) -> ListedPicture:
    if len(line) > _LONGEST_LINE:
        raise ValueError(f"longer than {_LONGEST_LINE} characters")
    values = line.split("\t")
    if len(values) != len(COLUMNS):
        raise ValueError(f"{len(values)} values, not {len(COLUMNS)}")
    person, number, address, rectangle, md5 = values
    if not person.strip() or person != person.strip() or not person.isprintable():
        raise ValueError("no name")
    if not _NUMBER.fullmatch(number):
        raise ValueError("imagenum is no number")
    if not _is_web_address(address):
        raise ValueError("url is no http address")
    edges = _RECTANGLE.fullmatch(rectangle)
    if edges is None:
        raise ValueError("rect is not x0,y0,x1,y1")
    left, top, right, bottom = (int(edge) for edge in edges.groups())
    if right <= max(left, 0) or bottom <= max(top, 0):
        raise ValueError("rect is empty")
    if not _MD5.fullmatch(md5.lower()):
        raise ValueError("md5sum is not 32 hexadecimal digits")
    return ListedPicture(person, int(number), address, (left, top, right, bottom), md5.lower())


def _is_web_address(address: str) -> bool:
    if not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
