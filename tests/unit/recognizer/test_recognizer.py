"""The network, its folding, its weights and its training."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from shipped import section
from torch import nn

from glassguard.configuration.schema import Recognizer
from glassguard.errors import InputError
from glassguard.recognizer.augmentation import mirror, occlude, vary
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.head import train_dense_layers
from glassguard.recognizer.layers import CONVOLUTIONS, LAYERS, PRE_RELU, SLICES, paper_index
from glassguard.recognizer.network import (
    FaceRecognizer,
    Normalisation,
    convolutional_layers,
    to_images,
    to_pixels,
)
from glassguard.recognizer.pretraining import fold_batch_normalisation, pretrain
from glassguard.recognizer.settings import Backbone, Occlusion
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.recognizer.weights import (
    BackboneFile,
    check_convolutions,
    read_backbone,
    read_recognizer,
    read_tensors,
    relative_width,
    write_backbone,
    write_recognizer,
)
from glassguard.saliency.explanation import explainer
from glassguard.saliency.masked_copies import masked_copies


def small_network(
    seed: int = 0, identities: int = 4, width: float = 1 / 16, hidden: int = 12
) -> FaceRecognizer:
    torch.manual_seed(seed)
    return FaceRecognizer(
        identities=identities,
        image_size=32,
        width=width,
        hidden=hidden,
        mean=(127.5, 127.5, 127.5),
        scale=127.5,
    ).eval()


def test_layer_eight_of_the_source_is_conv3_2_with_256_filters():
    assert paper_index("conv3_2") == 8
    assert convolutional_layers(1.0)["conv3_2"].out_channels == 256
    assert paper_index("conv3_2_pre_relu") == 8
    assert [paper_index(name) for name in ("conv1_1", "conv5_3", "fc6", "fc7")] == [1, 17, 20, 21]
    assert paper_index("conv9_9") is None


def test_full_width_has_the_parameters_of_vgg16():
    count = sum(p.numel() for p in nn.Sequential(convolutional_layers(1.0)).parameters())
    assert count == 14_714_688


def test_vgg_face_means_are_subtracted_in_rgb_order():
    red = torch.zeros(1, 3, 1, 1)
    red[:, 0] = 1.0
    normalised = Normalisation((129.1863, 104.7624, 93.5940), 1.0)(red).flatten()
    assert normalised.tolist() == pytest.approx([255 - 129.1863, -104.7624, -93.5940], abs=1e-4)


def test_every_activation_is_a_module_of_its_own():
    network = small_network()
    activations = [m for m in network.modules() if isinstance(m, nn.ReLU)]
    assert len(activations) == len(LAYERS) == 15
    assert not any(activation.inplace for activation in activations)
    assert len(set(map(id, network.slice_modules().values()))) == 15


def test_slices_before_and_after_the_activation_differ_by_rectification():
    network = small_network()
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda _m, _i, output, name=name: seen.__setitem__(name, output)
        )
        for name, module in network.slice_modules(["pre_relu", "post_relu"]).items()
    ]
    network(torch.rand(2, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    assert set(seen) == set(SLICES)
    for name in LAYERS:
        assert torch.equal(seen[name + PRE_RELU].relu(), seen[name])


def test_pixels_and_images_are_inverse():
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8)
    pixels = to_pixels(images)
    assert pixels.shape == (3, 3, 8, 8)
    assert pixels.max() <= 1
    assert torch.equal(to_images(pixels), images)


def test_folded_convolutions_compute_the_same():
    torch.manual_seed(1)
    trained = nn.Sequential(convolutional_layers(1 / 16, batch_normalisation=True))
    for module in trained:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    with pytest.raises(ValueError, match="evaluation"):
        fold_batch_normalisation(trained.train())
    trained.eval()
    plain = nn.Sequential(convolutional_layers(1 / 16))
    plain.load_state_dict(fold_batch_normalisation(trained))
    pixels = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(plain(pixels), trained(pixels), rtol=1e-4, atol=1e-5)


def test_weights_survive_the_file(tmp_path):
    network = small_network()
    write_recognizer(tmp_path / "r.safetensors", network, ["a", "b", "c", "d"])
    read, identities = read_recognizer(tmp_path / "r.safetensors")
    pixels = torch.rand(2, 3, 32, 32)
    assert identities == ["a", "b", "c", "d"]
    torch.testing.assert_close(read(pixels), network(pixels))
    assert not any(p.requires_grad for p in read.parameters())


def test_bad_weight_files_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="no such file"):
        read_tensors(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="not a readable safetensors"):
        read_tensors(path)
    tensors = {
        f"{name}.{part}": tensor
        for name in CONVOLUTIONS
        for part, tensor in convolutional_layers(1 / 16)[name].state_dict().items()
    }
    write_backbone(path, BackboneFile(tensors, 1 / 16, (1.0, 2.0, 3.0), 4.0))
    written = path.read_bytes()
    assert read_backbone(path).mean == (1.0, 2.0, 3.0)
    write_backbone(path, BackboneFile(tensors, 1 / 16, (1.0, 2.0, 3.0), 4.0))
    assert path.read_bytes() == written
    for impossible in (
        {"scale": 0.0},
        {"scale": -5.0},
        {"mean": (math.nan, 1.0, 1.0)},
        {"width": math.inf},
        {"width": math.nan},
        {"width": 1e6},
    ):
        backbone = BackboneFile(tensors, 1 / 16, (1.0, 2.0, 3.0), 4.0)
        write_backbone(path, replace(backbone, **impossible))
        with pytest.raises(InputError, match=r"w\.safetensors: not a backbone that"):
            read_backbone(path)
    path.write_bytes(written[: len(written) // 2])
    with pytest.raises(InputError, match="not a readable safetensors"):
        read_tensors(path)
    with pytest.raises(InputError, match=r"conv1_1.weight has shape .* width 0\.125"):
        check_convolutions(tensors, width=1 / 8, path=path)
    assert relative_width(tensors, path) == 1 / 16
    with pytest.raises(InputError, match=r"conv1_1\.weight must be there"):
        relative_width({}, path)
    del tensors["conv4_2.bias"]
    with pytest.raises(InputError, match=r"conv4_2\.bias is missing"):
        check_convolutions(tensors, width=1 / 16, path=path)
    path.write_bytes(written)
    with pytest.raises(InputError, match="not a recognizer"):
        read_recognizer(path)


OCCLUSION = {
    "shapes": ["rectangle", "patches"],
    "covers": ["colour", "texture", "mean", "surroundings"],
}


def occluded(pixels: torch.Tensor, seed: int = 0, **changes) -> torch.Tensor:
    whole = {"probability": 1.0, "smallest": 0.2, "largest": 0.5, **OCCLUSION, **changes}
    settings = Occlusion.model_validate(whole)
    generator = torch.Generator().manual_seed(seed)
    return occlude(pixels, **settings.model_dump(), generator=generator)


@pytest.mark.parametrize("shape", ["rectangle", "patches"])
def test_occlusion_covers_what_was_asked(shape):
    pixels = torch.rand(200, 3, 40, 40)
    changed = (occluded(pixels, shapes=[shape]) != pixels).any(1)
    area = changed.flatten(1).float().mean(1)
    assert area.max() <= 0.5**2 + 0.06
    assert area.min() >= 0.2**2 - 0.03
    rows = changed.any(2).sum(1)
    columns = changed.any(1).sum(1)
    boxes = (changed.flatten(1).sum(1) == rows * columns).float().mean()
    assert (boxes == 1) if shape == "rectangle" else (boxes < 0.05)
    assert torch.equal(occluded(pixels, probability=0.0), pixels)
    assert torch.equal(occluded(pixels, seed=1), occluded(pixels, seed=1))


def test_covers_are_what_they_are_called():
    rows = torch.linspace(0, 1, 48).view(1, 1, 48, 1).expand(50, 3, 48, 48)
    flat = occluded(rows, covers=["mean"])
    assert (flat[flat != rows] - 0.5).abs().max() < 1e-5
    near = occluded(rows, covers=["surroundings"], largest=0.25)
    assert (near - rows).abs().max() < (flat - rows).abs().max() / 2
    one = occluded(rows, covers=["colour"], shapes=["rectangle"])
    for before, after in zip(rows, one, strict=True):
        assert len(after[:, (before != after).any(0)].unique(dim=1).T) == 1
    many = occluded(rows, covers=["texture"], shapes=["rectangle"])
    assert len(many[0][:, (many[0] != rows[0]).any(0)].unique(dim=1).T) > 1


def test_mirror_flips_about_half():
    pixels = torch.arange(8.0).view(1, 1, 1, 8).expand(400, 1, 1, 8)
    flipped = mirror(pixels, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 7
    assert 0.4 < flipped.float().mean() < 0.6


def striped_people(people: int, images: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """People who differ by the direction and width of stripes."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    pictures, labels = [], []
    for person in range(people):
        angle = np.pi / 2 * person / (people - 1)
        for _ in range(images):
            phase = generator.uniform(0, 2 * np.pi)
            wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 0.9 + phase)
            picture = 127 + 80 * wave[..., None] + generator.normal(0, 20, (size, size, 3))
            pictures.append(np.clip(picture, 0, 255))
            labels.append(person)
    return np.array(pictures, dtype=np.uint8), np.array(labels, dtype=np.int64)


