"""Reading and writing of networks as safetensors: no pickle, every shape checked by name."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.network import CONVOLUTIONS, FaceRecognizer, convolutional_layers


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file and its metadata.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from None


def check_convolutions(tensors: dict[str, Tensor], *, width: float, path: Path) -> dict[str, Tensor]:
    """The thirteen convolutions of a weight file, in order and of the right shape.

    Args:
        tensors: tensors by name, ``conv1_1.weight`` to ``conv5_3.bias`` among them.
        width: relative width that the shapes must fit.
        path: the file, for the message.

    Raises:
        InputError: a convolution is missing or has another shape.
    """
    checked: dict[str, Tensor] = {}
    layers = convolutional_layers(width)
    for name in CONVOLUTIONS:
        for part, expected in layers[name].state_dict().items():
            key = f"{name}.{part}"
            if key not in tensors:
                raise InputError(f"{path}: {key} is missing; a VGG-16 has {CONVOLUTIONS[0]} to {CONVOLUTIONS[-1]}")
            if tensors[key].shape != expected.shape:
                raise InputError(
                    f"{path}: {key} has shape {tuple(tensors[key].shape)}, "
                    f"backbone.width={width:g} needs {tuple(expected.shape)}"
                )
            checked[key] = tensors[key].to(torch.float32).contiguous()
    return checked


def write_backbone(path: Path, tensors: dict[str, Tensor], *, width: float, mean: tuple[float, ...], scale: float) -> None:
    """Write the convolutions with what their input must look like."""
    metadata = {"width": json.dumps(width), "mean": json.dumps(list(mean)), "scale": json.dumps(scale)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)


def write_recognizer(path: Path, network: FaceRecognizer, identities: list[str]) -> None:
    """Write a whole recognizer with the names of its classes, in the order of its logits."""
    metadata = {
        "identities": json.dumps(identities),
        "image_size": json.dumps(network.image_size),
        "width": json.dumps(network.width),
    }
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, metadata=metadata)


def read_recognizer(path: Path) -> tuple[FaceRecognizer, list[str]]:
    """A recognizer in evaluation mode, channels last, without gradients of its weights.

    Returns:
        The network, and the names of its classes in the order of its logits.

    Raises:
        InputError: the file is missing or no recognizer of ours.
    """
    tensors, metadata = read_tensors(path)
    try:
        identities = json.loads(metadata["identities"])
        network = FaceRecognizer(
            identities=len(identities),
            image_size=json.loads(metadata["image_size"]),
            width=json.loads(metadata["width"]),
            hidden=tensors["classifier.fc6.weight"].shape[0],
            mean=tensors["normalisation.mean"].flatten().tolist(),
            scale=tensors["normalisation.scale"].item(),
        )
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a recognizer that glassguard wrote: {str(error).splitlines()[0]}") from None
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last), identities
