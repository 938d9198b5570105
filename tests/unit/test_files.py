import numpy as np
import pandas as pd
import pytest

from glassguard.errors import InputError
from glassguard.faces.manifest import COLUMNS
from glassguard.files import formats as files


def manifest_frame() -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS, "1") | {"identity": "NA", "image_id": "007", "left_eye_x": 31.25}
    return pd.DataFrame([row])


def test_names_that_look_like_numbers_or_missing_values_stay_text(tmp_path):
    files.write_csv(manifest_frame(), tmp_path / "manifest.csv")
    frame = files.read_manifest(tmp_path / "manifest.csv")
    assert frame.identity.tolist() == ["NA"]
    assert frame.image_id.tolist() == ["007"]
    assert frame.left_eye_x.tolist() == [31.25]


def test_missing_numbers_in_examples_are_nan(tmp_path):
    path = tmp_path / "examples.csv"
    path.write_text("example_id,image_id,split,confidence\ng0,a,test,\ng1,b,val,0.5\n")
    assert files.read_examples(path).confidence.isna().tolist() == [True, False]


def test_a_lacking_column_is_named(tmp_path):
    files.write_csv(manifest_frame().drop(columns="sha256"), tmp_path / "manifest.csv")
    with pytest.raises(InputError, match="sha256"):
        files.read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    "read", [files.read_images, files.read_frames, files.read_manifest, files.read_json]
)
def test_missing_and_broken_files_are_bad_input(tmp_path, read):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "absent")
    (tmp_path / "broken").write_bytes(b"\x93NUMPY\xff\x00")
    with pytest.raises(InputError, match="broken"):
        read(tmp_path / "broken")


def test_images_are_mapped_not_loaded(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3))
    images = files.read_images(tmp_path / "images.npy")
    assert isinstance(images, np.memmap)
    assert images[0, 3, 3, 2] == 47


@pytest.mark.parametrize("array", [np.zeros((1, 4, 4, 3)), np.zeros((4, 4, 3), np.uint8)])
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(InputError, match="uint8"):
        files.read_images(tmp_path / "images.npy")


@pytest.mark.parametrize(
    ("read", "kind"), [(files.read_images, "uint8"), (files.read_frames, "bool")]
)
def test_an_archive_is_no_array(tmp_path, read, kind):
    np.savez(tmp_path / "several.npz", images=np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=f"several.npz: must hold one {kind} array"):
        read(tmp_path / "several.npz")


def test_json_round_trip_and_no_nan(tmp_path):
    files.write_json({"goodness": 0.5, "name": "Zoë"}, tmp_path / "a.json")
    assert files.read_json(tmp_path / "a.json") == {"goodness": 0.5, "name": "Zoë"}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json({"goodness": float("nan")}, tmp_path / "b.json")
