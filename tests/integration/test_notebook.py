"""The notebook of the documentation, executed."""

import json
import time
from typing import Any

import numpy as np
import pytest
from checkouts import ROOT

pytestmark = pytest.mark.integration

NOTEBOOK = ROOT / "docs" / "arrays.ipynb"
SECONDS = 60


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_outputs_are_stripped_and_every_step_has_its_sentence(cells: list[dict[str, Any]]) -> None:
    kinds = [cell["cell_type"] for cell in cells]
    for place, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            assert kinds[place - 1] == "markdown"
            assert len("".join(cells[place - 1]["source"])) < 120


def test_an_attack_succeeds_is_detected_and_is_undone(
    cells: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {"__name__": "notebook"}
    # Time of this process alone: other tests share the machine.
    started = time.process_time()
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    assert time.process_time() - started < SECONDS
    assert names["accuracy"] > 0.8
    assert names["success"] > 0.8
    of_face, of_attack = (kind[names["is_test"]] for kind in names["scores"][names["best_slice"]])
    assert np.median(of_attack) > np.median(of_face)
    assert names["area"] > 0.7
    assert names["success_masked"] < names["success"] / 2
    assert names["right_masked"] > 0.5
