"""Published collections in their layouts, as folders and archives."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets.made_collections import (
    PEOPLE,
    jpeg,
    lfw_files,
    run_data,
    scene,
    write_archive,
    write_folder,
)

from glassguard.datasets.sources import celeba, lfw
from glassguard.errors import InputError
from glassguard.faces.alignment import CROP_EYES, common_pose
from glassguard.faces.rectangles import clipped, widened


@pytest.mark.parametrize("top", ["lfw", "lfw_funneled", "lfw-deepfunneled/lfw-deepfunneled", "."])
def test_lfw_is_read_at_any_depth(top, tmp_path):
    root = write_folder(lfw_files(top), tmp_path / "given")
    (root / "pairs.txt").write_text("10 300")
    (root / "strange.jpg").write_bytes(b"")
    metrics, manifest, reasons = run_data("lfw", root, tmp_path / "out")
    assert metrics["people"] == 4
    assert metrics["pictures"] == 32
    assert set(manifest.identity) == set(PEOPLE)
    assert reasons.to_dict() == {
        "strange.jpg": "not in the published layout, lfw/NAME/NAME_0001.jpg"
    }
    assert (manifest.width == 250).all()


@pytest.mark.parametrize("name", ["lfw.tgz", "lfw.tar.gz", "lfw.tar", "lfw.zip"])
def test_an_archive_gives_what_its_folder_gives(name, tmp_path):
    files = lfw_files()
    run_data("lfw", write_folder(files, tmp_path / "given"), tmp_path / "folder")
    run_data("lfw", write_archive(files, tmp_path / name), tmp_path / "archive")
    for file in ("images.npy", "manifest.csv", "rejected.csv"):
        folder, archive = (tmp_path / out / file for out in ("folder", "archive"))
        assert folder.read_bytes() == archive.read_bytes()
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == [
        "images.npy", "manifest.csv", "rejected.csv",
    ]  # fmt: skip


def test_the_face_of_lfw_is_its_middle(tmp_path):
    """Without a detector the eyes are looked for where the detector box of LFW has them."""
    left, top, right, _ = lfw.FACE
    eyes = CROP_EYES * (right - left) + (left, top)
    box = 250 / 2.2
    usual = (250 - box) / 2 + box * np.array([(0.31, 0.38), (0.69, 0.38)])
    np.testing.assert_allclose(eyes, usual, atol=4)
    picture = np.full((250, 250, 3), 60, np.uint8)
    for x, y in eyes:
        cv2.circle(picture, (round(x), round(y)), 5, (255, 255, 255), -1)
    files = lfw_files()
    for name in files:
        noise = np.random.default_rng(len(files[name])).integers(0, 40, picture.shape, np.uint8)
        files[name] = jpeg(cv2.add(picture, noise))
    out = tmp_path / "out"
    run_data("lfw", write_folder(files, tmp_path / "given"), out, duplicate_distance=0)
    images = np.load(out / "images.npy")
    for x, y in common_pose(64)[:2]:
        assert (images[:, round(y), round(x), 0] > 200).all()


def test_two_variants_of_lfw_side_by_side_are_refused(tmp_path):
    root = write_folder(lfw_files("lfw") | lfw_files("lfw_funneled"), tmp_path / "given")
    with pytest.raises(InputError, match=r"lfw/Ada.*0001\.jpg and lfw_funneled/Ada.*one variant"):
        run_data("lfw", root, tmp_path / "out")


def test_pubfig83_is_read(tmp_path):
    files = {
        f"pubfig83/{name.replace('_', ' ')}/{number}.jpg": jpeg(
            scene(p, number, width=100, height=100)
        )
        for p, name in enumerate(PEOPLE)
        for number in range(1, 8)
    }
    path = write_archive(files, tmp_path / "pubfig83.v1.tgz")
    metrics, manifest, _ = run_data("pubfig83", path, tmp_path / "out")
    assert metrics["pictures"] == 28
    assert set(manifest.identity) == {name.replace("_", " ") for name in PEOPLE}


POINTS = np.array([(69, 111), (108, 112), (88, 135), (73, 152), (105, 152)])


def write_celeba(folder: Path, people: dict[int, int]) -> Path:
    """CelebA with so many pictures of each person; every third has no landmarks."""
    identities, landmarks, files = [], [], {}
    for person, count in people.items():
        for number in range(count):
            name = f"{len(files) + 1:06d}.jpg"
            files[f"img_align_celeba/{name}"] = jpeg(scene(person, number, width=178, height=218))
            identities.append(f"{name} {person}")
            if number % 3:
                values = "  ".join(str(value) for value in (POINTS + number % 2).ravel())
                landmarks.append(f"{name}    {values}")
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y x y"
    write_archive(files, folder / "img_align_celeba.zip")
    (folder / "Anno").mkdir()
    (folder / "Anno" / "identity_CelebA.txt").write_text("\n".join(identities) + "\n")
    (folder / "Anno" / "list_landmarks_align_celeba.txt").write_text(
        "\n".join([str(len(landmarks)), header, *landmarks]) + "\n"
    )
    return folder / "img_align_celeba.zip"


def test_celeba_takes_the_people_with_most_pictures_and_the_listed_landmarks(tmp_path):
    root = write_celeba(tmp_path, {7: 8, 12: 9, 30: 10, 2880: 11, 9: 7})
    metrics, manifest, reasons = run_data("celeba", root, tmp_path / "out", identities=4)
    assert set(manifest.identity) == {
        "celeba_00007",
        "celeba_00012",
        "celeba_00030",
        "celeba_02880",
    }
    assert metrics["people"] == 4
    assert manifest.aligned_by.value_counts().to_dict() == {"landmarks": 24, "crop": 14}
    assert (reasons == "person beyond data.identities=4").sum() == 7
    drawn = manifest[manifest.aligned_by == "landmarks"]
    assert np.abs(drawn.left_eye_x - common_pose(64)[0, 0]).max() < 3


def test_celeba_needs_its_list_of_people(tmp_path):
    root = write_celeba(tmp_path, {1: 7, 2: 7, 3: 7, 4: 7})
    people = tmp_path / "Anno" / "identity_CelebA.txt"
    people.rename(tmp_path / "who.txt")
    with pytest.raises(InputError, match=r"data\.people_file: .*identity_CelebA\.txt"):
        run_data("celeba", root, tmp_path / "one")
    metrics, *_ = run_data("celeba", root, tmp_path / "two", people_file=tmp_path / "who.txt")
    assert metrics["people"] == 4
    (tmp_path / "who.txt").write_text("000001.jpg one\n")
    with pytest.raises(InputError, match=r"data\.people_file: .*/who\.txt: line 1: .* a file and"):
        run_data("celeba", root, tmp_path / "three", people_file=tmp_path / "who.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "count and the names"),
        ("1\nlefteye_x lefteye_y\n000001.jpg 1 2 3\n", "line 3"),
        ("1\nlefteye_x lefteye_y\n000001.jpg 1 2 3 4 5 6 7 8 9 x\n", "line 3"),
    ],
)
def test_malformed_landmarks_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        celeba.landmarks_of(text, ["000001.jpg"])


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.zip", lambda path: path.write_bytes(b"PK\x03\x04no archive"), "damaged or unreadable"),
        ("a.tgz", lambda path: path.write_bytes(b"<html>"), "damaged or unreadable"),
        ("a.rar", lambda path: path.write_bytes(b"Rar!"), "neither a folder nor an archive"),
        ("a.tgz", lambda path: None, "no such folder or file"),
        ("a.zip", lambda path: write_archive({"a/readme.txt": b"x"}, path), "published layout"),
        ("a", lambda path: path.mkdir(), "no pictures in the published layout"),
    ],
)
def test_an_unusable_root_is_named(name, make, said, tmp_path):
    make(tmp_path / name)
    with pytest.raises(InputError, match=rf"data\.root: .*{name}: .*{said}"):
        run_data("lfw", tmp_path / name, tmp_path / "out")


def test_a_cut_off_archive_is_named(tmp_path):
    path = write_archive(lfw_files(), tmp_path / "lfw.tgz")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"data\.root: .*lfw\.tgz: damaged"):
        run_data("lfw", path, tmp_path / "out")


def test_a_damaged_member_is_one_rejected_picture(tmp_path):
    files = lfw_files()
    path = write_archive(files, tmp_path / "lfw.zip")
    content = bytearray(path.read_bytes())
    at = content.index(files["lfw/Bo_Ek/Bo_Ek_0003.jpg"][-300:-100])
    content[at] ^= 255
    path.write_bytes(content)
    metrics, _, reasons = run_data("lfw", path, tmp_path / "out")
    assert metrics["pictures"] == 31
    assert reasons["lfw/Bo_Ek/Bo_Ek_0003.jpg"].startswith("damaged inside of its archive: Bad CRC")


def test_rectangles_are_clipped_and_widened():
    picture = np.zeros((100, 200, 3), np.uint8)
    assert clipped((-20, 30, 250, 90), picture) == (0, 30, 200, 90)
    assert clipped((300, 10, 400, 50), picture) == (200, 10, 200, 50)
    assert widened((50, 40, 150, 90), picture) == (20, 25, 180, 100)


def test_a_source_that_was_not_fetched_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.source=pubfig: needs --listing"):
        run_data("pubfig", None, tmp_path / "out")
