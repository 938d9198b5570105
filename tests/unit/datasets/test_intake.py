"""The stages ``data`` and ``pool`` from end to end, on pictures that the tests make."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shipped import section

from glassguard.configuration.sections import DataSection, PoolSection
from glassguard.datasets import intake, reading
from glassguard.datasets.folders import check_folder, people_of_folder, same_person_key
from glassguard.datasets.scratch import Scratch
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.alignment import common_pose
from glassguard.faces.detection import align
from glassguard.faces.manifest import COLUMNS
from glassguard.files.formats import read_images, read_manifest
from glassguard.stages import data, pool

NAMES = ("anna", "Bo_Ek", "cid", "dora")


def scene(*seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(30, 220, (12, 10, 3), dtype=np.uint8)
    return cv2.resize(coarse, (100, 120), interpolation=cv2.INTER_CUBIC)


def save(path: Path, picture: np.ndarray, quality: int = 95) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


@pytest.fixture
def people(tmp_path) -> Path:
    root = tmp_path / "people"
    for person, name in enumerate(NAMES):
        for number in range(10):
            save(root / name / f"{number}.jpg", scene(person, number))
    return root


def run_data(root: Path, out: Path, **keys) -> tuple[dict, np.ndarray, pd.DataFrame, pd.Series]:
    out.mkdir(exist_ok=True)
    shipped = {"root": root, "image_size": 64, "minimum_images": 6} | keys
    config = DataSection.model_validate({"seed": 1, "data": section("data/folder", **shipped)})
    paths = out / "images.npy", out / "manifest.csv", out / "rejected.csv"
    metrics = data.run(config, images=paths[0], manifest=paths[1], rejected=paths[2])
    reasons = pd.read_csv(paths[2], keep_default_na=False).set_index("source").reason
    return metrics, read_images(paths[0]), read_manifest(paths[1]), reasons


def run_pool(root: Path | None, out: Path, study: Path, **keys):
    out.mkdir(exist_ok=True)
    pretraining = {"identities": None, "images_per_identity": None, "minimum_images": 4} | keys
    config = PoolSection.model_validate(
        {
            "seed": 1,
            "data": section("data/folder", root=study, image_size=64),
            "backbone": {"pool": root, "pretraining": pretraining},
        }
    )
    metrics = pool.run(
        config,
        images=out / "images.npy",
        manifest=out / "manifest.csv",
        rejected=out / "rejected.csv",
        study_manifest=study / "manifest.csv",
        study_images=study / "images.npy",
    )
    reasons = pd.read_csv(out / "rejected.csv", keep_default_na=False).set_index("source").reason
    return metrics, read_images(out / "images.npy"), read_manifest(out / "manifest.csv"), reasons


def test_a_clean_folder_is_used_whole(people, tmp_path):
    metrics, images, manifest, reasons = run_data(people, tmp_path / "out")
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
    save(people / "few" / "one.jpg", scene(9, 9))
    (people / "anna" / ".hidden.jpg").write_bytes(b"")
    (people / "dora" / "padding.jpg").write_bytes(bytes(8 * 20_000 + 1))
    metrics, images, manifest, reasons = run_data(people, tmp_path / "out", maximum_pixels=20_000)
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
    save(people / "cid" / "y.jpg", scene(1, 4), quality=85)
    _, _, manifest, reasons = run_data(people, tmp_path / "out")
    assert reasons["dora/x.jpg"] == reasons["anna/2.jpg"] == "the same file under anna and dora"
    assert reasons["cid/y.jpg"] == "the same photograph as Bo_Ek/4.jpg, of another person"
    assert reasons["Bo_Ek/4.jpg"] == "the same photograph as cid/y.jpg, of another person"
    assert len(manifest) == 38


def test_near_duplicates_lie_on_one_side(people, tmp_path):
    for number in range(5):
        save(people / "anna" / f"again_{number}.jpg", scene(0, number), quality=80)
    metrics, _, manifest, _ = run_data(people, tmp_path / "out")
    split = manifest.set_index("source").split
    for number in range(5):
        assert split[f"anna/{number}.jpg"] == split[f"anna/again_{number}.jpg"]
    assert metrics["near_duplicates"] == 5


def test_the_limits_choose_people_and_pictures(people, tmp_path):
    for number in range(10, 13):
        save(people / "cid" / f"{number}.jpg", scene(2, number))
    save(people / "few" / "0.jpg", scene(8, 8))
    _, _, manifest, reasons = run_data(
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
            save(people / name / f"{number}.jpg", scene(person, number))
    # Five of anna's ten are bo's too; nine of eva's, all that she has, are cid's.
    shared_with(people, "anna", "Bo_Ek", 5)
    shared_with(people, "eva", "cid", 9)
    aligned = []
    monkeypatch.setattr(
        reading, "align", lambda *given, **keys: aligned.append(1) or align(*given, **keys)
    )
    _, _, manifest, reasons = run_data(people, tmp_path / "out", identities=5)
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
        save(people / "eva" / f"{number}.jpg", scene(4, number))
    shared_with(people, "anna", "Bo_Ek", 5)
    metrics, *_ = run_data(people, tmp_path / "out", identities=5)
    assert metrics["people"] == 4
    said = capsys.readouterr().err
    assert "anna (person has 5 usable picture(s)" in said
    assert "nobody is left to take their place: 4 of data.identities=5" in said


def test_the_files_are_the_same_again_and_with_more_workers(people, tmp_path, monkeypatch):
    run_data(people, tmp_path / "one")
    monkeypatch.setattr("glassguard.datasets.intake.WORKERS", 5)
    run_data(people, tmp_path / "two")
    for name in ("images.npy", "manifest.csv", "rejected.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


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
    run_data(people, tmp_path / "out")
    assert most == at_a_time


def test_links_are_followed_inside_the_root_only(people, tmp_path):
    outside = tmp_path / "outside"
    save(outside / "secret.jpg", scene(5, 5))
    save(people / "anna" / "deep" / "er" / "10.jpg", scene(0, 10))
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
        run_data(tmp_path / "root", tmp_path / "out")


def test_too_few_people_are_bad_input_with_the_commonest_reason(people, tmp_path):
    with pytest.raises(InputError, match=r"data\.root.* 0 people .* most often: person has 10"):
        run_data(people, tmp_path / "out", minimum_images=11)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_detector_that_cannot_be_used_is_bad_input(people, tmp_path, content):
    path = tmp_path / "detector.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"data\.detector: .*detector\.onnx"):
        run_data(people, tmp_path / "out", detector=path)


def test_a_pool_leaves_out_people_and_pictures_of_the_study(people, tmp_path):
    study = tmp_path / "study"
    run_data(people, study)
    root = tmp_path / "pool"
    for person in range(5):
        for number in range(12):
            save(root / f"p{person}" / f"{number}.jpg", scene(50 + person, number))
    for number in range(12):
        save(root / "bo ek" / f"{number}.jpg", scene(60, number))
    (root / "p3" / "same.jpg").write_bytes((people / "anna" / "0.jpg").read_bytes())
    save(root / "p4" / "alike.jpg", scene(2, 3), quality=85)
    metrics, images, manifest, reasons = run_pool(root, tmp_path / "out", study)
    assert manifest.identity.unique().tolist() == ["p0", "p1", "p2"]
    assert images.shape == (36, 64, 64, 3)
    assert manifest.split.value_counts().to_dict() == {"train": 33, "val": 3}
    assert reasons["p3/same.jpg"] == "the same file is in the study"
    assert reasons["p4/alike.jpg"] == "the same photograph is in the study"
    known = "person is in the study: p4/alike.jpg is a photograph of it"
    assert reasons[[f"p4/{number}.jpg" for number in range(12)]].tolist() == [known] * 12
    assert reasons["bo ek/4.jpg"] == "person is in the study"
    assert metrics["rejected"] == 12 + 2 * 13
    assert metrics["people"] == 3

    (root / "p3" / "same.jpg").unlink()
    (root / "p4" / "alike.jpg").unlink()
    _, _, manifest, _ = run_pool(
        root, tmp_path / "less", study, identities=2, images_per_identity=5
    )
    assert manifest.groupby("identity").size().to_dict() == {"p0": 5, "p1": 5}


@pytest.mark.parametrize("name", ["tom hardy", "TOM_HARDY", "Tom-Hardy", "Tom.Hardy"])
def test_spellings_of_one_name_are_one_person(name):
    assert same_person_key(name) == same_person_key("Tom_Hardy") != same_person_key("Tom_Harding")


def test_accents_and_apostrophes_do_not_make_another_person():
    assert same_person_key("José O'Brien") == same_person_key("jose_obrien")
    # Vowel signs of other scripts are no accents.
    assert same_person_key("\u0930\u093e\u092e") != same_person_key("\u0930\u093f\u092e")
    assert same_person_key("--") != same_person_key("__")


def test_drawn_study_and_pool_share_nobody(tmp_path):
    drawn = section("data/embedded", identities=4, images_per_identity=8, image_size=64)
    names = ("images.npy", "manifest.csv", "rejected.csv")
    for out in ("study", "again", "pool"):
        (tmp_path / out).mkdir()
    for out in ("study", "again"):
        paths = [tmp_path / out / name for name in names]
        config = DataSection.model_validate({"seed": 5, "data": drawn})
        metrics = data.run(config, images=paths[0], manifest=paths[1], rejected=paths[2])
    assert metrics["people"] == 4
    for name in names:
        assert (tmp_path / "study" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    pretraining = {"identities": 2, "images_per_identity": 6, "minimum_images": 4}
    config = PoolSection.model_validate(
        {
            "seed": 5,
            "data": drawn,
            "backbone": {"pool": None, "pretraining": pretraining},
        }
    )
    paths = [tmp_path / "pool" / name for name in names]
    pool.run(config, images=paths[0], manifest=paths[1], rejected=paths[2])
    study, others = read_manifest(tmp_path / "study/manifest.csv"), read_manifest(paths[1])
    assert study.source[12] == "drawn:person_001/4"
    assert others.identity.unique().tolist() == ["other_000", "other_001"]
    assert others.split.value_counts().to_dict() == {"train": 10, "val": 2}
    assert not set(study.sha256) & set(others.sha256)
    assert (study.left_eye_x < study.right_eye_x).all()
    images = read_images(paths[0])
    assert images.shape == (12, 64, 64, 3)
    assert not np.array_equal(images[0], images[6])


def test_drawing_in_several_processes_changes_nothing(tmp_path, monkeypatch):
    drawn = section("data/embedded", identities=4, images_per_identity=8, image_size=32)
    config = DataSection.model_validate({"seed": 5, "data": drawn})
    contents = []
    for limit in (1000, 1):
        monkeypatch.setattr("glassguard.faces.embedded.population._DRAWN_IN_ONE_PROCESS", limit)
        paths = [tmp_path / name for name in ("images.npy", "manifest.csv", "rejected.csv")]
        data.run(config, images=paths[0], manifest=paths[1], rejected=paths[2])
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


def test_each_kind_of_picture_has_its_outcome(people, tmp_path):
    """What the table in docs/own-data.md says."""
    photograph = Image.fromarray(scene(0, 50))
    odd = people / "anna"
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph.save(odd / "rotated.jpg", exif=exif)
    photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert("L").save(odd / "grey.png")
    Image.fromarray(scene(0, 51)).convert("CMYK").save(odd / "cmyk.jpg")
    sixteen = cv2.cvtColor(scene(0, 52), cv2.COLOR_RGB2GRAY).astype(np.uint16) << 8
    Image.fromarray(sixteen).save(odd / "sixteen.png")
    Image.fromarray(scene(0, 53)).convert("RGBA").save(odd / "alpha.webp", lossless=True)
    Image.fromarray(scene(0, 54)).save(odd / "in_fact_a_bmp.jpg", "BMP")
    Image.fromarray(scene(0, 55)).save(odd / "without_an_ending", "PNG")
    Image.fromarray(scene(0, 56)).resize((20, 200)).save(odd / "tiny.png")
    Image.fromarray(scene(0, 57)).save(odd / "animation.gif")
    metrics, _, manifest, reasons = run_data(people, tmp_path / "out", duplicate_distance=0)
    used = set(manifest.source)
    assert {f"anna/{name}" for name in (
        "rotated.jpg", "grey.png", "cmyk.jpg", "sixteen.png", "alpha.webp", "in_fact_a_bmp.jpg",
        "without_an_ending",
    )} < used  # fmt: skip
    rotated = manifest.set_index("source").loc["anna/rotated.jpg"]
    assert (rotated.width, rotated.height) == (120, 100)
    assert reasons.to_dict() == {
        "anna/tiny.png": "20×200: a side is shorter than 24 pixels",
        "anna/animation.gif": "not a JPEG, PNG, WebP or BMP picture",
    }
    assert metrics["aligned_by_crop"] == 47


def found(*, centre: tuple[float, float], side: float, profile: bool = False) -> np.ndarray:
    """A row of what YuNet finds: a face of the common pose, or one whose eyes coincide."""
    points = (common_pose(96) - 48) * side / 96 + centre
    if profile:
        points[1] = points[0] + [1, 0]
    corner = np.array(centre) - side / 2
    return np.concatenate([corner, [side, side], points.ravel(), [0.9]]).astype(np.float32)


SIZE = (320, 320)
"""What the detector sees of the square pictures below."""
FACES = {
    "one": [found(centre=(160, 160), side=200)],
    "several": [
        found(centre=(60, 60), side=100),
        found(centre=(170, 150), side=200),
        found(centre=(290, 290), side=40),
    ],
    "none": None,
    "profile": [found(centre=(160, 160), side=200, profile=True)],
    "not_a_number": [found(centre=(160, 160), side=200) * np.float32("nan")],
}
OUTCOMES = {"one": "detector", "several": "detector"}


class StubbedYuNet:
    """Tells the kind of a picture by the brightness of its middle."""

    def setInputSize(self, size):  # noqa: N802 - OpenCV's name
        assert size == SIZE

    def detect(self, picture):
        number = round(picture[150:170, 150:170].mean() / 40)
        faces = None if number == 0 else list(FACES.values())[number - 1]
        return 1, None if faces is None else np.stack(faces)


def test_each_number_of_faces_has_its_outcome(tmp_path, monkeypatch):
    """What the table in docs/own-data.md says, with what YuNet would find in place of YuNet."""
    for person, name in enumerate(NAMES):
        for number, kind in enumerate(FACES, start=1):
            picture = cv2.resize(scene(person, number), SIZE)
            picture[140:180, 140:180] = 40 * number
            (tmp_path / "people" / name).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / "people" / name / f"{kind}.png"), picture)
    (tmp_path / "yunet.onnx").write_bytes(b"stubbed")
    monkeypatch.setattr(
        "cv2.FaceDetectorYN", type("Yes", (), {"create": lambda *_: StubbedYuNet()})
    )
    metrics, images, manifest, reasons = run_data(
        tmp_path / "people",
        tmp_path / "out",
        detector=tmp_path / "yunet.onnx",
        minimum_images=len(FACES),
    )
    assert reasons.empty
    kinds = manifest.source.str.extract(r"/(\w+)\.png")[0]
    assert len(kinds) == len(NAMES) * len(FACES)
    for kind, aligned_by in zip(kinds, manifest.aligned_by, strict=True):
        assert aligned_by == OUTCOMES.get(kind, "crop"), kind
    assert metrics["aligned_by_crop"] == 3 * len(NAMES)
    # The largest and most central of several faces lies in the common pose, as the only one does.
    eyes = manifest[["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]].to_numpy()
    np.testing.assert_allclose(eyes, np.tile(common_pose(64)[:2].ravel(), (len(eyes), 1)), atol=0.1)
    by_source = dict(zip(manifest.source, images, strict=True))
    for name in NAMES:
        for kind, (x, y) in {"one": (160, 160), "several": (170, 150)}.items():
            whole = cv2.imread(str(tmp_path / "people" / name / f"{kind}.png"))[..., ::-1]
            cut = whole[y - 100 : y + 100, x - 100 : x + 100]
            aligned = cv2.resize(cut, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
            assert np.abs(by_source[f"{name}/{kind}.png"] - aligned).mean() < 4


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stop_after(count: int, monkeypatch) -> list[str]:
    """Make the ``count``-th alignment fail like a kill; returns the list of alignments so far."""
    done: list[str] = []
    align = reading.align

    def aligned(*arguments, **keywords):
        if len(done) == count:
            raise KeyboardInterrupt
        done.append("one")
        return align(*arguments, **keywords)

    monkeypatch.setattr(reading, "align", aligned)
    monkeypatch.setattr(intake, "WORKERS", 1)
    return done


def interrupted(people: Path, out: Path, count: int, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(count, patch)
        with pytest.raises(KeyboardInterrupt):
            run_data(people, out)


def test_an_interrupted_preparation_goes_on_and_ends_the_same(people, tmp_path, monkeypatch):
    (people / "anna" / "page.jpg").write_text("<html>")
    run_data(people, tmp_path / "whole")
    out = tmp_path / "out"
    interrupted(people, out, 25, monkeypatch)
    assert "images.npy.partial" in outputs(out)
    again = stop_after(1000, monkeypatch)
    run_data(people, out)
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
    run_data(people, tmp_path / "whole")
    out = tmp_path / "out"
    interrupted(people, out, 20, monkeypatch)
    spoil(out / "images.npy.partial", out / "images.npy.journal")
    again = stop_after(1000, monkeypatch)
    run_data(people, out)
    assert len(again) == made_again
    assert outputs(out) == outputs(tmp_path / "whole")


def test_files_beyond_the_limit_tell_of_copies_among_those_within(people, tmp_path):
    """Whatever the seeded choice takes, no file stays in that lies under another person too."""
    for number in range(10):
        save(people / "fay" / f"{number}.jpg", scene(8, number))
        save(people / "eve" / f"own{number}.jpg", scene(9, number))
        copy = (people / "anna" / f"{number}.jpg").read_bytes()
        (people / "eve" / f"copy{number}.jpg").write_bytes(copy)
    shared = {duplicates.digest(path.read_bytes()) for path in people.glob("anna/*.jpg")}
    _, _, manifest, reasons = run_data(people, tmp_path / "out", images_per_identity=8)
    assert not set(manifest.sha256) & shared
    assert (reasons.filter(like="anna/") == "the same file under anna and eve").sum() == 8
    assert {"Bo_Ek", "cid", "dora", "fay"} <= set(manifest.identity)


def test_aligned_pictures_beyond_the_limit_are_compared_as_well(people, tmp_path):
    """Those that are read to know that a person has enough: recompressed copies show in them."""
    for number in range(16):
        for person, name in enumerate((*NAMES, "eve", "fay")):
            save(people / name / f"{number}.jpg", scene(person, number))
        picture = cv2.imread(str(people / "anna" / f"{number}.jpg"))
        save(people / "cid" / f"copy{number}.jpg", picture, quality=80)
    _, _, _, reasons = run_data(people, tmp_path / "out", images_per_identity=8, minimum_images=16)
    beyond = reasons[reasons == "beyond data.images_per_identity=8"]
    named = reasons.filter(like="anna/").str.extract(r"as (cid/copy\d+\.jpg), of another")[0]
    assert named.isin(beyond.index).any()


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
        run_data(people, out)
    # What the rule promised to write, Snakemake removes.
    assert not (out / "rejected.csv").exists()
    reasons = pd.read_csv(failed).set_index("source").reason
    assert (reasons.filter(like="anna/") == "not a JPEG, PNG, WebP or BMP picture").sum() == 10
    for number in range(10):
        save(people / "anna" / f"{number}.jpg", scene(0, number))
    run_data(people, out)
    assert not failed.exists()


def test_other_settings_and_changed_files_are_aligned_anew(people, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupted(people, out, 20, monkeypatch)
    kept = outputs(out)
    again = stop_after(1000, monkeypatch)
    run_data(people, out, image_size=96)
    assert len(again) == 40
    for name, content in kept.items():
        (out / name).write_bytes(content)
    save(people / "Bo_Ek" / "0.jpg", scene(77, 7))
    again.clear()
    run_data(people, out)
    assert len(again) == 21
    run_data(people, tmp_path / "whole")
    for name, content in outputs(tmp_path / "whole").items():
        assert (out / name).read_bytes() == content


def test_people_with_too_few_pictures_are_not_read(people, tmp_path, monkeypatch):
    for number in range(5):
        save(people / "few" / f"{number}.jpg", scene(9, number))
    again = stop_after(1000, monkeypatch)
    _, _, _, reasons = run_data(people, tmp_path / "out")
    assert len(again) == 40
    assert (reasons == "person has 5 picture(s), fewer than data.minimum_images=6").sum() == 5
