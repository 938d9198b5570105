"""Does the eye band hold every frame? Draws 100,000 placements at each of four picture sizes.

A frame is drawn by its samples, as the package draws it, on the pixels just outside the band: a
frame that leaves the band covers one of them. Prints how many samples outside were covered.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from glassguard.guard.eye_band import eye_band
from glassguard.guard.settings import Placements

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/unit"))
from worn_frames import EYES, samples_outside, worn  # type: ignore[import-not-found]

PLACEMENTS = Placements(shift=4 / 224, rotation=4, scale=0.05)


def main() -> None:
    """Print a line for every size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--placements", type=int, default=100_000, help="at each size")
    count = parser.parse_args().placements
    band = eye_band(PLACEMENTS)
    for size in (96, 112, 128, 224):
        start = time.perf_counter()
        eyes = EYES * size / 96
        mask = band.masks(eyes[None], size)[0]
        frames = worn(PLACEMENTS, eyes, size, count, np.random.default_rng(size))
        outside = samples_outside(mask, frames)
        seconds = time.perf_counter() - start
        print(
            f"{size} px: the band is {mask.mean():.4f} of the picture; {count} placements, "
            f"{outside} samples outside, {seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
