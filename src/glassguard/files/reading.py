"""A file of a study read as what its name says it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from glassguard.files.formats import (
    read_arrays,
    read_examples,
    read_frames,
    read_images,
    read_json,
    read_manifest,
    read_table,
)

READERS: dict[str, Callable[[Path], Any]] = {
    "manifest.csv": read_manifest,
    "examples.csv": read_examples,
    "images.npy": read_images,
    "frames.npy": read_frames,
}


def read_result(path: Path) -> Any:
    """Read a file that a stage left.

    Returns:
        A table for ``.csv``, parsed JSON, pictures as a memory map, or the arrays of a ``.npz`` by
        name.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    if path.suffix == ".npz":
        return read_arrays(path, kind="a file of arrays")
    return READERS.get(path.name, read_json if path.suffix == ".json" else read_table)(path)
