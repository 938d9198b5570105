"""Take the convolutions from a weight file in place of pretraining."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from glassguard.configuration.slices import BackboneSlice
from glassguard.errors import InputError
from glassguard.recognizer.published_weights import Channels, in_rgb, read_published_weights
from glassguard.recognizer.weights import BackboneFile, write_backbone
from glassguard.stages.files import write_json
from glassguard.stages.paths import OutputPath

Setting = TypeVar("Setting")

_ALLOWED = {
    "channels": "rgb, bgr",
    "mean": "three numbers on the scale 0-255, of red, green and blue",
    "scale": "a number above 0, by which pixels on the scale 0-255 less the mean are divided",
}


def run(
    config: BackboneSlice, *, weights: Path, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    """Check the thirteen convolutions by name and shape and write them as a backbone.

    Raises:
        InputError: the file cannot be used, says something else of its input than the
            configuration, or says nothing where the configuration does not either.
    """
    settings = config.backbone
    read = read_published_weights(weights)
    channels: Channels = _settled(
        "channels", settings.channels, read.channels, weights, read.format
    )
    mean = _settled("mean", settings.mean, read.mean, weights, read.format)
    scale = _settled("scale", settings.scale, read.scale, weights, read.format)
    write_backbone(backbone, BackboneFile(in_rgb(read.tensors, channels), read.width, mean, scale))
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    described: dict[str, float | int | str] = {
        "backbone": f"read from {weights.name} ({read.format})",
        "sha256": digest,
    }
    write_json(described, metrics)
    return described


def _settled(
    key: str, configured: Setting | None, in_file: Setting | None, weights: Path, form: str
) -> Setting:
    """What the file says and the configuration does not deny, or what the configuration adds."""
    if in_file is None:
        if configured is None:
            raise InputError(
                f"backbone.{key}: required, since {weights} ({form}) does not say what it expects; "
                f"allowed: {_ALLOWED[key]}"
            )
        return configured
    if configured is not None and not _same(configured, in_file):
        raise InputError(
            f"backbone.{key}: {_shown(configured)} is not what {weights} ({form}) expects; "
            f"allowed are {_shown(in_file)} and null (as the file says): give backbone=vggface "
            "together with backbone.weights, or backbone.mean=null backbone.scale=null"
        )
    return in_file


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return one == other
    return np.allclose(one, other, rtol=0, atol=1e-3)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{number:g}" for number in np.atleast_1d(value))
