"""Aligned pictures on disk until it is known which of them the study uses.

Decoding and aligning are nearly all the work of preparing photographs. A journal records what is
done, so that the same call continues after an interruption.
"""

import hashlib
import json
import os
import sys
import threading
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from glassguard.errors import InputError
from glassguard.locks import lock_or_wait


@dataclass(frozen=True)
class AlignedPicture:
    """What is known of an aligned picture apart from its pixels.

    Attributes:
        row: where its pixels are in :class:`Scratch`.
        width: of the picture before alignment, pixels.
        height: likewise.
        eyes: x and y of the left, then of the right eye as the viewer sees them, in the aligned
            picture.
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

    Both are removed when the work succeeds, and stay when it is interrupted or fails. A journal
    written under other settings is ignored. A picture enters the journal after its pixels are in
    the file, with their checksum: what a failing machine lost is made again. One process at a time
    uses them, on any number of threads; another process waits.

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
        self._adding = threading.Lock()

    def __enter__(self) -> Self:
        pixels, journal = self._paths
        self._pixels = _open_alone(pixels)
        self._journal = journal.open("a+b")
        self._recall_journal()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Removed before it is unlocked: else a waiting process would lock a file about to go.
        if kind is None:
            for path in self._paths:
                path.unlink(missing_ok=True)
        self._journal.close()
        self._pixels.close()

    def recall(self, key: str) -> AlignedPicture | str | None:
        """What became of a file in this or an interrupted call; None where that is unknown."""
        outcome, checksum = self._known.get(key, (None, 0))
        if isinstance(outcome, AlignedPicture) and zlib.crc32(self._read(outcome.row)) != checksum:
            return None
        return outcome

    def keep(self, key: str, image: np.ndarray, **known: Any) -> AlignedPicture:
        """Keep a picture, uint8 size×size×3, with all attributes of it but its row."""
        pixels = np.ascontiguousarray(image).tobytes()
        with self._adding:
            picture = AlignedPicture(row=self._rows, **known)
            self._pixels.write(pixels)
            self._pixels.flush()
            self._rows += 1
            self._note(key, picture, zlib.crc32(pixels))
        return picture

    def refuse(self, key: str, reason: str) -> str:
        """Keep why a file gives no picture; returns the reason."""
        with self._adding:
            self._note(key, reason, 0)
        return reason

    def image(self, row: int) -> np.ndarray:
        """The picture of a row, uint8 size×size×3.

        Raises:
            InputError: its pixels have changed since they were kept.
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
        """Read what an interrupted call left, up to the first incomplete line."""
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
    """Open a file to append to, once no other process has it."""
    while True:
        file = path.open("a+b")
        try:
            lock_or_wait(file, f"{path}: waiting for another preparation into it")
        except OSError as error:
            # Without locks the work is still possible, as long as nobody else does it too.
            print(f"{path}: cannot be locked ({error.strerror}): start nothing else that writes it",
                  file=sys.stderr)  # fmt: skip
            return file
        # The process that had it may have removed it, and a removed file locks nothing.
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
