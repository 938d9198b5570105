"""The tables of ``smoke`` are those of every other machine."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT, Checkout

pytestmark = pytest.mark.integration


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="kernels are pinned on x86-64 only"
)
def test_the_tables_are_those_that_are_committed(finished: Checkout) -> None:
    compared = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "digests.py", finished.results],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stdout + compared.stderr


def test_a_changed_and_a_missing_table_are_named(tmp_path: Path) -> None:
    results = tmp_path / "smoke"
    (results / "data").mkdir(parents=True)
    (results / "data" / "manifest.csv").write_text("image_id\n")
    compared = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "digests.py", results],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 1
    assert "data/manifest.csv: differs" in compared.stdout
    assert "detection/table1.csv: is missing here or there" in compared.stdout
