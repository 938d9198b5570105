"""Damaged, hostile and unrelated weight files are refused in one line."""

import io
import pickle
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from recognizer.published_files import (
    WRITERS,
    matconvnet_layers,
    random_kernels,
    refusal,
    state_dict,
    write_safetensors,
)

from glassguard.recognizer import published_weights, pytorch_weights
from glassguard.recognizer.published_weights import read_published_weights


@pytest.mark.parametrize("name", WRITERS)
def test_a_wrong_shape_and_a_missing_layer_are_named(name, tmp_path):
    kernels = random_kernels()
    kernel, bias = kernels["conv3_2"]
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel[:, 1:], bias)})
    assert "conv3_2.weight has shape" in refusal(tmp_path / name)
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel, bias[1:])})
    assert "conv3_2.bias has shape" in refusal(tmp_path / name)
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel * np.nan, bias)})
    assert "conv3_2.weight holds numbers that are not finite" in refusal(tmp_path / name)
    del kernels["conv3_2"]
    WRITERS[name](tmp_path / name, kernels)
    named = "conv1_1 is missing" if name == "vgg_face_weights.h5" else "conv3_2.weight is missing"
    assert named in refusal(tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    WRITERS[name](tmp_path / name, random_kernels())
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    assert "not a" in refusal(tmp_path / name) or "conv5_3" in refusal(tmp_path / name)


class Code:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_not_run(form, tmp_path):
    made = tmp_path / "made"
    content = {**state_dict(random_kernels()), "conv1_1.weight": Code(made)}
    path = tmp_path / "vgg_face_dag.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    assert "code or objects (__builtin__.getattr)" in refusal(path)
    assert not made.exists()


class Bytes:
    """A gigabyte of zeros when it is unpickled, which PyTorch allows."""

    def __reduce__(self) -> tuple:
        return bytearray, (1 << 30,)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_takes_memory_by_name_is_not_loaded(form, tmp_path):
    path = tmp_path / "vgg_face_dag.pth"
    content = {**state_dict(random_kernels()), "other": Bytes()}
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    tracemalloc.start()
    try:
        assert "code or objects (__builtin__.bytearray)" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_an_endless_description_of_tensors_is_refused(form, tmp_path, monkeypatch):
    path = tmp_path / "vgg_face_dag.pth"
    torch.save(state_dict(random_kernels()), path, _use_new_zipfile_serialization=form == "zip")
    read_published_weights(path)
    monkeypatch.setattr(pytorch_weights, "LONGEST_PICKLE", 200)
    assert "it is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "Torch7"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600), "-v7"),
        (b"\x1f\x8b\x08 packed", "unpack it"),
        (b"\x0a\x03VGG caffe", "no known weight file"),
    ],
)
def test_other_files_are_refused_with_what_is_readable(content, says, tmp_path):
    path = tmp_path / "vgg_face_dag.pth"
    path.write_bytes(content)
    message = refusal(path)
    assert says in message
    assert "readable are safetensors, PyTorch" in message


def test_other_pytorch_files_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save([torch.zeros(2)], path)
    assert "not a state dict" in refusal(path)
    torch.save({"encoder.0.weight": torch.zeros(2)}, path)
    assert "no layer is called conv1_1, nor features.0" in refusal(path)
    assert "encoder.0.weight" in refusal(path)
    numbers = state_dict(random_kernels())
    torch.save({**numbers, "conv2_1.bias": numbers["conv2_1.bias"].int()}, path)
    assert "conv2_1.bias does not hold plain floating-point" in refusal(path)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    assert "no known weight file" in refusal(path)


def test_missing_and_huge_files_are_refused(tmp_path, monkeypatch):
    assert "no such file" in refusal(tmp_path / "absent.pth")
    assert "is a folder and no file" in refusal(tmp_path)
    write_safetensors(tmp_path / "w.safetensors", random_kernels())
    monkeypatch.setattr(published_weights, "LARGEST_FILE", 100)
    assert "at most 100 are read" in refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize("key", ["pad", "stride", "dilate"])
def test_a_matconvnet_model_of_another_layout_is_refused(key, tmp_path):
    layers = matconvnet_layers(random_kernels(), weights=True, **{key: [2.0, 2.0]})
    scipy.io.savemat(tmp_path / "vgg.mat", {"net": {"layers": layers}})
    assert f"conv1_1 has {key} [2.0, 2.0], VGG-16 has 1" in refusal(tmp_path / "vgg.mat")


def test_tensors_without_plain_numbers_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    numbers = state_dict(random_kernels())
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    for strange in (torch.empty(4, device="meta"), nested):
        torch.save({**numbers, "conv1_1.bias": strange}, path)
        assert "conv1_1.bias does not hold plain floating-point" in refusal(path) or (
            "holds code or objects" in refusal(path)
        )


def test_files_that_unpack_to_much_more_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(published_weights, "LARGEST_FILE", 1 << 20)
    path = tmp_path / "weights.pth"
    torch.save({"conv1_1.weight": torch.zeros(1 << 20)}, tmp_path / "honest.pth")
    with (
        zipfile.ZipFile(tmp_path / "honest.pth") as honest,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in honest.namelist():
            packed.writestr(member, honest.read(member))
    assert path.stat().st_size < 100_000
    assert "its members are compressed" in refusal(path)
    # The end of the directory is there, the directory is not.
    content = (tmp_path / "honest.pth").read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[:directory] + bytes(4) + content[directory + 4 :])
    with monkeypatch.context() as large:
        large.setattr(published_weights, "LARGEST_FILE", 1 << 30)
        assert "not a readable PyTorch file" in refusal(path)
    bomb = tmp_path / "vgg_face.mat"
    scipy.io.savemat(bomb, {"net": np.zeros(1 << 20)}, do_compression=True)
    assert bomb.stat().st_size < 100_000
    assert "unpacks to more than 1048576 bytes" in refusal(bomb)
