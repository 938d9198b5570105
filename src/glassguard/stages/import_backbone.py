"""Take the convolutions from a weight file in place of pretraining."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from glassguard.configuration.sections import BackboneSection
from glassguard.errors import InputError
from glassguard.files.formats import write_json
from glassguard.recognizer.published_weights import (
    Colour,
    PublishedWeights,
    fold_deviation,
    in_rgb,
    read_published_weights,
)
from glassguard.recognizer.settings import Channels
from glassguard.recognizer.weights import BackboneFile, write_backbone
from glassguard.stages.paths import OutputPath

_ALLOWED = {
    "channels": "rgb, bgr",
    "mean": "three numbers on the scale 0-255, of red, green and blue",
    "scale": "a number above 0, by which pixels on the scale 0-255 less the mean are divided, or "
    "one each of red, green and blue",
}
_BELONG_TOGETHER = ("mean", "scale")


def run(
    config: BackboneSection, *, weights: Path, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    """Check the thirteen convolutions by name and shape and write them as a backbone.

    What the configuration gives of the input is used; what is assumed is announced on standard
    error and in the metrics.

    Raises:
        InputError: the file cannot be used, says something else of its input than the
            configuration, or says nothing where the configuration does not either and nothing is
            usual.
    """
    read = read_published_weights(weights)
    settings = config.backbone
    given = {key: getattr(settings, key) for key in _ALLOWED}
    settled, assumed = _settled(given, read, f"{weights} ({read.format})")
    channels: Channels = settled["channels"]
    mean: Colour = settled["mean"]
    scale: float | Colour = settled["scale"]
    tensors = in_rgb(read.tensors, channels)
    if isinstance(scale, tuple | list):
        tensors, scale = fold_deviation(tensors, scale), 1.0
    write_backbone(backbone, BackboneFile(tensors, read.width, mean, scale))
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    origin = read.format
    if assumed:
        usual = f"as in {read.assumed.of}: {_listed(settled, assumed)}"
        origin += f"; assumed, {usual}"
        keys = [f"backbone.{key}" for key in assumed]
        print(
            f"{weights} ({read.format}) does not say how pixels enter its network. Assumed, "
            f"{usual}. If its network expects something else, give "
            f"{' and '.join(filter(None, [', '.join(keys[:-1]), keys[-1]]))} (docs/weights.md).",
            file=sys.stderr,
        )
    described: dict[str, float | int | str] = {
        "backbone": f"read from {weights.name} ({origin})",
        "sha256": digest,
        "input": _listed(settled, [*settled]),
        "input_assumed": ", ".join(assumed) or "nothing",
    }
    write_json(described, metrics)
    return described


def _settled(
    given: dict[str, Any], read: PublishedWeights, named: str
) -> tuple[dict[str, Any], list[str]]:
    """How pixels enter the network, and which keys of it are assumed.

    What the file says comes first, then what is given, then what is usual in such files.
    """
    stated = {key: getattr(read, key) for key in given}
    if (given["channels"] or read.assumed.channels) == "bgr" and read.mean is not None:
        stated["mean"] = read.mean[::-1]
    usual = {key: getattr(read.assumed, key) for key in given}
    for key, value in stated.items():
        if None not in (value, given[key]) and not _same(value, given[key]):
            raise InputError(
                f"backbone.{key}: {_shown(given[key])} is not what {named} expects; allowed are "
                f"{_shown(value)} and null (as the file says)"
            )
    known = {key: given[key] if stated[key] is None else stated[key] for key in given}
    denied = [
        key
        for key, value in given.items()
        if stated[key] is None and None not in (value, usual[key]) and not _same(value, usual[key])
    ]
    assumed = [key for key, value in known.items() if value is None]
    # Numbers of a convention that is denied in part mean nothing. Nor does its order of colours,
    # unless it is the one that pictures have here.
    missing = [
        key
        for key in assumed
        if usual[key] is None or (denied and (key in _BELONG_TOGETHER or usual[key] != "rgb"))
    ]
    if missing:
        reason = f"{named} does not say what it expects"
        if all(usual[key] is not None for key in missing):
            reason += (
                f", and backbone.{denied[0]}={_shown(given[denied[0]])} is not that of "
                f"{read.assumed.of}"
            )
        allowed = "; ".join(
            _ALLOWED[key] if len(missing) == 1 else f"{key}: {_ALLOWED[key]}" for key in missing
        )
        raise InputError(
            f"{', '.join(f'backbone.{key}' for key in missing)}: required, since {reason}; "
            f"allowed: {allowed}"
        )
    return {key: usual[key] if key in assumed else value for key, value in known.items()}, assumed


def _listed(settled: dict[str, Any], keys: list[str]) -> str:
    return "; ".join(f"{key} {_shown(settled[key])}" for key in keys)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return one == other
    return np.allclose(one, other, rtol=0, atol=1e-3)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{number:g}" for number in np.atleast_1d(value))
