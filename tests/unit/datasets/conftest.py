"""A folder of people for the tests of the intake."""

from pathlib import Path

import pytest
from datasets.made_people import NAMES, save, small_scene


@pytest.fixture
def people(tmp_path) -> Path:
    root = tmp_path / "people"
    for person, name in enumerate(NAMES):
        for number in range(10):
            save(root / name / f"{number}.jpg", small_scene(person, number))
    return root
