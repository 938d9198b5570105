"""Readers and writers of the few file formats that stages pass on to each other."""

import json
from collections.abc import Sized
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from glassguard.errors import InputError
from glassguard.faces import manifest as manifest_columns

TEXT_COLUMNS = {
    "image_id": str,
    "example_id": str,
    "identity": str,
    "split": str,
    "source": str,
    "path": str,
    "sha256": str,
    "aligned_by": str,
    "attacker": str,
    "target": str,
    "goal": str,
    "prediction": str,
    "initial_prediction": str,
    "answer_full": str,
    "answer_banded": str,
    "answer_masked": str,
    "answer": str,
    "reason": str,
    "other": str,
}


def check_rows(table: pd.DataFrame, rows: np.ndarray, table_path: Path, rows_path: Path) -> None:
    """Refuse a table and an array that do not belong together.

    Raises:
        InputError: they have different numbers of rows.
    """
    if len(table) != len(rows):
        raise InputError(f"{rows_path}: has {len(rows)} rows, {table_path} has {len(table)}")


def check_top_classes(key: str, top_classes: int, identities: Sized, path: Path) -> None:
    """Refuse to explain more classes than there are.

    Args:
        key: where they are set.
        top_classes: how many.
        identities: the people.
        path: the file that they were read from.

    Raises:
        InputError: there are fewer people.
    """
    if top_classes > len(identities):
        raise InputError(f"{key}: {top_classes} exceeds the {len(identities)} people of {path}")


def read_images(path: Path) -> np.ndarray:
    """Open pictures without loading them.

    Args:
        path: ``.npy`` file of uint8 RGB pictures, N×H×W×3.

    Returns:
        Read-only memory map, uint8 N×H×W×3; only the rows that are indexed are read.

    Raises:
        InputError: the file is missing, is no ``.npy`` file or holds something else.
    """
    images = _mapped(path, "pictures", np.uint8, "N×H×W×3")
    if images.shape[3] != 3:
        raise InputError(f"{path}: must be RGB, N×H×W×3, and has shape {images.shape}")
    return images


def read_frames(path: Path) -> np.ndarray:
    """Open the masks of glasses or other accessories without loading them.

    Args:
        path: ``.npy`` file of bool N×H×W.

    Returns:
        Read-only memory map, bool N×H×W.

    Raises:
        InputError: the file is missing, is no ``.npy`` file or holds something else.
    """
    return _mapped(path, "frames", np.bool_, "N×H×W")


def read_arrays(path: Path, *, kind: str) -> dict[str, np.ndarray]:
    """Load every array of a ``.npz`` file, by name.

    Args:
        path: the file.
        kind: what it should be, for the message.

    Raises:
        InputError: the file is missing or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, KeyError, EOFError, TypeError, BadZipFile):
        # What NumPy says is about pickles, which are not read.
        raise InputError(f"{path}: not {kind}, or damaged; compute it again") from None


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Load every array of a ``.safetensors`` file, by name.

    Raises:
        InputError: the file is missing, damaged or no such file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError) as error:
        raise InputError(f"{path}: not safetensors, or damaged: {_first_line(error)}") from None


def read_embeddings(path: Path) -> np.ndarray:
    """Open a network's embeddings without loading them.

    Args:
        path: ``.npy`` file of float32 N×D.

    Returns:
        Read-only memory map, float32 N×D.

    Raises:
        InputError: the file is missing, is no ``.npy`` file or holds something else.
    """
    return _mapped(path, "embeddings", np.float32, "N×D")


def read_manifest(path: Path) -> pd.DataFrame:
    """Read the table beside aligned faces (columns: :mod:`glassguard.faces.manifest`).

    Raises:
        InputError: the file is missing, is no CSV or lacks a column.
    """
    frame = _read_csv(path)
    require_columns(frame, manifest_columns.COLUMNS, path)
    return frame


def read_examples(path: Path) -> pd.DataFrame:
    """Read a table of adversarial or control pictures (``examples.csv``).

    Raises:
        InputError: the file is missing, is no CSV or lacks ``example_id``, ``image_id`` or
            ``split``.
    """
    frame = _read_csv(path)
    require_columns(frame, ("example_id", "image_id", "split"), path)
    return frame


def read_pictures_table(path: Path) -> tuple[pd.DataFrame, str]:
    """A manifest or an attack's or a control's examples, and the column of its ids.

    An ``examples.csv`` has two columns of ids: its own, and that of the picture behind each row.

    Raises:
        InputError: the file is missing or neither of them.
    """
    if "example_id" in _read_csv(path).columns:
        return read_examples(path), "example_id"
    return read_manifest(path), "image_id"


def read_table(path: Path) -> pd.DataFrame:
    """Read any other table of an earlier stage.

    Raises:
        InputError: the file is missing or is no CSV.
    """
    return _read_csv(path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON: {_first_line(error)}") from None


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table: six significant digits, one kind of line end, so bytes can be compared."""
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")


def write_json(value: Any, path: Path) -> None:
    """Write JSON; NaN and infinity are refused (``ValueError``), since JSON has neither."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def require_columns(frame: pd.DataFrame, columns: tuple[str, ...], path: Path) -> None:
    """Refuse a table that lacks a column (``InputError``)."""
    lacking = [name for name in columns if name not in frame.columns]
    if lacking:
        raise InputError(f"{path}: lacks the column(s) {', '.join(lacking)}")


def _read_csv(path: Path) -> pd.DataFrame:
    # People may be called "NA", "null" or "007": in columns of text nothing is guessed.
    try:
        header = pd.read_csv(path, nrows=0)
        text = {name: kind for name, kind in TEXT_COLUMNS.items() if name in header.columns}
        missing = {name: ["", "nan", "NaN"] for name in header.columns if name not in text}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a table in CSV: {_first_line(error)}") from None


def _mapped(path: Path, kind: str, dtype: type[np.generic], shape: str) -> np.ndarray:
    """An array as a read-only memory map, of a type and of as many axes as the shape has."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a .npy file of {kind}: {_first_line(error)}") from None
    axes = shape.count("×") + 1
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != axes:
        raise InputError(f"{path}: must hold one {np.dtype(dtype)} array of shape {shape}")
    return array


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
