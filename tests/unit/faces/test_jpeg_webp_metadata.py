import io
import struct
import warnings

import numpy as np
import pytest
from decoded import LIMIT, read, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glassguard.faces.decoding import stored_size
from glassguard.faces.formats.metadata import orientation

XMP = b'<rdf:Description tiff:Orientation="6"/>'
JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def photo(mode: str = "RGB") -> Image.Image:
    ramp = np.zeros((30, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40) * 6
    ramp[..., 1] = np.arange(30)[:, None] * 8
    return Image.fromarray(ramp).convert(mode)


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def decoded_by_pillow(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def exif(value: int = 6, kind: int = 3, count: int = 1, order: str = ">") -> bytes:
    """TIFF data whose only entry is the orientation."""
    packed = struct.pack(order + {1: "B", 4: "I", 9: "i"}.get(kind, "H"), value).ljust(4, b"\0")
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHI", 0x112, kind, count)
    return start + struct.pack(order + "IH", 8, 1) + entry + packed + bytes(4)


# JPEG


def segment(code: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    stated = len(body) + 2 if length is None else length
    return bytes([0xFF, code]) + struct.pack(">H", stated) + body


ENTRY = struct.pack(">HHII", 0x4949, 4, 1, 7)
SEGMENTS = st.one_of(
    st.builds(segment, st.sampled_from([*range(0xE1, 0xEE), 0xEF, 0xFE]), st.binary(max_size=50)),
    st.sampled_from(
        [
            segment(0xE0, b"JFIF\0"),
            segment(0xE0, b"JFIF\0\1"),
            segment(0xE0),
            segment(0xE0, b"JFXX\0\x13broken"),
            segment(0xEE, b"Adobe"),
            segment(0xEE, b"Adobe\0\x64\0"),
            segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4"),
            segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\xff"),
            segment(0xED, b"Photoshop 3.0\0" + b"8BIM\3\xed\0\0\0\0\0\1!"),
            segment(0xE2, b"ICC_PROFILE\0"),
            segment(0xE2, b"ICC_PROFILE\0\7\2profile"),
            segment(0xE2, b"MPF\0"),
            segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1" + ENTRY),
            segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
            segment(0xE2, b"FPXR\0"),
            segment(0xE1, b"Exif\0\0"),
            segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
            segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + ENTRY),
            segment(0xE1, b"Exif\0\0" + exif(1)),
            segment(0xE1, b"Exif\0\0" + exif(6, kind=2)),
            segment(0xE1, JPEG_XMP + b'<x tiff:Orientation="'),
            segment(0xFE, b"a comment " * 6000),
            segment(0xFE, length=0),
            segment(0xFE, length=1),
            segment(0xEB, bytes(65_000)) * 40,
            b"\xff\xff\xff",
            b"stray bytes",
        ]
    ),
)


@settings(max_examples=300)
@given(
    st.sampled_from(["L", "RGB", "CMYK"]),
    st.booleans(),
    st.lists(SEGMENTS, max_size=6),
    st.lists(SEGMENTS, max_size=3),
)
def test_no_segment_changes_or_costs_the_pixels(mode, progressive, first, second):
    plain = encoded(photo(mode), "JPEG", progressive=progressive)
    tables = plain.index(b"\xff\xdb")
    content = plain[:2] + b"".join(first) + plain[2:tables] + b"".join(second) + plain[tables:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = read(content)
    np.testing.assert_array_equal(picture, decoded_by_pillow(plain))
    assert stored_size(content, maximum_pixels=LIMIT) == (40, 30)


def test_the_segments_that_tell_the_colours_still_count():
    plain = encoded(photo(), "JPEG", keep_rgb=True, subsampling=0)
    assert b"Adobe" in plain
    np.testing.assert_allclose(read(plain), np.asarray(photo()), atol=12)
    # Named YCbCr by a JFIF segment, the same samples are other colours.
    plain = encoded(photo(), "JPEG", subsampling=0)
    np.testing.assert_array_equal(read(plain), decoded_by_pillow(plain))


def test_the_first_of_several_pictures_is_taken():
    content = encoded(photo(), "MPO", save_all=True, append_images=[photo().rotate(180)])
    assert Image.open(io.BytesIO(content)).n_frames == 2
    np.testing.assert_array_equal(read(content), decoded_by_pillow(content))
    np.testing.assert_array_equal(read(content), decoded_by_pillow(encoded(photo(), "JPEG")))


@pytest.mark.parametrize("piece", [b"Exif\0\0" + exif(), JPEG_XMP + XMP], ids=["exif", "xmp"])
def test_rotation_of_a_jpeg_is_undone_among_broken_segments(piece):
    plain = encoded(photo(), "JPEG")
    broken = segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1" + ENTRY) + segment(0xED, b"Photoshop 3.0\0")
    content = plain[:2] + broken + segment(0xE1, piece) + segment(0xE1, b"other") + plain[2:]
    np.testing.assert_array_equal(read(content), np.rot90(decoded_by_pillow(plain), 3))


def test_xmp_states_the_rotation_where_exif_is_broken():
    plain = encoded(photo(), "JPEG")
    pieces = segment(0xE1, b"Exif\0\0MM\0*\0") + segment(0xE1, JPEG_XMP + XMP)
    turned = read(plain[:2] + pieces + plain[2:])
    np.testing.assert_array_equal(turned, np.rot90(decoded_by_pillow(plain), 3))


@settings(max_examples=60)
@given(st.integers(3, 10**6))
def test_a_jpeg_that_is_cut_off_is_damaged(cut):
    content = encoded(photo(), "JPEG", comment=b"a" * 500)
    assert refusal(content[: cut % (len(content) - 60)]).startswith(("damaged picture", "not a"))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(4, 12, "12 bits a sample: only 8"), (9, 2, "2 channels: only 1, 3 and 4")],
)
def test_kinds_of_jpeg_that_are_not_read_are_named(place, value, reason):
    content = bytearray(encoded(photo(), "JPEG"))
    content[content.index(b"\xff\xc0") + place] = value
    assert reason in refusal(bytes(content))
    assert "damaged" not in refusal(bytes(content))


def test_a_jpeg_with_damaged_tables_is_still_a_jpeg():
    content = bytearray(encoded(photo(), "JPEG"))
    tables = content.index(b"\xff\xdb")
    content[tables + 2 : tables + 4] = b"\0\7"
    assert refusal(bytes(content)).startswith("damaged picture: ")


# WebP


def chunk(kind: bytes, data: bytes, *, length: int | None = None) -> bytes:
    stated = len(data) if length is None else length
    return kind + struct.pack("<I", stated) + data + bytes(len(data) % 2)


def webp(first: bytes, pixels: bytes, last: bytes, flags: int, *, size: int | None = None) -> bytes:
    canvas = struct.pack("<I", 40 - 1)[:3] + struct.pack("<I", 30 - 1)[:3]
    body = b"WEBP" + chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas) + first + pixels + last
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def pixels_of_webp(mode: str, *, lossless: bool) -> bytes:
    """The chunks of pixels alone."""
    content = encoded(photo(mode), "WEBP", lossless=lossless, exact=True)
    return content[30:] if content[12:16] == b"VP8X" else content[12:]


