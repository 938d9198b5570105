"""Download a published file, once for all experiments."""

import hashlib
from pathlib import Path

from glassguard.configuration.sections import FetchSection
from glassguard.downloads import DownloadError, alone_in, download, writing_into
from glassguard.errors import InputError
from glassguard.stages.paths import OutputPath


def run(config: FetchSection, *, file: OutputPath) -> dict[str, float | int | str]:
    """Download the file and check its digest.

    Where none is given, the digest of the first download is kept in ``<file>.sha256`` (in the
    form that ``sha256sum --check`` reads) and asked of every later one. Calls for one file take
    turns, and a file that another call has put there meanwhile is not fetched again.

    Args:
        config: the section.
        file: where to put it.

    Returns:
        The address, the digest and the length.

    Raises:
        InputError: the file cannot be fetched or written, is too long, or is another one.
    """
    with alone_in(file.parent, lock_name=f".{file.name}.lock"), writing_into(file.parent):
        return _fetch(config, file)


def _fetch(config: FetchSection, file: Path) -> dict[str, float | int | str]:
    wanted = config.download
    known = file.with_name(file.name + ".sha256")
    recorded = _recorded(known) if wanted.sha256 is None else None
    expected = wanted.sha256 or recorded
    digest = _digest(file) if expected is not None and file.is_file() else ""
    if not expected or not digest.startswith(expected):
        try:
            digest = download(wanted.url, file, sha256=expected, maximum_bytes=wanted.maximum_bytes)
        except DownloadError as error:
            hint = f" (recorded in {known}: delete it to accept another file)" if recorded else ""
            raise InputError(
                f"{error}{hint}; a copy of the file may be put at {file}, or its path be given"
            ) from None
    if wanted.sha256 is None:
        known.write_text(f"{digest}  {file.name}\n")
    return {"url": wanted.url, "sha256": digest, "bytes": file.stat().st_size}


def _recorded(known: Path) -> str | None:
    if not known.is_file():
        return None
    digest = known.read_text(errors="replace").split(" ")[0].strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise InputError(f"{known}: does not begin with a SHA-256 in hexadecimal")
    return digest


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
