"""Checkouts that tests share, and photographs of drawn people."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkouts import Checkout, checkout
from PIL import Image

from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.rendering import render_face

SPY = Path(__file__).parent / "spy"


@pytest.fixture(scope="session")
def opened_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages of the finished copy opened, a file for each call (``spy``)."""
    return tmp_path_factory.mktemp("opened")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, opened_files: Path) -> Checkout:
    """A copy in which ``smoke`` has run on two cores."""
    folder = tmp_path_factory.mktemp("workflow") / "two_cores"
    copy = checkout(folder)
    spied = {"PYTHONPATH": f"{SPY}{os.pathsep}{folder / 'src'}", "GLASSGUARD_SPY": opened_files}
    replace(copy, environment={key: str(value) for key, value in spied.items()}).run(cores=2)
    return copy


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A copy in which nothing has run."""
    return checkout(tmp_path / "checkout")


@pytest.fixture
def twin(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished copy's sources in which nothing has run."""
    return checkout(tmp_path / "one_core", finished.folder)


@pytest.fixture
def edited(finished: Checkout) -> Iterator[Checkout]:
    """The finished copy, whose edited files are put back afterwards."""
    kept = {
        path: path.read_bytes()
        for part in ("conf", "src")
        for path in sorted((finished.folder / part).rglob("*"))
        if path.suffix in (".yaml", ".py", ".jinja", ".css", ".js")
    }
    yield finished
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``study`` and ``others`` of drawn people as JPEG files."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(8):
        identity = draw_identity(seed=1, identity=number)
        person = folder / ("study" if number < 5 else "others") / f"person_{number}"
        person.mkdir(parents=True)
        generator = np.random.default_rng(number)
        for index in range(12):
            picture, _ = render_face(identity, generator, size=96)
            Image.fromarray(picture).save(person / f"{index}.jpg", quality=95)
    return folder
