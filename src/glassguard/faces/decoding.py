"""Bytes of a picture file to RGB, without trusting the file.

A folder of downloaded pictures may hold anything: files that are cut off, web pages under another
name, pictures far larger than memory. Every fault ends in :class:`PictureError` with a reason of
one line. Metadata that is broken or larger than a decoder allows is no fault: no pixel needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from glassguard.faces.formats import bmp, jpeg, png, webp
from glassguard.faces.formats.metadata import Bare, FormatError, orientation

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp")
"""Usual endings of files of the four formats, lower case."""

MINIMUM_SIDE = 24
"""Pixels. In a smaller crop the eyes are less than seven pixels apart."""

BYTES_PER_PIXEL = 8
"""Of 16-bit RGBA, the largest kind, without compression: no honest file needs more."""

LARGEST_FILE = 64 << 20
"""Bytes; compressed pictures of any allowed size are smaller."""

BAND = 512
"""Rows that are converted at a time: a large picture is in memory twice and not three times."""

NEUTRAL = (128, 128, 128)
"""Grey behind transparent pixels: little contrast to faces of any brightness."""

Image.init()  # registers the decoders before pictures are opened on several threads

_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, 3),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


WEBP_DIVISOR = 3
"""By which ``maximum_pixels`` is divided for WebP: its decoder holds a picture five times."""


class PictureError(Exception):
    """A file that cannot be used; the message is the reason in one line."""


def maximum_bytes(maximum_pixels: int) -> int:
    """Size above which a file is not read."""
    return min(maximum_pixels * BYTES_PER_PIXEL, LARGEST_FILE)


_Rows = Callable[[int, int], NDArray[np.uint8]]
"""RGB of rows from the first to before the second."""


@dataclass(frozen=True)
class _Opened:
    """A picture whose header is read; ``rows`` decodes it."""

    size: tuple[int, int]
    orientation: int
    rows: Callable[[], _Rows]


def decode(content: bytes, *, maximum_pixels: int, rotate: bool = True) -> NDArray[np.uint8]:
    """Decode the bytes of a JPEG, PNG, WebP or BMP file.

    The size is checked before a pixel is decoded. EXIF rotation is applied, transparent pixels
    show :data:`NEUTRAL`, 16-bit samples keep their upper eight bits, CMYK and grey become RGB; of
    several frames the first is taken.

    Args:
        content: the whole file.
        maximum_pixels: width times height above which the picture is rejected.
        rotate: apply EXIF rotation; False where known coordinates count stored pixels.

    Returns:
        uint8 RGB, H×W×3.

    Raises:
        PictureError: the file is empty, no picture, or of a format or kind that is not read; its
            pixels are cut off or damaged; or the picture is too large or too small.
    """
    opened = _opened(content, maximum_pixels)
    turn = _UPRIGHT.get(opened.orientation) if rotate else None
    width, height = opened.size
    try:
        rows = opened.rows()
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        for top in range(0, height, BAND):
            bottom = min(top + BAND, height)
            pixels[top:bottom] = rows(top, bottom)
        if turn is None:
            return pixels
        # Turned after the decoder's memory, several times the picture's, is freed.
        del opened, rows
        return np.ascontiguousarray(turn(pixels))
    except FormatError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # damaged data raises a dozen kinds of errors
        raise PictureError(f"damaged picture: {one_line(error)}") from None


def stored_size(content: bytes, *, maximum_pixels: int) -> tuple[int, int]:
    """Width and height by the header, before any rotation.

    Raises:
        PictureError: as in :func:`decode`, for what a header tells.
    """
    return _opened(content, maximum_pixels).size


def _opened(content: bytes, maximum_pixels: int) -> _Opened:
    if not content:
        raise PictureError("empty file")
    try:
        opened = _open(content)
    except Image.DecompressionBombError:
        raise PictureError(f"more than {maximum_pixels} pixels") from None
    except FormatError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # a hostile header may raise anything inside a decoder
        raise PictureError(f"damaged picture: {one_line(error)}") from None
    width, height = opened.size
    allowed = maximum_pixels // WEBP_DIVISOR if webp.recognises(content) else maximum_pixels
    if width * height > allowed:
        raise PictureError(f"{width}×{height}: more than {allowed} pixels")
    if min(width, height) < MINIMUM_SIDE:
        raise PictureError(f"{width}×{height}: a side is shorter than {MINIMUM_SIDE} pixels")
    return opened


def _open(content: bytes) -> _Opened:
    if content.startswith(bmp.SIGNATURE):
        return _bitmap(content)
    if content.startswith(png.SIGNATURE):
        return _png(content)
    if content.startswith(jpeg.SIGNATURE):
        return _by_pillow(jpeg.bare(content), "JPEG")
    if webp.recognises(content):
        return _by_pillow(webp.bare(content), "WebP")
    raise FormatError("not a JPEG, PNG, WebP or BMP picture")


def _by_pillow(bare: Bare, format: str) -> _Opened:
    picture = _header(bare, format)

    def rows() -> _Rows:
        picture.load()
        return lambda top, bottom: _rgb(picture.crop((0, top, picture.width, bottom)))

    return _Opened(picture.size, orientation(bare.exif, bare.xmp), rows)


def _png(content: bytes) -> _Opened:
    bare = png.bare(content)
    picture = _header(bare, "PNG")
    width, height = picture.size

    def rows() -> _Rows:
        transparent = None if bare.transparent is None else _transparent_pixels(bare)
        picture.load()
        # Rows that the stream lacks are zeros, in every mode and also where they are interlaced.
        end = np.asarray(picture.crop((0, height - 2, width, height))).reshape(2, -1)
        if not end.any(axis=1).all():
            png.require_all_rows(content)

        def decoded(top: int, bottom: int) -> NDArray[np.uint8]:
            pixels = _rgb(picture.crop((0, top, width, bottom)))
            if transparent is None:
                return pixels
            return np.where(transparent[top:bottom, :, None], np.array(NEUTRAL, np.uint8), pixels)

        return decoded

    return _Opened(picture.size, orientation(bare.exif, bare.xmp), rows)


def _transparent_pixels(bare: Bare) -> NDArray[np.bool_]:
    """Where a 16-bit PNG has its transparent colour in all bits, H×W."""
    colour = np.array(bare.transparent)
    # Pillow keeps both bytes of a grey sample, and either the upper or the lower byte of colour.
    parts = {"I;16B": colour}
    if colour.size > 1:
        parts = {"RGB;16B": colour >> 8, "RGB;16L": colour & 0xFF}
    width, height = _header(bare, "PNG").size
    matches = np.ones((height, width), dtype=bool)
    for layout, wanted in parts.items():
        picture = _header(bare, "PNG")
        picture.tile = [tile._replace(args=layout) for tile in picture.tile]
        picture.load()
        for top in range(0, height, BAND):
            samples = np.asarray(picture.crop((0, top, width, min(top + BAND, height))))
            samples = samples.reshape(*samples.shape[:2], -1)
            matches[top : top + BAND] &= (samples == wanted).all(axis=2)
    return matches


def _bitmap(content: bytes) -> _Opened:
    header = bmp.read_header(content)

    def rows() -> _Rows:
        stored = header.rows(content)
        return lambda top, bottom: _rgb(Image.fromarray(stored(top, bottom)))

    return _Opened((header.width, header.height), 1, rows)


def _header(bare: Bare, format: str) -> ImageFile.ImageFile:
    try:
        return Image.open(bare.file, formats=[format])
    except UnidentifiedImageError:
        raise FormatError(f"damaged picture: {format} with a header that cannot be read") from None


def _rgb(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255: nearly all of it would be white.
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*NEUTRAL, 255))
        picture = Image.alpha_composite(background, layer)
    # Converting RGB to RGB would copy it.
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def one_line(error: Exception) -> str:
    """Message of an error in one line, at most 120 characters."""
    return " ".join(str(error).split())[:120] or type(error).__name__
