"""Pictures of a set with their table, frames and saliency maps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glassguard.errors import InputError
from glassguard.faces.manifest import COLUMNS
from glassguard.files.picture_set import PictureSet


@pytest.fixture
def worn(tmp_path: Path) -> list[Path]:
    """Table, pictures, frames and maps of three attacked pictures."""
    files = [tmp_path / name for name in ("examples.csv", "images.npy", "frames.npy", "maps.npz")]
    table = {"example_id": ["b", "a", "c"], "image_id": ["x", "y", "x"], "split": "test"}
    pd.DataFrame(table).to_csv(files[0], index=False)
    np.save(files[1], np.arange(36, dtype=np.uint8).reshape(3, 2, 2, 3))
    np.save(files[2], np.eye(2, dtype=bool)[None].repeat(3, axis=0))
    guided = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 2, 2)
    np.savez(files[3], ids=["a", "b", "c"], prediction=[0, 1, 2], guided=guided)
    return files


def test_rows_of_every_file_are_those_of_the_table(worn: list[Path]) -> None:
    found = PictureSet.open(worn)
    rows = found.table[found.table["image_id"] == "x"]
    assert found.ids(rows) == ["b", "c"]
    assert found.images[rows.index][:, 0, 0, 0].tolist() == [0, 24]
    assert found.frames[rows.index].sum(axis=(1, 2)).tolist() == [2, 2]
    # Maps have an order of their own.
    maps = found.maps(rows, kinds=["guided"])["guided"]
    np.testing.assert_allclose(maps[:, 0, 0], [4 / 11, 8 / 11], rtol=1e-6)
    # Maps come last, with or without frames.
    without = PictureSet.open([*worn[:2], worn[3]])
    np.testing.assert_array_equal(without.maps(rows, kinds=["guided"])["guided"], maps)


def test_benign_pictures_are_named_by_their_manifest(worn: list[Path], tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["p", "q", "r"]}).reindex(columns=COLUMNS)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    found = PictureSet.open([tmp_path / "manifest.csv", worn[1]])
    assert found.ids(found.table) == ["p", "q", "r"]


def test_files_that_lack_or_do_not_fit_are_named(worn: list[Path]) -> None:
    with pytest.raises(InputError, match=r"examples\.csv: not a table, pictures and"):
        PictureSet.open(worn[:1])
    bare = PictureSet.open(worn[:2])
    with pytest.raises(InputError, match=r"examples\.csv: frames of this set must be given too"):
        _ = bare.frames
    with pytest.raises(InputError, match=r"saliency maps of this set must be given too \(\.npz\)"):
        bare.maps(bare.table, kinds=["guided"])
    np.save(worn[2], np.zeros((2, 2, 2), dtype=bool))
    with pytest.raises(InputError, match=r"frames\.npy: has 2 rows, .*examples\.csv has 3"):
        _ = PictureSet.open(worn).frames
    np.save(worn[1], np.zeros((2, 2, 2, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"images\.npy: has 2 rows, .*examples\.csv has 3"):
        PictureSet.open(worn)
