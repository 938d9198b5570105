import io
import struct

import numpy as np
import pytest
from bmp_writing import HEADERS, bmp, stored_rows
from decoded import LIMIT, read, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from png_writing import over_grey

from glassguard.faces.decoding import PictureError, stored_size


def samples_of(values: np.ndarray, mask: int) -> np.ndarray:
    """0 to 255, one bit after the other."""
    places = [place for place in range(32) if mask >> place & 1]
    samples = sum(
        ((values.astype(np.uint64) >> np.uint64(place)) & np.uint64(1)) << np.uint64(order)
        for order, place in enumerate(places)
    )
    if len(places) > 8:
        return (samples >> np.uint64(len(places) - 8)).astype(int)
    return (samples * np.uint64(255) // np.uint64(2 ** len(places) - 1)).astype(int)


@st.composite
def bit_fields(draw):
    """Pixels of any sizes and any order of masks, in every header that has them."""
    depth = draw(st.sampled_from([16, 24, 32]))
    length = draw(st.sampled_from([40, 52, 56, 108, 124]))
    compression = draw(st.sampled_from([3, 6])) if length == 40 else 3
    has_alpha = length >= 56 or compression == 6
    widths = draw(
        st.lists(st.integers(1, 11), min_size=4, max_size=4).filter(lambda all: sum(all) <= depth)
        | st.sampled_from([[5, 6, 5, 0], [5, 5, 5, 1], [4, 4, 4, 4], [5, 5, 5, 0]])
        | (st.just([8, 8, 8, 8]) if depth == 32 else st.just([4, 4, 4, 0]))
    )
    if not has_alpha:
        widths = [*widths[:3], 0]
    masks = [0, 0, 0, 0]
    at = draw(st.integers(0, depth - sum(widths)))
    for channel in draw(st.permutations(range(4))):
        masks[channel] = ((1 << widths[channel]) - 1) << at
        at += widths[channel]

    shape = draw(st.integers(24, 33)), draw(st.integers(24, 33))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.integers(0, 2**depth, shape, dtype=np.uint64)
    if draw(st.booleans()):
        values |= np.uint64(masks[3])
    top_down = draw(st.booleans())
    content = bmp(
        shape,
        depth,
        stored_rows(values, depth, top_down=top_down),
        length=length,
        compression=compression,
        masks=tuple(masks if has_alpha else masks[:3]),
        top_down=top_down,
        gap=draw(st.sampled_from([0, 3, 64])),
    )
    colours = np.stack([samples_of(values, mask) for mask in masks[:3]], axis=2)
    alpha = samples_of(values, masks[3]) if masks[3] else np.full(shape, 255)
    return content, over_grey(colours, alpha)


@settings(max_examples=300)
@given(bit_fields())
def test_bit_fields_of_any_masks_give_their_pixels(file):
    content, expected = file
    picture = read(content)
    assert picture.dtype == np.uint8
    whole = expected == np.round(expected)
    np.testing.assert_array_equal(picture[whole], expected[whole])
    np.testing.assert_allclose(picture, expected, atol=1)
    assert stored_size(content, maximum_pixels=LIMIT) == expected.shape[1::-1]


@settings(max_examples=200)
@given(st.data())
def test_plain_pixels_of_any_depth_and_header_are_right(data):
    length = data.draw(st.sampled_from(HEADERS))
    depth = data.draw(st.sampled_from([1, 2, 4, 8, 16, 24, 32]))
    shape = data.draw(st.integers(24, 33)), data.draw(st.integers(24, 33))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = generator.integers(0, 2**depth, shape, dtype=np.int64)
    top_down = length > 16 and data.draw(st.booleans())
    palette = None
    if depth <= 8:
        # A palette of fewer colours than the depth allows, and pixels that stay inside of it.
        limits = (2, 2**depth) if length > 16 else (2**depth, 2**depth)
        palette = generator.integers(0, 256, (data.draw(st.integers(*limits)), 3))
        values %= len(palette)
        colours = palette[values]
    else:
        # Without masks, four bytes hold three colours and no alpha.
        masks = (0x7C00, 0x3E0, 0x1F) if depth == 16 else (0xFF0000, 0xFF00, 0xFF)
        colours = np.stack([samples_of(values, mask) for mask in masks], axis=2)
    content = bmp(
        shape,
        depth,
        stored_rows(values, depth, top_down=top_down),
        length=length,
        palette=palette,
        top_down=top_down,
        start=data.draw(st.sampled_from([None, 0])),
    )
    np.testing.assert_array_equal(read(content), colours)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_what_pillow_writes_is_read_as_pillow_reads_it(mode):
    noise = np.random.default_rng(0).integers(0, 256, (29, 27, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "BMP")
    expected = Image.open(buffer).convert("RGB")
    np.testing.assert_array_equal(read(buffer.getvalue()), expected)


def test_masks_of_zeros_mean_the_usual_order():
    values = np.random.default_rng(0).integers(0, 2**24, (25, 26)) | 0xFF000000
    for length, masks in ((40, (0, 0, 0)), (56, (0, 0, 0, 0))):
        content = bmp(
            (25, 26), 32, stored_rows(values, 32), length=length, compression=3, masks=masks
        )
        colours = np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], axis=2)
        np.testing.assert_array_equal(read(content), colours)


