"""One attacked face through every step."""

import base64

import cv2
import numpy as np
import pytest

from glassguard.files.layout import reported
from glassguard.files.reading import read_result
from glassguard.report.story import Step, story


@pytest.fixture
def read(results):
    return {
        name: read_result(results / path)
        for name, path in reported(["glasses"], embedding=False).items()
    }


@pytest.fixture
def told(results, read):
    examples = read_result(results / "attacks/glasses/examples.csv")
    return lambda: story(attack="glasses", examples=examples, read=read, colour=(1, 1, 0))


def test_the_face_is_the_one_whose_masks_are_kept(told, read):
    steps = told()
    assert len(steps) == 7
    bare, framed, attacked, target, masked, hidden, decided = (step.picture for step in steps)
    manifest, masks = read["manifest"], read["masks"]
    at = {name: row for row, name in enumerate(manifest["image_id"])}
    assert (bare == read["images"][at["007-test-1"]]).all()
    frame = masks["frames"][0]
    assert (framed[frame] == (255, 255, 0)).all()
    assert (framed[~frame] == bare[~frame]).all()
    assert (attacked == masks["images"][0]).all()
    assert (decided == attacked).all()
    assert (target == read["images"][at["ann-test-0"]]).all()
    assert (masked == masks["filled"][0]).all()
    moved = (hidden != attacked).any(axis=2)
    band = np.flatnonzero(moved.any(axis=1))
    assert moved.any()
    assert band.min() < 12 <= band.max(), "the eyes are on the 13th row"
    colours = np.unique(hidden[moved].reshape(-1, 3), axis=0)
    assert len(colours) == 1


def test_the_texts_are_those_of_the_tables(told, read):
    decisions = read["decisions"]
    judged = (decisions["set"] == "glasses") & (decisions["example_id"] == "g00013")
    columns = ["answer_full", "answer_banded", "confidence_banded", "decision", "answer"]
    decisions.loc[judged, columns] = ["ann", "007", 0.876, "reject", ""]
    honest = (decisions["set"] == "benign") & (decisions["image_id"] == "007-test-1")
    decisions.loc[honest, ["answer_full", "confidence_full"]] = ["bob", 0.51]
    steps = told()
    assert steps[0].text == "bob, 0.51: wrong."
    assert steps[0].outcome == "bad"
    assert steps[2].text == "ann, 0.50: taken for the target after 40 steps."
    assert "the detector of ann, the target, rejects 50.0 % of this wearer’s n = 2" in steps[3].text
    assert steps[4].text == "007, 0.40: the wearer’s own name again."
    assert steps[5].text.startswith("007, 0.88: right.")
    assert steps[6].text == "Rejected: with the eyes hidden the answer is another."
    assert [step.outcome for step in steps[2:]] == ["bad", "", "good", "good", "good"]


@pytest.mark.parametrize(
    ("decision", "answer", "said", "outcome"),
    [
        ("accept", "ann", "Accepted as ann: both recognizers say so.", "bad"),
        ("accept", "007", "Accepted as 007: both recognizers say so.", "good"),
        ("correct", "007", "Corrected to 007, the answer with the eyes hidden.", "good"),
        ("reject", "", "Rejected: the recognizers agree, but one is not sure enough.", "good"),
    ],
)
def test_the_guard_decides_as_its_table_says(told, read, decision, answer, said, outcome):
    decisions = read["decisions"]
    judged = (decisions["set"] == "glasses") & (decisions["example_id"] == "g00013")
    columns = ["answer_full", "answer_banded", "decision", "answer"]
    decisions.loc[judged, columns] = ["ann", "ann", decision, answer]
    assert (told()[-1].text, told()[-1].outcome) == (said, outcome)


def test_without_a_fooled_face_or_its_pair_nothing_is_told_of_it(told, read):
    read["pairs"] = read["pairs"].iloc[:0]
    assert len(told()) == 6
    read["masks"] = {name: values[:0] for name, values in read["masks"].items() if values.ndim}
    assert told() == ()


def test_a_picture_travels_without_loss():
    picture = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    kind, content = Step("a", "b", picture, "c").address.split(",")
    assert kind == "data:image/png;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert (decoded[..., ::-1] == picture).all()
