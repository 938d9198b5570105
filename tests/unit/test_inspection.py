"""``glassguard inspect``: the guard on pictures as they come."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from shipped import section

from glassguard import cli
from glassguard.guard.eye_band import eye_band
from glassguard.guard.settings import Placements
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer

PEOPLE = ["ada", "bob"]
SIZE = 32


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for name in ("recognizer", "guard", "config"):
        (folder / name).mkdir()
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=2, image_size=SIZE, width=1 / 16, hidden=8, mean=(120,) * 3, scale=40
    )
    # Whatever it sees is bob: both recognizers agree.
    network.classifier.fc8.bias.data[:] = torch.tensor([0.0, 9.0])
    for name in ("recognizer/recognizer", "guard/banded_recognizer"):
        write_recognizer(folder / f"{name}.safetensors", network, PEOPLE)
    band = dataclasses.asdict(eye_band(Placements(shift=0.018, rotation=4, scale=0.05)))
    (folder / "guard/band.json").write_text(json.dumps(band))
    data = {"kernels": "pinned", "seed": 0, "data": section("data/embedded")}
    (folder / "config/data.yaml").write_text(yaml.safe_dump(data))
    need(folder, 0.5)
    return folder


def need(folder, confidence):
    thresholds = {"least_full": confidence, "least_banded": 0.0, "mode": "accept_or_reject"}
    (folder / "guard/thresholds.json").write_text(json.dumps(thresholds))


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("b.png", "a.jpg"):
        image = generator.integers(0, 256, (50, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def inspect(capsys, *options):
    status = cli.main(["inspect", *map(str, options)])
    return status, capsys.readouterr()


def test_a_folder_is_inspected_and_all_is_well(study, pictures, capsys):
    status, said = inspect(capsys, pictures, "--study", study, "--json")
    assert status == 0
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["picture"] for line in lines] == [str(pictures / n) for n in ("a.jpg", "b.png")]
    for line in lines:
        assert (line["decision"], line["answer"], line["seen"]) == ("accept", "bob", "bob")
        assert line["banded_confidence"] > 0.99
        assert line["aligned_by"] == "crop"


def test_a_rejected_picture_has_its_own_exit_status(study, pictures, capsys):
    need(study, 1.1)
    status, said = inspect(capsys, pictures / "*.png", "--study", study)
    need(study, 0.5)
    assert status == 3
    assert "reject" in said.out
    assert "is below 1.100" in said.out


def test_a_file_that_is_no_picture_is_bad_input_and_the_rest_is_inspected(study, pictures, capsys):
    files = pictures / "notes.txt", pictures / "gone.png", pictures / "a.jpg"
    status, said = inspect(capsys, *files, "--study", study)
    assert status == 2
    first, second, third = said.out.splitlines()
    assert "error" in first
    assert "No such file" in second
    assert "accept" in third
    assert said.err.count("Traceback") == 0


def test_without_a_study_or_a_picture_one_line_says_so(study, pictures, capsys):
    status, said = inspect(capsys, pictures / "a.jpg", "--study", pictures / "none")
    assert status == 2
    assert said.err.splitlines()[-1].startswith("glassguard inspect: ")
    status, said = inspect(capsys, pictures / "*.bmp", "--study", study)
    assert status == 2
    assert "no picture is given" in said.err
