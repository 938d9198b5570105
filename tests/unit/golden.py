"""Draws, trains, attacks, explains and detects in miniature, and prints a digest of each.

Run as a program, so that the kernels are chosen before anything else is imported.
"""

import hashlib
import json
import sys
from pathlib import Path

from glassguard import kernels

kernels.choose("native" if "native" in sys.argv else "pinned")

import numpy as np
import torch

from glassguard.attack.accessories import accessory_masks
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.configuration.compose import compose_study
from glassguard.detection.linear_detector import fit_detectors, variant_named
from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.rendering import render_face
from glassguard.influence.measure import internal_influence
from glassguard.influence.profiles import profiles_of_images
from glassguard.recognizer.head import train_dense_layers
from glassguard.recognizer.network import FaceRecognizer, channels_last, pixels_for, to_pixels
from glassguard.recognizer.pretraining import pretrain
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.saliency.explanation import explainer

CONF = Path(__file__).parents[2] / "conf"
PEOPLE, PICTURES, SIZE = 3, 6, 32
SMALL = [
    "backbone=tiny",
    "backbone.pretraining.steps=[{image_size: 32, epochs: 2}]",
    "backbone.pretraining.batch_size=6",
    "recognizer.epochs=3",
    "recognizer.masked_copies=0",
]


def main(threads: int = 1) -> dict[str, str]:
    torch.set_num_threads(threads)
    study = compose_study(CONF, "smoke", SMALL)
    faces, eyes = drawn()
    found = {"faces": digest(faces)}
    labels = np.repeat(np.arange(PEOPLE), PICTURES)
    pictures = LabelledPictures(faces, labels)
    validation = LabelledPictures(np.ascontiguousarray(faces[::PICTURES]), labels[::PICTURES])
    tensors, _ = pretrain(pictures, validation, study.backbone, seed=0)
    found["backbone"] = digest(*(tensors[name].numpy() for name in sorted(tensors)))
    torch.manual_seed(0)
    mean, scale = study.backbone.normalisation()
    network = channels_last(
        FaceRecognizer(
            identities=PEOPLE,
            image_size=SIZE,
            width=study.backbone.width,
            hidden=8,
            mean=mean,
            scale=scale,
        )
    )
    network.features.load_state_dict(tensors)
    train_dense_layers(network, pictures, validation, study.recognizer, seed=0)
    network.eval()
    dense = network.classifier.state_dict()
    found["dense layers"] = digest(*(dense[name].numpy() for name in sorted(dense)))
    masks = accessory_masks(study.attacks["glasses"].shape, eyes, SIZE)
    attacked = MaskedPixelAttack(network, iterations=5)(
        to_pixels(torch.from_numpy(faces)),
        torch.from_numpy(masks),
        torch.from_numpy((labels + 1) % PEOPLE),
    )
    found["attack"] = digest(attacked.pixels.numpy(), attacked.probabilities.numpy())
    settings = study.influence
    influence = internal_influence(settings, network, network.slice_modules(settings.positions))
    profiles = profiles_of_images(
        influence, faces, reduction=settings.reduction, places=settings.places, batch_size=8
    ).profiles
    found["influence"] = digest(*(profiles[name] for name in sorted(profiles)))
    largest = max(profiles, key=lambda name: profiles[name].shape[1])
    detectors = fit_detectors(
        profiles[largest],
        labels,
        people=np.arange(PEOPLE),
        variant=variant_named("quadratic"),
        alpha=0.01,
        max_iter=20,
        seeds=[0],
    )
    found["detectors"] = digest(detectors.margins(profiles[largest]))
    for kind in ("guided", "relative"):
        maps, _ = explainer(network, kind, study.saliency)(pixels_for(network, faces))
        found[f"{kind} maps"] = digest(maps.numpy())
    return found


def drawn() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    both = [
        render_face(draw_identity(seed=0, identity=person), generator, size=SIZE)
        for person in range(PEOPLE)
        for _ in range(PICTURES)
    ]
    return np.stack([face for face, _ in both]), np.stack([eyes for _, eyes in both])


def digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    print(json.dumps(main(threads=2 if "two" in sys.argv else 1), indent=1))
