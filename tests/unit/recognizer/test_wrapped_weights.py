"""However weights are wrapped, their tensors come out unchanged to the bit."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recognizer import published_files, weight_files
from recognizer.weight_files import STYLES, renamed, tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from glassguard.recognizer import published_weights
from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.preprocessing import (
    DEEPFACE,
    KERAS_VGGFACE,
    OWN_SAFETENSORS,
    TORCHVISION,
    UNKNOWN,
    VGG_FACE_DAG,
)
from glassguard.recognizer.published_weights import read_published_weights

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PREFIXES = ("model.", "module.", "_orig_mod.", "backbone.", "net.", "encoder.vgg.")
KEYS = ("model_state_dict", "state_dict", "model", "net", "weights", "params", "my network")
WIDELY = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

prefixes = st.lists(st.sampled_from(PREFIXES), max_size=3).map("".join)
wrappings = st.lists(st.sampled_from([*KEYS, list, tuple]), max_size=3)
drawn = st.tuples(
    st.sampled_from([1 / 64, 1 / 32, 3 / 64]), st.integers(0, 2**31), st.sampled_from(DTYPES)
)
"""What :func:`recognizer.weight_files.tensors` makes tensors of."""


def check_same(path: Path, state: dict[str, Tensor]) -> None:
    read = read_published_weights(path).tensors
    assert list(read) == [f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias")]
    for key, tensor in read.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[key].to(torch.float32)), key


def refusal(path: Path) -> str:
    message = published_files.refusal(path)
    assert "damaged" not in message
    return message


@WIDELY
@given(
    drawn=drawn,
    style=st.sampled_from(STYLES),
    prefix=prefixes,
    inside=st.sampled_from(["", "module.", "_orig_mod.module."]),
    wrapping=wrappings,
    beside=st.booleans(),
    legacy=st.booleans(),
    parameters=st.booleans(),
)
def test_a_pytorch_checkpoint_gives_its_tensors(
    tmp_path, drawn, style, prefix, inside, wrapping, beside, legacy, parameters
):
    state = tensors(*drawn)
    content: Any = renamed(state, style, prefix, inside)
    if parameters:
        content = {name: nn.Parameter(held) for name, held in content.items()}
    if beside:
        content |= {f"{prefix}classifier.0.weight": torch.ones(4, 2), f"{prefix}fc8.bias": None}
    for key in wrapping:
        content = {key: content} if isinstance(key, str) else key((3, content))
        if beside and isinstance(content, dict):
            moments = {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 3, 3, 3)}
            content |= {
                "epoch": 3,
                "optimizer": {"state": {0: moments}, "param_groups": [{"lr": 0.1, "params": [0]}]},
                "callbacks": {"EarlyStopping{'monitor': 'loss'}": {"best": torch.tensor(1.5)}},
                "device": torch.device("cpu"),
                "dtype": torch.float16,
            }
    path = tmp_path / "checkpoint.pth"
    (weight_files.write_legacy_pytorch if legacy else lambda p, c: torch.save(c, p))(path, content)
    check_same(path, state)
    expected = {"features.0": TORCHVISION, "conv1_1": VGG_FACE_DAG}.get(style, UNKNOWN)
    assert read_published_weights(path).assumed == expected


@WIDELY
@given(drawn=drawn, style=st.sampled_from(STYLES), prefix=prefixes)
def test_safetensors_give_their_tensors(tmp_path, drawn, style, prefix):
    state = tensors(*drawn)
    path = tmp_path / "weights.safetensors"
    weight_files.write_safetensors(path, renamed(state, style, prefix))
    check_same(path, state)
    expected = {"features.0": TORCHVISION, "conv1_1": OWN_SAFETENSORS}.get(style, UNKNOWN)
    assert read_published_weights(path).assumed == expected


def test_safetensors_are_known_whatever_the_length_of_their_header(tmp_path):
    path = tmp_path / "weights.safetensors"
    lengths = set()
    for further in range(0, 256, 8):
        save_file(tensors(), path, {"note": "x" * further})
        lengths.add(path.read_bytes()[0])
        check_same(path, tensors())
    # A pickle's mark among them.
    assert lengths == set(range(0, 256, 8))


@WIDELY
@given(
    drawn=drawn.filter(lambda made_of: made_of[2] != torch.bfloat16),
    style=st.sampled_from(STYLES),
    prefix=prefixes,
    parts=st.sampled_from([(".weight", ".bias"), ("_W", "_b"), ("/kernel:0", "/bias:0")]),
    tensorflow=st.booleans(),
    packed=st.booleans(),
)
def test_npz_gives_its_arrays_in_either_layout(
    tmp_path, drawn, style, prefix, parts, tensorflow, packed
):
    state = tensors(*drawn)
    laid = weight_files.hwio(state) if tensorflow else {n: t.numpy() for n, t in state.items()}
    named = {}
    for name, array in renamed(laid, style, prefix).items():
        layer, part = name.rsplit(".", 1)
        named[layer + parts[part == "bias"]] = array
    path = tmp_path / "weights.npz"
    (np.savez_compressed if packed else np.savez)(path, **named, fc6_W=np.ones((4, 4)))
    check_same(path, state)
    assert read_published_weights(path).assumed == UNKNOWN


@WIDELY
@given(
    drawn=drawn,
    archive=st.booleans(),
    packed=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    inside=st.sampled_from(["", "layers/functional/", "_layer_checkpoint_dependencies/vgg16/"]),
    style=st.sampled_from([None, "conv1_1", "conv_1_1", "block1_conv1"]),
)
def test_keras_3_gives_its_arrays(tmp_path, drawn, archive, packed, inside, style):
    state = tensors(*drawn)
    path = tmp_path / "weights"
    if archive:
        options = {"compression": packed, "inside": inside, "style": style}
        weight_files.write_dot_keras(path, state, **options)
    else:
        weight_files.write_keras_3(path, state, inside=inside, style=style)
    check_same(path, state)
    read = read_published_weights(path)
    assert read.assumed == UNKNOWN
    assert read.format.startswith("Keras 3 .keras" if archive else "Keras 3 HDF5")


@pytest.mark.parametrize(
    ("style", "expected"), [("conv1_1", KERAS_VGGFACE), ("block1_conv1", UNKNOWN)]
)
def test_keras_2_gives_the_arrays_of_a_network_inside_another(style, expected, tmp_path):
    weight_files.write_nested_keras(tmp_path / "model.h5", tensors(), style)
    check_same(tmp_path / "model.h5", tensors())
    assert read_published_weights(tmp_path / "model.h5").assumed == expected


def test_convolutions_before_those_of_a_detector_are_read(tmp_path):
    further = {"31.weight": torch.ones(4, 4, 3, 3), "33.weight": torch.ones(4, 4, 1, 1)}
    torch.save(renamed(tensors(), "0") | further, tmp_path / "vgg16_reducedfc.pth")
    check_same(tmp_path / "vgg16_reducedfc.pth", tensors())


@given(keys=st.lists(st.sampled_from([*KEYS, "model_ema"]), min_size=2, max_size=2, unique=True))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_networks_in_a_file_are_told_apart_by_nobody(tmp_path, keys):
    one, other = tensors(seed=0), tensors(seed=1)
    path = tmp_path / "checkpoint.pth"
    torch.save(dict.fromkeys(keys, one), path)
    check_same(path, one)
    torch.save({keys[0]: one, keys[1]: {name: held.clone() for name, held in one.items()}}, path)
    check_same(path, one)
    torch.save({keys[0]: one, keys[1]: renamed(other, "features.0", "module.")}, path)
    message = refusal(path)
    assert f"{keys[0]}: conv1_1.weight" in message
    assert f"{keys[1]}: module.features.0.weight" in message
    torch.save(renamed(one, "features.0", "student.") | renamed(other, "features.0", "a."), path)
    assert "student.features.0.weight and a.features.0.weight" in refusal(path)
    part = {"0.weight": one["conv1_1.weight"], "features.0.weight": one["conv1_1.weight"] + 1}
    torch.save({"discriminator": part, "features": one}, path)
    check_same(path, one)


def further_layers() -> dict[str, tuple[dict, str]]:
    state = tensors()
    vector = torch.ones(2)
    numbered = renamed(state, "features.0")
    return {
        "VGG-19": (state | {"conv3_4.weight": state["conv3_3.weight"]}, "conv3_4.weight lies"),
        "features": (numbered | {"features.16.weight": torch.ones(8, 8, 3, 3)}, "features.16"),
        "norm": (state | {"bn2_1.running_mean": vector}, "bn2_1.running_mean belongs to a batch"),
        "batch": (numbered | {"features.3.running_mean": vector}, "features.3.running_mean"),
        "twice": (state | {"conv1_1.kernel": state["conv1_1.weight"] + 1}, "twice"),
    }


@pytest.mark.parametrize("kind", further_layers())
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_network_with_layers_that_vgg16_lacks_is_refused(kind, prefix, tmp_path):
    content, said = further_layers()[kind]
    torch.save({prefix + name: held for name, held in content.items()}, tmp_path / "vgg.pth")
    assert said in refusal(tmp_path / "vgg.pth")


def test_batch_normalisation_of_keras_is_refused(tmp_path):
    path = tmp_path / "vgg.weights.h5"
    weight_files.write_keras_3(path, tensors())
    with h5py.File(path, "a") as file:
        held = file.create_group("layers/batch_normalization_3/vars")
        for number in range(4):
            held[str(number)] = np.ones(2)
    assert "layers/batch_normalization_3 is a batch normalisation" in refusal(path)


def test_a_layout_that_an_archive_describes_is_checked_in_models_of_models(tmp_path):
    convolution = {"class_name": "Conv2D", "config": {"name": "conv2d", "strides": [2, 2]}}
    inner = {"class_name": "Functional", "config": {"layers": [convolution]}}
    config = {"class_name": "Sequential", "config": {"layers": [inner]}}
    weight_files.write_dot_keras(tmp_path / "vgg.keras", tensors(), config=config)
    assert "conv2d has strides [2, 2], VGG-16 has 1" in refusal(tmp_path / "vgg.keras")


def test_deepface_is_known_by_its_dense_layers(tmp_path):
    path = tmp_path / "weights.h5"
    arrays = list(weight_files.hwio(tensors()).values())
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    for further, expected in ((0, UNKNOWN), (3, DEEPFACE)):
        with h5py.File(path, "w") as file:
            names = [f"conv2d_{number}" for number in range(13 + further)]
            file.attrs["layer_names"] = names
            for name, (kernel, bias) in zip(names, pairs + pairs[-1:] * further, strict=True):
                layer = file.create_group(name)
                layer.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
                layer[f"{name}/kernel:0"], layer[f"{name}/bias:0"] = kernel, bias
        check_same(path, tensors())
        assert read_published_weights(path).assumed == expected


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("folder/vgg16.pth", b"1")


def write_script(path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 8, 3), torch.rand(1, 3, 8, 8)), path)


def arrays() -> dict[str, np.ndarray]:
    return {name: held.numpy() for name, held in tensors().items()}


def write_early_keras(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["nb_layers"] = 1
        file["layer_0/param_0"] = np.ones((2, 3, 3, 3))


def write_theano(path: Path) -> None:
    layers = ("block1_conv1", "block1_conv2")
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = layers
        for layer in layers:
            held = file.create_group(layer)
            held.attrs["weight_names"] = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            held[f"{layer}_W_1:0"], held[f"{layer}_b_1:0"] = np.ones((2, 3, 3, 3)), np.ones(2)


UNREADABLE = {
    "a whole network": (
        lambda path: torch.save(nn.Sequential(nn.Conv2d(3, 8, 3)), path),
        "code or objects (torch.nn.modules.container.Sequential)",
    ),
    "a network next to a state dict": (
        lambda path: torch.save({"state_dict": tensors(), "criterion": nn.MSELoss()}, path),
        "(torch.nn.modules.loss.MSELoss), its first layers are conv1_1.weight, conv1_1.bias",
    ),
    "TorchScript": (write_script, "TorchScript archive, which holds code (__torch__/torch/nn/mod"),
    "a pickle of NumPy": (
        lambda path: path.write_bytes(pickle.dumps(arrays())),
        "is a pickle that PyTorch did not write: it holds values of NumPy (numpy.",
    ),
    "an old pickle of NumPy": (
        lambda path: path.write_bytes(pickle.dumps(arrays(), protocol=2)),
        "its first layers are conv1_1.weight",
    ),
    "a pickle of plain values": (
        lambda path: path.write_bytes(pickle.dumps({"conv1_1": [1.0, 2.0]})),
        "is a pickle that PyTorch did not write; unpickling could run any code",
    ),
    "a newer pickle of tensors": (
        lambda path: torch.save(tensors(), path, pickle_protocol=4),
        "pickled by a protocol above 2",
    ),
    "a newer pickle of tensors in the old format": (
        lambda path: torch.save(
            tensors(), path, pickle_protocol=4, _use_new_zipfile_serialization=False
        ),
        "pickled by a protocol above 2",
    ),
    "an array": (lambda path: np.save(path.open("wb"), np.ones(3)), ".npy file of a single array"),
    "a dictionary of arrays": (
        lambda path: np.save(path.open("wb"), np.array(arrays(), object), allow_pickle=True),
        ".npy file of pickled objects",
    ),
    "unnamed arrays": (
        lambda path: np.savez(path.open("wb"), *arrays().values()),
        "a NumPy .npz file in which no layer is called conv1_1, nor features.0 as in torchvision; "
        "its first are arr_0, arr_1, arr_2",
    ),
    "arrays of objects": (
        lambda path: np.savez(
            path.open("wb"), **{"conv1_1.weight": np.array([{}])}, allow_pickle=True
        ),
        "not a readable NumPy .npz file: ",
    ),
    "other names": (
        lambda path: weight_files.write_safetensors(path, {"layer1.0\n.weight": torch.ones(2)}),
        "a safetensors file in which no layer is called conv1_1, nor features.0 as in torchvision; "
        "its first are layer1.0\\n.weight",
    ),
    "a checkpoint of other names": (
        lambda path: torch.save({"epoch": 1, "model": {"stem.weight": torch.ones(2)}}, path),
        "its first are model: stem.weight",
    ),
    "a tensor": (
        lambda path: torch.save(torch.ones(3), path),
        "not a state dict: must map names to tensors, and is a Tensor",
    ),
    "a value of NumPy next to tensors": (
        lambda path: torch.save({"state_dict": tensors(), "best": np.float64(0.5)}, path),
        "it holds values of NumPy (numpy._core.multiarray.scalar), its first layers are conv1_1",
    ),
    "kernels of Theano": (
        write_theano,
        "block1_conv1.weight has shape (2, 3, 3, 3), filters",
    ),
    "nothing but numbers": (lambda path: torch.save({"epoch": 1}, path), "it holds no tensors"),
    "a packed file": (write_zip, "is a ZIP archive of other files (folder/vgg16.pth)"),
    "Keras before its first version": (write_early_keras, "it holds layer_0"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_called_by_its_name(kind, tmp_path):
    write, said = UNREADABLE[kind]
    write(tmp_path / "weights")
    assert said in refusal(tmp_path / "weights")


def test_archives_that_unpack_to_too_much_are_not_unpacked(tmp_path, monkeypatch):
    zeros = {"conv1_1_W": np.zeros(1 << 20), "conv1_2_W": np.zeros(1 << 20)}
    np.savez_compressed(tmp_path / "vgg.npz", **zeros)
    with zipfile.ZipFile(tmp_path / "vgg.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 24))
    monkeypatch.setattr(published_weights, "LARGEST_FILE", 10_000_000)
    for name in ("vgg.npz", "vgg.keras"):
        assert (tmp_path / name).stat().st_size < 100_000
        assert "unpacks to more than 10000000 bytes" in refusal(tmp_path / name)


def test_an_array_that_says_it_is_longer_is_not_read(tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3, 3, 3)}"
    content = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    with zipfile.ZipFile(tmp_path / "vgg.npz", "w") as archive:
        archive.writestr("conv1_1.weight.npy", content)
    assert "an array of shape (1000000000000, 3, 3, 3) is cut off" in refusal(tmp_path / "vgg.npz")


def test_a_whole_recognizer_of_ours_is_no_backbone(tmp_path):
    from glassguard.recognizer.network import FaceRecognizer
    from glassguard.recognizer.weights import write_recognizer

    network = FaceRecognizer(
        identities=2, image_size=32, width=1 / 32, hidden=4, mean=(1, 2, 3), scale=4
    )
    write_recognizer(tmp_path / "recognizer.safetensors", network, ["a", "b"])
    assert "backbone.safetensors" in refusal(tmp_path / "recognizer.safetensors")