def test_an_alpha_of_zeros_everywhere_is_none():
    values = np.arange(24 * 25, dtype=np.uint32).reshape(24, 25) * 0x01_02_03 & 0xFFFFFF
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    expected = np.stack([(values >> shift) & 255 for shift in (16, 8, 0)], axis=-1)
    for length in (56, 108, 124):
        file = bmp((24, 25), 32, stored_rows(values, 32), length=length, compression=3, masks=masks)
        assert np.array_equal(read(file), expected)
    # One pixel that is opaque makes the others transparent.
    values[0, 0] |= np.uint32(0xFF000000)
    file = bmp((24, 25), 32, stored_rows(values, 32), length=124, compression=3, masks=masks)
    assert not np.array_equal(read(file), expected)


def test_the_last_row_may_lack_its_filling():
    values = np.random.default_rng(0).integers(0, 2**24, (25, 25))
    content = bmp((25, 25), 24, stored_rows(values, 24, top_down=True), top_down=True)
    np.testing.assert_array_equal(read(content[:-1])[..., 2], values & 255)
    assert "ends after 1952 of 1953 bytes" in refusal(content[:-2])


def test_pixels_may_be_said_to_begin_where_the_palette_does():
    values = np.random.default_rng(0).integers(0, 16, (25, 26))
    palette = np.random.default_rng(1).integers(0, 256, (16, 3))
    content = bmp((25, 26), 4, stored_rows(values, 4), palette=palette, start=54)
    np.testing.assert_array_equal(read(content), palette[values])


# Run lengths


def runs(values: np.ndarray, depth: int, draw) -> bytes:
    """Packed with runs and stretches of any lengths, rows from the last to the first."""
    packed = b""
    for row in values[::-1].tolist():
        at = 0
        while at < len(row):
            part = row[at : at + draw(st.integers(1, 20))]
            at += len(part)
            if len(set(part)) == 1:
                packed += bytes([len(part), part[0] if depth == 8 else part[0] * 17])
                continue
            if depth == 4 and part == (part[:2] * 10)[: len(part)]:
                packed += bytes([len(part), part[0] << 4 | part[1]])
                continue
            if len(part) < 3:
                packed += b"".join(
                    bytes([1, value if depth == 8 else value << 4]) for value in part
                )
                continue
            stretch = bytes(part)
            if depth == 4:
                halves = [*part, 0][: len(part) + len(part) % 2]
                stretch = bytes(a << 4 | b for a, b in zip(halves[::2], halves[1::2], strict=True))
            packed += bytes([0, len(part)]) + stretch + bytes(len(stretch) % 2)
        packed += b"\0\0"
    return packed


@settings(max_examples=100)
@given(st.data())
def test_run_lengths_give_their_pixels(data):
    depth = data.draw(st.sampled_from([4, 8]))
    colours = data.draw(st.sampled_from([2, 3, 2**depth]))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = generator.integers(0, colours, (24, 27))
    values = np.repeat(values, data.draw(st.sampled_from([1, 2, 9])), axis=1)
    palette = generator.integers(0, 256, (2**depth, 3))
    content = bmp(
        values.shape,
        depth,
        runs(values, depth, data.draw) + data.draw(st.sampled_from([b"\0\1", b""])),
        length=data.draw(st.sampled_from([40, 64, 108, 124])),
        compression=1 if depth == 8 else 2,
        palette=palette,
        gap=data.draw(st.sampled_from([0, 1])),
    )
    np.testing.assert_array_equal(read(content), palette[values])


def test_pixels_that_run_lengths_skip_have_the_first_colour():
    palette = np.random.default_rng(0).integers(0, 256, (256, 3))
    # A run in the lowest row, a jump of three to the right and two up, a run, and the end.
    packed = b"\x04\x07\0\2\3\2\x02\x09\0\1"
    values = np.zeros((30, 28), int)
    values[-1, :4] = 7
    values[-3, 7:9] = 9
    content = bmp(values.shape, 8, packed, compression=1, palette=palette)
    np.testing.assert_array_equal(read(content), palette[values])