def test_pretraining_and_dense_training_learn_and_repeat():
    images, labels = striped_people(4, 48)
    pictures = LabelledPictures(images[::2], labels[::2])
    validation = LabelledPictures(images[1::2], labels[1::2])
    settings = Backbone.model_validate(
        section(
            "backbone/pretrain",
            width=1 / 8,
            pretraining={
                "steps": [{"image_size": 32, "epochs": 20}],
                "batch_size": 12,
                "learning_rate": 0.05,
                "margin": 0.0,
                "scale": 16.0,
                "occlusion": {"smallest": 0.1, **OCCLUSION},
                "threads": 1,
            },
        )
    )

    def whole() -> tuple[list, np.ndarray]:
        tensors, measured = pretrain(
            pictures,
            validation,
            settings,
            seed=3,
        )
        assert measured["pool_val_accuracy"] > 0.6
        network = small_network(width=1 / 8, hidden=64)
        network.features.load_state_dict(tensors)
        before = network.features.conv1_1.weight.clone()
        history = train_dense_layers(
            network,
            pictures,
            validation,
            Recognizer.model_validate(
                section(
                    "recognizer/dense",
                    hidden=64,
                    epochs=30,
                    batch_size=16,
                    learning_rate=1e-2,
                    weight_decay=1e-4,
                    dropout=0.0,
                    occluded_copies=1,
                    occlusion={"probability": 0.5, "smallest": 0.1, "largest": 0.2},
                )
            ),
            seed=3,
        )
        assert torch.equal(before, network.features.conv1_1.weight), "convolutions must stay frozen"
        return history, probabilities_of(network, images)

    history, probabilities = whole()
    assert [row["epoch"] for row in history] == list(range(1, 31))
    assert history[-1]["train_accuracy"] > 0.8 > history[0]["train_accuracy"]
    assert (probabilities.argmax(1) == labels)[1::2].mean() > 0.8
    again, probabilities_again = whole()
    assert again == history
    assert np.array_equal(probabilities, probabilities_again)


