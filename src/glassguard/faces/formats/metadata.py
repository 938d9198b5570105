"""Picture files without their metadata, and the rotation that the metadata states."""

import io
import re
import struct
from dataclasses import dataclass

_ORIENTATION = 0x0112
_INTEGERS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""Types of EXIF values that hold an integer, and how ``struct`` reads them."""
_EXIF_PREFIX = re.compile(rb"(?:Exif\0\0){1,2}")
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


class FormatError(ValueError):
    """A file that its module cannot read; the message is the reason in one line."""


@dataclass(frozen=True)
class Bare:
    """A picture file without its metadata.

    Attributes:
        file: a valid file of the same format with the pixels of the first frame.
        exif: EXIF data as found; empty where the file has none.
        xmp: XMP packet as found, or its beginning; empty where the file has none.
        transparent: the transparent colour of a 16-bit PNG, one sample for each channel. ``file``
            does not have it, since Pillow would compare eight bits only.
    """

    file: io.BytesIO
    exif: bytes = b""
    xmp: bytes = b""
    transparent: tuple[int, ...] | None = None


def orientation(exif: bytes, xmp: bytes) -> int:
    """EXIF orientation of a picture, 1 to 8; 1 (upright) where none can be read.

    XMP counts where EXIF is unreadable or has no orientation. Only this entry of EXIF is read, so
    the time does not depend on what the rest claims.

    Args:
        exif: TIFF structure, with or without the prefix ``Exif``.
        xmp: XMP packet.
    """
    stated = _exif_orientation(exif)
    if stated is None:
        found = _XMP_ORIENTATION.search(xmp)
        stated = int(found[1]) if found else 1
    return stated if 1 <= stated <= 8 else 1


def _exif_orientation(exif: bytes) -> int | None:
    """0 where the entry is not one integer, None where no entry can be read."""
    prefix = _EXIF_PREFIX.match(exif)
    tiff = memoryview(exif)[prefix.end() if prefix else 0 :]
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None or bytes(tiff[2:4]) not in (b"*\0", b"\0*"):
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, at)
            if tag == _ORIENTATION:
                if count != 1 or kind not in _INTEGERS:
                    return 0
                return int(struct.unpack_from(order + _INTEGERS[kind], tiff, at + 8)[0])
    except struct.error:
        pass
    return None
