import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from decoded import LIMIT, read, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from png_writing import CHANNELS, KINDS, SIGNATURE, chunk, header, png, rows, shown

from glassguard.faces.decoding import stored_size

PROFILE = b"photo\0\0"
FRAME = struct.pack(">IIIIIHHBB", 0, 24, 24, 0, 0, 1, 10, 0, 0)
MEGABYTES = zlib.compress(bytes(3_000_000))


def exif(orientation: int) -> bytes:
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)


def photo() -> np.ndarray:
    return np.random.default_rng(5).integers(1, 256, (30, 26, 3))


# Metadata that the standard and its extensions know, sound and broken in many ways.
METADATA = st.one_of(
    st.tuples(
        st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"sRGB"])
        | st.sampled_from([b"pHYs", b"tIME", b"sPLT", b"hIST", b"bKGD", b"sBIT", b"acTL", b"fcTL"])
        | st.sampled_from([b"fdAT", b"cICP", b"mDCV", b"prVt", b"abCd", b"dSIG", b"caBX"]),
        st.binary(max_size=40),
    ),
    st.sampled_from(
        [
            (b"tEXt", b"parameters\0" + b"a portrait, " * 200_000),
            (b"tEXt", b"\xff\xfe no separator"),
            (b"zTXt", b"Raw profile type xmp\0\0" + MEGABYTES),
            (b"zTXt", b"Raw profile type exif\0\0" + MEGABYTES),
            (b"zTXt", b"XML:com.adobe.xmp\0\x09" + MEGABYTES),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + MEGABYTES),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + MEGABYTES[:-9]),
            (b"iTXt", b"XML:com.adobe.xmp\0"),
            (b"iCCP", PROFILE + MEGABYTES),
            (b"iCCP", PROFILE + b"not packed at all"),
            (b"iCCP", b"no separator"),
            (b"eXIf", b"Exif\0\0II*\0\xff\xff\xff\xff"),
            (b"eXIf", exif(1)),
            (b"acTL", struct.pack(">II", 2, 0)),
            (b"fcTL", FRAME),
            (b"fdAT", struct.pack(">I", 1) + b"broken"),
            (b"PLTE", bytes(7)),
            (b"tRNS", b""),
        ]
    ),
)


@st.composite
def files(draw):
    """The bytes of a PNG file with metadata in all places, and what it shows."""
    colour_type, depth = draw(st.sampled_from(KINDS))
    width, height = draw(st.integers(24, 35)), draw(st.integers(24, 35))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.integers(0, 2**depth, draw(st.sampled_from([2, 5, 40])))
    samples = generator.choice(values, (height, width, CHANNELS[colour_type]))
    interlaced = draw(st.booleans())
    filters = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    stream = zlib.compress(rows(samples, depth, filters, interlaced))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pixels = [(b"IDAT", stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    needed, palette, transparency = [], None, None
    if colour_type == 3:
        palette = generator.integers(0, 256, (draw(st.sampled_from([2**depth, 256])), 3))
        needed.append((b"PLTE", palette[: 2**depth].astype(np.uint8).tobytes()))
    if colour_type == 3 and draw(st.booleans()):
        transparency = generator.choice([0, 77, 255], generator.integers(1, 2**depth + 1))
        needed.append((b"tRNS", transparency.astype(np.uint8).tobytes()))
    elif colour_type in (0, 2) and draw(st.booleans()):
        # Bits above the depth do not count.
        transparency = samples[3, 5]
        high = draw(st.sampled_from([0, 0xFFFF])) << depth & 0xFFFF
        needed.append((b"tRNS", (transparency | high).astype(">u2").tobytes()))

    # Pixels stay in order; all others stand anywhere, also between the pixels.
    sequence = [(kind, data, False) for kind, data in pixels]
    place = st.integers(0, 20)
    for kind, data in needed:
        sequence.insert(draw(place), (kind, data, False))
    for kind, data in draw(st.lists(METADATA, max_size=5)):
        stands_for_pixels = (kind == b"PLTE" and colour_type == 3) or (
            kind == b"tRNS" and colour_type in (0, 2, 3)
        )
        if not stands_for_pixels:
            sequence.insert(draw(place), (kind, data, draw(st.booleans())))
    content = SIGNATURE + chunk(b"IHDR", header(samples, colour_type, depth, interlaced))
    content += b"".join(chunk(kind, data, broken=broken) for kind, data, broken in sequence)
    content += draw(
        st.sampled_from(
            [
                chunk(b"IEND"),
                b"",
                chunk(b"IEND") + b"appended",
                chunk(b"tEXt", b"cut off" * 9)[:-20],
                chunk(b"IEND", broken=True),
                b"\0\0\0",
                b"\xff" * 50,
            ]
        )
    )
    return content, shown(samples, colour_type, depth, palette, transparency)


@settings(max_examples=300)
@given(files())
def test_no_metadata_changes_or_costs_the_pixels(file):
    content, expected = file
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = read(content)
    assert picture.dtype == np.uint8
    # Where alpha is neither 0 nor 255, Pillow may round the other way.
    whole = expected == np.round(expected)
    np.testing.assert_array_equal(picture[whole], expected[whole])
    np.testing.assert_allclose(picture, expected, atol=1)
    assert stored_size(content, maximum_pixels=LIMIT) == expected.shape[1::-1]


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"prVt", b"gAMA"])
def test_metadata_of_megabytes_costs_no_picture(kind, behind, broken):
    noise = np.random.default_rng(0).bytes(3_000_000)
    pieces = chunk(kind, b"text\0" + noise, broken=broken) * 2
    content = png(photo(), 2, 8, **{"behind" if behind else "before": pieces})
    np.testing.assert_array_equal(read(content), photo())


