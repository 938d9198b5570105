"""Files of pictures in a folder or in an archive, read one at a time and without trust.

A small archive may announce any amount of content, and the libraries read a name, a header or a
table of contents as a whole, however long it says it is. So all of that is read within bounds.
"""

import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import pread
from pathlib import Path, PurePosixPath
from typing import IO

from glassguard.datasets.folders import find_files, printable
from glassguard.datasets.pictures import FileOnDisk, FoundFiles, not_longer
from glassguard.errors import InputError
from glassguard.faces.decoding import PictureError, one_line
from glassguard.progress import track

ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")
"""Endings of the archives that can be read."""
MAXIMUM_MEMBERS = 1_000_000
"""Entries of an archive. CelebA, the largest collection that is read, has 202,599 pictures."""
MAXIMUM_MEMBER_BYTES = 64 * 2**20
"""Larger members of a TAR archive are rejected."""
MAXIMUM_UNPACKED_BYTES = 32 * 2**30
"""All members of a TAR archive that are kept."""
LONGEST_HEADER = 2**20
"""Bytes between two members of a TAR archive: a header with long names and attributes."""
LONGEST_CONTENTS = 64 * 2**20
"""Bytes of a ZIP archive's table of contents. CelebA's pictures need 20 million."""

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
)
"""What damaged, encrypted or otherwise unreadable archives raise."""


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive that can be read."""
    return path.name.lower().endswith(ARCHIVES)


@dataclass(frozen=True)
class _ZipMember:
    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo

    def version(self) -> str:
        return f"{self.entry.file_size} {self.entry.CRC}"

    def read(self, maximum_bytes: int) -> bytes:
        try:
            with self.archive.open(self.entry) as file:
                return not_longer(file.read(maximum_bytes + 1), maximum_bytes)
        except _BROKEN as error:
            raise PictureError(f"damaged inside of its archive: {one_line(error)}") from None


@dataclass(frozen=True)
class _Piece:
    """A member of a TAR archive in the file that all of them were unpacked into."""

    file: IO[bytes]
    start: int
    length: int
    checksum: int

    def version(self) -> str:
        return f"{self.length} {self.checksum}"

    def read(self, maximum_bytes: int) -> bytes:
        length = min(self.length, maximum_bytes + 1)
        return not_longer(pread(self.file.fileno(), length, self.start), maximum_bytes)


@contextmanager
def open_files(root: Path, *, key: str, scratch: Path) -> Iterator[FoundFiles]:
    """The files of a folder or archive.

    No member of an archive is written under its own name, so no path in it leads anywhere. The
    members of a ZIP archive are read in place. Those of a TAR archive, which can only be read in
    order, are first copied into one nameless file.

    Args:
        root: a folder, or a file whose name ends in one of :data:`ARCHIVES`.
        key: the configuration's key that names it, for messages.
        scratch: folder for the nameless file.

    Raises:
        InputError: it is missing, of another kind, damaged, encrypted, or larger than allowed.
    """
    if root.is_dir():
        found, rejected = find_files(root, key=key)
        yield FoundFiles({name: FileOnDisk(path) for name, path in found.items()}, rejected)
        return
    if not root.is_file():
        raise InputError(f"{key}: {root}: no such folder or file")
    if not is_archive(root):
        raise InputError(
            f"{key}: {root}: neither a folder nor an archive; allowed: {', '.join(ARCHIVES)}"
        )
    with ExitStack() as opened:
        unpacked = opened.enter_context(tempfile.TemporaryFile(dir=scratch))
        try:
            if root.suffix.lower() == ".zip":
                found_files = _members_of_zip(opened.enter_context(_open_zip(root)), root, key)
            else:
                found_files = _unpack_tar(root, key, unpacked)
        except (*_BROKEN, OSError) as error:
            reason = one_line(error)
            raise InputError(f"{key}: {root}: damaged or unreadable archive: {reason}") from None
        yield found_files


def _members_of_zip(archive: zipfile.ZipFile, root: Path, key: str) -> FoundFiles:
    found = FoundFiles({}, [])
    entries = archive.infolist()
    _refuse_too_many(len(entries), root, key)
    for entry in sorted(entries, key=lambda entry: entry.filename):
        if not entry.is_dir() and _takes(entry.filename, found):
            if entry.flag_bits & 0x1:
                found.rejected.append((_name(entry.filename), "encrypted inside of its archive"))
            else:
                found.files[entry.filename] = _ZipMember(archive, entry)
    return found


def _unpack_tar(root: Path, key: str, unpacked: IO[bytes]) -> FoundFiles:
    """Copy the files of a TAR archive into one file, in a single pass."""
    found = FoundFiles({}, [])
    position = count = 0
    for member, archive in track(_tar_members(root), description=f"unpacking {root.name}"):
        count += 1
        _refuse_too_many(count, root, key)
        if member.isdir() or not _takes(member.name, found):
            continue
        # A sparse file has a table of its pieces, which may be of any length.
        if not member.isreg() or member.issparse():
            found.rejected.append((_name(member.name), "not a regular file of its archive"))
            continue
        if member.size > MAXIMUM_MEMBER_BYTES:
            reason = f"larger than {MAXIMUM_MEMBER_BYTES} bytes inside of its archive"
            found.rejected.append((_name(member.name), reason))
            continue
        if position + member.size > MAXIMUM_UNPACKED_BYTES:
            raise InputError(f"{key}: {root}: unpacks to more than {MAXIMUM_UNPACKED_BYTES} bytes")
        content = archive.extractfile(member)
        data = content.read() if content is not None else b""
        unpacked.write(data)
        found.files[member.name] = _Piece(unpacked, position, len(data), zlib.crc32(data))
        position += len(data)
    unpacked.flush()
    return FoundFiles(dict(sorted(found.files.items())), found.rejected)


def _takes(name: str, found: FoundFiles) -> bool:
    """Whether a member of an archive is read; a suspicious one is put on record."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        found.rejected.append((_name(name), "path that leads out of its archive"))
    elif name in found.files:
        found.rejected.append((_name(name), "twice in its archive"))
    else:
        # macOS keeps attributes of files in "__MACOSX", under the same names.
        return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return False


