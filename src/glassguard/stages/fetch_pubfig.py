"""Downloads the photographs of PubFig that are still where they were found."""

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from glassguard.configuration.sections import FetchPubfigSection
from glassguard.datasets.settings import PubfigFetch
from glassguard.downloads import DownloadError, alone_in, download, writing_into
from glassguard.errors import InputError
from glassguard.faces.pubfig import ListedPicture, parse_list
from glassguard.progress import Progress
from glassguard.stages.aligned_faces import write_rejected
from glassguard.stages.paths import OutputPath
from glassguard.stages.picture_sources import write_listing

LONGEST_LIST = 16 * 2**20
"""Bytes; the published list has 2.7 million."""

_OTHER_CONTENT = "another file than the one listed (MD5)"
_CAUSES_NAMED = 3
"""Where no photograph is left."""


class _Lost(NamedTuple):
    """Why a photograph is gone, and what is behind it where it was not even asked for."""

    reason: str
    cause: str


def run(
    config: FetchPubfigSection, *, listing: OutputPath, gone: OutputPath
) -> dict[str, float | int | str]:
    """Download what is left of PubFig, politely, and say what is gone.

    Servers are asked side by side, each for one file at a time with a pause in between, and no
    more after several failures in a row. A photograph is kept under its MD5; one that is there
    already is not asked for again. An interrupted call remembers in ``<listing>.journal`` what it
    was refused for good; what a network or a server failed to deliver, the same call asks for
    again. A call that ended, well or not, asks for all that is missing. Calls into one folder take
    turns.

    Args:
        config: the section.
        listing: table to write, a row per photograph that is there
            (:data:`glassguard.stages.picture_sources.LISTING_COLUMNS`).
        gone: table to write, a row per photograph that is listed and not there, with the reason.

    Returns:
        How many photographs are listed, there and gone, and of how many people.

    Raises:
        InputError: the list cannot be had or read, no photograph is left, or there is no room for
            them.
    """
    fetch = config.fetch
    folder = fetch.downloads or listing.parent / "originals"
    with alone_in(folder), writing_into(folder):
        rows, refused = _read_list(fetch, folder)
        journal = _Journal(listing.with_name(f"{listing.name}.journal"))
        fetched = _Fetch(fetch, folder, journal)
        with Progress(description="photographs of PubFig", total=len(rows)) as progress:
            lost = fetched.all(rows, progress)
    kept = [row for row in rows if row.md5 not in lost]
    if not kept:
        # Else the answers of this call would be the next one's too.
        journal.remove()
        causes = Counter(why.cause for why in lost.values()).most_common(_CAUSES_NAMED)
        raise InputError(
            "data.source=pubfig: no photograph is left; "
            + "; ".join(f"{count} times: {cause}" for cause, count in causes)
        )
    write_listing(
        [(row.person, row.source, _place(folder, row.md5), row.rectangle) for row in kept], listing
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


def _read_list(
    fetch: PubfigFetch, folder: Path
) -> tuple[list[ListedPicture], list[tuple[str, str]]]:
    path = fetch.list_file
    key = "data.fetch.list_file"
    if path is None:
        path = folder / "dev_urls.txt"
        key = "data.fetch.list_address"
        if not (path.is_file() and _digest(path, "sha256") == fetch.list_sha256):
            address = fetch.list_address
            download(address, path, sha256=fetch.list_sha256, maximum_bytes=LONGEST_LIST)
    try:
        if path.stat().st_size > LONGEST_LIST:
            raise InputError(f"{key}: {path}: longer than {LONGEST_LIST} bytes")
        if fetch.list_sha256 is not None and _digest(path, "sha256") != fetch.list_sha256:
            raise InputError(
                f"{key}: {path}: is not the published list: its SHA-256 is "
                f"{_digest(path, 'sha256')}, data.fetch.list_sha256 is {fetch.list_sha256}"
            )
        return parse_list(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"{key}: {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{key}: {path}: {error}") from None


class _Journal:
    """What was refused for good in this call or in the interrupted one before it.

    Only answers that another try would not change: after a network was down for a while, the
    photographs that it cost must be asked for again.
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
                break  # what an interruption cut off
        path.write_text("".join(map(_line, self.refused.items())), encoding="utf-8")

    def note(self, md5: str, reason: str) -> None:
        with self._lock:
            self.refused[md5] = reason
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line((md5, reason)))

    def remove(self) -> None:
        self._path.unlink()


class _Fetch:
    """Photographs from many servers into one folder."""

    def __init__(self, fetch: PubfigFetch, folder: Path, journal: _Journal) -> None:
        self._fetch = fetch
        self._folder = folder
        self._journal = journal
        self._lost: dict[str, _Lost] = {}
        self._stopped = threading.Event()
        self._counting = threading.Lock()

    def all(self, rows: Sequence[ListedPicture], progress: Progress) -> dict[str, _Lost]:
        """Fetch all that is missing; returns why photographs are gone, by MD5."""
        servers: dict[str, list[ListedPicture]] = defaultdict(list)
        for row in rows:
            servers[urlsplit(row.address).netloc.rpartition("@")[2].lower()].append(row)
        # The servers with most photographs take longest, so they are asked first.
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
        failures = 0
        cause = ""
        asked = False
        for row in rows:
            if self._stopped.is_set():
                return
            if row.md5 not in self._journal.refused and not self._is_there(row.md5):
                if failures >= self._fetch.give_up:
                    given_up = (
                        f"its server failed {failures} times in a row and was not asked again; "
                        f"last: {cause}"
                    )
                    self._lost[row.md5] = _Lost(given_up, cause)
                else:
                    if asked:
                        time.sleep(self._fetch.pause)
                    asked = True
                    reason, passing = self._fetch_one(row)
                    failures = failures + 1 if passing else 0
                    if reason is not None and passing:
                        cause = reason
                        self._lost[row.md5] = _Lost(reason, reason)
                    elif reason is not None:
                        self._journal.note(row.md5, reason)
            with self._counting:
                progress.advance()

    def _fetch_one(self, row: ListedPicture) -> tuple[str | None, bool]:
        """Why a photograph is gone (None: it is there), and whether its server is to blame."""
        fetch = self._fetch
        arrived = self._folder / f"{row.md5}.unchecked"
        try:
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
        except DownloadError as error:
            return error.reason, error.passing
        if _digest(arrived, "md5") != row.md5:
            arrived.unlink()
            return _OTHER_CONTENT, False
        arrived.replace(_place(self._folder, row.md5))
        return None, False

    def _is_there(self, md5: str) -> bool:
        path = _place(self._folder, md5)
        return path.is_file() and _digest(path, "md5") == md5


def _place(folder: Path, md5: str) -> Path:
    return folder / f"{md5}.jpg"


def _line(entry: tuple[str, str]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        # MD5 is what the list has; it guards against replaced pictures, not against forgers.
        return hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()
