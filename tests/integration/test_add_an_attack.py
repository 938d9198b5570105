"""docs/add-an-attack.md, followed literally."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT, Checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGE = ROOT / "docs" / "add-an-attack.md"
FILE = re.compile(r"^### `(\S+)`\n.*?^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^## Run it\n+```\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def followed(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout with the files of the page."""
    copy = Checkout(tmp_path / "checkout")
    shutil.copytree(finished.folder, copy.folder, symlinks=True)
    shutil.copytree(ROOT / "tests", copy.folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", copy.folder)
    files = FILE.findall(PAGE.read_text())
    assert len({path for path, _, _ in files}) == len(files) <= 4
    for path, language, text in files:
        if language == "diff":
            assert f"+++ b/{path}\n" in text
            subprocess.run(
                ["git", "apply", "-"], input=text, text=True, cwd=copy.folder, check=True
            )
        else:
            assert not (copy.folder / path).exists()
            (copy.folder / path).write_text(text)
    return copy


def test_the_files_of_the_page_add_an_attack(followed: Checkout) -> None:
    attack = followed.results / "attacks" / "glasses"
    before = (attack / "images.npy").read_bytes()
    (commands,) = COMMANDS.findall(PAGE.read_text())
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(followed.folder / "src"),
    }
    output = ""
    for command in commands.splitlines():
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=followed.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        output += done.stdout + done.stderr
    assert "2 passed" in output
    assert not re.search(r"^(pretrain|recognizer|data) +1$", output, flags=re.MULTILINE)
    assert (attack / "images.npy").read_bytes() != before
    sources = (followed.results / "config" / "code" / "attack_shard.sha256").read_text()
    assert "glassguard/attack/translation_invariant.py" in sources


def test_a_misspelt_key_of_the_new_attack_is_refused_with_its_name(followed: Checkout) -> None:
    chosen = ["attack@attacks.glasses=translation_invariant", "+attacks.glasses.algorithm.reech=2"]
    done = followed.snakemake("--dry-run", overrides=chosen)
    assert done.returncode != 0
    assert "attacks.glasses.algorithm.reech: unknown key (did you mean reach?)" in done.stderr
