"""Pictures as a source gives them: the person, the bytes, and where the face is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from glassguard.faces.decoding import PictureError
from glassguard.faces.rectangles import Rectangle


class PictureFile(Protocol):
    """Bytes that may be a picture."""

    def version(self) -> str:
        """Text that changes with the content. Raises ``OSError``."""

    def read(self, maximum_bytes: int) -> bytes:
        """The whole content; may be called on several threads.

        Raises:
            OSError: it cannot be read.
            PictureError: it is longer than ``maximum_bytes``, or damaged inside its archive.
        """


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
            return not_longer(file.read(maximum_bytes + 1), maximum_bytes)


def not_longer(content: bytes, maximum_bytes: int) -> bytes:
    """The content, or a ``PictureError`` where it is longer than allowed."""
    if len(content) > maximum_bytes:
        raise PictureError(f"file larger than {maximum_bytes} bytes: no honest picture")
    return content


@dataclass(frozen=True)
class FoundFiles:
    """Files of a folder or archive.

    Attributes:
        files: by path inside it, with ``/``, sorted.
        rejected: (path, reason) of files that are not read.
    """

    files: dict[str, PictureFile]
    rejected: list[tuple[str, str]]


@dataclass(frozen=True)
class GivenPicture:
    """A picture as its source gives it.

    Attributes:
        source: its name in tables.
        file: its bytes.
        rectangle: of the face, pixels of the stored picture; None where it fills the picture.
        landmarks: int32 5×2 in the order of :data:`glassguard.faces.alignment.COMMON_POSE`,
            pixels of the stored picture; None where the source has none.
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
        rejected: (source, reason) of pictures that are not used.
    """

    people: dict[str, list[GivenPicture]] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)
