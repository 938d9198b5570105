"""The tiny study with its maps and its grid, which tests only read."""

import pytest
from saliency.small_study import search, settings, write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The study's folder."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    return folder


@pytest.fixture(scope="session")
def searched(study, tmp_path_factory):
    """The files grid.csv and best.json of a search over the whole grid."""
    return search(study, settings(), tmp_path_factory.mktemp("grid") / "one", shards=1)
