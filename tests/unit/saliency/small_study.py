"""A tiny study on disk, and the stages of the saliency mask run on it."""

import cv2
import numpy as np
import pandas as pd
import torch
from shipped import section

from glassguard.configuration.sections import (
    MaskEvaluationSection,
    MaskGridSection,
    ResponsesSection,
)
from glassguard.faces import manifest as manifest_columns
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer
from glassguard.saliency.settings import MaskJudgement, MaskSearch
from glassguard.stages import (
    mask_evaluation,
    mask_grid,
    mask_grid_shard,
    responses,
)

SIZE = 32
PEOPLE = ["ada", "bob", "cyd"]
SPLITS = ["train", "val", "val", "test", "test", "test"]


def responding(**changes):
    """The section of the stage ``responses``; changes are of what concerns maps and masks."""
    detector, saliency = section("detector/linear"), section("saliency/guided")
    influence = section("influence/internal", batch_size=16)
    influence.pop("experts")
    own = {
        "maps": ("guided", "relative"),
        "top_classes": 1,
        "channel_reduction": "max_abs",
        "relative": saliency["relative"],
        "masking": detector["masking"],
        "kernel": 3,
        "batch_size": 4,
    }
    return ResponsesSection.model_validate(
        {"influence": influence, "baselines": detector["baselines"], "saliency": own | changes}
    )


def respond(config, images, ids, recognizer, out):
    """Run ``responses``; returns its outputs by name, in the folder ``out``."""
    names = ("profiles", "baselines", "maps", "decisions")
    made = {name: out / f"{name}.npz" for name in names}
    out.mkdir(exist_ok=True)
    responses.run(config, images=images, ids=ids, recognizer=recognizer, **made)
    return made


def settings(**changes):
    grid = {
        "map": ["guided"],
        "mu_as": ["value", "quantile"],
        "mu": [0.3, 0.9],
        "n": [0, 2],
        "phi": [0, 20],
        "fill": ["mean", "telea"],
    }
    search = {"method": "grid"}
    search |= {name: changes.pop(name) for name in ("method", "trials") if name in changes}
    values = section("saliency/guided", grid={**grid, **changes}, search=search, batch_size=16)
    read = {key: values[key] for key in MaskSearch.model_fields}
    return MaskGridSection.model_validate({"seed": 3, "saliency": read})


def judging():
    values = section("saliency/guided", batch_size=16)
    read = {key: values[key] for key in MaskJudgement.model_fields}
    return MaskEvaluationSection.model_validate({"seed": 3, "saliency": read})


def write_study(folder):
    """Write pictures, glasses, a recognizer and the maps of a tiny study."""
    generator = np.random.default_rng(0)
    torch.manual_seed(1)
    network = FaceRecognizer(
        identities=3, image_size=SIZE, width=1 / 16, hidden=16, mean=(120, 110, 100), scale=40
    )
    network.classifier.fc8.weight.data.mul_(40)
    write_recognizer(folder / "recognizer.safetensors", network, PEOPLE)

    # Ids run against the order of the rows: sorting must take pictures along.
    table = pd.DataFrame(
        [
            {"image_id": f"p{99 - 6 * person - number}", "identity": name, "split": split}
            for person, name in enumerate(PEOPLE)
            for number, split in enumerate(SPLITS)
        ]
    ).reindex(columns=manifest_columns.COLUMNS)
    table.to_csv(folder / "manifest.csv", index=False)
    noise = generator.integers(0, 256, (len(table), SIZE, SIZE, 3), dtype=np.uint8)
    images = np.stack([cv2.GaussianBlur(one, (0, 0), 2) for one in noise])
    np.save(folder / "images.npy", images)

    held_out = [row for row in table.index if table["split"][row] != "train"]
    # Each held-out picture is attacked towards both other people.
    pairs = [(row, name) for row in held_out for name in PEOPLE if name != table["identity"][row]]
    attack = folder / "glasses"
    attack.mkdir()
    examples = pd.DataFrame(
        {
            "example_id": [f"g{len(pairs) - place:05d}" for place in range(len(pairs))],
            "image_id": [table["image_id"][row] for row, _ in pairs],
            "split": [table["split"][row] for row, _ in pairs],
            "attacker": [table["identity"][row] for row, _ in pairs],
            "target": [name for _, name in pairs],
            "goal": "impersonation",
        }
    )
    examples.to_csv(attack / "examples.csv", index=False)
    attacked = images[[row for row, _ in pairs]]
    frames = np.zeros(attacked.shape[:3], dtype=bool)
    frames[:, 10:16, 4:28] = True
    attacked[frames] = generator.integers(0, 256, (frames.sum(), 3))
    np.save(attack / "images.npy", attacked)
    np.save(attack / "frames.npy", frames)

    for images, ids, out in (
        ("images.npy", "manifest.csv", "benign"),
        ("glasses/images.npy", "glasses/examples.csv", "attacked"),
    ):
        network = folder / "recognizer.safetensors"
        respond(responding(), folder / images, folder / ids, network, folder / out)


def search(study, config, out, *, shards):
    """Run the shards and gather them; returns grid.csv and best.json."""
    out.mkdir()
    paths = [out / f"{shard}.npz" for shard in range(shards)]
    for shard, path in enumerate(paths):
        mask_grid_shard.run(config, **inputs(study), shard=shard, shards=shards, results=path)
    mask_grid.run(
        config,
        shards=paths,
        examples=study / "glasses/examples.csv",
        grid=out / "grid.csv",
        best=out / "best.json",
    )
    return out / "grid.csv", out / "best.json"


def inputs(study, **others):
    """What the stages read of the study, apart from those of the attack's files that are given."""
    files = {
        "examples": study / "glasses/examples.csv",
        "images": study / "glasses/images.npy",
        "frames": study / "glasses/frames.npy",
        "maps": study / "attacked/maps.npz",
        **others,
    }
    return {
        "benign": [study / name for name in ("manifest.csv", "images.npy", "benign/maps.npz")],
        "attack": [*files.values()],
        "recognizer": study / "recognizer.safetensors",
    }


def evaluate(study, config, best, out, clean_confidence=0.0):
    out.mkdir()
    images = pd.read_csv(study / "manifest.csv")[["image_id"]]
    predictions = images.assign(confidence_true=clean_confidence)
    predictions.to_csv(out / "predictions.csv", index=False)
    metrics = mask_evaluation.run(
        config,
        **inputs(study),
        best=best,
        grid=best.parent / "grid.csv",
        predictions=out / "predictions.csv",
        evaluation=out / "evaluation.csv",
        curve=out / "threshold_curve.csv",
        working_point=out / "working_point.json",
        masks=out / "masks.npz",
    )
    return metrics, pd.read_csv(out / "evaluation.csv")
