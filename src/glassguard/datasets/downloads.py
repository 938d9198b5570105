"""Downloads of one file: resumed, retried, limited in size, and checked before they count."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from glassguard.errors import InputError
from glassguard.locks import lock_or_wait
from glassguard.progress import Progress

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16
SILENCE = 30.0
"""Seconds without a byte after which a connection counts as broken."""
LONGEST_PAUSE = 60.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another attempt may succeed."""
USER_AGENT = "glassguard (reproduction of published studies)"


class DownloadError(InputError):
    """A file could not be downloaded, or is not the expected one.

    Attributes:
        url: the address.
        reason: what is wrong, without the address.
        passing: whether the server is to blame and not the file, so that a later call may succeed.
    """

    def __init__(self, url: str, reason: str, *, passing: bool = False) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason
        self.passing = passing


class _InterruptedError(Exception):
    """An attempt failed, and another one may succeed."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


LOCK = ".lock"
"""File that :func:`alone_in` locks. It stays, since a removed file locks nothing."""


@contextmanager
def alone_in(folder: Path, *, lock_name: str = LOCK) -> Iterator[None]:
    """Let one process at a time download into a folder that several studies share.

    The second process waits and says so once. A killed process leaves no lock behind.

    Args:
        folder: the folder; created if missing.
        lock_name: file in it to lock; calls for different files of the folder each lock their own.

    Raises:
        InputError: the folder cannot be written to, or lies on a file system without locks.
    """
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / lock_name).open("w")
    with lock:
        try:
            lock_or_wait(lock, f"{folder}: waiting for another download into it")
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be locked for a download: {error.strerror}; a folder on a file "
                "system with locks is needed"
            ) from None
        yield


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Report in one line that a folder cannot be written to: no room, no right, no folder.

    Raises:
        InputError: in place of an ``OSError``. Not a :class:`DownloadError`, since no server is to
            blame and no other address would help.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise InputError(f"{error.filename or folder}: cannot be written to: {reason}") from None


def download(
    url: str,
    destination: Path,
    *,
    sha256: str | None,
    maximum_bytes: int,
    attempts: int = 5,
    pause: float = 1.0,
    silence: float = SILENCE,
    deadline: float | None = None,
    show_progress: bool = True,
) -> str:
    """Download one file.

    What has arrived is kept in ``<destination>.part`` until it is complete and checked. So an
    interrupted download continues in this call or a later one, and nobody sees half a file. Two
    calls must not work on one destination at the same time (:func:`alone_in`).

    Args:
        url: http or https address; redirections are followed.
        destination: file to write or replace; its folder is created.
        sha256: expected digest in hexadecimal, or its first characters where no more is published;
            None accepts any file.
        maximum_bytes: longer files are refused, before or while they arrive.
        attempts: tries in a row that may fail for passing reasons (no connection, a broken one,
            HTTP 408, 425, 429 and 5xx). A try that brought a mebibyte or more restarts the count.
        pause: seconds before the second try, doubled each time up to a minute. The server's
            ``Retry-After`` is respected within that minute.
        silence: seconds without a byte after which the connection counts as broken.
        deadline: seconds that one try may take as a whole; None for no limit.
        show_progress: show the bytes that have arrived.

    Returns:
        SHA-256 of the file in hexadecimal.

    Raises:
        DownloadError: the address cannot be reached or refuses, what arrives is empty, too long
            or a web page, or it has another digest. Nothing is written to the destination.
        InputError: the folder cannot be written to, or is full. What has arrived stays there.
    """
    part = _Part(destination)
    failures = 0
    with writing_into(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        while True:
            resumed = before = part.length()
            try:
                with _progress(destination.name, show_progress) as progress:
                    _attempt(url, part, sha256, maximum_bytes, silence, deadline, progress)
                digest = digest_of(part.path)
                if sha256 is None or digest.startswith(sha256.lower()):
                    part.finish(destination)
                    return digest
                length = part.length()
                part.discard()
                # A piece from an earlier try may be of another version; a file in one piece is not.
                if not resumed:
                    raise DownloadError(
                        url, f"has SHA-256 {digest} ({length} bytes), expected is {sha256.lower()}"
                    )
                failure = _InterruptedError("the pieces of an earlier try do not fit")
            except _InterruptedError as error:
                failure = error
            failures = 1 if part.length() - before >= 1 << 20 else failures + 1
            if failures >= attempts:
                raise DownloadError(url, f"{failure} (tried {attempts} times)", passing=True)
            time.sleep(min(LONGEST_PAUSE, max(failure.wait, pause * 2 ** (failures - 1))))


def download_published(
    url: str, file: Path, *, sha256: str | None, maximum_bytes: int
) -> dict[str, float | int | str]:
    """Download a published file that experiments share, unless it is there, and check its digest.

    If no digest is known, the digest of the first download is kept in ``<file>.sha256``, as
    ``sha256sum --check`` reads it, and later downloads must match it. Calls for one file take
    turns, and only the first of them downloads.

    Args:
        url: http or https address.
        file: where to put it.
        sha256: expected digest in hexadecimal, or its first characters; None if none is known.
        maximum_bytes: longer files are refused.

    Returns:
        The address, the digest and the length.

    Raises:
        InputError: the file cannot be fetched or written, is too long, or is another one.
    """
    known = file.with_name(file.name + ".sha256")
    with alone_in(file.parent, lock_name=f".{file.name}.lock"), writing_into(file.parent):
        recorded = _recorded(known) if sha256 is None else None
        expected = sha256 or recorded
        digest = digest_of(file) if expected is not None and file.is_file() else ""
        if not expected or not digest.startswith(expected):
            try:
                digest = download(url, file, sha256=expected, maximum_bytes=maximum_bytes)
            except DownloadError as error:
                hint = f" (recorded in {known}: delete it to accept another file)"
                raise InputError(
                    f"{error}{hint if recorded else ''}; a copy of the file may be put at {file}, "
                    "or its path be given"
                ) from None
        if sha256 is None:
            known.write_text(f"{digest}  {file.name}\n")
        return {"url": url, "sha256": digest, "bytes": file.stat().st_size}


def _recorded(known: Path) -> str | None:
    if not known.is_file():
        return None
    digest = known.read_text(errors="replace").split(" ")[0].strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise InputError(f"{known}: does not begin with a SHA-256 in hexadecimal")
    return digest


def digest_of(file: Path, kind: str = "sha256") -> str:
    """Digest of a file in hexadecimal; MD5 only to recognize a file, not to trust it."""
    with file.open("rb") as content:
        return hashlib.file_digest(
            content, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


class _Part:
    """What has arrived of a file, and the server's name for its version."""

    def __init__(self, destination: Path) -> None:
        self.path = destination.with_name(destination.name + ".part")
        self._version = destination.with_name(destination.name + ".part.version")

    def length(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self) -> str:
        return self._version.read_text().strip() if self._version.is_file() else ""

    def start(self, version: str) -> None:
        self.path.write_bytes(b"")
        self._version.write_text(version + "\n")

    def finish(self, destination: Path) -> None:
        self.path.replace(destination)
        self._version.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)


