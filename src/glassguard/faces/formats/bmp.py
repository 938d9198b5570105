"""Windows and OS/2 bitmaps (BMP), decoded.

Pillow knows few layouts of bit fields, and takes compressed rows that end early for damage.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.faces.formats.metadata import FormatError

SIGNATURE = b"BM"

_FILE_HEADER = 14
_CORE, _OS2 = 12, 64
_HEADERS = (_CORE, 16, 40, 52, 56, _OS2, 108, 124)
"""Bytes of the header. From 16 on all begin alike; what a shorter one lacks counts as zeros."""
_MASKS_AT = _FILE_HEADER + 40
_WITH_ALPHA = 56
"""Length from which the header has a mask for alpha."""

_PLAIN, _RLE8, _RLE4, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 1, 2, 3, 6
_NOT_READ = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "CMYK RLE8", 13: "CMYK RLE4"}
_NOT_READ_OS2 = {3: "Huffman", 4: "RLE24"}
_INDEXED = (1, 2, 4, 8)
_MASKS_BY_DEPTH = {
    16: (0x7C00, 0x3E0, 0x1F, 0),
    24: (0xFF0000, 0xFF00, 0xFF, 0),
    32: (0xFF0000, 0xFF00, 0xFF, 0),
}
"""Masks of red, green, blue and alpha where the file has none."""
_MASKS_OF_ZEROS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
"""What 32-bit files mean by four masks of zero."""

Rows = Callable[[int, int], NDArray[np.uint8]]
"""Rows from the first to before the second, counted from the top: n×W×3, or ×4 with alpha."""


@dataclass(frozen=True)
class Bitmap:
    """What the header of a file says.

    Attributes:
        width: pixels.
        height: pixels.
        top_down: whether the first row in the file is the upper one.
        depth: bits of a pixel.
        compression: 0 none, 1 and 2 run lengths; bit fields count as none.
        start: byte at which pixels begin.
        masks: of red, green, blue and alpha, 0 where there is none; unused below 16 bits.
        palette: uint8 256×3, black after its end; unused from 16 bits on.
    """

    width: int
    height: int
    top_down: bool
    depth: int
    compression: int
    start: int
    masks: tuple[int, ...]
    palette: NDArray[np.uint8]

    def rows(self, content: bytes) -> Rows:
        """Rows of the file that the header was read from.

        Samples of up to eight bits are stretched to 0–255 and rounded down; of longer ones, the
        upper eight bits count.

        Raises:
            FormatError: the file ends before its pixels do.
        """
        start, stride = self.start, (self.width * self.depth + 31) // 32 * 4
        if self.compression != _PLAIN:
            content = _run_lengths(content, self)
            start, stride = 0, self.width
        # The last row may come without the bytes that fill it up to a multiple of four.
        needed = start + stride * (self.height - 1) + (self.width * self.depth + 7) // 8
        if self.compression == _PLAIN and needed > len(content):
            raise FormatError(
                f"damaged picture: the file ends after {len(content)} of {needed} bytes"
            )

        def decoded(top: int, bottom: int) -> NDArray[np.uint8]:
            first = top if self.top_down else self.height - bottom
            block = content[start + first * stride : start + (first + bottom - top) * stride]
            block = block.ljust((bottom - top) * stride, b"\0")
            stored = np.frombuffer(block, np.uint8).reshape(bottom - top, stride)
            if not self.top_down:
                stored = stored[::-1]
            if self.depth not in _INDEXED:
                return _by_masks(_values(stored, self.width, self.depth), self.masks)
            if self.compression == _PLAIN:
                stored = _indices(stored, self.depth)[:, : self.width]
            return self.palette[stored]

        return decoded


def read_header(content: bytes) -> Bitmap:
    """Read the header of a file.

    Raises:
        FormatError: it is cut off, contradicts itself, or is of a kind that is not read.
    """
    length = int.from_bytes(content[14:18], "little")
    if len(content) >= _FILE_HEADER + 4 and length not in _HEADERS:
        raise FormatError(
            f"BMP with a header of {length} bytes: only {', '.join(map(str, _HEADERS))} are known"
        )
    if len(content) < _FILE_HEADER + max(length, 4):
        raise FormatError("damaged picture: the file ends inside of the header of the BMP")
    (start,) = struct.unpack_from("<I", content, 10)
    header = content[_FILE_HEADER : _FILE_HEADER + length].ljust(40, b"\0")
    if length == _CORE:
        width, height, _, depth = struct.unpack_from("<HHHH", header, 4)
        compression = colours = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", header, 4)
        (colours,) = struct.unpack_from("<I", header, 32)
    if width <= 0 or height == 0:
        raise FormatError(f"damaged picture: the header states {width}×{height} pixels")
    if depth not in (*_INDEXED, *_MASKS_BY_DEPTH):
        raise FormatError(f"BMP of {depth} bits a pixel: only 1, 2, 4, 8, 16, 24 and 32 are read")
    _check_compression(compression, depth, length)

    after = _FILE_HEADER + length
    masks: tuple[int, ...] = _MASKS_BY_DEPTH.get(depth, ())
    if compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS):
        count = 4 if length >= _WITH_ALPHA or compression == _ALPHA_BIT_FIELDS else 3
        masks = _masks(content, count, depth)
        after = max(after, _MASKS_AT + 4 * count)
        compression = _PLAIN
    palette = np.zeros((256, 3), np.uint8)
    if depth in _INDEXED:
        entry = 3 if length == _CORE else 4
        colours = min(colours or 1 << depth, 1 << depth)
        end = min(start, len(content)) if start > after else len(content)
        colours = min(colours, (end - after) // entry)
        if colours == 0:
            raise FormatError("damaged picture: BMP without its palette")
        stored = np.frombuffer(content, np.uint8, colours * entry, after)
        palette[:colours] = stored.reshape(colours, entry)[:, 2::-1]
        after += colours * entry
        # Some writers give the start of the palette in place of that of the pixels.
        if start == _FILE_HEADER + length:
            start = after
    start = start or after
    if depth == 32 and masks[3] and not _any_alpha(content, start, width * abs(height), masks[3]):
        masks = (*masks[:3], 0)
    return Bitmap(width, abs(height), height < 0, depth, compression, start, masks, palette)


def _any_alpha(content: bytes, start: int, count: int, mask: int) -> bool:
    """Whether any pixel has alpha. Zeros everywhere mean a picture without it."""
    count = min(count, max(0, len(content) - start) // 4)
    return bool((np.frombuffer(content, "<u4", count, start) & np.uint32(mask)).any())


def _check_compression(compression: int, depth: int, length: int) -> None:
    names = _NOT_READ_OS2 if length == _OS2 else _NOT_READ
    if compression in names:
        raise FormatError(f"BMP with pixels compressed as {names[compression]}: not read")
    depths = {
        _PLAIN: (*_INDEXED, *_MASKS_BY_DEPTH),
        _RLE8: (8,),
        _RLE4: (4,),
        _BIT_FIELDS: tuple(_MASKS_BY_DEPTH),
        _ALPHA_BIT_FIELDS: tuple(_MASKS_BY_DEPTH),
    }
    if compression not in depths:
        raise FormatError(f"BMP with compression {compression}: only 0, 1, 2, 3 and 6 are read")
    if depth not in depths[compression]:
        raise FormatError(
            f"damaged picture: the header states compression {compression} with {depth} bits a "
            f"pixel; allowed: {', '.join(map(str, depths[compression]))}"
        )


def _masks(content: bytes, count: int, depth: int) -> tuple[int, ...]:
    if len(content) < _MASKS_AT + 4 * count:
        raise FormatError("damaged picture: the file ends inside of the bit masks of the BMP")
    masks = (*struct.unpack_from(f"<{count}I", content, _MASKS_AT), 0)[:4]
    if depth == 32 and not any(masks):
        return _MASKS_OF_ZEROS
    for mask in masks:
        ones = mask >> (mask & -mask).bit_length() - 1 if mask else 0
        if ones & ones + 1 or mask >> depth:
            raise FormatError(
                f"BMP with the bit mask {mask:#x} for {depth} bits a pixel: only masks without "
                "gaps that lie within the pixel are read"
            )
    if not any(masks[:3]):
        raise FormatError("damaged picture: all bit masks of the BMP's colours are 0")
    return masks


def _values(stored: NDArray[np.uint8], width: int, depth: int) -> NDArray[np.uint32]:
    """Whole pixels, n×W."""
    octets = stored[:, : width * depth // 8].reshape(len(stored), width, depth // 8)
    values = octets[..., 0].astype(np.uint32)
    for place in range(1, depth // 8):
        values |= octets[..., place].astype(np.uint32) << np.uint32(8 * place)
    return values


def _by_masks(values: NDArray[np.uint32], masks: tuple[int, ...]) -> NDArray[np.uint8]:
    channels = masks if masks[3] else masks[:3]
    pixels = np.zeros((*values.shape, len(channels)), np.uint8)
    for channel, mask in enumerate(channels):
        if mask == 0:
            continue
        shift = (mask & -mask).bit_length() - 1
        samples = (values & np.uint32(mask)) >> np.uint32(shift)
        largest = mask >> shift
        if largest < 255:
            samples = samples * np.uint32(255) // np.uint32(largest)
        pixels[..., channel] = samples >> np.uint32(max(0, largest.bit_length() - 8))
    return pixels


def _indices(stored: NDArray[np.uint8], depth: int) -> NDArray[np.uint8]:
    """Samples of 1, 2, 4 or 8 bits, from the upper bits of a byte on."""
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = stored[..., None] >> shifts & np.uint8((1 << depth) - 1)
    return samples.reshape(len(stored), -1)


def _run_lengths(content: bytes, bitmap: Bitmap) -> bytes:
    """One byte for each pixel, row by row as stored; 0 for pixels that the file skips."""
    width, height = bitmap.width, bitmap.height
    nibbles = bitmap.compression == _RLE4
    canvas = bytearray(width * height)
    at, column, row = bitmap.start, 0, 0
    while row < height:
        if at + 2 > len(content):
            if row == height - 1 and column >= width:
                break
            raise FormatError(f"damaged picture: the file ends in row {row + 1} of {height}")
        count, value = content[at], content[at + 1]
        at += 2
        if count:
            run = bytes([value >> 4, value & 15] * 128 if nibbles else [value])
            run = run[:count] if nibbles else run * count
        elif value == 0:
            column, row = 0, row + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            column += content[at] if at < len(content) else 0
            row += content[at + 1] if at + 1 < len(content) else 0
            at += 2
            continue
        else:
            count = value
            length = (count + 1) // 2 if nibbles else count
            packed = content[at : at + length]
            count = min(count, 2 * len(packed) if nibbles else len(packed))
            at += length + length % 2
            run = bytes(half for byte in packed for half in (byte >> 4, byte & 15))[:count]
            run = run if nibbles else packed
        run = run[: max(0, width - column)]
        begin = row * width + column
        canvas[begin : begin + len(run)] = run
        column += count
    return bytes(canvas)
