"""What the modules of this package return."""

import io
from dataclasses import dataclass


class FormatError(ValueError):
    """A file that its module cannot read; the message is the whole reason, one line."""


@dataclass(frozen=True)
class Bare:
    """A picture file without its metadata.

    Attributes:
        file: a valid file of the same format with the pixels of the first frame.
        exif: EXIF data as found, empty where the file has none.
        xmp: XMP packet as found, or its beginning, empty where the file has none.
        transparent: the transparent colour of a 16-bit PNG, one sample for each channel. Pillow
            compares eight bits, so ``file`` does not state it.
    """

    file: io.BytesIO
    exif: bytes = b""
    xmp: bytes = b""
    transparent: tuple[int, ...] | None = None