def test_dense_layers_learn_from_copies_masked_by_their_own_saliency():
    images, labels = striped_people(3, 8)
    pictures = LabelledPictures(images, labels)
    settings = Recognizer.model_validate(
        section(
            "recognizer/dense",
            hidden=16,
            epochs=3,
            occluded_copies=0,
            masked_copies=1,
            copy_masks={"mu": [0.8, 0.8], "n": [0], "phi": 0, "fill": ["zero"]},
        )
    )
    seen: list[torch.Tensor] = []

    def masked(network: FaceRecognizer) -> Iterator[torch.Tensor]:
        pixels = to_pixels(torch.from_numpy(images))
        explain = explainer(network, "guided", settings.copy_masks)
        generator = np.random.default_rng(0)
        for batch in masked_copies([pixels], explain, settings.copy_masks, generator=generator):
            black = (batch == 0).all(dim=1) & (pixels > 0).any(dim=1)
            seen.append(black.float().mean(dim=(1, 2)))
            assert torch.allclose(
                batch[~black[:, None].expand_as(batch)], pixels[~black[:, None].expand_as(pixels)]
            )
            yield batch

    def trained(further) -> np.ndarray:
        torch.manual_seed(0)
        network = small_network(width=1 / 8, hidden=16)
        train_dense_layers(
            network,
            pictures,
            pictures,
            settings,
            seed=3,
            further_copies=further,
        )
        return network.classifier.fc8.weight.detach().numpy()

    without, with_them = trained(None), trained(masked)
    assert torch.allclose(seen[0], torch.full((len(images),), 0.2), atol=0.02)
    assert not np.array_equal(without, with_them)
    assert np.array_equal(with_them, trained(masked))


def varied(pixels: torch.Tensor, seed: int = 0, **changes: float) -> torch.Tensor:
    amounts = {"shift": 0.0, "scale": 0.0, "rotation": 0.0, "light": 0.0, **changes}
    return vary(pixels, **amounts, generator=torch.Generator().manual_seed(seed))


def test_variation_moves_and_lights_as_far_as_was_asked():
    pixels = torch.rand(60, 3, 32, 32)
    assert torch.allclose(varied(pixels), pixels, atol=1e-5)
    assert torch.equal(varied(pixels, shift=0.1), varied(pixels, shift=0.1))
    assert not torch.equal(varied(pixels, shift=0.1), varied(pixels, seed=1, shift=0.1))
    dot = torch.zeros(200, 3, 41, 41)
    dot[:, :, 20, 30] = 1
    at = torch.arange(41.0)

    def place(pictures: torch.Tensor) -> torch.Tensor:
        weight = pictures[:, 0] / pictures[:, 0].sum(dim=(1, 2), keepdim=True)
        return torch.stack([weight.sum(2) @ at, weight.sum(1) @ at], dim=1) - 20

    moved = place(varied(dot, shift=0.1)) - place(dot)
    assert moved.abs().max() <= 4.1 + 0.6
    assert (moved.amax(0) > 3).all()
    assert (moved.amin(0) < -3).all()
    turned = place(varied(dot, rotation=30))
    angles = torch.rad2deg(torch.atan2(turned[:, 0], turned[:, 1]))
    assert 25 < angles.max() <= 33
    assert -33 <= angles.min() < -25
    lengths = place(varied(dot, scale=0.2)).norm(dim=1)
    assert 10 / 1.2 - 0.6 <= lengths.min() < 9
    assert 11 < lengths.max() <= 10 / 0.8 + 0.6
    grey = torch.full((200, 3, 8, 8), 0.5)
    lit = varied(grey, light=0.2)[:, 0, 0, 0]
    assert 0.39 < lit.min() < 0.42
    assert 0.58 < lit.max() < 0.61
