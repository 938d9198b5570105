"""The teacher: an ONNX network whose embeddings guide pretraining."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from recognizer.pretraining_pool import arguments, pool
from shipped import section

from glassguard.cli import main
from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import sections
from glassguard.errors import InputError
from glassguard.recognizer.settings import TeacherNetwork
from glassguard.recognizer.teacher import EmbeddingNetwork, in_frame

CONF = Path(__file__).resolve().parents[3] / "conf"
TEACHER = {**section("teacher/mobilefacenet"), "file": "teacher.onnx"}


def field(number: int, content: bytes | str | int) -> bytes:
    """A field of a Protocol Buffers message."""

    def number_of(value: int) -> bytes:
        digits = []
        while value > 127:
            digits.append(value & 127 | 128)
            value >>= 7
        return bytes([*digits, value])

    if isinstance(content, int):
        return number_of(number << 3) + number_of(content)
    payload = content.encode() if isinstance(content, str) else content
    return number_of(number << 3 | 2) + number_of(len(payload)) + payload


def onnx_network(side: int, dimensions: int, *, external: bool = False) -> bytes:
    """One convolution over the whole picture, as an ONNX file (onnx.proto)."""
    weights = np.random.default_rng(1).standard_normal((dimensions, 3, side, side))
    tensor = b"".join(field(1, size) for size in weights.shape) + field(2, 1) + field(8, "w")
    if external:
        tensor += field(13, field(1, "location") + field(2, "elsewhere.data")) + field(14, 1)
    else:
        tensor += field(9, weights.astype("<f4").tobytes())

    def value(name: str, shape: tuple[int, ...]) -> bytes:
        sizes = b"".join(field(1, field(1, size)) for size in shape)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))

    kernel = field(1, "kernel_shape") + field(8, side) * 2 + field(20, 7)
    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "Conv") + field(5, kernel)
    graph = (
        field(1, node)
        + field(2, "g")
        + field(5, tensor)
        + field(11, value("x", (1, 3, side, side)))
        + field(12, value("y", (1, dimensions, 1, 1)))
    )
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph)


def network_settings(**changes) -> TeacherNetwork:
    values = {key: value for key, value in TEACHER.items() if key != "weight"}
    return TeacherNetwork.model_validate({**values, "image_size": 32, **changes})


def test_a_teacher_sees_the_whole_pose_in_its_own_colours() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    whole = in_frame(picture, 112)
    assert np.array_equal(whole[10:106, 8:104], picture)
    assert np.abs(whole[:9].astype(int) - picture.mean((0, 1))).max() <= 1

    model = onnx_network(32, 5)
    weights = np.random.default_rng(1).standard_normal((5, 3, 32, 32)).astype(np.float32)
    for channels in ("rgb", "bgr"):
        given = network_settings(channels=channels)
        pixels = (in_frame(picture, 32) - np.array(given.mean)) / np.array(given.scale)
        ordered = pixels if channels == "rgb" else pixels[..., ::-1]
        expected = np.einsum("hwc,dchw->d", ordered, weights)
        embedding = EmbeddingNetwork(model, given)(picture)
        assert embedding.dtype == np.float32
        assert np.allclose(embedding, expected / np.linalg.norm(expected), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (onnx_network(32, 5, external=True), "weights lie in another file"),
        (b"nothing of the kind", "not a network"),
        (b"", "not a network"),
        (onnx_network(32, 5)[:500], "not a network"),
        (None, "cannot be read"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_one_line(
    tmp_path: Path, capsys, content: bytes | None, said: str
) -> None:
    pool(tmp_path)
    path = tmp_path / "teacher.onnx"
    if content is not None:
        path.write_bytes(content)
    config = tmp_path / "teacher.yaml"
    config.write_text(yaml.safe_dump({"teacher": network_settings().model_dump(mode="json")}))
    options = ["--teacher", str(path), "--images", str(tmp_path / "images.npy")]
    options += ["--embeddings", str(tmp_path / "embeddings.npy")]
    assert main(["teacher", "--config", str(config), *options]) == 2
    lines = capsys.readouterr().err.splitlines()
    ours = [line for line in lines if line.startswith("glassguard teacher:")]
    assert len(ours) == 1
    assert "backbone.pretraining.teacher.file" in ours[0]
    assert said in ours[0]


def test_a_teacher_changes_what_is_learnt(tmp_path: Path) -> None:
    pictures, _ = pool(tmp_path)
    path = tmp_path / "teacher.onnx"
    path.write_bytes(onnx_network(32, 5))
    config = tmp_path / "teacher.yaml"
    config.write_text(yaml.safe_dump({"teacher": network_settings().model_dump(mode="json")}))
    embeddings = tmp_path / "embeddings.npy"
    options = ["--teacher", str(path), "--images", str(tmp_path / "images.npy")]
    assert (
        main(["teacher", "--config", str(config), *options, "--embeddings", str(embeddings)]) == 0
    )
    rows = np.load(embeddings)
    assert rows.shape == (len(pictures), 5)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)

    taught = {"teacher": {**TEACHER, "image_size": 32}}
    assert main([*arguments(tmp_path, "taught", **taught), "--teacher", str(embeddings)]) == 0
    assert main(arguments(tmp_path, "alone")) == 0
    name = "backbone.safetensors"
    alone, with_teacher = ((tmp_path / out / name).read_bytes() for out in ("alone", "taught"))
    assert alone != with_teacher


def test_a_teacher_without_embeddings_is_refused(tmp_path: Path, capsys) -> None:
    pool(tmp_path)
    taught = {"teacher": {**TEACHER, "image_size": 32}}
    assert main(arguments(tmp_path, "out", **taught)) == 2
    assert "needs --teacher" in capsys.readouterr().err
    np.save(tmp_path / "short.npy", np.zeros((3, 5), np.float32))
    given = [*arguments(tmp_path, "out", **taught), "--teacher", str(tmp_path / "short.npy")]
    assert main(given) == 2
    assert "has 3 rows" in capsys.readouterr().err


def test_how_much_a_teacher_counts_does_not_ask_it_again(tmp_path: Path) -> None:
    file = tmp_path / "teacher.onnx"
    file.write_bytes(b"not opened here")
    chosen = [
        "backbone=pretrain",
        "+teacher@backbone.pretraining.teacher=mobilefacenet",
        f"backbone.pretraining.teacher.file={file}",
    ]
    before = sections(compose_study(CONF, "smoke", chosen))
    after = sections(
        compose_study(CONF, "smoke", [*chosen, "backbone.pretraining.teacher.weight=1"])
    )
    assert {name for name in before if before[name] != after[name]} == {"backbone", "report"}
    assert "teacher" not in sections(compose_study(CONF, "smoke"))
    with pytest.raises(InputError, match=r"backbone\.pretraining\.teacher\.file: .*no such file"):
        compose_study(CONF, "smoke", [*chosen[:2], "backbone.pretraining.teacher.file=gone.onnx"])
