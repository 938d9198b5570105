"""The stages influence and baselines, by hand on small files."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from detection.made_up_files import PEOPLE, write_manifest
from shipped import section

from glassguard.cli import main
from glassguard.recognizer.layers import SLICES
from glassguard.recognizer.network import FaceRecognizer, to_pixels
from glassguard.recognizer.weights import read_recognizer, write_recognizer


@pytest.fixture
def recognizer(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=5, image_size=32, width=1 / 16, hidden=8, mean=(127.5,) * 3, scale=127.5
    )
    write_recognizer(tmp_path / "recognizer.safetensors", network, PEOPLE)
    return tmp_path / "recognizer.safetensors"


def influence_arguments(tmp_path: Path, recognizer: Path, **changes: object) -> list[str]:
    changes = {"quantity": "comparative", "batch_size": 3} | changes
    own = section("influence/internal", **changes)
    own.pop("experts")
    settings = {"influence": own}
    (tmp_path / "influence.yaml").write_text(yaml.safe_dump(settings))
    files = {
        "config": tmp_path / "influence.yaml",
        "images": tmp_path / "images.npy",
        "ids": tmp_path / "manifest.csv",
        "recognizer": recognizer,
        "profiles": tmp_path / "profiles.npz",
    }
    return [
        "influence",
        *(str(part) for name, file in files.items() for part in (f"--{name}", file)),
    ]


def test_influence_stage_is_byte_identical(tmp_path: Path, recognizer: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, np.repeat("test", 7))
    arguments = influence_arguments(tmp_path, recognizer)
    assert main(arguments) == 0
    first = (tmp_path / "profiles.npz").read_bytes()
    with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
        assert tuple(file)[: len(SLICES)] == SLICES
        assert all(file[name].dtype == np.float32 for name in SLICES)
        assert file["conv5_3"].shape == (7, 32)
        assert file["ids"].tolist() == [f"i{k:04d}" for k in range(7)]
        assert file["identities"].tolist() == PEOPLE
        assert file["prediction"].dtype == np.int64
        assert str(file["quantity"]) == "comparative"
    assert main(arguments) == 0
    assert (tmp_path / "profiles.npz").read_bytes() == first


@pytest.mark.parametrize("kind", ["input_line", "layer_line"])
def test_influence_stage_takes_lines(tmp_path: Path, recognizer: Path, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(3), np.repeat("test", 3))
    found = []
    for steps in (40, 80):
        distribution = {"kind": kind, "steps": steps}
        assert main(influence_arguments(tmp_path, recognizer, distribution=distribution)) == 0
        with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
            assert str(file["distribution"]) == kind
            found.append(file["conv5_3"])
    scale = np.abs(found[0]).max()
    assert scale > 0
    np.testing.assert_allclose(found[0], found[1], atol=0.2 * scale)


def test_influence_refuses_pictures_that_do_not_fit(
    tmp_path: Path, recognizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "manifest.csv", np.arange(5), np.repeat("test", 5))
    np.save(tmp_path / "images.npy", np.zeros((4, 32, 32, 3), dtype=np.uint8))
    assert main(influence_arguments(tmp_path, recognizer)) == 2
    assert "images.npy: has 4 rows" in capsys.readouterr().err
    np.save(tmp_path / "images.npy", np.zeros((5, 64, 64, 3), dtype=np.uint8))
    assert main(influence_arguments(tmp_path, recognizer)) == 2
    assert "takes 32x32" in capsys.readouterr().err


def test_baselines_stage(tmp_path: Path, recognizer: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    split = np.array(["train", "val", "test", "train", "val", "test", "test"])
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, split)
    settings = section("detector/linear")["baselines"] | {"batch_size": 3}
    config = {"baselines": settings, "places": [1, 1], "threads": 1}
    (tmp_path / "baselines.yaml").write_text(yaml.safe_dump(config))
    files = {
        "config": tmp_path / "baselines.yaml",
        "images": tmp_path / "images.npy",
        "ids": tmp_path / "manifest.csv",
        "recognizer": recognizer,
        "baselines": tmp_path / "baselines.npz",
    }
    arguments = [
        "baselines",
        *(str(part) for name, file in files.items() for part in (f"--{name}", file)),
    ]
    assert main(arguments) == 0
    first = (tmp_path / "baselines.npz").read_bytes()
    network, _ = read_recognizer(recognizer)
    with torch.inference_mode():
        z = network.features[: list(dict(network.features.named_children())).index("relu3_2") + 1](
            network.normalisation(to_pixels(torch.from_numpy(images)))
        )
    with np.load(tmp_path / "baselines.npz", allow_pickle=False) as file:
        assert np.allclose(file["largest_conv3_2"], z.amax(dim=(2, 3)), atol=1e-5)
        assert np.allclose(file["mean_conv3_2"], z.mean(dim=(2, 3)), atol=1e-5)
        assert file["largest_fc7"].shape == (7, 8)
        assert (np.isnan(file["squeezed"]) == (split == "train")).all()
    assert main(arguments) == 0
    assert (tmp_path / "baselines.npz").read_bytes() == first

    (tmp_path / "baselines.yaml").write_text(yaml.safe_dump(config | {"places": [2, 1]}))
    assert main(arguments) == 0
    halves = torch.stack([half.amax(dim=(2, 3)) for half in z.chunk(2, dim=2)], dim=2)
    with np.load(tmp_path / "baselines.npz", allow_pickle=False) as file:
        assert np.allclose(file["largest_conv3_2"], halves.flatten(1), atol=1e-5)
        assert np.allclose(file["mean_conv3_2"], z.mean(dim=(2, 3)), atol=1e-5)