def _refuse_too_many(count: int, root: Path, key: str) -> None:
    if count > MAXIMUM_MEMBERS:
        raise InputError(f"{key}: {root}: holds more than {MAXIMUM_MEMBERS} files")


def _name(name: str) -> str:
    return printable(name.replace("\0", "\\0"))


def _tar_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Members of a TAR archive in a single pass, each with the archive to read it from."""
    plain = path.suffix.lower() == ".tar"
    with path.open("rb") if plain else gzip.open(path) as file:
        stream = _Stretch(file)
        # Its type asks for a file to write to as well, but only ``read`` is called.
        with tarfile.open(path, "r|", fileobj=stream) as archive:  # type: ignore[call-overload]
            for member in archive:
                # A stream needs neither earlier members nor what they say of later ones.
                archive.members.clear()
                archive.pax_headers.clear()
                stream.allow_header_at(archive.offset)
                yield member, archive


class _Stretch:
    """A file that is read no further than to the end of the next header."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._position = 0
        self.allow_header_at(0)

    def allow_header_at(self, position: int) -> None:
        # The library reads a record ahead.
        self._end = position + LONGEST_HEADER + tarfile.RECORDSIZE

    def read(self, size: int) -> bytes:
        if self._position > self._end:
            raise tarfile.ReadError(f"a header is longer than {LONGEST_HEADER} bytes")
        content = self._file.read(size)
        self._position += len(content)
        return content


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    with _BoundedReader(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        file.bounded = False
        yield archive


class _BoundedReader(io.BufferedReader):
    """Refuses the one long read that a ZIP archive is opened with."""

    bounded = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.bounded and size is not None and size > LONGEST_CONTENTS:
            raise zipfile.BadZipFile(
                f"its table of contents has {size} bytes, at most {LONGEST_CONTENTS} are read"
            )
        return super().read(size)