def test_texts_that_unpack_to_much_are_passed_over():
    text = zlib.compress(bytes(1_000_000))
    texts = b"".join(chunk(b"zTXt", b"n%d\0\0" % number + text) for number in range(80))
    np.testing.assert_array_equal(read(png(photo(), 2, 8, before=texts)), photo())


# Rotation that metadata states


def hexadecimal(profile: bytes) -> bytes:
    """As ImageMagick writes it."""
    digits = profile.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\nexif\n%8d\n" % len(profile) + lines


XMP = b'<rdf:Description tiff:Orientation="6"/>'


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "piece",
    [
        chunk(b"eXIf", exif(6)),
        chunk(b"eXIf", b"Exif\0\0" + exif(6)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexadecimal(exif(6)))),
        chunk(b"tEXt", b"Raw profile type exif\0" + hexadecimal(exif(6))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0key\0" + zlib.compress(XMP)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP + bytes(3_000_000))),
        chunk(b"eXIf", b"nonsense") + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    ],
    ids=["exif", "prefix", "packed", "hex", "xmp", "packed_xmp", "long_xmp", "broken_exif"],
)
def test_rotation_is_undone_wherever_it_is_stated(piece, behind):
    turned = np.rot90(photo())
    content = png(turned, 2, 8, **{"behind" if behind else "before": piece + chunk(b"tEXt", b"a")})
    np.testing.assert_array_equal(read(content), photo())
    np.testing.assert_array_equal(read(content, rotate=False), turned)


@pytest.mark.parametrize(
    "piece",
    [
        chunk(b"eXIf", exif(6), broken=True),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP, broken=True),
        chunk(b"eXIf", exif(6)[:17]),
        chunk(b"eXIf", exif(9)),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nzz"),
        chunk(b"tEXt", b"Description\0" + XMP),
    ],
    ids=["exif_checksum", "xmp_checksum", "cut", "nine", "no_hex", "other_text"],
)
def test_rotation_that_cannot_be_trusted_is_passed_over(piece):
    np.testing.assert_array_equal(read(png(photo(), 2, 8, before=piece)), photo())


