"""``glassguard faces preview``: what a folder of pictures becomes."""

import shutil

import cv2
import numpy as np
import pytest

from glassguard import cli
from glassguard.datasets.reading import Reading
from glassguard.faces.alignment import align_by_crop
from glassguard.faces.decoding import decode
from glassguard.preview.command import previewed
from glassguard.preview.sheet import Previewed, contact_sheet

SIZE = 32


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "pictures"
    (pictures / "ada").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in ("ada/1.png", "ada/2.png", "bob.png"):
        image = generator.integers(0, 256, (60, 50, 3), dtype=np.uint8)
        cv2.imwrite(str(pictures / name), image)
    shutil.copy(pictures / "ada/1.png", pictures / "ada/3.png")
    (pictures / "broken.jpg").write_bytes(b"no picture at all")
    cv2.imwrite(str(pictures / "tiny.png"), np.zeros((3, 3, 3), np.uint8))
    return pictures


def reading(**changes):
    return Reading(**({"detector": None, "size": SIZE, "maximum_pixels": 100_000} | changes))


def test_pictures_become_what_a_study_would_see(folder):
    found, left_out = previewed(folder, reading(), most=100)
    assert left_out == 0
    by_name = {one.name: one for one in found}
    assert list(by_name) == [
        *("ada/1.png", "ada/2.png", "ada/3.png", "bob.png", "broken.jpg", "tiny.png")
    ]
    for name in ("ada/1.png", "bob.png"):
        picture = decode((folder / name).read_bytes(), maximum_pixels=100_000)
        assert np.array_equal(by_name[name].image, align_by_crop(picture, size=SIZE).image)
        assert by_name[name].said == "crop"
    assert by_name["ada/3.png"].said == "the same file as ada/1.png"
    for name in ("ada/3.png", "broken.jpg", "tiny.png"):
        assert by_name[name].image is None
        assert by_name[name].said


def test_of_many_pictures_some_are_taken_in_even_steps(folder):
    found, left_out = previewed(folder, reading(), most=3)
    assert [one.name for one in found] == ["ada/1.png", "ada/3.png", "broken.jpg"]
    assert left_out == 3


def test_large_pictures_are_rejected_before_decoding(folder):
    found, _ = previewed(folder, reading(maximum_pixels=2_000), most=100)
    assert [one.name for one in found if one.image is not None] == []
    assert "2000" in found[0].said.replace(",", "").replace("_", "")


def test_the_command_draws_a_sheet_and_says_why(folder, capsys, tmp_path):
    sheet = tmp_path / "new/sheet.png"
    status = cli.main(["faces", "preview", str(folder), "--sheet", str(sheet)])
    said = capsys.readouterr()
    assert status == 3
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        *("ada/3.png", "broken.jpg", "tiny.png")
    ]
    assert "6 pictures (3 by crop, 3 rejected)" in said.err
    drawn = cv2.imread(str(sheet))
    assert drawn.shape[1] > drawn.shape[0]
    for name in ("broken.jpg", "tiny.png", "ada/3.png"):
        (folder / name).unlink()
    assert cli.main(["faces", "preview", str(folder), "--sheet", str(sheet)]) == 0


def test_bad_input_is_one_line(folder, capsys, tmp_path):
    for options, message in (
        ([tmp_path / "gone"], "gone: is no folder"),
        ([folder, "--detector", folder / "broken.jpg"], "broken.jpg: "),
        ([folder, "--sheet", tmp_path / "sheet.xyz"], "--sheet"),
    ):
        assert cli.main(["faces", "preview", *map(str, options)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("glassguard faces: ")
        assert message in error


def test_a_sheet_shows_every_picture_in_its_cell():
    red = np.full((SIZE, SIZE, 3), (255, 0, 0), np.uint8)
    pictures = [Previewed(f"{place}.png", red, "detector") for place in range(9)]
    pictures.append(Previewed("x.png", None, "a side is shorter than 16 pixels"))
    figure = contact_sheet(pictures, title="ten")
    (axes,) = figure.axes
    corners = [image.get_extent()[::3] for image in axes.get_images()]
    assert len(corners) == 9
    assert [int(left) for left, _ in corners] == [*range(8), 0]
    assert axes.get_ylim() == pytest.approx((8 / 3, 0))
    texts = [text.get_text().replace("\n", " ") for text in axes.texts]
    assert "a side is shorter than 16 pixels" in texts
    assert texts.count("by detector") == 9
