"""The stage ``data`` on a folder of people."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets.made_people import NAMES, run_folder, save, small_scene, stop_after

from glassguard.datasets import intake, reading
from glassguard.datasets.folders import check_folder, people_of_folder
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.alignment import common_pose
from glassguard.faces.detection import align
from glassguard.faces.manifest import COLUMNS


def test_a_clean_folder_is_used_whole(people, tmp_path):
    metrics, images, manifest, reasons = run_folder(people, tmp_path / "out")
    assert tuple(manifest.columns) == COLUMNS
    assert images.shape == (40, 64, 64, 3)
    assert len(manifest) == 40
    assert manifest.image_id.is_unique
    assert manifest.identity.unique().tolist() == sorted(NAMES)
    assert manifest.split.value_counts().to_dict() == {"train": 24, "val": 8, "test": 8}
    assert set(manifest.aligned_by) == {"crop"}
    eyes = manifest[["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]]
    np.testing.assert_allclose(eyes, np.tile(common_pose(64)[:2].ravel(), (40, 1)), atol=1e-3)
    assert reasons.empty
    assert metrics["pictures"] == 40
    assert metrics["people"] == 4


def test_each_unusable_file_is_listed_with_its_reason(people, tmp_path):
    (people / "anna" / "empty.jpg").write_bytes(b"")
    (people / "anna" / "page.jpg").write_text("<html>")
    (people / "cid" / "cut.jpg").write_bytes((people / "cid" / "1.jpg").read_bytes()[:900])
    save(people / "cid" / "large.jpg", np.zeros((300, 300, 3), np.uint8))
    (people / "copy.jpg").write_bytes((people / "cid" / "1.jpg").read_bytes())
    (people / "dora" / "zz_copy.jpg").write_bytes((people / "dora" / "3.jpg").read_bytes())
    (people / "few").mkdir()
    save(people / "few" / "one.jpg", small_scene(9, 9))
    (people / "anna" / ".hidden.jpg").write_bytes(b"")
    (people / "dora" / "padding.jpg").write_bytes(bytes(8 * 20_000 + 1))
    metrics, images, manifest, reasons = run_folder(people, tmp_path / "out", maximum_pixels=20_000)
    assert len(images) == len(manifest) == 40
    assert reasons.to_dict() == {
        "anna/empty.jpg": "empty file",
        "anna/page.jpg": "not a JPEG, PNG, WebP or BMP picture",
        "cid/cut.jpg": reasons["cid/cut.jpg"],
        "cid/large.jpg": "300×300: more than 20000 pixels",
        "copy.jpg": "not in a person's folder",
        "dora/padding.jpg": "file larger than 160000 bytes: no honest picture",
        "dora/zz_copy.jpg": "the same file as dora/3.jpg",
        "few/one.jpg": "person has 1 picture(s), fewer than data.minimum_images=6",
    }
    assert reasons["cid/cut.jpg"].startswith("damaged picture")
    assert metrics["rejected"] == 8


def test_a_picture_under_two_names_is_used_under_neither(people, tmp_path):
    (people / "dora" / "x.jpg").write_bytes((people / "anna" / "2.jpg").read_bytes())
    save(people / "cid" / "y.jpg", small_scene(1, 4), quality=85)
    _, _, manifest, reasons = run_folder(people, tmp_path / "out")
    assert reasons["dora/x.jpg"] == reasons["anna/2.jpg"] == "the same file under anna and dora"
    assert reasons["cid/y.jpg"] == "the same photograph as Bo_Ek/4.jpg, of another person"
    assert reasons["Bo_Ek/4.jpg"] == "the same photograph as cid/y.jpg, of another person"
    assert len(manifest) == 38


def test_near_duplicates_lie_on_one_side(people, tmp_path):
    for number in range(5):
        save(people / "anna" / f"again_{number}.jpg", small_scene(0, number), quality=80)
    metrics, _, manifest, _ = run_folder(people, tmp_path / "out")
    split = manifest.set_index("source").split
    for number in range(5):
        assert split[f"anna/{number}.jpg"] == split[f"anna/again_{number}.jpg"]
    assert metrics["near_duplicates"] == 5


def test_the_limits_choose_people_and_pictures(people, tmp_path):
    for number in range(10, 13):
        save(people / "cid" / f"{number}.jpg", small_scene(2, number))
    save(people / "few" / "0.jpg", small_scene(8, 8))
    _, _, manifest, reasons = run_folder(
        people, tmp_path / "out", identities=4, images_per_identity=8
    )
    assert manifest.groupby("identity").size().to_dict() == dict.fromkeys(NAMES, 8)
    assert reasons["few/0.jpg"] == "person beyond data.identities=4"
    assert (reasons == "beyond data.images_per_identity=8").sum() == 2 * 3 + 5


def shared_with(people: Path, name: str, other: str, count: int) -> None:
    """File so many of somebody's photographs under another name as well."""
    for number in range(count):
        content = (people / name / f"{number}.jpg").read_bytes()
        (people / other / f"{name}_{number}.jpg").write_bytes(content)