def test_a_directory_that_claims_gigabytes_is_not_followed():
    entries = b"".join(struct.pack("<HHII", 1000 + n, 1, 1 << 20, 8) for n in range(60_000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + entries + bytes(1 << 20)
    np.testing.assert_array_equal(read(png(photo(), 2, 8, before=chunk(b"eXIf", data))), photo())


# Damage to what pixels need


def parts(colour_type: int = 2, depth: int = 8, interlaced: bool = False):
    """Header and filtered rows, both sound; long rows of one colour, so that streams are short."""
    samples = np.full((31, 26, CHANNELS[colour_type]), 2**depth - 1)
    stream = rows(samples, depth, [0], interlaced)
    return chunk(b"IHDR", header(samples, colour_type, depth, interlaced)), stream


@settings(max_examples=100)
@given(st.sampled_from(KINDS), st.booleans(), st.floats(0, 1), st.booleans())
def test_rows_that_are_missing_are_damage(kind, interlaced, share, is_whole_stream):
    """Also where the shorter stream is in itself complete, its checksums right."""
    start, stream = parts(*kind, interlaced)
    short = stream[: int(share * (len(stream) - 1))]
    packed = zlib.compress(short) if is_whole_stream else zlib.compressobj().compress(short)
    palette = chunk(b"PLTE", bytes(range(9)) * 85)
    content = SIGNATURE + start + palette + chunk(b"IDAT", packed) + chunk(b"IEND")
    assert refusal(content).startswith("damaged picture: ")


def test_rows_that_are_black_are_no_damage():
    black = photo()
    black[-2:] = 0
    np.testing.assert_array_equal(read(png(black, 2, 8)), black)
    assert not read(png(np.zeros((40, 40, 1), int), 0, 1)).any()


def test_a_short_stream_is_named_with_its_length():
    start, stream = parts()
    packed = chunk(b"IDAT", zlib.compress(stream[:790]))
    assert "end after 790 of 2449 unpacked bytes" in refusal(SIGNATURE + start + packed)


@settings(max_examples=150)
@given(st.data())
def test_a_bit_flipped_in_the_pixels_is_damage(data):
    content = bytearray(png(photo(), 2, 8, behind=chunk(b"tEXt", b"a text")))
    begin = content.index(b"IDAT") + 4
    length = struct.unpack_from(">I", content, begin - 8)[0]
    content[begin + data.draw(st.integers(0, length + 3))] ^= 1 << data.draw(st.integers(0, 7))
    assert refusal(bytes(content)) == "damaged picture: the chunk IDAT has a wrong checksum"


@settings(max_examples=150)
@given(st.data())
def test_a_cut_counts_up_to_the_end_of_the_pixels(data):
    behind = chunk(b"tEXt", b"a text") + chunk(b"eXIf", exif(3))
    content = png(photo(), 2, 8, before=chunk(b"gAMA", bytes(4)), behind=behind)
    end = content.index(b"tEXt") - 4
    cut = data.draw(st.integers(1, len(content)))
    if cut >= content.index(b"IEND") - 4:
        np.testing.assert_array_equal(read(content[:cut]), photo()[::-1, ::-1])
    elif cut >= end:
        np.testing.assert_array_equal(read(content[:cut]), photo())
    else:
        reason = refusal(content[:cut])
        assert ("not a" if cut < len(SIGNATURE) else "damaged picture") in reason


@pytest.mark.parametrize(
    ("colour_type", "pieces", "reason"),
    [
        (3, [], "without its palette (PLTE)"),
        (3, [chunk(b"PLTE", bytes(768), broken=True)], "chunk PLTE has a wrong checksum"),
        (2, [chunk(b"tRNS", bytes(6), broken=True)], "chunk tRNS has a wrong checksum"),
        (2, [chunk(b"tRNS", bytes(5))], "(tRNS) has 5 bytes, not 6"),
        (0, [chunk(b"CgBI", bytes(4))], "critical chunk CgBI"),
    ],
    ids=["no_palette", "palette", "transparency", "short_transparency", "critical"],
)
def test_what_pixels_need_is_named_where_it_is_damaged(colour_type, pieces, reason):
    start, stream = parts(colour_type)
    content = SIGNATURE + start + b"".join(pieces) + chunk(b"IDAT", zlib.compress(stream))
    assert reason in refusal(content + chunk(b"IEND"))


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "without its header (IHDR)"),
        (chunk(b"IHDR", parts()[0][8:-4], broken=True), "chunk IHDR has a wrong checksum"),
        (chunk(b"IHDR", bytes(12)), "has 12 bytes, not 13"),
        (chunk(b"IHDR", struct.pack(">IIBBBBB", 26, 31, 3, 2, 0, 0, 0)), "bit depth 3"),
        (chunk(b"IHDR", struct.pack(">IIBBBBB", 26, 31, 8, 2, 0, 0, 2)), "methods 0, 0, 2"),
    ],
    ids=["none", "checksum", "short", "depth", "interlacing"],
)
def test_a_damaged_header_is_named(start, reason):
    content = SIGNATURE + start + chunk(b"IDAT", zlib.compress(parts()[1])) + chunk(b"IEND")
    assert refusal(content).startswith("damaged picture: ")
    assert reason in refusal(content)


def test_a_file_without_pixels_is_damaged():
    assert "without pixels (IDAT)" in refusal(SIGNATURE + parts()[0] + chunk(b"IEND"))


def test_size_is_judged_before_damage_to_later_frames_or_pixels_is_looked_for():
    samples = np.zeros((1001, 1000, 1), int)
    start = SIGNATURE + chunk(b"IHDR", header(samples, 0, 8))
    content = start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND")
    assert refusal(content) == "1000×1001: more than 1000000 pixels"


def test_damaged_later_frames_cost_no_first_one():
    frames = [Image.fromarray((photo() * share).astype(np.uint8)) for share in (1, 0.5, 0.25)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    content = bytearray(buffer.getvalue())
    content[content.rindex(b"fdAT") + 12] ^= 0xFF
    np.testing.assert_array_equal(read(bytes(content)), photo())
    np.testing.assert_array_equal(read(buffer.getvalue()[:-40]), photo())
