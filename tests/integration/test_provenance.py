"""A change re-runs what depends on it, also where Snakemake remembers nothing."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from checkouts import Checkout, checkout
from PIL import Image
from torch import nn

from glassguard.recognizer.network import convolutional_layers

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CHANGES = (
    "seed=1",
    "backbone=tiny",
    "attacks.glasses.step=10",
    "detector.alpha=0.02",
    "saliency.confidence_threshold=0.7",
    "tracking.enabled=false",
)


@pytest.fixture(scope="module")
def forgetful(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The finished results in a new checkout, all dates new and in any order."""
    copy = checkout(tmp_path_factory.mktemp("provenance") / "copy", finished.folder)
    shutil.copytree(
        finished.folder / "results", copy.folder / "results", copy_function=shutil.copyfile
    )
    files = sorted(path for path in copy.folder.rglob("*") if path.is_file())
    random.Random(0).shuffle(files)
    for number, path in enumerate(files):
        os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))
    return copy


@pytest.fixture
def kept(forgetful: Checkout) -> Iterator[Checkout]:
    """The copy, without what Snakemake has remembered meanwhile, and with its sources put back."""
    shutil.rmtree(forgetful.folder / ".snakemake", ignore_errors=True)
    sources = {path: path.read_bytes() for path in (forgetful.folder / "src").rglob("*.py")}
    yield forgetful
    for path, content in sources.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


def remark(path: Path) -> None:
    path.write_text(f'{path.read_text()}\n"""A remark."""\n')


def test_a_copy_plans_nothing(kept: Checkout) -> None:
    assert kept.planned() == set()


def test_cp_of_a_whole_checkout_plans_nothing(finished: Checkout, tmp_path: Path) -> None:
    copy = Checkout(tmp_path / "copy")
    shutil.copytree(finished.folder, copy.folder, copy_function=shutil.copyfile)
    assert copy.planned() == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_setting_plans_the_same_with_and_without_metadata(
    change: str, kept: Checkout, finished: Checkout
) -> None:
    planned = kept.planned(change)
    assert planned == finished.planned(change)
    assert {"write_config", "track"} <= planned


def test_an_edited_module_plans_the_same_with_and_without_metadata(
    kept: Checkout, edited: Checkout
) -> None:
    for copy in (kept, edited):
        path = copy.folder / "src" / "glassguard" / "saliency" / "evaluation.py"
        path.write_text(path.read_text() + "\n# A remark.\n")
    planned = kept.planned()
    assert planned == edited.planned()
    assert {"mask_evaluation", "report"} <= planned
    assert not planned & {"data", "recognizer", "attack_shard", "responses", "mask_grid_shard"}


@pytest.mark.parametrize(
    ("module", "readers"),
    [
        ("influence/experts.py", {"experts", "figures", "report", "track"}),
        ("report/influence_figures.py", {"figures", "report", "track"}),
        ("datasets/sources/lfw.py", set()),
    ],
)
def test_a_docstring_repeats_what_reads_its_module_and_nothing_else(
    module: str, readers: set[str], edited: Checkout
) -> None:
    remark(edited.folder / "src" / "glassguard" / module)
    assert edited.planned() - {"write_config"} == readers


def test_an_edited_source_of_pictures_repeats_what_is_made_from_its_pictures(
    photographs: Path, fresh: Checkout
) -> None:
    for path in (photographs / "study").glob("*/*.jpg"):
        person = path.parent.name
        copy = fresh.folder / "lfw" / person / f"{person}_{int(path.stem):04d}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        # LFW's pictures have one size, and their faces one place.
        Image.open(path).resize((250, 250)).save(copy)
    overrides = [
        "data.root=lfw",
        f"backbone.pool={photographs / 'others'}",
        "data.detector=null",
        "data.identities=null",
        "data.minimum_images=5",
        "data.image_size=64",
    ]
    study = {"experiment": "lfw", "overrides": overrides}
    done = fresh.snakemake("--cores", "1", "--until", "pool", **study)
    assert done.returncode == 0, done.stderr
    assert fresh.plan("--until", "pool", **study) == {}
    sources = fresh.folder / "src" / "glassguard" / "datasets" / "sources"
    remark(sources / "celeba.py")
    assert fresh.plan("--until", "pool", **study) == {}
    remark(sources / "lfw.py")
    assert set(fresh.plan("--until", "pool", **study)) == {"write_config", "data", "pool"}


def test_results_whose_stamp_is_lost_may_be_of_any_settings(kept: Checkout) -> None:
    stamp = kept.results / "config" / "attack_glasses.yaml"
    content = stamp.read_bytes()
    try:
        stamp.write_text(stamp.read_text().replace("step: 20", "step: 10"))
        assert "attack_shard" in kept.planned()
        stamp.unlink()
        assert "attack_shard" in kept.planned("attacks.glasses.step=10")
    finally:
        stamp.write_bytes(content)


def test_settings_are_rewritten_there_and_back(kept: Checkout) -> None:
    """What runs reads the settings of this call, whatever an earlier one has left."""
    for enabled in (False, True):
        overrides = [f"tracking.enabled={str(enabled).lower()}"]
        shutil.rmtree(kept.folder / ".snakemake", ignore_errors=True)
        # A dry run with other settings in between leaves no trace.
        assert "attack_shard" in kept.planned("attacks.glasses.step=10")
        done = kept.snakemake("--cores", "2", overrides=overrides)
        assert done.returncode == 0, done.stderr
        written = yaml.safe_load((kept.results / "config" / "track.yaml").read_text())
        assert written["tracking"]["enabled"] is enabled
        assert kept.planned(*overrides) == set()
        shutil.rmtree(kept.folder / ".snakemake")
        assert kept.planned(*overrides) == set()


@pytest.mark.parametrize("name", ["{braces}", "with space, it's #1", "a{b%"])
def test_a_checkout_may_have_any_name(name: str, tmp_path: Path) -> None:
    copy = checkout(tmp_path / name / "checkout")
    done = copy.snakemake("--cores", "1", "--until", "pool", overrides=["backbone=tiny"])
    assert done.returncode == 0, done.stderr
    assert (copy.results / "backbone" / "pool_images.npy").exists()


@pytest.mark.parametrize("name", ["{1}", "a b", "1e3", "~no body", "#1=b"])
def test_files_of_the_user_may_have_any_name(name: str, photographs: Path, fresh: Checkout) -> None:
    shutil.copytree(photographs / "study", fresh.folder / name)
    tensors = nn.Sequential(convolutional_layers(1 / 16)).state_dict()
    torch.save(tensors, fresh.folder / name / "weights.pth")
    overrides = [
        f"data.root='{name}'",
        "data.image_size=64",
        "data.minimum_images=5",
        "backbone=vggface",
        f"backbone.weights='{name}/weights.pth'",
    ]
    options = ("--cores", "2", "--until", "data", "import_backbone")
    done = fresh.snakemake(*options, experiment="folder", overrides=overrides)
    assert done.returncode == 0, done.stderr
    results = fresh.folder / "results" / "folder"
    assert (results / "data" / "images.npy").exists()
    assert (results / "backbone" / "backbone.safetensors").exists()
