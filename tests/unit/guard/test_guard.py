"""The guard of a study, for pictures that come one at a time."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from worn_frames import EYES as EYES_AT_96

from glassguard.errors import InputError
from glassguard.guard.eye_band import eye_band
from glassguard.guard.guard import Guard
from glassguard.guard.settings import Placements
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer

PEOPLE = ["ada", "bob"]
SIZE = 32
EYES = np.repeat(EYES_AT_96[None] * SIZE / 96, 6, axis=0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for name, seed in (("recognizer/recognizer", 0), ("guard/banded_recognizer", 1)):
        torch.manual_seed(seed)
        network = FaceRecognizer(
            identities=2, image_size=SIZE, width=1 / 16, hidden=8, mean=(120,) * 3, scale=40
        )
        (folder / name).parent.mkdir()
        write_recognizer(folder / f"{name}.safetensors", network, PEOPLE)
    band = dataclasses.asdict(eye_band(Placements(shift=0.018, rotation=4, scale=0.05)))
    (folder / "guard/band.json").write_text(json.dumps(band))
    thresholds = {"least_full": 0.0, "least_banded": 0.0, "mode": "accept_or_reject"}
    (folder / "guard/thresholds.json").write_text(json.dumps(thresholds))
    return folder


def pictures(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_picture_is_accepted_where_both_recognizers_agree(results):
    found = Guard.load(results).inspect(pictures(), EYES)
    assert len(found) == 6
    for one in found:
        agree = one.seen == one.banded
        assert one.decision == ("accept" if agree else "reject")
        assert one.answer == (one.seen if agree else None)
        assert one.seen in one.why
        assert one.banded in one.why
        assert 0.5 <= one.seen_confidence <= 1


def test_the_mode_can_be_changed(results):
    for one in Guard.load(str(results), mode="correct").inspect(pictures(), EYES):
        assert one.answer == one.banded


def test_paint_in_the_band_changes_no_banded_answer(results):
    guard = Guard.load(results)
    painted = pictures()
    bands = guard.band.masks(EYES, SIZE)
    painted[bands] = 255 - painted[bands]
    for bare, worn in zip(
        guard.inspect(pictures(), EYES), guard.inspect(painted, EYES), strict=True
    ):
        assert (bare.banded, bare.banded_confidence) == (worn.banded, worn.banded_confidence)


def test_confidence_is_needed(results):
    guard = dataclasses.replace(Guard.load(results), least={"least_full": 1.0, "least_banded": 1.0})
    found = guard.inspect(pictures(), EYES)
    assert all(one.decision == "reject" for one in found)
    agreed = [one for one in found if one.seen == one.banded]
    assert all("is below 1.000" in one.why for one in agreed)


def test_arts_interface_flags_what_is_not_accepted(results):
    guard = Guard.load(results)
    report, flagged = guard.detect(pictures().transpose(0, 3, 1, 2) / 255, EYES)
    assert report["inspections"] == guard.inspect(pictures(), EYES)
    assert flagged.tolist() == [one.decision != "accept" for one in guard.inspect(pictures(), EYES)]
    with pytest.raises(ValueError, match=r"pixels are in \[0, 1\]"):
        guard.detect(pictures().transpose(0, 3, 1, 2).astype(float), EYES)


def test_other_pictures_are_refused(results):
    guard = Guard.load(results)
    assert guard.inspect(pictures(0), EYES[:0]) == []
    with pytest.raises(ValueError, match=re.escape("uint8, N x 32 x 32 x 3: uint8, 6 x 32 x 31")):
        guard.inspect(pictures()[:, :, 1:], EYES)


def test_files_that_are_no_guard_are_named(results, tmp_path):
    with pytest.raises(InputError, match=r"recognizer\.safetensors: no such file"):
        Guard.load(tmp_path)
    with pytest.raises(InputError, match="mode must be accept_or_reject or correct: 'maybe'"):
        Guard.load(results, mode="maybe")