def test_who_falls_out_after_reading_is_replaced_by_the_next(people, tmp_path, capsys, monkeypatch):
    for person, (name, count) in enumerate({"eva": 9, "finn": 8, "gil": 7}.items(), start=4):
        for number in range(count):
            save(people / name / f"{number}.jpg", small_scene(person, number))
    # Five of anna's ten are bo's too; nine of eva's, all that she has, are cid's.
    shared_with(people, "anna", "Bo_Ek", 5)
    shared_with(people, "eva", "cid", 9)
    aligned = []
    monkeypatch.setattr(
        reading, "align", lambda *given, **keys: aligned.append(1) or align(*given, **keys)
    )
    _, _, manifest, reasons = run_folder(people, tmp_path / "out", identities=5)
    assert set(manifest.identity) == {"Bo_Ek", "cid", "dora", "finn", "gil"}
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if "left out after reading" in line]
    assert "anna (person has 5 usable picture(s), fewer than data.minimum_images=6); " in line
    assert "eva (every picture is filed under somebody else too); others took their place" in line
    assert (
        reasons["anna/7.jpg"] == "person has 5 usable picture(s), fewer than data.minimum_images=6"
    )
    assert reasons["Bo_Ek/anna_1.jpg"] == "the same file under Bo_Ek and anna"
    # Nothing is aligned twice for it.
    assert len(aligned) == 4 * 10 + 9 + 8 + 7 + 5 + 9


def test_who_falls_out_and_cannot_be_replaced_is_named(people, tmp_path, capsys):
    for number in range(9):
        save(people / "eva" / f"{number}.jpg", small_scene(4, number))
    shared_with(people, "anna", "Bo_Ek", 5)
    metrics, *_ = run_folder(people, tmp_path / "out", identities=5)
    assert metrics["people"] == 4
    said = capsys.readouterr().err
    assert "anna (person has 5 usable picture(s)" in said
    assert "nobody is left to take their place: 4 of data.identities=5" in said


@pytest.mark.parametrize(("large", "at_a_time"), [(1000, 1), (10**9, 3)])
def test_large_pictures_are_worked_on_one_at_a_time(
    people, tmp_path, monkeypatch, large, at_a_time
):
    monkeypatch.setattr(intake, "WORKERS", 3)
    monkeypatch.setattr(reading, "LARGE", large)
    under_way, most = 0, 0

    def slow_align(*arguments, **keywords):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        under_way -= 1
        return align(*arguments, **keywords)

    monkeypatch.setattr(reading, "align", slow_align)
    run_folder(people, tmp_path / "out")
    assert most == at_a_time