@contextmanager
def _progress(name: str, shown: bool) -> Iterator[Progress | None]:
    with Progress(description=f"downloading {name}, bytes") if shown else nullcontext() as progress:
        yield progress


def _attempt(
    url: str,
    part: _Part,
    sha256: str | None,
    maximum_bytes: int,
    silence: float,
    deadline: float | None,
    progress: Progress | None,
) -> None:
    """Complete the part, or raise why that failed."""
    import requests  # imported late: every stage reads the settings of downloads
    import urllib3

    ends = None if deadline is None else time.monotonic() + deadline
    # A compressed answer would have another length and other positions.
    headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    # Only a version or a digest tells whether two pieces are of one file.
    if part.length() and (part.version() or sha256):
        headers["Range"] = f"bytes={part.length()}-"
        if part.version():
            headers["If-Range"] = part.version()
    try:
        with requests.get(url, headers=headers, stream=True, timeout=silence) as response:
            total = _begin(url, response, part, headers, maximum_bytes)
            if progress is not None:
                progress.total = total
                progress.advance(part.length())
            with part.path.open("ab") as file:
                # Written as it arrives: a broken connection loses nothing.
                while block := response.raw.read1(BLOCK, decode_content=False):
                    if file.tell() + len(block) > maximum_bytes:
                        file.close()
                        part.discard()
                        raise DownloadError(url, f"is longer than {maximum_bytes} bytes")
                    file.write(block)
                    if progress is not None:
                        progress.advance(len(block))
                    if ends is not None and time.monotonic() > ends:
                        raise _InterruptedError(f"took longer than {deadline:g} s")
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _InterruptedError(_plain(error)) from None
    except urllib3.exceptions.TimeoutError:
        raise _InterruptedError(f"silent for {silence:g} s") from None
    except urllib3.exceptions.HTTPError:
        raise _InterruptedError("the connection broke off") from None
    except requests.RequestException as error:
        raise DownloadError(url, _plain(error)) from None
    except ValueError as error:
        # A redirection to something that is no address.
        raise DownloadError(url, f"sends what is no answer: {str(error)[:200]}") from None
    _refuse_other_things(url, part, total)


def _begin(
    url: str,
    response: "requests.Response",
    part: _Part,
    asked: dict[str, str],
    maximum_bytes: int,
) -> int | None:
    """Prepare the part for the body of an answer; returns the file's length where it is known."""
    status = response.status_code
    if status == 416:
        part.discard()
        raise _InterruptedError("the server has no such piece of the file")
    if status in PASSING:
        wait = response.headers.get("Retry-After", "")
        raise _InterruptedError(
            f"answers {status} {response.reason}", float(wait) if _is_number(wait) else 0.0
        )
    if status not in (200, 206):
        raise DownloadError(url, f"answers {status} {response.reason}")
    length = response.headers.get("Content-Length", "")
    total = int(length) if _is_number(length) else None
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(url, "is sent compressed, which was not asked for")
    if status == 206:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {part.length()}-"):
            part.discard()
            raise _InterruptedError("the server sent another piece than it was asked for")
        total = None if total is None else total + part.length()
    if total is not None and total > maximum_bytes:
        part.discard()
        raise DownloadError(url, f"has {total} bytes, at most {maximum_bytes} are allowed")
    if status == 200:
        part.start(_version(response))
    return total


def _is_number(header: str) -> bool:
    # HTTP knows the digits of ASCII only.
    return header.isascii() and header.isdecimal()


def _version(response: "requests.Response") -> str:
    """The server's name for the version of a file; empty where it gives no reliable one."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _refuse_other_things(url: str, part: _Part, total: int | None) -> None:
    length = part.length()
    if total is not None and length < total:
        raise _InterruptedError(f"broke off after {length} of {total} bytes")
    if length == 0:
        part.discard()
        raise DownloadError(url, "is empty")
    with part.path.open("rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        part.discard()
        raise DownloadError(url, "is a web page (HTML) and not the file")


def _plain(error: "requests.RequestException") -> str:
    """What went wrong in one line, without the library's internal names."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate of the server is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke off"
    if isinstance(error, requests.TooManyRedirects):
        return "leads from one address to the next without an end"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "leads to an address that is not http or https"
    return " ".join(str(error).split())[:200] or type(error).__name__
