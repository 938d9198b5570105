"""Aligned pictures on disk while it is not known yet which of them are kept.

Decoding and aligning is nearly all the work of preparing photographs, so what is done is written
down beside the pixels: after an interruption the same call takes it from there.
"""

import hashlib
import json
import os
import sys
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from glassguard.errors import InputError
from glassguard.locks import lock_or_wait


@dataclass(frozen=True)
class AlignedPicture:
    """What is known of an aligned picture beside its pixels.

    Attributes:
        row: where its pixels are in :class:`Scratch`.
        width: of the picture before alignment, pixels.
        height: likewise.
        eyes: x and y of the left, then of the right eye (of the viewer's) in the aligned picture.
        aligned_by: one of :data:`glassguard.faces.manifest.ALIGNED_BY`.
        sha256: of the file's bytes.
        hash: 64-bit perceptual hash of the aligned picture.
    """

    row: int
    width: int
    height: int
    eyes: tuple[float, float, float, float]
    aligned_by: str
    sha256: str
    hash: int


class Scratch:
    """Pixels in ``<output>.partial``, and a journal of them in ``<output>.journal``.

    Both are removed when the work ends well, and stay where it is interrupted or fails. A journal
    that was written under other settings counts for nothing. A picture is in the journal only
    after its pixels are in the file; each line carries their checksum, so that what a failing
    machine lost is made again. One process at a time has them; another one waits.

    Args:
        output: file of pictures that is made from this one, in a folder with room.
        size: side of the pictures, pixels.
        settings: everything that decides how a file becomes an aligned picture.
    """

    def __init__(self, output: Path, size: int, settings: dict[str, Any]) -> None:
        self._paths = (
            output.with_name(f"{output.name}.partial"),
            output.with_name(f"{output.name}.journal"),
        )
        self.size = size
        self._bytes = size * size * 3
        self._head = key_of({"size": size, **settings})
        self._known: dict[str, tuple[AlignedPicture | str, int]] = {}
        self._checksums: dict[int, int] = {}
        self._rows = 0

    def __enter__(self) -> Self:
        pixels, journal = self._paths
        self._pixels = _open_alone(pixels)
        self._journal = journal.open("a+b")
        self._recall_journal()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Removed before the lock goes: else whoever waits would lock a file about to be removed.
        if kind is None:
            for path in self._paths:
                path.unlink(missing_ok=True)
        self._journal.close()
        self._pixels.close()

    def recall(self, key: str) -> AlignedPicture | str | None:
        """What came of a file, in this or an interrupted call; None where that is not known."""
        outcome, checksum = self._known.get(key, (None, 0))
        if isinstance(outcome, AlignedPicture) and zlib.crc32(self._read(outcome.row)) != checksum:
            return None
        return outcome

    def keep(self, key: str, image: np.ndarray, **known: Any) -> AlignedPicture:
        """Keep a picture, uint8 size×size×3, and what is known of it but for its row."""
        pixels = np.ascontiguousarray(image).tobytes()
        picture = AlignedPicture(row=self._rows, **known)
        self._pixels.write(pixels)
        self._pixels.flush()
        self._rows += 1
        self._note(key, picture, zlib.crc32(pixels))
        return picture

    def refuse(self, key: str, reason: str) -> None:
        """Keep why a file gives no picture."""
        self._note(key, reason, 0)

    def image(self, row: int) -> np.ndarray:
        """The picture of a row, uint8 size×size×3.

        Raises:
            InputError: it is not what was put there.
        """
        content = self._read(row)
        if zlib.crc32(content) != self._checksums[row]:
            raise InputError(
                f"{self._paths[0]}: picture {row} is not what was written there: a failing disk, "
                "or another program; the same command makes it again"
            )
        pixels = np.frombuffer(content, dtype=np.uint8)
        return pixels.reshape(self.size, self.size, 3)

    def _read(self, row: int) -> bytes:
        return os.pread(self._pixels.fileno(), self._bytes, row * self._bytes)

    def _note(self, key: str, known: AlignedPicture | str, checksum: int) -> None:
        outcome = known if isinstance(known, str) else asdict(known)
        self._journal.write(json.dumps([key, outcome, checksum]).encode() + b"\n")
        self._journal.flush()
        self._remember(key, known, checksum)

    def _remember(self, key: str, known: AlignedPicture | str, checksum: int) -> None:
        self._known[key] = known, checksum
        if isinstance(known, AlignedPicture):
            self._checksums[known.row] = checksum

    def _recall_journal(self) -> None:
        """Read what an interrupted call left, up to the first line that is not whole."""
        there = os.fstat(self._pixels.fileno()).st_size // self._bytes
        self._journal.seek(0)
        whole = 0
        if self._journal.readline() == self._head.encode() + b"\n":
            whole = self._journal.tell()
            for line in self._journal:
                entry = _parse(line, there)
                if entry is None:
                    break
                key, outcome, checksum = entry
                self._remember(key, outcome, checksum)
                if isinstance(outcome, AlignedPicture):
                    self._rows = max(self._rows, outcome.row + 1)
                whole += len(line)
        self._journal.truncate(whole)
        self._pixels.truncate(self._rows * self._bytes)
        if not whole:
            self._journal.write(self._head.encode() + b"\n")
            self._journal.flush()


def _open_alone(path: Path) -> IO[bytes]:
    """Open a file to add to it, once no other process has it."""
    while True:
        file = path.open("a+b")
        try:
            lock_or_wait(file, f"{path}: waiting for another preparation into it")
        except OSError as error:
            # Better than no work at all, where nobody else is at it.
            print(f"{path}: cannot be locked ({error.strerror}): start nothing else that writes it",
                  file=sys.stderr)  # fmt: skip
            return file
        # Who had it may have removed it at its end, and a removed file locks nothing.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()


def key_of(values: Any) -> str:
    """A digest of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _parse(line: bytes, rows: int) -> tuple[str, AlignedPicture | str, int] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        key, outcome, checksum = json.loads(line)
        if isinstance(outcome, dict):
            outcome = AlignedPicture(**{**outcome, "eyes": tuple(outcome["eyes"])})
            if not 0 <= outcome.row < rows:
                return None
        return str(key), outcome, int(checksum)
    except (ValueError, TypeError, KeyError):
        return None
