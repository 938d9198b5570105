"""JPEG (ITU-T T.81) without its application segments and comments."""

import io
import re

from glassguard.faces.formats.metadata import Bare, FormatError

SIGNATURE = b"\xff\xd8\xff"

_MARKER = re.compile(rb"\xff([\x01-\xfe])")
"""As in libjpeg, fill bytes and stray data before a marker are skipped."""
_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xDA)])
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_APPLICATION = range(0xE0, 0xF0)
_COMMENT = 0xFE

_JFIF = (0xE0, b"JFIF\0", 14)
_ADOBE = (0xEE, b"Adobe", 12)
"""The two segments that tell libjpeg the colour space, and the length that it asks for."""

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def bare(content: bytes) -> Bare:
    """The file without metadata; the first picture of several.

    Raises:
        FormatError: no pixels follow, or they are of a kind that is not read.
    """
    file = io.BytesIO()
    file.write(b"\xff\xd8")
    exif = xmp = b""
    at = 2
    while marker := _MARKER.search(content, at):
        code = marker[1][0]
        start = at = marker.end()
        if code in _WITHOUT_LENGTH:
            file.write(marker[0])
            continue
        # The length counts its own two bytes; a smaller one is that of an empty segment.
        at = start + max(2, int.from_bytes(content[start : start + 2]))
        if at > len(content):
            break
        if code == _START_OF_SCAN:
            file.write(memoryview(content)[start - 2 :])
            return Bare(file, exif, xmp)
        body = content[start + 2 : at]
        if code == 0xE1 and body.startswith(_EXIF):
            exif = exif or body
        elif code == 0xE1 and body.startswith(_XMP):
            xmp = body[len(_XMP) :]
        elif code == _COMMENT or (code in _APPLICATION and not _tells_colours(code, body)):
            continue
        else:
            if code in _START_OF_FRAME:
                _check_frame(body)
            file.write(memoryview(content)[start - 2 : at])
    raise FormatError("damaged picture: the file ends before the pixels of the JPEG begin")


def _tells_colours(code: int, body: bytes) -> bool:
    return any(
        code == segment and body.startswith(name) and len(body) >= least
        for segment, name, least in (_JFIF, _ADOBE)
    )


def _check_frame(body: bytes) -> None:
    bits, channels = body[:1], body[5:6]
    if bits not in (b"", b"\x08"):
        raise FormatError(f"JPEG of {bits[0]} bits a sample: only 8 are read")
    if channels and channels[0] not in (1, 3, 4):
        raise FormatError(f"JPEG of {channels[0]} channels: only 1, 3 and 4 are read")
