"""``glassguard inspect``: the guard on pictures as they come."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file
from shipped import CONF, section

from glassguard import cli
from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import sections
from glassguard.detection.detector_file import to_arrays
from glassguard.detection.detectors import Detectors
from glassguard.detection.scores import Confidence, OnPixels
from glassguard.detection.selection import Choice
from glassguard.detection.study import Reading
from glassguard.guard.eye_band import eye_band
from glassguard.guard.settings import Placements
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer

PEOPLE = ["ada", "bob"]
SIZE = 32
MASK = {"map": "guided", "mu": 0.9, "mu_as": "quantile", "n": 1, "phi": 1, "fill": "mean"}


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


def add_opinions(folder):
    """Detectors of two kinds, and a mask."""
    settings = sections(compose_study(CONF, "smoke"))["responses"]
    (folder / "config/responses.yaml").write_text(yaml.safe_dump(settings))
    detectors = Detectors(
        identities=tuple(PEOPLE),
        quantity="logit",
        pairs=(),
        choices=(),
        chosen=Choice("fc7", "raw", 1.0, 1),
        of_choices=(),
        swept=(),
        swept_activations=(),
        swept_classifiers=(),
        compared={"softmax_confidence": Confidence(), "feature_squeezing": OnPixels("squeezed")},
        readings={"feature_squeezing": Reading(("fc7",), "raw", "by hand")},
        thresholds={
            "half_wearing": {
                "softmax_confidence": (0.9, 0.8, 0.7),
                "feature_squeezing": (0.5, -0.5, -0.6),
            }
        },
    )
    description, arrays = to_arrays(detectors)
    (folder / "detection").mkdir(exist_ok=True)
    (folder / "detection/detectors.json").write_text(json.dumps(description))
    save_file(arrays | {"none": np.zeros(1)}, folder / "detection/detectors.safetensors")
    (folder / "saliency").mkdir(exist_ok=True)
    (folder / "saliency/best.json").write_text(json.dumps({"goodness": MASK}))


@pytest.fixture(scope="module")
def whole_study(study):
    add_opinions(study)
    return study


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("b.png", "a.jpg"):
        image = generator.integers(0, 256, (50, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def inspect(capsys, *options):
    return inspect_all(capsys, *options, "--guard-only")


def inspect_all(capsys, *options):
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
    assert said.err.startswith("note: without a detector of faces (--detector), every picture")


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


def test_detectors_and_mask_have_their_say(whole_study, pictures, capsys):
    status, said = inspect_all(capsys, pictures, "--study", whole_study, "--json")
    assert status == 0
    for line in map(json.loads, said.out.splitlines()):
        confidence, squeezing = line["detectors"]
        doubt = 1 - line["seen_confidence"]
        assert confidence["detector"] == "softmax_confidence"
        assert confidence["score"] == pytest.approx(doubt, abs=1e-6)
        assert (confidence["threshold"], confidence["flagged"]) == (0.8, False)
        assert confidence["slices"] == []
        # No distance is below a negative threshold.
        assert (squeezing["threshold"], squeezing["flagged"]) == (-0.5, True)
        assert squeezing["slices"] == ["fc7"]
        assert 0.05 < line["mask_removes"] < 0.5
        assert line["masked"] == "bob"
        assert line["masked_confidence"] > 0.99


def test_the_table_names_layer_score_and_threshold(whole_study, pictures, capsys):
    given = pictures / "a.jpg", "--study", whole_study
    said = inspect_all(capsys, *given)[1].out
    assert "then it looks like bob (" in said
    assert "1 of 2 detectors flag it" in said
    assert "feature_squeezing at fc7: " in said
    assert ", above -0.5" in said
    said = inspect_all(capsys, *given, "--false-alarms", "0.01")[1].out
    assert "0 of 2 detectors flag it" in said


@pytest.mark.parametrize("options", [(), ("--guard-only",)])
def test_a_figure_for_each_picture(whole_study, pictures, capsys, options):
    folder = pictures / "new/figures"
    given = pictures, "--study", whole_study, "--json", "--figures", folder, *options
    status, said = inspect_all(capsys, *given)
    assert status == 0
    names = [json.loads(line)["figure"] for line in said.out.splitlines()]
    assert names == [str(folder / name) for name in ("0001_a.png", "0002_b.png")]
    for name in names:
        drawn = cv2.imread(name)
        # Wider with the panels of mask and detectors.
        assert (drawn.shape[1] > 2 * drawn.shape[0]) == (not options)
        assert drawn.std() > 10


def test_a_study_without_detectors_says_how_to_go_without(study, pictures, capsys, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(study, other, ignore=shutil.ignore_patterns("detection"))
    status, said = inspect_all(capsys, pictures, "--study", other)
    assert status == 2
    assert "detectors.json: no such file" in said.err
    assert "--guard-only" in said.err
