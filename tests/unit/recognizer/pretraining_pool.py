"""A small pool of people, and the arguments of a pretraining on it."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from shipped import section

from glassguard.faces.manifest import COLUMNS

EPOCHS = 6
PEOPLE = 4


def settings(**pretraining) -> dict:
    return section(
        "backbone/pretrain",
        width=1 / 16,
        pretraining={
            "steps": [{"image_size": 32, "epochs": EPOCHS}],
            "batch_size": 8,
            "threads": 1,
            **pretraining,
        },
    )


def pool(folder: Path, images: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """People told apart by colour, and their table, as the stage ``pool`` leaves them."""
    generator = np.random.default_rng(4)
    labels = np.repeat(np.arange(PEOPLE), images)
    noise = generator.normal(0, 25, (len(labels), 32, 32, 3))
    pictures = np.clip(60 + 40 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    np.save(folder / "images.npy", pictures)
    frame = pd.DataFrame("1", index=range(len(labels)), columns=list(COLUMNS))
    frame["image_id"] = [str(number) for number in range(len(labels))]
    frame["identity"] = [f"p{label}" for label in labels]
    frame["split"] = np.where(np.arange(len(labels)) % images == 0, "val", "train")
    frame.to_csv(folder / "manifest.csv", index=False)
    return pictures, labels


def arguments(folder: Path, out: str, **pretraining) -> list[str]:
    config = folder / f"{out}.yaml"
    config.write_text(yaml.safe_dump({"seed": 3, "backbone": settings(**pretraining)}))
    (folder / out).mkdir(exist_ok=True)
    return [
        *("pretrain", "--config", str(config)),
        *("--images", str(folder / "images.npy"), "--manifest", str(folder / "manifest.csv")),
        *("--backbone", str(folder / out / "backbone.safetensors")),
        *("--metrics", str(folder / out / "metrics.json")),
    ]
