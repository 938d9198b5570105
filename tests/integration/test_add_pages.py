"""The pages on additions (docs/add-….md), each followed literally on a finished study."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkouts import ROOT, Checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FILE = re.compile(r"^### `(\S+)`\n.*?^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^## Run it\n+```\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """What following a page must bring.

    Attributes:
        name: the page, without its suffix.
        files: how many it may name at most, tests and documentation included.
        stage: a stage that reads the new code.
        source: the new code, below ``src``.
        changed: a file of the study that the addition changes or makes.
        untouched: rules that must not run again.
        experiment: the folder below ``results``.
    """

    name: str
    files: int
    stage: str
    source: str
    changed: str
    untouched: str
    experiment: str = "smoke"


PAGES = [
    Page(
        "add-an-attack",
        4,
        "attack_shard",
        "glassguard/attack/translation_invariant.py",
        "attacks/glasses/images.npy",
        "data|shipped_backbone|recognizer",
    ),
    Page(
        "add-a-source",
        4,
        "data",
        "glassguard/datasets/sources/vggface2.py",
        "data/images.npy",
        "fetch|fetch_pictures|shipped_backbone",
        "smoke_vggface2",
    ),
    Page(
        "add-a-detector",
        5,
        "responses",
        "glassguard/detection/jpeg_compression.py",
        "detection/roc.csv",
        "data|shipped_backbone|recognizer|attack_shard|experts",
    ),
    Page(
        "add-a-fill",
        4,
        "mask_grid_shard",
        "glassguard/saliency/fill.py",
        "saliency/grid.csv",
        "data|shipped_backbone",
    ),
    Page(
        "add-a-figure",
        3,
        "figures",
        "glassguard/report/attack_figures.py",
        "figures/attack_targets.png",
        "data|shipped_backbone|recognizer|attack|attack_shard|responses|experts|detection|mask_grid",
    ),
]


@pytest.fixture(params=PAGES, ids=[page.name for page in PAGES])
def page(request: pytest.FixtureRequest) -> Page:
    return request.param


@pytest.fixture
def followed(page: Page, finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout with the files of the page."""
    copy = Checkout(tmp_path / "checkout")
    shutil.copytree(finished.folder, copy.folder, symlinks=True)
    for part in ("docs", "tests"):
        shutil.copytree(ROOT / part, copy.folder / part, dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", copy.folder)
    files = FILE.findall(text_of(page))
    assert 0 < len({path for path, _, _ in files}) <= page.files
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


def text_of(page: Page) -> str:
    return (ROOT / "docs" / f"{page.name}.md").read_text()


def test_the_files_of_the_page_are_all_that_is_needed(page: Page, followed: Checkout) -> None:
    results = followed.folder / "results" / page.experiment
    changed = results / page.changed
    before = changed.read_bytes() if changed.exists() else None
    (commands,) = COMMANDS.findall(text_of(page))
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
    assert re.search(r"^=* ?\d+ passed", output, flags=re.MULTILINE)
    assert not re.search(rf"^({page.untouched}) +\d+$", output, flags=re.MULTILINE)
    assert changed.read_bytes() != before
    sources = (results / "config" / "code" / f"{page.stage}.sha256").read_text()
    assert page.source in sources


@pytest.mark.parametrize("page", PAGES[:1], ids=["add-an-attack"])
def test_a_misspelt_key_of_the_new_attack_is_refused_with_its_name(followed: Checkout) -> None:
    chosen = ["attack@attacks.glasses=translation_invariant", "+attacks.glasses.algorithm.reech=2"]
    done = followed.snakemake("--dry-run", overrides=chosen)
    assert done.returncode != 0
    assert "attacks.glasses.algorithm.reech: unknown key (did you mean reach?)" in done.stderr
