"""WebP (RFC 9649) without profile, EXIF, XMP, unknown chunks and later frames."""

import io
import struct

from glassguard.faces.formats.metadata import Bare, FormatError

_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")
_KEPT = (b"VP8X", b"ALPH", b"ANIM", *_PIXELS)
_ALPHA_AND_ANIMATION = 0x12
_STATES_EXIF, _STATES_XMP = 0x08, 0x04


def recognises(content: bytes) -> bool:
    """Whether it begins like a WebP file."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def bare(content: bytes) -> Bare:
    """The file without metadata; the first frame of an animation.

    As in libwebp, metadata counts if the header announces it.

    Raises:
        FormatError: the file ends before the last of the pixels.
    """
    file = io.BytesIO()
    file.write(b"RIFF\0\0\0\0WEBP")
    metadata = {b"EXIF": b"", b"XMP ": b""}
    flags = 0
    seen: set[bytes] = set()
    at = 12
    while at + 8 <= len(content):
        kind = content[at : at + 4]
        (length,) = struct.unpack_from("<I", content, at + 4)
        start, end = at + 8, at + 8 + length
        if end > len(content):
            if kind in _KEPT and kind not in seen:
                raise FormatError(
                    f"damaged picture: the file ends inside of the chunk {_name(kind)}"
                )
            break
        if kind == b"VP8X" and length and kind not in seen:
            flags = content[start]
            _write(file, kind, bytes([flags & _ALPHA_AND_ANIMATION]) + content[start + 1 : end])
        elif kind in _KEPT and kind not in seen:
            _write(file, kind, memoryview(content)[start:end])
        elif kind in metadata:
            metadata[kind] = metadata[kind] or content[start:end]
        seen.add(kind)
        at = end + length % 2
    if seen.isdisjoint(_PIXELS):
        raise FormatError("damaged picture: the file ends before the pixels of the WebP begin")
    length = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", length))
    return Bare(
        file,
        metadata[b"EXIF"] if flags & _STATES_EXIF else b"",
        metadata[b"XMP "] if flags & _STATES_XMP else b"",
    )


def _write(file: io.BytesIO, kind: bytes, data: bytes | memoryview) -> None:
    file.write(kind + struct.pack("<I", len(data)))
    file.write(data)
    file.write(b"\0" * (len(data) % 2))


def _name(kind: bytes) -> str:
    return kind.decode("ascii").strip()
