"""Peak memory of preparing photographs: ``python benchmarks/data_memory.py --pictures 20000``.

With ``--detector YUNET.onnx`` every picture goes through the detector as well. Makes small pictures
(and some large ones) in a temporary folder, prepares them in a process of its own, and prints that
process's peak resident memory and its ratio to the limit.
"""

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from PIL import Image

from glassguard.configuration.sections import DataSection
from glassguard.errors import InputError
from glassguard.stages import data

CONF = Path(__file__).parents[1] / "conf"
LIMIT_MB = 1000
PEOPLE = 100
LEAST_PICTURES = 10 * PEOPLE
"""``data.minimum_images`` of everybody."""


def main() -> int:
    """Measure; returns 1 when the limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=80, help="of a small picture, pixels")
    parser.add_argument("--large", type=int, default=4, help="pictures as large as are read")
    parser.add_argument("--image-size", type=int, default=96, help="of an aligned face, pixels")
    parser.add_argument("--detector", type=Path, help="YuNet (ONNX); without it the crop is used")
    options = parser.parse_args()
    if options.pictures < LEAST_PICTURES:
        parser.error(
            f"--pictures: {options.pictures} are {options.pictures // PEOPLE} of each of {PEOPLE} "
            f"people; at least {LEAST_PICTURES} are needed"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_pictures(folder / "people", options.pictures, options.side, options.large)
        context = multiprocessing.get_context("spawn")
        try:
            with context.Pool(1) as pool:
                seconds, megabytes, before = pool.apply(
                    prepare, (folder, options.image_size, options.detector)
                )
        except InputError as error:
            sys.exit(f"data_memory: {error}")
    print(
        f"{options.pictures} pictures ({options.large} as large as are read) at "
        f"{options.image_size} px, {'with' if options.detector else 'without'} a detector: "
        f"{seconds:.0f} s, peak {megabytes:.0f} MB ({before:.0f} MB of it after the imports), "
        f"{megabytes / LIMIT_MB:.2f} of {LIMIT_MB} MB"
    )
    return int(megabytes > LIMIT_MB)


def make_pictures(folder: Path, count: int, side: int, large: int) -> None:
    """Write pictures of noise, evenly over the people; the large ones are the first person's."""
    generator = np.random.default_rng(0)
    for number in range(count):
        person = folder / f"person_{number % PEOPLE:03d}"
        person.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(person / f"{number:06d}.jpg"), picture)
    for number in range(large):
        ending, height = (("jpg", 7000), ("webp", 2330))[number % 2]
        picture = Image.fromarray(np.full((height, 7140, 3), number, dtype=np.uint8))
        on_its_side = Image.Exif()
        on_its_side[0x0112] = 6
        picture.save(folder / "person_000" / f"large_{number}.{ending}", exif=on_its_side)


def prepare(folder: Path, image_size: int, detector: Path | None) -> tuple[float, float, float]:
    """Run the stage ``data``; returns seconds, peak megabytes and megabytes before it."""
    before = peak_megabytes()
    shipped: dict[str, Any] = yaml.safe_load((CONF / "data/folder.yaml").read_text())
    values = {**shipped, "root": folder / "people", "image_size": image_size}
    values["detector"] = detector
    started = time.perf_counter()
    data.run(
        DataSection.model_validate({"seed": 0, "data": values}),
        images=folder / "images.npy",
        manifest=folder / "manifest.csv",
        rejected=folder / "rejected.csv",
    )
    return time.perf_counter() - started, peak_megabytes(), before


def peak_megabytes() -> float:
    """Peak resident memory of this process so far, megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # What the system counts for a process starts with the peak of the one that started it.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found is not None:
            return int(found[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


if __name__ == "__main__":
    sys.exit(main())
