"""PNG (W3C Recommendation, third edition) without the chunks that no pixel needs."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from glassguard.faces.formats.metadata import Bare, FormatError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

LARGEST_TEXT = 1 << 20
"""Bytes that are read of a text chunk with metadata, packed and unpacked."""

_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_USED_ONCE = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP, _EXIF, _HEX_EXIF = b"XML:com.adobe.xmp", b"exif", b"Raw profile type exif"
_LONGEST_KEYWORD = 79

_PALETTE = 3
_CHANNELS = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), _PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}

_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, and steps of columns and rows, of each pass."""
_PIECE = 1 << 16


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool

    def packed_bytes(self) -> int:
        """Length of all rows before compression, with a filter byte each."""
        bits = self.depth * _CHANNELS[self.colour_type]
        total = 0
        for left, top, across, down in _ADAM7 if self.interlaced else _WHOLE:
            columns = -((left - self.width) // across)
            rows = -((top - self.height) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * bits + 7) // 8)
        return total


def bare(content: bytes) -> Bare:
    """The first frame of a file without metadata, its chunks in the order of the standard.

    Chunks that pixels need must have the right checksum, wherever they are. All others may be of
    any size, broken in any way, or cut off after the pixels.

    Raises:
        FormatError: what the pixels need is damaged or missing.
    """
    first: dict[bytes, _Chunk] = {}
    texts: dict[bytes, bytes] = {}
    for chunk in _chunks(content):
        if chunk.kind in _TEXTS:
            keyword = content[chunk.start : chunk.start + _LONGEST_KEYWORD + 1].partition(b"\0")[0]
            if keyword in (_XMP, _EXIF, _HEX_EXIF) and keyword not in texts:
                texts[keyword] = _text(content, chunk)
        elif chunk.kind[:1].isupper() and chunk.kind not in _CRITICAL:
            raise FormatError(
                f"PNG with the critical chunk {_name(chunk.kind)}, which is not part of the "
                "standard: its pixels cannot be read"
            )
        elif chunk.kind == b"IDAT":
            _require_intact(content, chunk)
        if chunk.kind in _USED_ONCE:
            first.setdefault(chunk.kind, chunk)
    header = _header(content, first.get(b"IHDR"))
    if b"IDAT" not in first:
        raise FormatError("damaged picture: PNG without pixels (IDAT)")

    file = io.BytesIO()
    file.write(SIGNATURE)
    _copy(file, content, first[b"IHDR"])
    if header.colour_type == _PALETTE:
        if b"PLTE" not in first:
            raise FormatError("damaged picture: PNG without its palette (PLTE)")
        _require_intact(content, first[b"PLTE"])
        _copy(file, content, first[b"PLTE"])
    transparent = None
    if b"tRNS" in first and header.colour_type in (0, 2, _PALETTE):
        _require_intact(content, first[b"tRNS"])
        data = content[first[b"tRNS"].start : first[b"tRNS"].end]
        if header.colour_type == _PALETTE:
            _write(file, b"tRNS", data[:256])
        else:
            transparent = _transparent(data, header)
            if header.depth < 16:
                _write(file, b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
                transparent = None
    for chunk in _chunks(content):
        if chunk.kind == b"IDAT":
            _copy(file, content, chunk)
    _write(file, b"IEND", b"")
    exif = b""
    if b"eXIf" in first and _is_intact(content, first[b"eXIf"]):
        exif = content[first[b"eXIf"].start : first[b"eXIf"].end]
    exif = exif or texts.get(_EXIF, b"") or _from_hex(texts.get(_HEX_EXIF, b""))
    return Bare(file, exif, texts.get(_XMP, b""), transparent)


def require_all_rows(content: bytes) -> None:
    """Unpack the pixels to count them; Pillow leaves rows black that a short stream lacks.

    Args:
        content: a file that :func:`bare` accepts.

    Raises:
        FormatError: the stream ends before the last row.
    """
    header = next(chunk for chunk in _chunks(content) if chunk.kind == b"IHDR")
    expected, found = _header(content, header).packed_bytes(), 0
    stream = zlib.decompressobj()
    for chunk in _chunks(content):
        if chunk.kind != b"IDAT":
            continue
        for at in range(chunk.start, chunk.end, _PIECE):
            packed = content[at : min(at + _PIECE, chunk.end)]
            while packed and not stream.eof and found < expected:
                found += len(stream.decompress(packed, _PIECE))
                packed = stream.unconsumed_tail
    if found < expected:
        raise FormatError(
            f"damaged picture: the pixels (IDAT) end after {found} of {expected} unpacked bytes"
        )


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """All chunks up to the end of the picture, or to the first broken one after the pixels."""
    at = len(SIGNATURE)
    pixels = False
    kind = b""
    while kind != b"IEND":
        kind = content[at + 4 : at + 8]
        start, end = at + 8, at + 8 + int.from_bytes(content[at : at + 4])
        if len(kind) < 4 or not kind.isalpha() or end + 4 > len(content):
            if kind == b"IDAT":
                raise FormatError("damaged picture: the file ends inside of the pixels (IDAT)")
            if pixels:
                return
            raise FormatError(
                f"damaged picture: the file is broken before the pixels of the PNG, at byte {at}"
            )
        pixels = pixels or kind == b"IDAT"
        yield _Chunk(kind, start, end)
        at = end + 4


def _header(content: bytes, chunk: _Chunk | None) -> _Header:
    if chunk is None:
        raise FormatError("damaged picture: PNG without its header (IHDR)")
    _require_intact(content, chunk)
    if chunk.end - chunk.start != 13:
        raise FormatError(
            f"damaged picture: the header (IHDR) has {chunk.end - chunk.start} bytes, not 13"
        )
    width, height, depth, colour_type, packing, filtering, interlacing = struct.unpack_from(
        ">IIBBBBB", content, chunk.start
    )
    if depth not in _DEPTHS.get(colour_type, ()) or packing or filtering or interlacing > 1:
        raise FormatError(
            f"damaged picture: the header (IHDR) states colour type {colour_type}, bit depth "
            f"{depth}, methods {packing}, {filtering}, {interlacing}: PNG has no such pictures"
        )
    return _Header(width, height, depth, colour_type, bool(interlacing))


def _transparent(data: bytes, header: _Header) -> tuple[int, ...]:
    """The transparent colour on Pillow's scale: 0 to 255 below 16 bits."""
    channels = _CHANNELS[header.colour_type]
    if len(data) < 2 * channels:
        raise FormatError(
            f"damaged picture: the transparent colour (tRNS) has {len(data)} bytes, "
            f"not {2 * channels}"
        )
    largest = (1 << header.depth) - 1
    samples = [sample & largest for sample in struct.unpack_from(f">{channels}H", data)]
    if header.depth < 8:
        samples = [sample * 255 // largest for sample in samples]
    return tuple(samples)


def _text(content: bytes, chunk: _Chunk) -> bytes:
    """Text of a chunk or its beginning; empty where the chunk is broken."""
    if not _is_intact(content, chunk):
        return b""
    _, _, rest = content[chunk.start : min(chunk.end, chunk.start + LARGEST_TEXT)].partition(b"\0")
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        method, text = rest[:1], rest[1:]
    else:
        is_packed, method = rest[:1], rest[1:2]
        text = (rest[2:].split(b"\0", 2) + [b""] * 3)[2]
        if is_packed == b"\0":
            return text
    if method != b"\0":
        return b""
    try:
        return zlib.decompressobj().decompress(text, LARGEST_TEXT)
    except zlib.error:
        return b""


def _from_hex(profile: bytes) -> bytes:
    """A profile of ImageMagick: three lines of heading, then hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(profile.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _is_intact(content: bytes, chunk: _Chunk) -> bool:
    stored = content[chunk.end : chunk.end + 4]
    return zlib.crc32(memoryview(content)[chunk.start - 4 : chunk.end]) == int.from_bytes(stored)


def _require_intact(content: bytes, chunk: _Chunk) -> None:
    if not _is_intact(content, chunk):
        raise FormatError(f"damaged picture: the chunk {_name(chunk.kind)} has a wrong checksum")


def _copy(file: io.BytesIO, content: bytes, chunk: _Chunk) -> None:
    file.write(memoryview(content)[chunk.start - 8 : chunk.end + 4])


def _write(file: io.BytesIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data)
    file.write(struct.pack(">I", zlib.crc32(kind + data)))


def _name(kind: bytes) -> str:
    return kind.decode("ascii")
