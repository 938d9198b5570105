"""PubFig (Kumar et al. 2009): a list of addresses of photographs as of 2010.

The list says where in each photograph the face is.
"""

import json
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field

from glassguard.datasets import settings
from glassguard.datasets.downloads import DownloadError, alone_in, digest_of, download, writing_into
from glassguard.datasets.pictures import GivenPeople
from glassguard.datasets.settings import Metrics, PhotographData
from glassguard.errors import InputError
from glassguard.faces.rectangles import Rectangle
from glassguard.progress import Progress
from glassguard.settings import GivenPath

LONGEST_LIST = 16 * 2**20
"""Bytes; the published list has 2.7 million."""

COLUMNS = ("person", "imagenum", "url", "rect", "md5sum")

_LONGEST_LINE = 4096
_MD5 = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_RECTANGLE = re.compile(r"(-?[0-9]{1,5}),(-?[0-9]{1,5}),(-?[0-9]{1,5}),(-?[0-9]{1,5})")

_CAUSES_NAMED = 3
"""How many causes the message names when no photograph is left."""


class Fetch(settings.Fetch):
    """Download of PubFig's photographs from the addresses of the list."""

    list_file: GivenPath | None = Field(description="dev_urls.txt; downloaded when null")
    list_address: str = Field(pattern=r"^https?://.+", description="where the list is published")
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

    def download(self, *, listing: Path, gone: Path) -> Metrics:
        """Download what is left of PubFig, politely, and list what is gone.

        Servers are asked in parallel, each for one file at a time with a pause in between, and no
        more after several failures in a row. A photograph is kept under its MD5 and not asked for
        twice. ``<listing>.journal`` keeps final refusals over an interruption; what a network or a
        server failed to deliver is asked for again. Once a call has ended, with or without
        success, the next call asks for everything that is missing. Calls into one folder take
        turns.

        See :meth:`glassguard.datasets.settings.Fetch.download`.
        """
        from glassguard.datasets.tables import write_listing, write_rejected  # pandas takes long

        folder = self.downloads or listing.parent / "originals"
        with alone_in(folder), writing_into(folder):
            rows, refused = self._read_list(folder)
            journal = _Journal(listing.with_name(f"{listing.name}.journal"))
            fetching = _Fetching(self, folder, journal)
            with Progress(description="photographs of PubFig", total=len(rows)) as progress:
                lost = fetching.all(rows, progress)
        kept = [row for row in rows if row.md5 not in lost]
        if not kept:
            # The next call is to ask again.
            journal.remove()
            causes = Counter(why.cause for why in lost.values()).most_common(_CAUSES_NAMED)
            raise InputError(
                "data.source=pubfig: no photograph is left; "
                + "; ".join(f"{count} times: {cause}" for cause, count in causes)
            )
        write_listing(
            [(row.person, row.source, _place(folder, row.md5), row.rectangle) for row in kept],
            listing,
        )
        refused += [(row.source, lost[row.md5].reason) for row in rows if row.md5 in lost]
        write_rejected(refused, gone)
        journal.remove()
        return {
            "listed": len(rows),
            "pictures": len(kept),
            "people": len({row.person for row in kept}),
            "gone": len(refused),
        }

    def _read_list(self, folder: Path) -> tuple[list["ListedPicture"], list[tuple[str, str]]]:
        path, key, expected = self.list_file, "data.fetch.list_file", self.list_sha256
        if path is None:
            path, key = folder / "dev_urls.txt", "data.fetch.list_address"
            if not (path.is_file() and digest_of(path) == expected):
                download(self.list_address, path, sha256=expected, maximum_bytes=LONGEST_LIST)
        try:
            if path.stat().st_size > LONGEST_LIST:
                raise InputError(f"{key}: {path}: longer than {LONGEST_LIST} bytes")
            if expected is not None and (digest := digest_of(path)) != expected:
                raise InputError(
                    f"{key}: {path}: is not the published list: its SHA-256 is {digest}, "
                    f"data.fetch.list_sha256 is {expected}"
                )
            return parse_list(path.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise InputError(f"{key}: {path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"{key}: {path}: {error}") from None


class Pictures(PhotographData):
    """PubFig."""

    source: Literal["pubfig"]
    fetch: Fetch | None = None

    @property
    def needs_fetching(self) -> bool:
        """Always, since PubFig was published as a list."""
        return True

    @property
    def inputs(self) -> dict[str, Path]:
        """See :attr:`DataCommon.inputs`; includes a copy of the list."""
        copy = None if self.fetch is None else self.fetch.list_file
        return super().inputs | ({} if copy is None else {"data.fetch.list_file": copy})

    def open_people(
        self, *, listing: Path | None, scratch: Path
    ) -> AbstractContextManager[GivenPeople]:
        """See :meth:`PhotographData.open_people`."""
        return nullcontext(self.people_of(listing))


@dataclass(frozen=True)
class ListedPicture:
    """A row of the list.

    Attributes:
        person: name, as listed.
        number: of the picture among the person's; numbers may be missing.
        address: http or https.
        rectangle: of the face, pixels; may reach beyond the picture.
        md5: of the file's bytes when the list was made, lower case.
    """

    person: str
    number: int
    address: str
    rectangle: Rectangle
    md5: str

    @property
    def source(self) -> str:
        """Name of the picture in tables."""
        return f"{self.person}/{self.number}"


def parse_list(text: str) -> tuple[list[ListedPicture], list[tuple[str, str]]]:
    """Read ``dev_urls.txt`` or ``eval_urls.txt`` strictly.

    Public copies are cut off or mangled by spreadsheets, so a row that is not exactly as published
    is left out, and so is a second row for one picture. A photograph that is listed for two people
    is used for neither, since the other face might be on the other side of a split.

    Args:
        text: lines of five values separated by tabs; a line that starts with ``#`` names them.

    Returns:
        The rows to be used, in their order, and (source, reason) of those left out; the source of
        a malformed row is ``line <number>``.

    Raises:
        ValueError: named columns are not :data:`COLUMNS`, or no row is left.
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


class _Lost(NamedTuple):
    """Why a photograph is gone, and the cause if its server was given up before it was asked."""

    reason: str
    cause: str


class _Journal:
    """Final refusals of this call and of an interrupted one before it.

    Failures of a network or server are not final: the photographs are asked for again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.refused: dict[str, str] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for line in lines:
            try:
                md5, reason = json.loads(line)
                self.refused[str(md5)] = str(reason)
            except (ValueError, TypeError):
                break  # cut off by an interruption
        path.write_text("".join(map(_line, self.refused.items())), encoding="utf-8")

    def note(self, md5: str, reason: str) -> None:
        with self._lock:
            self.refused[md5] = reason
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line((md5, reason)))

    def remove(self) -> None:
        self._path.unlink()


class _Fetching:
    """Photographs from many servers into one folder."""

    def __init__(self, fetch: Fetch, folder: Path, journal: _Journal) -> None:
        self._fetch = fetch
        self._folder = folder
        self._journal = journal
        self._lost: dict[str, _Lost] = {}
        self._stopped = threading.Event()
        self._counting = threading.Lock()

    def all(self, rows: Sequence[ListedPicture], progress: Progress) -> dict[str, _Lost]:
        """Fetch what is missing; returns why photographs are gone, by MD5."""
        servers: dict[str, list[ListedPicture]] = defaultdict(list)
        for row in rows:
            servers[urlsplit(row.address).netloc.rpartition("@")[2].lower()].append(row)
        # The servers with most photographs take longest and are asked first.
        queues = sorted(servers.values(), key=len, reverse=True)
        with ThreadPoolExecutor(self._fetch.hosts) as workers:
            futures = [workers.submit(self._ask_server, queue, progress) for queue in queues]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stopped.set()
                workers.shutdown(cancel_futures=True)
                raise
        wanted = {row.md5 for row in rows}
        refused = self._journal.refused.items()
        return {md5: _Lost(why, why) for md5, why in refused if md5 in wanted} | self._lost

    def _ask_server(self, rows: Sequence[ListedPicture], progress: Progress) -> None:
        failures, cause, asked = 0, "", False
        for row in rows:
            if self._stopped.is_set():
                return
            if row.md5 in self._journal.refused or self._is_there(row.md5):
                pass
            elif failures >= self._fetch.give_up:
                given_up = f"its server failed {failures} times in a row and was not asked again"
                self._lost[row.md5] = _Lost(f"{given_up}; last: {cause}", cause)
            else:
                if asked:
                    time.sleep(self._fetch.pause)
                asked = True
                try:
                    self._fetch_one(row)
                    failures = 0
                except DownloadError as error:
                    failures = failures + 1 if error.passing else 0
                    if error.passing:
                        cause = error.reason
                        self._lost[row.md5] = _Lost(cause, cause)
                    else:
                        self._journal.note(row.md5, error.reason)
            with self._counting:
                progress.advance()

    def _fetch_one(self, row: ListedPicture) -> None:
        fetch = self._fetch
        arrived = self._folder / f"{row.md5}.unchecked"
        download(
            row.address,
            arrived,
            sha256=None,
            maximum_bytes=fetch.maximum_bytes,
            attempts=fetch.attempts,
            pause=fetch.pause,
            silence=fetch.silence,
            deadline=fetch.deadline,
            show_progress=False,
        )
        if digest_of(arrived, "md5") != row.md5:
            arrived.unlink()
            raise DownloadError(row.address, "another file than the one listed (MD5)")
        arrived.replace(_place(self._folder, row.md5))

    def _is_there(self, md5: str) -> bool:
        path = _place(self._folder, md5)
        return path.is_file() and digest_of(path, "md5") == md5


def _place(folder: Path, md5: str) -> Path:
    return folder / f"{md5}.jpg"


def _line(entry: tuple[str, str]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
