import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from glassguard.faces import decoding
from glassguard.faces.decoding import PictureError, decode

LIMIT = 1_000_000


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def halves(width: int = 60, height: int = 40) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {})],
)
def test_every_format_gives_rgb(format, options):
    picture = decode(encoded(halves(), format, **options), maximum_pixels=LIMIT)
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture[20, 5], [255, 0, 0], atol=6)
    np.testing.assert_allclose(picture[20, 55], [0, 0, 255], atol=6)


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes whose header promises a giant picture."""
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ):
        check = struct.pack(">I", zlib.crc32(kind + body))
        chunks += struct.pack(">I", len(body)) + kind + body + check
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404</html>", "not a JPEG, PNG, WebP or BMP"),
        (b"\xff\xd8\xff\xe0", "picture"),
        (encoded(halves(), "GIF"), "not a JPEG, PNG, WebP or BMP"),
        (encoded(halves(), "JPEG")[:-200], "damaged"),
        (encoded(Image.effect_noise((60, 40), 90), "PNG")[:-400], "damaged"),
        (encoded(halves(1001, 1000), "PNG"), "more than 1000000 pixels"),
        (png_that_claims(60_000, 60_000), "more than 1000000 pixels"),
        (encoded(halves(600, 600), "WEBP"), "more than 333333 pixels"),
        (encoded(halves(200, 10), "PNG"), "shorter than 24"),
    ],
    ids=["empty", "html", "stub", "gif", "cut_jpeg", "cut_png", "large", "bomb", "webp", "tiny"],
)
def test_every_bad_file_has_a_reason_of_one_line(content, reason):
    with pytest.raises(PictureError, match=reason) as caught:
        decode(content, maximum_pixels=LIMIT)
    assert "\n" not in str(caught.value)


def test_a_large_picture_is_rejected_before_it_is_decoded(monkeypatch):
    content = encoded(halves(1001, 1000), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="1001×1000"):
        decode(content, maximum_pixels=LIMIT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation):
    upright = halves()
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(stored, "PNG", exif=exif), maximum_pixels=LIMIT)
    np.testing.assert_array_equal(picture, np.asarray(upright))


def test_broken_exif_loses_no_picture():
    content = encoded(halves(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00")
    assert decode(content, maximum_pixels=LIMIT).shape == (40, 60, 3)


def test_grey_has_three_equal_channels():
    picture = decode(encoded(halves().convert("L"), "JPEG"), maximum_pixels=LIMIT)
    assert picture.shape == (40, 60, 3)
    assert (picture[..., 0] == picture[..., 2]).all()


def test_cmyk_keeps_its_colours():
    content = encoded(halves().convert("CMYK"), "JPEG", quality=95)
    picture = decode(content, maximum_pixels=LIMIT)
    np.testing.assert_allclose(picture[20, 5], [255, 0, 0], atol=8)


def test_sixteen_bits_keep_their_range():
    ramp = np.tile(np.linspace(0, 65535, 60).astype(np.uint16), (40, 1))
    picture = decode(encoded(Image.fromarray(ramp), "PNG"), maximum_pixels=LIMIT)
    np.testing.assert_array_equal(picture[..., 1], ramp >> 8)


def test_sixteen_bits_of_colour_keep_their_upper_eight():
    samples = np.zeros((40, 60, 3), np.uint16)
    samples[..., 0] = np.linspace(0, 65535, 60).astype(np.uint16)
    samples[..., 2] = 0x12FF
    encoded_png = cv2.imencode(".png", samples[..., ::-1])[1].tobytes()
    picture = decode(encoded_png, maximum_pixels=LIMIT)
    np.testing.assert_array_equal(picture, samples >> 8)


def test_a_palette_is_looked_up():
    content = encoded(halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2), "PNG")
    assert Image.open(io.BytesIO(content)).mode == "P"
    picture = decode(content, maximum_pixels=LIMIT)
    np.testing.assert_array_equal(picture, np.asarray(halves()))


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_taken(format):
    frames = [halves().transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.new("RGB", (60, 40))]
    options = {"save_all": True, "append_images": frames, "duration": 50, "lossless": True}
    if format == "PNG":
        del options["lossless"]
    content = encoded(halves(), format, **options)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    picture = decode(content, maximum_pixels=LIMIT)
    np.testing.assert_array_equal(picture, np.asarray(halves()))


def test_an_animated_gif_is_another_format():
    content = encoded(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    with pytest.raises(PictureError, match="not a JPEG, PNG, WebP or BMP"):
        decode(content, maximum_pixels=LIMIT)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_neutral_grey(mode):
    layer = Image.new("RGBA", (60, 40), (250, 250, 250, 255))
    layer.paste((0, 0, 0, 0), (0, 0, 30, 40))
    picture = decode(encoded(layer.convert(mode), "PNG"), maximum_pixels=LIMIT)
    np.testing.assert_allclose(picture[20, 5], 128, atol=1)
    np.testing.assert_allclose(picture[20, 55], 250, atol=2)


def test_rotation_is_left_where_coordinates_count_stored_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(halves(), "PNG", exif=exif)
    assert decode(content, maximum_pixels=LIMIT).shape == (60, 40, 3)
    stored = decode(content, maximum_pixels=LIMIT, rotate=False)
    np.testing.assert_array_equal(stored, np.asarray(halves()))


def test_bands_of_a_transparent_picture_meet():
    height = 2 * decoding.BAND + 7
    rows = np.arange(height, dtype=np.uint16)
    layer = np.zeros((height, 30, 4), dtype=np.uint8)
    layer[..., 0] = (rows % 256)[:, None]
    layer[..., 3] = 255
    layer[-5:, :, 3] = 0
    found = decode(encoded(Image.fromarray(layer), "PNG"), maximum_pixels=10**6)
    assert np.array_equal(found[:-5, 0, 0], rows[:-5] % 256)
    assert (found[-5:] == decoding.NEUTRAL).all()


def test_no_file_is_read_that_packed_pictures_cannot_be():
    assert decoding.maximum_bytes(1000) == 8000
    assert decoding.maximum_bytes(50_000_000) == decoding.LARGEST_FILE