CHUNKS = st.one_of(
    st.builds(
        chunk,
        st.sampled_from([b"EXIF", b"XMP ", b"ICCP", b"abcd", b"C2PA", b"\xff\0\1\2"]),
        st.binary(max_size=41),
    ),
    st.sampled_from(
        [
            chunk(b"ICCP", bytes(300_001)),
            chunk(b"XMP ", b"<x>" * 100_001),
            chunk(b"EXIF", b"II*\0\xff\xff\xff\xff"),
            chunk(b"EXIF", b"Exif\0\0" + exif(1)),
            chunk(b"EXIF", b""),
        ]
    ),
)
TAILS = [
    b"",
    b"\0\0\0",
    b"EXIF",
    chunk(b"EXIF", exif()[:-8], length=1000),
    chunk(b"XMP ", XMP, length=2**32 - 1),
    b"\xff" * 37,
]


@settings(max_examples=200)
@given(
    st.sampled_from(["RGB", "RGBA"]),
    st.booleans(),
    st.lists(CHUNKS, max_size=4),
    st.lists(CHUNKS, max_size=4),
    st.integers(0, 255).map(lambda flags: flags & ~0x12),
    st.sampled_from(TAILS),
    st.sampled_from([None, 0, 12, 100, 2**32 - 2]),
)
def test_no_chunk_changes_or_costs_the_pixels(mode, lossless, first, last, flags, tail, size):
    pixels = pixels_of_webp(mode, lossless=lossless)
    plain = webp(b"", pixels, b"", 0)
    content = webp(b"".join(first), pixels, b"".join(last) + tail, flags, size=size)
    picture = read(content)
    np.testing.assert_array_equal(picture, decoded_by_pillow(plain))
    if lossless:
        np.testing.assert_array_equal(picture, np.asarray(photo()))


