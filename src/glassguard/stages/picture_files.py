"""Files of pictures in a folder or in an archive, read one at a time and without trust."""

import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from os import pread
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

import numpy as np

from glassguard.errors import InputError
from glassguard.faces.alignment import Rectangle
from glassguard.faces.archives import ARCHIVES, is_archive
from glassguard.faces.decoding import PictureError
from glassguard.faces.folder import find_files, printable
from glassguard.progress import track
from glassguard.stages.bounded_archives import open_zip, tar_members

MAXIMUM_MEMBERS = 1_000_000
"""Entries of an archive. The largest published collection of these has 202,599 pictures."""
MAXIMUM_MEMBER_BYTES = 64 * 2**20
"""Larger members of a compressed archive are passed over."""
MAXIMUM_UNPACKED_BYTES = 32 * 2**30
"""All members of a compressed archive that are kept."""

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


class PictureFile(Protocol):
    """Bytes that may be a picture."""

    def version(self) -> str:
        """Text that changes with the content. Raises ``OSError``."""

    def read(self, maximum_bytes: int) -> bytes:
        """The whole content; safe on several threads.

        Raises:
            OSError: it cannot be read.
            PictureError: it is longer than ``maximum_bytes``, or damaged inside of its archive.
        """


@dataclass(frozen=True)
class GivenPicture:
    """A picture as its source gives it.

    Attributes:
        source: how tables name it.
        file: its bytes.
        rectangle: of the face, pixels of the stored picture; None where all of it is the face.
        landmarks: int32 5×2 in the order of :data:`glassguard.faces.alignment.COMMON_POSE`,
            pixels of the stored picture; None where the source knows none.
    """

    source: str
    file: PictureFile
    rectangle: Rectangle | None = None
    landmarks: np.ndarray | None = None


@dataclass(frozen=True)
class GivenPeople:
    """What a source of pictures holds.

    Attributes:
        people: pictures by name of the person, in a fixed order.
        rejected: (source, reason) of what was seen and is not used.
    """

    people: dict[str, list[GivenPicture]] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class FileOnDisk:
    """A file of a folder."""

    path: Path

    def version(self) -> str:
        """Size and time of the last change."""
        status = self.path.stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def read(self, maximum_bytes: int) -> bytes:
        """See :class:`PictureFile`."""
        with self.path.open("rb") as file:
            content = file.read(maximum_bytes + 1)
        return _not_longer(content, maximum_bytes)


@dataclass(frozen=True)
class _ZipMember:
    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo

    def version(self) -> str:
        return f"{self.entry.file_size} {self.entry.CRC}"

    def read(self, maximum_bytes: int) -> bytes:
        try:
            with self.archive.open(self.entry) as file:
                return _not_longer(file.read(maximum_bytes + 1), maximum_bytes)
        except _BROKEN as error:
            raise PictureError(f"damaged inside of its archive: {_one_line(error)}") from None


@dataclass(frozen=True)
class _Piece:
    """A stretch of a file that was unpacked one after the other."""

    file: IO[bytes]
    start: int
    length: int
    checksum: int

    def version(self) -> str:
        return f"{self.length} {self.checksum}"

    def read(self, maximum_bytes: int) -> bytes:
        if self.length > maximum_bytes:
            raise _too_long(maximum_bytes)
        return pread(self.file.fileno(), self.length, self.start)


@dataclass(frozen=True)
class FoundFiles:
    """Files of a folder or archive.

    Attributes:
        files: by path inside of it, with ``/``, sorted.
        rejected: (path, reason) of what was seen and is not followed.
    """

    files: dict[str, PictureFile]
    rejected: list[tuple[str, str]]


@contextmanager
def open_files(root: Path, *, key: str, scratch: Path) -> Iterator[FoundFiles]:
    """The files of a folder or archive.

    Nothing of an archive is written under a name of its own: members of a ZIP archive are read
    where they are, those of a TAR archive are first written one after the other into a nameless
    file, since they cannot be reached otherwise. So no path in an archive leads anywhere.

    Args:
        root: a folder, or a file of :data:`glassguard.faces.archives.ARCHIVES`.
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
                found_files = _members_of_zip(opened.enter_context(open_zip(root)), root, key)
            else:
                found_files = _unpack_tar(root, key, unpacked)
        except (*_BROKEN, OSError) as error:
            raise _unreadable(root, key, error) from None
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
    for member, archive in track(tar_members(root), description=f"unpacking {root.name}"):
        count += 1
        _refuse_too_many(count, root, key)
        if member.isdir() or not _takes(member.name, found):
            continue
        # The pieces of a sparse file have a table of their own, of any length.
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
    """Whether a member of an archive is looked at; a suspicious one is put on record."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        found.rejected.append((_name(name), "path that leads out of its archive"))
    elif name in found.files:
        found.rejected.append((_name(name), "twice in its archive"))
    else:
        # "__MACOSX" holds what a Mac remembers about files, under the same names.
        return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return False


def _refuse_too_many(count: int, root: Path, key: str) -> None:
    if count > MAXIMUM_MEMBERS:
        raise InputError(f"{key}: {root}: holds more than {MAXIMUM_MEMBERS} files")


def _unreadable(root: Path, key: str, error: Exception) -> InputError:
    return InputError(f"{key}: {root}: damaged or unreadable archive: {_one_line(error)}")


def _name(name: str) -> str:
    return printable(name.replace("\0", "\\0"))


def _not_longer(content: bytes, maximum_bytes: int) -> bytes:
    if len(content) > maximum_bytes:
        raise _too_long(maximum_bytes)
    return content


def _too_long(maximum_bytes: int) -> PictureError:
    return PictureError(f"file larger than {maximum_bytes} bytes: no honest picture")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
