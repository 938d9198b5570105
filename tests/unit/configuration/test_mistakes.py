"""Mistakes in a configuration: one line that names file or key and says what is allowed."""

from pathlib import Path

import pytest
from shipped import CONF, copy_of_conf

from glassguard.configuration.compose import compose_study
from glassguard.configuration.replicates import studies_from_workflow
from glassguard.errors import InputError


def refusal(settings: dict) -> str:
    with pytest.raises(InputError) as caught:
        studies_from_workflow(settings, CONF)
    message = str(caught.value)
    assert "\n" not in message
    return message


FOLDER = ["data.root=a", "backbone.pool=b"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"experiment": "embeded"},
            ["embeded", "dong2019, embedded, faces, faces_mobilefacenet, folder, lfw, smoke"],
        ),
        ({"experiment": None}, ["--config experiment: is empty", "experiment=NAME"]),
        ({"experimnt": "smoke"}, ["experimnt", "unknown key", "experiment=NAME"]),
        ({"overrides": 3}, ["--config overrides", "list of key=value"]),
        ({"replicates": ["0", "-1"]}, ["--config replicates", "list of seeds"]),
        ({"replicates": "many"}, ["--config replicates", "list of seeds"]),
        ({"variants": ["absolute"]}, ["absolute_saliency", "no_occluded_copies"]),
        ({"variants": 3}, ["--config variants", "list of names"]),
        ({"overrides": ["saliency.grdi=1"]}, ["saliency.grdi", "did you mean grid?"]),
        (
            {"overrides": ["+attacks.glasses.stpe=1"]},
            ["attacks.glasses.stpe", "did you mean step?"],
        ),
        ({"overrides": ["attacks.glasses.step=-1"]}, ["attacks.glasses.step", "greater than 0"]),
        (
            {"overrides": ["attacks.glasses.algorithm.name=newton"]},
            ["attacks.glasses.algorithm.name", "gradient_steps", "newton"],
        ),
        (
            {"overrides": ["+attack@attacks.cosine=cosine"]},
            ["attacks.cosine.algorithm.name", "cosine_similarity", "backbone.network=onnx"],
        ),
        (
            {"overrides": ["attacks.glasses.shape.kind=hat"]},
            ["attacks.glasses.shape", "hat", "'sticker', 'patch', 'band'"],
        ),
        (
            {"overrides": ["attacks.glasses.shape.kind=sticker"]},
            ["attacks.glasses.shape.x", "required"],
        ),
        (
            {"overrides": ["attacks.glasses.largest_change=8"]},
            ["largest_change", "initial_colour=null"],
        ),
        (
            {
                "overrides": [
                    "attacks.glasses.initial_colour=null",
                    "attacks.glasses.largest_change=0.5",
                ]
            },
            ["attacks.glasses.largest_change", "greater than or equal to 1"],
        ),
        (
            {"overrides": ["attacks.glasses.total_variation=inf"]},
            ["attacks.glasses.total_variation", "finite number"],
        ),
        (
            {"overrides": ["saliency.search.method=bayesian", "saliency.grid.shards=4"]},
            ["saliency", "grid.shards: 4 must be 1 or null"],
        ),
        ({"overrides": ["saliency.grid.mu=[0.5,2]"]}, ["saliency.grid.mu.1", "less than 1"]),
        ({"overrides": ["data.image_size=33"]}, ["data.image_size", "multiple of 32"]),
        ({"overrides": ["backbone=vgg"]}, ["backbone/vgg", "pretrain"]),
        ({"overrides": ["seed"]}, ["'seed'", "NAME=VALUE is expected"]),
        ({"overrides": ["seed=5"], "replicates": [0, 1]}, ["override seed", "which seeds are run"]),
        (
            {"experiment": "folder", "overrides": ["data.root=my péople"]},
            ["override data.root=my péople: cannot be read", "needs quotes"],
        ),
        ({"experiment": "folder", "overrides": ["data.root="]}, ["data.root", "is empty"]),
        ({"overrides": ["downloads.folder="]}, ["downloads.folder", "is empty; give a path"]),
        ({"overrides": ["downloads.folder='a{b}'"]}, ["downloads.folder", "a{b}: holds a brace"]),
        ({"overrides": ["tracking.artifacts="]}, ["tracking.artifacts", "is empty"]),
        ({"experiment": "folder", "overrides": ["data.root=2024"]}, ["2024: no such folder"]),
        ({"experiment": "folder", "overrides": ["data.root='~/n o'"]}, ["/n o: no such folder"]),
        (
            {"overrides": ["backbone.pretraining.teacher.file=x"]},
            ["backbone.pretraining.teacher.file", "backbone.pretraining.teacher is not set"],
        ),
        ({"overrides": ["saliency=null"]}, ["conf", "must be a string"]),
        ({"overrides": ["saliency.grid.mu=[]"]}, ["saliency.grid.mu", "List should have"]),
        (
            {"overrides": ["recognizer.copy_masks.mu=[0.9,0.8]"]},
            ["override recognizer.copy_masks.mu=[0.9,0.8]", "0.9 must not exceed 0.8"],
        ),
        ({"overrides": ["saliency.top_classes=31"]}, ["saliency.top_classes: 31", "identities=30"]),
        ({"overrides": ["seed=${nothing}"]}, ["nothing", "not found"]),
        ({"overrides": ["experiment=smoke"]}, ["--config experiment=NAME"]),
        ({"overrides": ["+attack@attacks.benign=glasses"]}, ["attacks.benign", "taken"]),
        (
            {"experiment": "folder", "overrides": [*FOLDER, "backbone.weights=a"]},
            ["weights", "pool", "give one"],
        ),
        ({"overrides": ["backbone.pool=b"]}, ["backbone.pool", "photographs"]),
        ({"overrides": ["backbone.pretraining.identities=null"]}, ["identities", "numbers"]),
        ({"overrides": ["saliency.source_setting.n=1000"]}, ["source_setting.n", "100"]),
        ({"overrides": ["recognizer.occlusion.smallest=0.6"]}, ["smallest", "largest"]),
        ({"overrides": ["attacks.glasses.targets=50"]}, ["attacks.glasses.targets", "30"]),
        (
            {"overrides": ["attacks.glasses.attackers_per_target=30"]},
            ["attackers_per_target", "30"],
        ),
        ({"overrides": ["influence.quantity=odds"]}, ["influence.quantity", "comparative"]),
        (
            {"overrides": ["influence.distribution.kind=line"]},
            ["influence.distribution.kind", "input_line"],
        ),
        (
            {
                "overrides": [
                    "influence.distribution.kind=input_line",
                    "influence.distribution.baseline=null",
                ]
            },
            ["influence.distribution", "layer_line only"],
        ),
        (
            {"overrides": ["backbone=pretrain", "backbone.weights=nowhere"]},
            ["backbone.weights", "nowhere"],
        ),
        (
            {"overrides": ["backbone=pretrain", "backbone.weights=vggface"]},
            ["vggface", "imagenet, vgg_face,"],
        ),
        (
            {"overrides": ["backbone=pretrain", "backbone.weights=yunet"]},
            ["backbone.weights: yunet is a download for data.detector", "imagenet, vgg_face,"],
        ),
        (
            {"experiment": "lfw", "overrides": ["data.detector=vgg_face"]},
            ["data.detector: vgg_face is a download for backbone.weights", "(yunet)"],
        ),
        (
            {"overrides": ["+downloads.files.own={file: a, url: 'http://a/a', sha256: null}"]},
            ["downloads.files.own.key", "Field required"],
        ),
        ({"overrides": ["backbone.channels=bgr"]}, ["backbone.channels", "without weights"]),
        (
            {"overrides": ["backbone.scale=[58,57,57]"]},
            ["backbone.scale", "backbone.weights only"],
        ),
        (
            {"overrides": ["backbone.mean=[0.485,0.456,0.406]"]},
            ["backbone.mean: 0.485, 0.456, 0.406 is on the scale 0-1", "0-255"],
        ),
        (
            {"overrides": ["downloads.files.yunet.file=../../yunet.onnx"]},
            ["downloads.files.yunet.file", "pattern"],
        ),
        (
            {"overrides": ["downloads.files.yunet.file=vgg_face_dag.pth"]},
            ["downloads.files", "two of them are called vgg_face_dag.pth"],
        ),
        ({"overrides": ["downloads.files.yunet.url=ftp://a/b"]}, ["url", "https?"]),
        ({"experiment": "folder"}, ["data.root", "required"]),
        ({"experiment": "lfw", "overrides": ["data.root=nowhere"]}, ["data.root", "nowhere"]),
        (
            {"experiment": "lfw", "overrides": ["data=celeba"]},
            ["data=celeba", "data.root", "required"],
        ),
        ({"experiment": "lfw", "overrides": ["data=pubfig83"]}, ["data.root", "pubfig83"]),
        (
            {"experiment": "lfw", "overrides": ["data=pubfig", "data.fetch.list_file=nowhere"]},
            ["data.fetch.list_file", "nowhere"],
        ),
        (
            {"experiment": "lfw", "overrides": ["data=pubfig", "data.fetch.pause=-1"]},
            ["data.fetch.pause", "greater than or equal to 0"],
        ),
        (
            {"experiment": "lfw", "overrides": ["+data.fetch.funeled=true"]},
            ["data.fetch.funeled", "did you mean funneled?"],
        ),
        ({"experiment": "folder", "overrides": ["data.root=nowhere"]}, ["data.root", "nowhere"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(settings: dict, said: list[str]) -> None:
    message = refusal(settings)
    assert all(part in message for part in said), message


def test_a_mistake_in_a_variant_names_its_file(tmp_path: Path) -> None:
    conf = copy_of_conf(tmp_path)
    (conf / "variant" / "bad.yaml").write_text("# @package _global_\nrecognizer: {epochs: -1}\n")
    with pytest.raises(InputError, match=r"bad\.yaml: recognizer\.epochs: .*greater"):
        studies_from_workflow({"experiment": "smoke", "variants": ["bad"]}, conf)


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    for path in CONF.rglob("*.yaml"):
        copy = conf / path.relative_to(CONF)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    with (conf / "recognizer" / "dense.yaml").open("a") as file:
        file.write("epoch: 3\n")
    with pytest.raises(
        InputError, match=r"conf/recognizer/dense\.yaml: recognizer\.epoch: unknown"
    ):
        compose_study(conf, "smoke")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    message = refusal({"experiment": "folder", "overrides": [f"data.root={tmp_path}"]})
    assert "data.root" in message


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("backbone.weights", b"", "is empty; readable are safetensors"),
        ("backbone.weights", b"<!DOCTYPE html><p>Log in", "is a web page (HTML)"),
        ("backbone.weights", b"\x08\x06\x12\x07pytorch", "is no known weight file"),
        ("data.detector", b"PK\x03\x04archive", "is a PyTorch file, or another archive"),
        ("data.detector", b"\x80\x02\x8a\nl\xfc", "is a PyTorch file"),
        ("data.detector", b"\x89HDF\r\n\x1a\n", "is an HDF5 file; an ONNX model is wanted"),
        ("data.detector", b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"),
    ],
)
def test_a_file_of_another_kind_is_refused_before_the_first_job(
    key: str, content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "face_detection_yunet_2023mar.onnx"
    file.write_bytes(content)
    # By its path, and where it lies in the folder of downloads.
    with pytest.raises(InputError) as refused:
        compose_study(CONF, "lfw", [f"{key}={file}"])
    assert f"{key}: {file}: " in str(refused.value)
    assert said in str(refused.value)
    if key == "data.detector":
        with pytest.raises(InputError) as refused:
            compose_study(CONF, "lfw", [f"downloads.folder={tmp_path}"])
        assert said in str(refused.value)


def test_a_folder_is_no_file_and_a_picture_no_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"backbone\.weights: .*: is a folder; allowed is a file"):
        compose_study(CONF, "lfw", [f"backbone.weights={tmp_path}"])
    picture = tmp_path / "t.jpg"
    picture.write_bytes(b"\xff\xd8\xff")
    for source in ("lfw", "celeba", "pubfig83"):
        with pytest.raises(InputError, match=r"data\.root: .*t\.jpg: neither a folder nor an arch"):
            compose_study(CONF, "lfw", [f"data={source}", f"data.root={picture}"])


def test_pairs_of_another_collection_are_refused_before_anything_is_downloaded() -> None:
    message = refusal({"experiment": "dong2019", "overrides": ["data=pubfig"]})
    assert "conf/experiment/dong2019.yaml names people of data=lfw" in message
    assert '"attacks.glasses.named_pairs=[]"' in message
    own = "attacks.glasses.named_pairs=[{attacker: Ben Stiller, target: Clive Owen}]"
    study = compose_study(CONF, "dong2019", ["data=pubfig", own])
    assert study.attacks["glasses"].named_pairs[0].attacker == "Ben Stiller"


def test_a_named_person_must_have_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "1.jpg").touch()
    pair = "attacks.glasses.named_pairs=[{attacker: ada, target: grace}]"
    with pytest.raises(InputError, match=r"attacks\.glasses\.named_pairs: .* no folder grace"):
        compose_study(CONF, "folder", [f"data.root={tmp_path}", pair])


@pytest.mark.parametrize(
    ("override", "said"),
    [("data.fold=5", "0 to 4"), ("data.test_fraction=0.3", "whole number")],
)
def test_a_fold_that_does_not_exist_is_refused(override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        compose_study(CONF, "dong2019", [override])


def test_real_faces_that_are_not_here_are_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"shared/faces/\w+: no such folder") as caught:
        compose_study(CONF, "faces")
    message = str(caught.value)
    assert message.startswith("conf/experiment/faces.yaml: ")
    assert "Glint360K" in message
    assert "experiment=folder" in message
    assert "\n" not in message
    # A folder of the user's own is no matter of what the project brings.
    with pytest.raises(InputError) as caught:
        compose_study(CONF, "faces", ["data.root=mine", "backbone.pool=others"])
    assert "no such folder" in str(caught.value)
    assert "Glint360K" not in str(caught.value)


def test_a_wrong_element_is_not_called_a_missing_one() -> None:
    with pytest.raises(InputError) as refused:
        compose_study(CONF, "smoke", ["saliency.grid.mu=[1.2]"])
    assert "at least 1 item" not in str(refused.value)
    assert str(refused.value).count("saliency.grid.mu.0") == 1
