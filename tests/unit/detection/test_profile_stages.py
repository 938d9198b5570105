"""The stage responses, by hand on small files: profiles, activations and squeezed answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from detection.made_up_files import PEOPLE, write_manifest
from shipped import section

from glassguard.cli import main
from glassguard.detection.activations import activation_profiles, profiles_and_activations
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import profiles_of_images
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


OUTPUTS = ("profiles", "baselines", "maps", "decisions")


def arguments_of(tmp_path: Path, recognizer: Path, **changes: object) -> list[str]:
    """Arguments of the command line; changes are of what concerns influence."""
    influence = section("influence/internal", quantity="comparative", batch_size=3, **changes)
    influence.pop("experts")
    detector, saliency = section("detector/linear"), section("saliency/guided")
    keys = ("top_classes", "channel_reduction", "relative", "kernel", "batch_size")
    settings = {
        "influence": influence,
        "baselines": detector["baselines"] | {"batch_size": 3},
        "saliency": {
            **{key: saliency[key] for key in keys},
            "maps": ["guided"],
            "masking": detector["masking"] | {"map": "guided"},
        },
    }
    (tmp_path / "responses.yaml").write_text(yaml.safe_dump(settings))
    files = {
        "config": tmp_path / "responses.yaml",
        "images": tmp_path / "images.npy",
        "ids": tmp_path / "manifest.csv",
        "recognizer": recognizer,
        **{name: tmp_path / f"{name}.npz" for name in OUTPUTS},
    }
    return [
        "responses",
        *(str(part) for name, file in files.items() for part in (f"--{name}", file)),
    ]


def written(tmp_path: Path) -> list[bytes]:
    return [(tmp_path / f"{name}.npz").read_bytes() for name in OUTPUTS]


def test_the_stage_is_byte_identical(tmp_path: Path, recognizer: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, np.repeat("test", 7))
    arguments = arguments_of(tmp_path, recognizer)
    assert main(arguments) == 0
    first = written(tmp_path)
    with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
        assert tuple(file)[: len(SLICES)] == SLICES
        assert all(file[name].dtype == np.float32 for name in SLICES)
        assert file["conv5_3"].shape == (7, 32)
        assert file["ids"].tolist() == [f"i{k:04d}" for k in range(7)]
        assert file["identities"].tolist() == PEOPLE
        assert file["prediction"].dtype == np.int64
        assert str(file["quantity"]) == "comparative"
    assert main(arguments) == 0
    assert written(tmp_path) == first


@pytest.mark.parametrize("kind", ["input_line", "layer_line"])
def test_influence_is_taken_along_lines_as_well(
    tmp_path: Path, recognizer: Path, kind: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(3), np.repeat("test", 3))
    found = []
    for steps in (40, 80):
        distribution = {"kind": kind, "steps": steps}
        assert main(arguments_of(tmp_path, recognizer, distribution=distribution)) == 0
        with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
            assert str(file["distribution"]) == kind
            found.append(file["conv5_3"])
    scale = np.abs(found[0]).max()
    assert scale > 0
    np.testing.assert_allclose(found[0], found[1], atol=0.2 * scale)


def test_pictures_are_refused_that_do_not_fit(
    tmp_path: Path, recognizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "manifest.csv", np.arange(5), np.repeat("test", 5))
    np.save(tmp_path / "images.npy", np.zeros((4, 32, 32, 3), dtype=np.uint8))
    assert main(arguments_of(tmp_path, recognizer)) == 2
    assert "images.npy: has 4 rows" in capsys.readouterr().err
    np.save(tmp_path / "images.npy", np.zeros((5, 64, 64, 3), dtype=np.uint8))
    assert main(arguments_of(tmp_path, recognizer)) == 2
    assert "takes 32x32" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["point", "input_line"])
def test_activations_of_all_and_scores_of_held_out_pictures(
    tmp_path: Path, recognizer: Path, kind: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    split = np.array(["train", "val", "test", "train", "val", "test", "test"])
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, split)
    distribution = {"kind": kind, "steps": 2}
    assert main(arguments_of(tmp_path, recognizer, distribution=distribution)) == 0
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

    changes = {"distribution": distribution, "places": [2, 1]}
    assert main(arguments_of(tmp_path, recognizer, **changes)) == 0
    halves = torch.stack([half.amax(dim=(2, 3)) for half in z.chunk(2, dim=2)], dim=2)
    with np.load(tmp_path / "baselines.npz", allow_pickle=False) as file:
        assert np.allclose(file["largest_conv3_2"], halves.flatten(1), atol=1e-5)
        assert np.allclose(file["mean_conv3_2"], z.mean(dim=(2, 3)), atol=1e-5)


def test_one_forward_pass_serves_influence_and_activations(recognizer: Path) -> None:
    network, _ = read_recognizer(recognizer)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    passes = []
    network.register_forward_hook(lambda module, given, logits: passes.append(len(logits)))
    slices = network.slice_modules()
    influence = InternalInfluence(network, network.slice_modules(("post_relu", "pre_relu")))
    profiles, activations = profiles_and_activations(influence, slices, images, batch_size=2)
    assert passes == [2, 2, 1]
    alone = profiles_of_images(influence, images, batch_size=2)
    apart = activation_profiles(network, slices, images, batch_size=2)
    for one, other in (
        (profiles.profiles, alone.profiles),
        (activations.largest, apart.largest),
        (activations.mean, apart.mean),
        ({"logits": activations.logits}, {"logits": apart.logits}),
    ):
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)
    _, none = profiles_and_activations(influence, slices, images[:0], batch_size=2)
    assert none.largest["conv3_2"].shape == (0, 16)
    assert none.logits.shape == (0, 5)
