"""PNG files of any kind, written from samples without a library of pictures."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [
    (colour_type, depth)
    for colour_type, depths in {
        0: (1, 2, 4, 8, 16),
        2: (8, 16),
        3: (1, 2, 4, 8),
        4: (8, 16),
        6: (8, 16),
    }.items()
    for depth in depths
]
PASSES = [
    (slice(0, None, 8), slice(0, None, 8)),
    (slice(0, None, 8), slice(4, None, 8)),
    (slice(4, None, 8), slice(0, None, 4)),
    (slice(0, None, 4), slice(2, None, 4)),
    (slice(2, None, 4), slice(0, None, 2)),
    (slice(0, None, 2), slice(1, None, 2)),
    (slice(1, None, 2), slice(0, None, 1)),
]


def chunk(kind: bytes, data: bytes = b"", *, broken: bool = False) -> bytes:
    checksum = zlib.crc32(kind + data) ^ (0xFFFF if broken else 0)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def header(samples: np.ndarray, colour_type: int, depth: int, interlaced: bool = False) -> bytes:
    height, width, _ = samples.shape
    return struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)


def rows(samples: np.ndarray, depth: int, filters, interlaced: bool = False) -> bytes:
    """Filtered rows, not yet compressed; ``filters`` are the kinds of filter to go through."""
    packed = b""
    number = 0
    for part in [samples[where] for where in PASSES] if interlaced else [samples]:
        if part.size == 0:
            continue
        bits = ((part[..., None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
        octets = np.packbits(bits.reshape(len(part), -1), axis=1).astype(int)
        step = max(1, samples.shape[2] * depth // 8)
        above = np.zeros_like(octets[0])
        for row in octets:
            kind = filters[number % len(filters)]
            number += 1
            packed += (
                bytes([kind])
                + (row - _predicted(kind, row, above, step)).astype(np.uint8).tobytes()
            )
            above = row
    return packed


def _predicted(kind: int, row: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    def shifted(values):
        return np.concatenate([np.zeros(step, int), values])[: len(values)]

    left, corner = shifted(row), shifted(above)
    if kind == 4:
        guess = left + above - corner
        far = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
        return np.choose(far.argmin(axis=0), [left, above, corner])
    return [np.zeros_like(row), left, above, (left + above) // 2][kind]


def png(
    samples: np.ndarray,
    colour_type: int,
    depth: int,
    *,
    before: bytes = b"",
    behind: bytes = b"",
    end: bytes = chunk(b"IEND"),
) -> bytes:
    """A plain file with ``before`` between header and pixels and ``behind`` behind them."""
    packed = zlib.compress(rows(samples, depth, [0]))
    start = SIGNATURE + chunk(b"IHDR", header(samples, colour_type, depth))
    return start + before + chunk(b"IDAT", packed) + behind + end


def over_grey(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours of 0 to 255 before the neutral grey of 128, not rounded."""
    share = alpha.astype(float)[..., None] / 255
    return colours * share + 128 * (1 - share)


def shown(samples, colour_type, depth, palette=None, transparency=None) -> np.ndarray:
    """What a viewer shows, as the standard has it: the upper eight bits, before neutral grey.

    Args:
        samples: H×W×channels.
        palette: n×3, of colour type 3.
        transparency: alpha of the palette's first colours, or the samples of one colour.
    """
    scaled = samples >> 8 if depth == 16 else samples * 255 // (2**depth - 1)
    alpha = np.full(samples.shape[:2], 255)
    if colour_type == 3:
        whole = np.full(256, 255)
        if transparency is not None:
            whole[: len(transparency)] = transparency
        alpha, colours = whole[samples[..., 0]], palette[samples[..., 0]]
    elif colour_type in (4, 6):
        alpha, colours = scaled[..., -1], scaled[..., :-1]
    else:
        colours = scaled
        if transparency is not None:
            alpha = np.where((samples == transparency).all(axis=2), 0, 255)
    return over_grey(np.broadcast_to(colours, (*alpha.shape, 3)), alpha)
