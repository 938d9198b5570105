"""The experiments of ``conf/`` compose, and hold what they promise."""

from pathlib import Path

import pytest
from shipped import CONF

from glassguard.configuration import compose
from glassguard.configuration.compose import compose_study
from glassguard.configuration.remarks import remarks
from glassguard.configuration.sections import sections
from glassguard.datasets.sources import folder


@pytest.mark.parametrize("experiment", ["embedded", "smoke", "lfw", "accessories"])
def test_an_experiment_composes(experiment: str) -> None:
    assert compose_study(CONF, experiment).experiment == experiment


def test_a_folder_without_a_detector_is_remarked_on(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"as far as the configuration can tell")
    (tmp_path / "yunet.onnx").write_bytes(b"likewise")
    given = [f"data.root={tmp_path}"]
    (line,) = remarks(compose_study(CONF, "folder", given))
    assert "data.detector=yunet finds the faces" in line
    given.append(f"data.detector={tmp_path / 'yunet.onnx'}")
    assert remarks(compose_study(CONF, "folder", given)) == []
    assert remarks(compose_study(CONF, "smoke")) == []


def test_a_backbone_for_a_gpu_is_of_full_width(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"as far as the configuration can tell")
    given = [f"data.root={tmp_path}"]
    study = compose_study(CONF, "folder", [*given, "backbone=faces_gpu", "data.image_size=128"])
    assert study.backbone.width == 1
    assert study.backbone.pretraining.accelerator == "gpu"
    assert study.backbone.pretraining.precision == "bfloat16"
    # The rest is that of the backbone which was tried.
    tried = compose_study(CONF, "folder", [*given, "backbone=faces"]).backbone.pretraining
    assert study.backbone.pretraining.variation == tried.variation
    assert study.backbone.pretraining.steps[-1].image_size == study.data.image_size


def test_masks_grow_with_the_picture() -> None:
    """n is a length and phi an area: dong2019's grid is the default one at its picture size."""
    small, large = compose_study(CONF, "embedded"), compose_study(CONF, "dong2019")
    share = large.data.image_size / small.data.image_size
    for name, power, unit in (("n", 1, 1), ("phi", 2, 10)):
        values = getattr(small.saliency.grid, name), getattr(large.saliency.grid, name)
        for one, other in zip(*values, strict=True):
            assert abs(other - one * share**power) < unit


def test_smoke_overrides_what_the_root_file_sets() -> None:
    assert compose_study(CONF, "smoke").attack_shards == 2


@pytest.mark.parametrize("source", sorted(path.stem for path in (CONF / "data").glob("*.yaml")))
def test_conf_spells_out_every_key_of_the_schema(source: str, tmp_path: Path) -> None:
    """Hydra overrides only what stands in a file, so a key that is missing cannot be set."""
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "1.png").touch()
    overrides = [f"data={source}"]
    if source in ("folder", "pubfig83", "celeba"):
        overrides.append(f"data.root={tmp_path}")
    experiment = "smoke" if source == "embedded" else "lfw"
    values, _ = compose._compose(CONF, experiment, overrides)

    def missing(typed: dict, given: dict, where: str) -> list[str]:
        return [
            name
            for key, value in typed.items()
            for name in (
                [where + key]
                if key not in given
                else missing(value, given[key], f"{where}{key}.")
                if isinstance(value, dict)
                else []
            )
        ]

    typed = compose_study(CONF, experiment, overrides).model_dump(exclude={"experiment"})
    assert missing(typed, values, "") == []