@pytest.mark.parametrize("lossless", [False, True])
def test_alpha_of_a_webp_still_counts(lossless):
    layer = photo("RGBA")
    layer.paste((0, 0, 0, 0), (0, 0, 10, 30))
    content = encoded(layer, "WEBP", lossless=lossless, exif=b"broken", icc_profile=b"broken")
    assert (read(content)[:, :10] == 128).all()
    np.testing.assert_allclose(read(content)[:, 16:], np.asarray(photo())[:, 16:], atol=40)


@pytest.mark.parametrize(
    ("flags", "piece"),
    [(0x08, chunk(b"EXIF", exif())), (0x04, chunk(b"XMP ", XMP))],
    ids=["exif", "xmp"],
)
@pytest.mark.parametrize("behind", [False, True])
def test_rotation_of_a_webp_is_undone_where_its_header_states_metadata(flags, piece, behind):
    pixels = pixels_of_webp("RGB", lossless=True)
    places = (b"", piece) if behind else (piece, b"")
    stated = webp(places[0], pixels, places[1] + chunk(b"abcd", b"?"), flags)
    np.testing.assert_array_equal(read(stated), np.rot90(np.asarray(photo()), 3))
    unstated = webp(places[0], pixels, places[1], 0)
    np.testing.assert_array_equal(read(unstated), np.asarray(photo()))


def test_damaged_later_frames_of_a_webp_cost_no_first_one():
    frames = [photo().rotate(180), photo().rotate(90, expand=False)]
    content = encoded(photo(), "WEBP", lossless=True, save_all=True, append_images=frames)
    cut = content[: content.rindex(b"ANMF") + 30]
    np.testing.assert_array_equal(read(cut), np.asarray(photo()))


@settings(max_examples=60)
@given(st.integers(12, 10**6), st.booleans())
def test_a_webp_that_is_cut_off_in_its_pixels_is_damaged(cut, lossless):
    plain = webp(b"", pixels_of_webp("RGB", lossless=lossless), b"", 0)
    cut = 12 + cut % (len(plain) - 14)
    assert refusal(plain[:cut]).startswith("damaged picture: the file ends")


# EXIF


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from([0x10E, 0x10F, 0x110, 0x131, 0x13B, 0x8298]),
        st.text("abc \n", min_size=1, max_size=60),
    ),
    st.integers(1, 8),
    st.sampled_from("<>"),
)
def test_orientation_among_other_entries_is_as_pillow_reads_it(texts, value, order):
    written = Image.Exif()
    written.endian = order
    for tag, text in texts.items():
        written[tag] = text
    written[0x112] = value
    assert orientation(written.tobytes(), b"") == value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"value": 8}, 8),
        ({"value": 8, "kind": 4}, 8),
        ({"value": 8, "kind": 9}, 8),
        ({"value": 0}, 1),
        ({"value": 9}, 1),
        ({"value": 65535}, 1),
        ({"value": 8, "kind": 2}, 1),
        ({"value": 8, "kind": 5}, 1),
        ({"value": 8, "kind": 7}, 1),
        ({"value": 8, "kind": 99}, 1),
        ({"value": 8, "count": 0}, 1),
        ({"value": 8, "count": 2}, 1),
        ({"value": 8, "count": 2**32 - 1}, 1),
    ],
)
def test_only_one_whole_number_from_one_to_eight_is_an_orientation(options, expected, order):
    assert orientation(exif(**options, order=order), b"") == expected
    # What EXIF states, however wrongly, is not looked up elsewhere.
    assert orientation(exif(**options, order=order), XMP) == expected


@pytest.mark.parametrize("cut", range(20))
def test_xmp_counts_where_exif_ends_before_its_entry(cut):
    assert orientation(exif()[:cut], XMP.replace(b"6", b"3")) == 3


@settings(max_examples=300)
@given(
    st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0\x08\0\0\0"])
)
def test_any_bytes_have_an_orientation(rest, start):
    assert 1 <= orientation(start + rest, rest) <= 8
