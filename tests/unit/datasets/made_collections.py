"""Published collections that tests make, and the stage ``data`` on them."""

import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from shipped import section

from glassguard.configuration.sections import DataSection
from glassguard.files.formats import read_manifest
from glassguard.stages import data

PEOPLE = ("Ada_Lovelace", "Bo_Ek", "Cid_Campeador", "Dora_Maar")


def scene(
    *seed: int, width: int = 250, height: int = 250, cells: tuple[int, int] = (14, 14)
) -> np.ndarray:
    """A picture of no face, unlike those of other seeds."""
    across, down = cells
    coarse = np.random.default_rng(seed).integers(30, 220, (down, across, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def lfw_files(top: str = "lfw", count: int = 8) -> dict[str, bytes]:
    return {
        f"{top}/{name}/{name}_{number:04d}.jpg": jpeg(scene(person, number))
        for person, name in enumerate(PEOPLE)
        for number in range(1, count + 1)
    }


def write_folder(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_archive(files: dict[str, bytes], path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def run_data(
    source: str, root: Path | None, out: Path, listing: Path | None = None, **keys
) -> tuple[dict, pd.DataFrame, pd.Series]:
    out.mkdir(exist_ok=True)
    shipped = {"image_size": 64, "minimum_images": 6, "detector": None} | keys
    values = section(f"data/{source}", **shipped)
    values.pop("fetch", None)
    if source != "pubfig":
        values["root"] = root
    config = DataSection.model_validate({"seed": 1, "data": values})
    paths = out / "images.npy", out / "manifest.csv", out / "rejected.csv"
    metrics = data.run(
        config, images=paths[0], manifest=paths[1], rejected=paths[2], listing=listing
    )
    reasons = pd.read_csv(paths[2], keep_default_na=False).set_index("source").reason
    return metrics, read_manifest(paths[1]), reasons
