"""The pool of other people, and drawn people."""

import numpy as np
import pytest
from datasets.made_people import run_folder, run_pool, save, small_scene
from shipped import section

from glassguard.configuration.sections import DataSection, PoolSection
from glassguard.datasets.folders import same_person_key
from glassguard.files.formats import read_images, read_manifest
from glassguard.stages import data, pool


def test_a_pool_leaves_out_people_and_pictures_of_the_study(people, tmp_path):
    study = tmp_path / "study"
    run_folder(people, study)
    root = tmp_path / "pool"
    for person in range(5):
        for number in range(12):
            save(root / f"p{person}" / f"{number}.jpg", small_scene(50 + person, number))
    for number in range(12):
        save(root / "bo ek" / f"{number}.jpg", small_scene(60, number))
    (root / "p3" / "same.jpg").write_bytes((people / "anna" / "0.jpg").read_bytes())
    save(root / "p4" / "alike.jpg", small_scene(2, 3), quality=85)
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
