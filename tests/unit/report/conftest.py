"""The made-up study with its figures and its report."""

import pytest
from made_up_study import configuration, write_report, write_results

from glassguard.stages import figures


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results") / "made_up"
    write_results(root)
    figures.run(configuration(), results=root, figures=root / "figures")
    write_report(root, configuration())
    return root
