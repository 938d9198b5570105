"""Archives whose own tables are read within bounds: a small file may announce any amount of them.

The libraries read a name, a header or a table of contents as a whole, however long it says it is.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_HEADER = 2**20
"""Bytes between two members of a TAR archive: a header with long names and attributes."""
LONGEST_CONTENTS = 64 * 2**20
"""Bytes of a ZIP archive's table of contents. CelebA's 202,599 pictures need 20 million."""


def tar_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Members of a TAR archive, packed by gzip or not, in a single pass.

    Yields:
        The member, and the archive to read it from before the next one is asked for.

    Raises:
        tarfile.TarError: it is damaged, or a header is longer than :data:`LONGEST_HEADER`.
    """
    plain = path.suffix.lower() == ".tar"
    with path.open("rb") if plain else gzip.open(path) as file:
        stream = _Stretch(file)
        # Typed as a file to write to as well; of a stream, only ``read`` is called.
        with tarfile.open(path, "r|", fileobj=stream) as archive:  # type: ignore[call-overload]
            for member in archive:
                # A stream needs none of the earlier members, nor what they say of later ones.
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
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A ZIP archive.

    Raises:
        zipfile.BadZipFile: it is damaged, or its table of contents is longer than
            :data:`LONGEST_CONTENTS`.
    """
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