def test_runs_stay_in_their_row():
    palette = np.random.default_rng(0).integers(0, 256, (256, 3))
    values = np.zeros((25, 24), int)
    values[-1], values[-2, :2] = 3, 5
    packed = bytes([200, 3, 0, 0, 2, 5, 0, 1])
    content = bmp(values.shape, 8, packed, compression=1, palette=palette)
    np.testing.assert_array_equal(read(content), palette[values])


@pytest.mark.parametrize("packed", [b"\x18\1\0\0", b"\x18", b"\x18\1\0\0" * 23 + b"\0\x18abc"])
def test_run_lengths_that_are_cut_off_are_damage(packed):
    content = bmp((24, 24), 8, packed, compression=1, palette=np.zeros((256, 3)))
    assert refusal(content).startswith("damaged picture: the file ends in row")


def test_a_giant_of_run_lengths_is_not_unpacked():
    content = bmp((60_000, 60_000), 8, b"\0\1", compression=1, palette=np.zeros((256, 3)))
    assert refusal(content) == "60000×60000: more than 1000000 pixels"


# What is refused, and how


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"depth": 24, "compression": 4}, "compressed as JPEG"),
        ({"depth": 24, "compression": 5}, "compressed as PNG"),
        ({"depth": 32, "compression": 11}, "compressed as CMYK"),
        ({"depth": 1, "compression": 3, "length": 64}, "compressed as Huffman"),
        ({"depth": 24, "compression": 4, "length": 64}, "compressed as RLE24"),
        ({"depth": 24, "compression": 77}, "compression 77: only 0, 1, 2, 3 and 6 are read"),
        ({"depth": 64}, "64 bits a pixel: only 1, 2, 4, 8, 16, 24 and 32 are read"),
        ({"depth": 24, "length": 60}, "header of 60 bytes: only 12, 16, 40, "),
        ({"depth": 16, "compression": 3, "masks": (0x5, 0xF0, 0xF00)}, "mask 0x5 "),
        ({"depth": 16, "compression": 3, "masks": (0x1F0000, 0xF0, 0xF)}, "mask 0x1f0000 for 16"),
    ],
)
def test_kinds_that_are_not_read_are_not_called_damaged(options, reason):
    depth = options.pop("depth")
    found = refusal(bmp((30, 30), depth, bytes(30 * 30 * 8), **options))
    assert reason in found
    assert "damaged" not in found


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"BM", "ends inside of the header"),
        (bmp((30, 30), 24, b"")[:40], "ends inside of the header"),
        (bmp((30, 30), 16, b"", compression=3), "ends inside of the bit masks"),
        (bmp((0, 30), 24, bytes(90)), "30×0 pixels"),
        (bmp((30, 30), 8, bytes(900), compression=3), "compression 3 with 8 bits"),
        (bmp((30, 30), 24, bytes(900), compression=1), "compression 1 with 24 bits"),
        (bmp((30, 30), 16, bytes(1800), compression=3, masks=(0, 0, 0)), "are 0"),
        (bmp((30, 30), 8, b"", start=54), "without its palette"),
        (bmp((30, 30), 24, bytes(2000)), "ends after 2054 of 2812 bytes"),
    ],
)
def test_damage_is_named(content, reason):
    assert refusal(content).startswith("damaged picture: ")
    assert reason in refusal(content)


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_are_a_picture_or_a_reason(data):
    length = data.draw(st.sampled_from(HEADERS))
    content = bytearray(
        bmp((30, 30), data.draw(st.sampled_from([1, 4, 8, 16, 32])), bytes(5000), length=length)
    )
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(2, 80))] = data.draw(st.integers(0, 255))
    reason = reason_against(bytes(content[: data.draw(st.integers(1, len(content)))]))
    assert "\n" not in reason
    # What NumPy or Pillow would say of arrays and buffers is no reason of a picture's.
    assert "array" not in reason
    assert "buffer" not in reason


def reason_against(content: bytes) -> str:
    try:
        assert read(content).shape[2] == 3
    except PictureError as refused:
        return str(refused)
    return ""


def test_size_in_the_header_is_read_as_it_is_written():
    content = bmp((31, 26), 24, stored_rows(np.zeros((31, 26), int), 24), top_down=True)
    assert struct.unpack_from("<i", content, 22) == (-31,)
    assert stored_size(content, maximum_pixels=LIMIT) == (26, 31)
