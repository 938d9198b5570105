"""Bytes of a picture file to RGB, without trusting the file.

Nothing in a folder of downloaded pictures can be relied on: files are cut off, are web pages by
another name, are far larger than memory, carry their rotation apart from their pixels. Whatever
is wrong ends in :class:`PictureError` with a reason of one line.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp")
"""Endings by which files of :data:`FORMATS` are usually named, lower case."""

MINIMUM_SIDE = 24
"""Pixels. With a smaller side the eyes of a cropped face are less than seven pixels apart."""

BYTES_PER_PIXEL = 8
"""Uncompressed pixels of the richest kind (16-bit RGBA): no honest file needs more."""

LARGEST_FILE = 64 << 20
"""Bytes; packed pictures of any size that is read are smaller."""

BAND = 512
"""Rows that are converted at a time, so that a large picture is in memory twice and not thrice."""

NEUTRAL = (128, 128, 128)
"""Grey behind transparent pixels: the least contrast to faces of any brightness."""

Image.init()  # registers the decoders once, since pictures are opened on several threads

_EXIF_ORIENTATION = 0x0112
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
"""A WebP may have that much fewer pixels: its decoder holds a picture five times over."""


class PictureError(Exception):
    """A file that cannot be used; the message is the reason, one line."""


def maximum_bytes(maximum_pixels: int) -> int:
    """Size of a file above which it is not read."""
    return min(maximum_pixels * BYTES_PER_PIXEL, LARGEST_FILE)


def decode(content: bytes, *, maximum_pixels: int, rotate: bool = True) -> np.ndarray:
    """Decode the bytes of a JPEG, PNG, WebP or BMP file.

    The header is read first, and the picture's size is judged before a pixel is decoded. EXIF
    rotation is applied, transparent pixels show :data:`NEUTRAL`, 16-bit samples keep their upper
    eight bits, CMYK and grey become RGB; of several frames the first is taken.

    Args:
        content: the whole file.
        maximum_pixels: width times height above which the picture is rejected.
        rotate: apply EXIF rotation; not where coordinates are known that count stored pixels.

    Returns:
        uint8 RGB, H×W×3.

    Raises:
        PictureError: the file is empty, no picture, of another format, cut off or damaged, or
            the picture too large or too small.
    """
    picture = _opened(content, maximum_pixels)
    try:
        picture.load()
        turn = _UPRIGHT.get(_orientation(picture)) if rotate else None
        pixels = _pixels(picture)
        if turn is None:
            return pixels
        # Turned only now that the decoder's own memory, several times the picture's, can go.
        del picture
        return np.ascontiguousarray(turn(pixels))
    except Exception as error:  # damaged data raises a dozen kinds of errors, by format
        raise PictureError(f"damaged picture: {_one_line(error)}") from None


def stored_size(content: bytes, *, maximum_pixels: int) -> tuple[int, int]:
    """Width and height as :func:`decode` finds them in the header, before any rotation.

    Raises:
        PictureError: as :func:`decode` does for what a header tells.
    """
    return _opened(content, maximum_pixels).size


def _opened(content: bytes, maximum_pixels: int) -> Image.Image:
    if not content:
        raise PictureError("empty file")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureError(f"more than {maximum_pixels} pixels") from None
    except UnidentifiedImageError:
        raise PictureError("not a JPEG, PNG, WebP or BMP picture") from None
    except Exception as error:  # a hostile header may raise anything inside a decoder
        raise PictureError(f"damaged picture: {_one_line(error)}") from None
    width, height = picture.size
    allowed = maximum_pixels // WEBP_DIVISOR if picture.format == "WEBP" else maximum_pixels
    if width * height > allowed:
        raise PictureError(f"{width}×{height}: more than {allowed} pixels")
    if min(width, height) < MINIMUM_SIDE:
        raise PictureError(f"{width}×{height}: a side is shorter than {MINIMUM_SIDE} pixels")
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        orientation = picture.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # broken metadata is no reason to lose a sound picture
        return 1
    return orientation if isinstance(orientation, int) else 1


def _pixels(picture: Image.Image) -> np.ndarray:
    width, height = picture.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        pixels[top:bottom] = np.asarray(_to_rgb(picture.crop((0, top, width, bottom))))
    return pixels


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 and leave nearly all of it white.
        samples = np.asarray(picture)
        if samples.dtype != np.uint16:
            samples = np.clip(samples, 0, 65535)
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*NEUTRAL, 255))
        return Image.alpha_composite(background, layer).convert("RGB")
    # A conversion to what it is would copy a picture of any size.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
