"""Tells the kind of a network's file by its first bytes; imports little."""

from typing import Literal

WeightFormat = Literal["safetensors", "zip", "pickle", "keras", "matconvnet"]

START = 1024
"""Number of bytes that the functions here need."""

READABLE = (
    "readable are safetensors, PyTorch state dicts (vgg_face_dag, torchvision), Keras (HDF5, "
    ".weights.h5, .keras), NumPy .npz and MatConvNet .mat"
)

_NAMES: dict[WeightFormat, str] = {
    "safetensors": "a safetensors file",
    "zip": "a PyTorch file, or another archive",
    "pickle": "a PyTorch file, or another pickle",
    "keras": "an HDF5 file",
    "matconvnet": "a MATLAB file",
}


def weight_format(start: bytes) -> WeightFormat | None:
    """The format of a weight file that can be read; None for any other file."""
    # The header's length, then the header in JSON. Checked first: a length may look like any mark.
    if start[6:9] == b"\0\0{":
        return "safetensors"
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith(b"MATLAB 5.0 MAT-file"):
        return "matconvnet"
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start.startswith(b"\x80"):
        return "pickle"
    return None


def why_no_weights(start: bytes) -> str | None:
    """What a file that is no readable weight file is; None for one that may be."""
    if weight_format(start) is not None:
        return None
    # The file's first object is a table or an object of class torch.*.
    if start[:8] in (b"\x03\0\0\0\x01\0\0\0", b"\x04\0\0\0\x01\0\0\0"):
        return "is a Torch7 file (.t7), which no maintained library reads"
    return _no_network(start) or "is no known weight file"


def why_no_onnx(start: bytes) -> str | None:
    """What a file that cannot be an ONNX model is; None for one that may be: ONNX has no mark."""
    found = weight_format(start)
    return f"is {_NAMES[found]}" if found is not None else _no_network(start)


def _no_network(start: bytes) -> str | None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "is empty"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is a web page (HTML)"
    if text.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file itself"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is a packed archive: unpack it first"
    if start.startswith(b"\x93NUMPY"):
        pickled = b"'|O'" in start
        return (
            "is a NumPy .npy file of pickled objects, which could run any code: save its arrays "
            "with numpy.savez"
            if pickled
            else "is a NumPy .npy file of a single array"
        )
    if start.startswith(b"MATLAB 7.3 MAT-file"):
        return "is a MATLAB 7.3 file: save it with -v7"
    return None