def test_a_download_is_asked_for_by_its_name_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "1.png").touch()
    given = [f"data.root={tmp_path}", "downloads.folder=kept"]
    study = compose_study(CONF, "folder", [*given, "data.detector=yunet", "backbone=vggface"])
    assert isinstance(study.data, folder.Pictures)
    assert study.data.detector == Path("kept/face_detection_yunet_2023mar.onnx")
    assert study.backbone.weights == Path("kept/rcmalli_vggface_tf_notop_vgg16.h5")
    assert sections(study)["data"]["data"]["detector"] == str(study.data.detector)
    assert sections(study)["fetch_yunet"]["download"]["maximum_bytes"] == 1_000_000
    local = tmp_path / "own.pth"
    local.write_bytes(b"PK\x03\x04")
    study = compose_study(
        CONF, "folder", [*given, "backbone=imagenet", f"backbone.weights={local}"]
    )
    assert study.backbone.weights == local
    assert isinstance(study.data, folder.Pictures)
    assert study.data.detector is None


def test_weights_over_http_without_a_digest_are_remarked_on() -> None:
    given = ["backbone=vggface", "backbone.weights=vgg_face_dag"]
    (line,) = remarks(compose_study(CONF, "smoke", given))
    assert "downloads.files.vgg_face_dag.sha256=DIGEST checks it" in line
    assert remarks(compose_study(CONF, "smoke", ["backbone=vggface"])) == []
    study = compose_study(CONF, "smoke", [*given, "downloads.files.vgg_face_dag.sha256=0123abcd"])
    assert remarks(study) == []
    assert sections(study)["fetch_vgg_face_dag"]["download"]["sha256"] == "0123abcd"
    assert "key" not in sections(study)["fetch_vgg_face_dag"]["download"]


@pytest.mark.parametrize("group", ["vggface", "imagenet"])
def test_published_weights_bring_their_own_preprocessing(group: str) -> None:
    backbone = compose_study(CONF, "smoke", [f"backbone={group}"]).backbone
    assert (backbone.mean, backbone.scale, backbone.channels) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "mean", "scale"),
    [
        ([], (127.5, 127.5, 127.5), 127.5),
        (["backbone.mean=[1,2,3]"], (1, 2, 3), 127.5),
        (["backbone.mean=[0,0,0]", "backbone.scale=255"], (0, 0, 0), 255),
    ],
)
def test_a_network_that_is_trained_here_sees_the_middle_as_zero_unless_told(
    given: list[str], mean: tuple[float, ...], scale: float
) -> None:
    chosen = ["backbone=pretrain", *given]
    assert compose_study(CONF, "smoke", chosen).backbone.normalisation() == (mean, scale)


def test_what_is_not_given_of_weights_is_left_to_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04")
    given = ["backbone=pretrain", f"backbone.weights={path}", "backbone.scale=[58,57,56]"]
    backbone = compose_study(CONF, "smoke", given).backbone
    assert (backbone.mean, backbone.scale, backbone.channels) == (None, (58, 57, 56), None)
    with pytest.raises(ValueError, match="single scale"):
        backbone.normalisation()


@pytest.mark.parametrize("experiment", ["dong2019", "darkarts2019"])
@pytest.mark.parametrize("source", ["lfw", "pubfig"])
def test_the_sources_experiments_take_either_collection(experiment: str, source: str) -> None:
    study = compose_study(CONF, experiment, [f"data={source}", "attacks.glasses.named_pairs=[]"])
    assert study.data.source == source
    # Pictures of two sources never share a folder of results.
    assert study.experiment == (experiment if source == "lfw" else f"{experiment}_pubfig")
    assert study.data.image_size == 224
    assert study.backbone.width == 1
    assert study.data.identities == {"dong2019": 10, "darkarts2019": 30}[experiment]


def test_the_sources_pairs_and_grid() -> None:
    attack = compose_study(CONF, "dong2019").attacks["glasses"]
    assert len(attack.named_pairs) == 3
    assert attack.targets * attack.attackers_per_target >= 20
    study = compose_study(CONF, "darkarts2019")
    assert study.recognizer.epochs == 45
    grid, found = study.saliency.grid, study.saliency.source_setting
    assert found.mu in grid.mu
    assert found.n in grid.n
    assert found.phi in grid.phi
