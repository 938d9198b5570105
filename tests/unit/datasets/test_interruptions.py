"""Preparation that is interrupted, shared or spoilt."""

import threading
import time

import numpy as np
import pandas as pd
import pytest
from datasets.made_people import interrupted, outputs, run_folder, save, small_scene, stop_after

from glassguard.datasets.scratch import Scratch
from glassguard.errors import InputError


def test_the_files_are_the_same_again_and_with_more_workers(people, tmp_path, monkeypatch):
    run_folder(people, tmp_path / "one")
    monkeypatch.setattr("glassguard.datasets.intake.WORKERS", 5)
    run_folder(people, tmp_path / "two")
    for name in ("images.npy", "manifest.csv", "rejected.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_interrupted_preparation_goes_on_and_ends_the_same(people, tmp_path, monkeypatch):
    (people / "anna" / "page.jpg").write_text("<html>")
    run_folder(people, tmp_path / "whole")
    out = tmp_path / "out"
    interrupted(people, out, 25, monkeypatch)
    assert "images.npy.partial" in outputs(out)
    again = stop_after(1000, monkeypatch)
    run_folder(people, out)
    # Whatever was handed over before the stop is not made again: at least two people's pictures.
    assert 15 <= len(again) <= 20
    assert outputs(out) == outputs(tmp_path / "whole")


@pytest.mark.parametrize(
    ("spoil", "made_again"),
    [
        (lambda pixels, journal: journal.write_bytes(journal.read_bytes()[:-30]), 21),
        (lambda pixels, journal: pixels.write_bytes(pixels.read_bytes()[: 5 * 64 * 64 * 3]), 35),
        (lambda pixels, journal: pixels.write_bytes(bytes(100) + pixels.read_bytes()[100:]), 21),
        (lambda pixels, journal: journal.write_text("another version's\n"), 40),
        (lambda pixels, journal: journal.write_bytes(b"\xff\x00"), 40),
        (lambda pixels, journal: journal.unlink(), 40),
        (lambda pixels, journal: pixels.unlink(), 40),
    ],
    ids=["cut line", "lost pixels", "other pixels", "other settings", "noise", "gone", "no pixels"],
)
def test_what_an_interruption_spoilt_is_made_again(
    spoil, made_again, people, tmp_path, monkeypatch
):
    run_folder(people, tmp_path / "whole")
    out = tmp_path / "out"
    interrupted(people, out, 20, monkeypatch)
    spoil(out / "images.npy.partial", out / "images.npy.journal")
    again = stop_after(1000, monkeypatch)
    run_folder(people, out)
    assert len(again) == made_again
    assert outputs(out) == outputs(tmp_path / "whole")


KNOWN = {
    "width": 9, "height": 9, "eyes": (1.0, 1.0, 3.0, 1.0), "aligned_by": "crop", "sha256": "0",
    "hash": 1,
}  # fmt: skip


def test_two_preparations_into_one_place_take_turns(tmp_path, capsys):
    """The second one would have written over the rows of the first."""
    rows: dict[str, list[int]] = {}

    def prepare(shade: int) -> None:
        with Scratch(tmp_path / "images.npy", 4, {}) as scratch:
            kept = [
                scratch.keep(f"{shade}/{number}", np.full((4, 4, 3), shade, np.uint8), **KNOWN)
                for number in range(20)
            ]
            if shade == 1:
                second.start()
                while "waiting for another preparation" not in capsys.readouterr().err:
                    time.sleep(0.01)
            rows[str(shade)] = [int(scratch.image(picture.row).max()) for picture in kept]
            assert scratch.recall("1/0") is (kept[0] if shade == 1 else None)

    second = threading.Thread(target=prepare, args=(2,))
    prepare(1)
    second.join(timeout=60)
    assert rows == {"1": [1] * 20, "2": [2] * 20}
    assert outputs(tmp_path) == {}


def test_pixels_that_changed_underneath_are_not_taken_for_a_face(tmp_path):
    with Scratch(tmp_path / "images.npy", 4, {}) as scratch:
        kept = [
            scratch.keep(str(shade), np.full((4, 4, 3), shade, np.uint8), **KNOWN)
            for shade in range(3)
        ]
        with (tmp_path / "images.npy.partial").open("r+b") as file:
            file.seek(48)
            file.write(b"another")
        assert scratch.image(kept[2].row).max() == 2
        with pytest.raises(InputError, match=r"images\.npy\.partial: picture 1 is not what was"):
            scratch.image(kept[1].row)


def test_reasons_of_all_pictures_outlive_a_preparation_that_fails(people, tmp_path):
    for number in range(10):
        (people / "anna" / f"{number}.jpg").write_text("<html>")
    out = tmp_path / "out"
    failed = out / "rejected.csv.failed"
    with pytest.raises(
        InputError, match=r"3 people .*; .*/rejected\.csv\.failed has the reason of"
    ):
        run_folder(people, out)
    # What the rule promised to write, Snakemake removes.
    assert not (out / "rejected.csv").exists()
    reasons = pd.read_csv(failed).set_index("source").reason
    assert (reasons.filter(like="anna/") == "not a JPEG, PNG, WebP or BMP picture").sum() == 10
    for number in range(10):
        save(people / "anna" / f"{number}.jpg", small_scene(0, number))
    run_folder(people, out)
    assert not failed.exists()


def test_other_settings_and_changed_files_are_aligned_anew(people, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupted(people, out, 20, monkeypatch)
    kept = outputs(out)
    again = stop_after(1000, monkeypatch)
    run_folder(people, out, image_size=96)
    assert len(again) == 40
    for name, content in kept.items():
        (out / name).write_bytes(content)
    save(people / "Bo_Ek" / "0.jpg", small_scene(77, 7))
    again.clear()
    run_folder(people, out)
    assert len(again) == 21
    run_folder(people, tmp_path / "whole")
    for name, content in outputs(tmp_path / "whole").items():
        assert (out / name).read_bytes() == content
