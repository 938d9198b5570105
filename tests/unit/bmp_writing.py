"""BMP files of any kind, written from whole pixels without a library of pictures."""

import struct

import numpy as np

HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def stored_rows(values: np.ndarray, depth: int, *, top_down: bool = False) -> bytes:
    """Whole pixels of ``depth`` bits, row by row, each filled up to four bytes."""
    lines = b""
    for row in values if top_down else values[::-1]:
        if depth < 8:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            line = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        else:
            line = b"".join(int(value).to_bytes(depth // 8, "little") for value in row)
        lines += line + bytes(-len(line) % 4)
    return lines


def bmp(
    shape: tuple[int, int],
    depth: int,
    pixels: bytes,
    *,
    length: int = 40,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: np.ndarray | None = None,
    top_down: bool = False,
    gap: int = 0,
    start: int | None = None,
) -> bytes:
    """A file of rows or runs that are already packed.

    Args:
        shape: height and width.
        masks: of red, green, blue and maybe alpha; in the header where it has room, else behind.
        palette: n×3, red first.
        gap: bytes between all headers and the pixels.
        start: what the file states as the byte at which pixels begin; by default the truth.
    """
    height, width = shape
    if length == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, depth)
    else:
        stated = -height if top_down else height
        colours = 0 if palette is None else len(palette)
        fields = struct.pack("<IiiHHI", length, width, stated, 1, depth, compression)
        header = (fields + struct.pack("<IiiII", 0, 2835, 2835, colours, 0))[:length]
        header += struct.pack(f"<{len(masks)}I", *masks)
        header = header.ljust(length, b"\0")
    if palette is not None:
        spare = b"" if length == 12 else b"\0"
        header += b"".join(bytes(map(int, colour[::-1])) + spare for colour in palette)
    header += b"?" * gap
    begin = 14 + len(header) if start is None else start
    size = 14 + len(header) + len(pixels)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, begin) + header + pixels
