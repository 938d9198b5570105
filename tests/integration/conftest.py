"""Checkouts that tests share, and photographs of drawn people."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkouts import Checkout, checkout
from PIL import Image

from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.rendering import render_face


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which ``smoke`` has run on two cores."""
    copy = checkout(tmp_path_factory.mktemp("workflow") / "two_cores")
    copy.run(cores=2)
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
        if path.suffix in (".yaml", ".py", ".jinja")
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