def test_links_are_followed_inside_the_root_only(people, tmp_path):
    outside = tmp_path / "outside"
    save(outside / "secret.jpg", small_scene(5, 5))
    save(people / "anna" / "deep" / "er" / "10.jpg", small_scene(0, 10))
    (people / "anna" / "leak.jpg").symlink_to(outside / "secret.jpg")
    (people / "anna" / "gone.jpg").symlink_to(outside / "absent.jpg")
    (people / "anna" / "loop").symlink_to(people / "anna")
    (people / "eve").symlink_to(outside)
    (people / "anna" / "inside.jpg").symlink_to(people / "anna" / "deep" / "er" / "10.jpg")
    found = people_of_folder(people, key="data.root")
    assert dict(found.rejected) == {
        "anna/leak.jpg": "link that leads out of the folder",
        "anna/gone.jpg": "broken link",
        "anna/loop": "link to a folder",
        "eve": "link that leads out of the folder",
    }
    names = [picture.source.removeprefix("anna/") for picture in found.people["anna"]]
    assert names[-2:] == ["deep/er/10.jpg", "inside.jpg"]
    assert "eve" not in found.people


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.write_text(""), "is not a folder"),
        (lambda root: root.mkdir(), "holds no folders"),
        (lambda root: (root / "anna").mkdir(parents=True), "no pictures"),
    ],
)
def test_an_unusable_folder_is_named_with_its_key(tmp_path, make, problem):
    make(tmp_path / "root")
    with pytest.raises(InputError, match=f"data.root: .*root: .*{problem}"):
        check_folder(tmp_path / "root", key="data.root")
    with pytest.raises(InputError, match=problem):
        run_folder(tmp_path / "root", tmp_path / "out")


def test_too_few_people_are_bad_input_with_the_commonest_reason(people, tmp_path):
    with pytest.raises(InputError, match=r"data\.root.* 0 people .* most often: person has 10"):
        run_folder(people, tmp_path / "out", minimum_images=11)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_detector_that_cannot_be_used_is_bad_input(people, tmp_path, content):
    path = tmp_path / "detector.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"data\.detector: .*detector\.onnx"):
        run_folder(people, tmp_path / "out", detector=path)


def test_files_beyond_the_limit_tell_of_copies_among_those_within(people, tmp_path):
    """Whatever the seeded choice takes, no file stays in that lies under another person too."""
    for number in range(10):
        save(people / "fay" / f"{number}.jpg", small_scene(8, number))
        save(people / "eve" / f"own{number}.jpg", small_scene(9, number))
        copy = (people / "anna" / f"{number}.jpg").read_bytes()
        (people / "eve" / f"copy{number}.jpg").write_bytes(copy)
    shared = {duplicates.digest(path.read_bytes()) for path in people.glob("anna/*.jpg")}
    _, _, manifest, reasons = run_folder(people, tmp_path / "out", images_per_identity=8)
    assert not set(manifest.sha256) & shared
    assert (reasons.filter(like="anna/") == "the same file under anna and eve").sum() == 8
    assert {"Bo_Ek", "cid", "dora", "fay"} <= set(manifest.identity)


def test_aligned_pictures_beyond_the_limit_are_compared_as_well(people, tmp_path):
    """Those that are read to know that a person has enough: recompressed copies show in them."""
    for number in range(16):
        for person, name in enumerate((*NAMES, "eve", "fay")):
            save(people / name / f"{number}.jpg", small_scene(person, number))
        picture = cv2.imread(str(people / "anna" / f"{number}.jpg"))
        save(people / "cid" / f"copy{number}.jpg", picture, quality=80)
    _, _, _, reasons = run_folder(
        people, tmp_path / "out", images_per_identity=8, minimum_images=16
    )
    beyond = reasons[reasons == "beyond data.images_per_identity=8"]
    named = reasons.filter(like="anna/").str.extract(r"as (cid/copy\d+\.jpg), of another")[0]
    assert named.isin(beyond.index).any()


def test_people_with_too_few_pictures_are_not_read(people, tmp_path, monkeypatch):
    for number in range(5):
        save(people / "few" / f"{number}.jpg", small_scene(9, number))
    again = stop_after(1000, monkeypatch)
    _, _, _, reasons = run_folder(people, tmp_path / "out")
    assert len(again) == 40
    assert (reasons == "person has 5 picture(s), fewer than data.minimum_images=6").sum() == 5
