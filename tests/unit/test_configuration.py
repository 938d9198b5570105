"""The composed configuration, its sections and the sources of stages."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from glassguard.configuration import compose, sources
from glassguard.configuration.compose import compose_study
from glassguard.configuration.remarks import remarks
from glassguard.configuration.replicates import replicates_section, studies_from_workflow
from glassguard.configuration.sections import AttackSection, read_section, sections
from glassguard.configuration.stamps import section_stamps
from glassguard.datasets.folders import printable
from glassguard.datasets.sources import folder
from glassguard.errors import InputError

CONF = Path(__file__).parents[2] / "conf"


def refusal(settings: dict) -> str:
    with pytest.raises(InputError) as caught:
        studies_from_workflow(settings, CONF)
    message = str(caught.value)
    assert "\n" not in message
    return message


FOLDER = ["data.root=a", "backbone.pool=b"]


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"experiment": "embeded"}, ["embeded", "dong2019, embedded, faces, folder, lfw, smoke"]),
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
        ({"overrides": ["backbone.weights=nowhere"]}, ["backbone.weights", "nowhere"]),
        ({"overrides": ["backbone.weights=vggface"]}, ["vggface", "imagenet, vgg_face,"]),
        (
            {"overrides": ["backbone.weights=yunet"]},
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


def test_the_last_of_repeated_overrides_counts() -> None:
    (study,) = studies_from_workflow(
        {"experiment": "smoke", "overrides": ["seed=6", "seed=5", "seed=6"]}, CONF
    ).values()
    assert study.seed == 6


def test_one_study_lies_where_it_always_did() -> None:
    (folder,) = studies_from_workflow({"experiment": "smoke"}, CONF)
    assert folder == "smoke"


def test_replicates_and_variants_are_crossed() -> None:
    found = studies_from_workflow(
        {"experiment": "smoke", "replicates": ["3", "5"], "variants": ["absolute_saliency"]}, CONF
    )
    assert {
        folder: (one.seed, one.saliency.channel_reduction) for folder, one in found.items()
    } == {
        "smoke/seed_3": (3, "max"),
        "smoke/seed_5": (5, "max"),
        "smoke/variant_absolute_saliency/seed_3": (3, "max_abs"),
        "smoke/variant_absolute_saliency/seed_5": (5, "max_abs"),
    }
    assert replicates_section(found)["studies"][3] == {"variant": "absolute_saliency", "seed": 5}
    # Each is tracked by itself.
    tracked = [sections(one, name=folder)["track"]["experiment"] for folder, one in found.items()]
    assert tracked == list(found)


def copy_of_conf(folder: Path) -> Path:
    return Path(shutil.copytree(CONF, folder / "conf"))


def test_a_variant_comes_after_the_experiment_and_before_overrides(tmp_path: Path) -> None:
    conf = copy_of_conf(tmp_path)
    head = "# @package _global_\n"
    (conf / "variant" / "brief.yaml").write_text(
        f"{head}recognizer: {{epochs: 3, batch_size: 8}}\n"
    )
    found = studies_from_workflow(
        {"experiment": "smoke", "overrides": ["recognizer.epochs=4"], "variants": ["brief"]}, conf
    )
    recognizer = found["smoke/variant_brief"].recognizer
    assert (recognizer.epochs, recognizer.batch_size) == (4, 8)


@pytest.mark.parametrize(
    "change",
    [
        "attack_shards: 7",
        "saliency: {grid: {shards: 9}}",
        "saliency: {grid: {shards: 1}, search: {method: bayesian}}",
        "recognizer: {threads: 3}",
        "backbone: {weights: somewhere}",
        "backbone: {pretraining: {accelerator: gpu}}",
        "backbone: {pretraining: {accelerator: gpu, devices: 2, strategy: ddp_spawn}}",
        "backbone: {pretraining: {teacher: {file: somewhere, image_size: 112, weight: 1, "
        "mean: [0, 0, 0], scale: [1, 1, 1], channels: rgb}}}",
    ],
)
def test_a_variant_of_other_jobs_is_refused(change: str, tmp_path: Path) -> None:
    conf = copy_of_conf(tmp_path)
    # Neither weights nor a model of ONNX, but of no kind that is known to be neither.
    (tmp_path / "somewhere").write_bytes(b"\x08\x07" if "teacher" in change else b"PK\x03\x04")
    change = change.replace("somewhere", str(tmp_path / "somewhere"))
    (conf / "variant" / "other.yaml").write_text(f"# @package _global_\n{change}\n")
    with pytest.raises(InputError, match=r"conf/variant/other\.yaml: .*must not change what jobs"):
        studies_from_workflow({"experiment": "smoke", "variants": ["other"]}, conf)


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
    assert compose_study(CONF, "smoke", given).backbone.normalisation() == (mean, scale)


def test_what_is_not_given_of_weights_is_left_to_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04")
    given = [f"backbone.weights={path}", "backbone.scale=[58,57,56]"]
    backbone = compose_study(CONF, "smoke", given).backbone
    assert (backbone.mean, backbone.scale, backbone.channels) == (None, (58, 57, 56), None)
    with pytest.raises(ValueError, match="single scale"):
        backbone.normalisation()


def changed_sections(*overrides: str) -> set[str]:
    before = sections(compose_study(CONF, "smoke"))
    after = sections(compose_study(CONF, "smoke", overrides))
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "readers"),
    [
        ("saliency.grid.n=[3]", {"mask_grid"}),
        ("saliency.search.trials=7", {"mask_grid"}),
        ("saliency.source_setting.n=3", {"mask_grid", "mask_evaluation"}),
        ("saliency.confidence_threshold=0.7", {"mask_evaluation"}),
        ("saliency.largest_clean_loss=0.1", {"mask_evaluation"}),
        ("attacks.glasses.step=10", {"attack_glasses"}),
        ("backbone.pretraining.learning_rate=0.01", {"backbone"}),
        ("detector.seeds=3", {"fit_detectors"}),
        ("detector.bootstrap=70", {"detection"}),
        ("detector.minimum_benign_other=0.9", {"fit_detectors", "detection"}),
        ("downloads.files.yunet.maximum_bytes=7", {"fetch_yunet"}),
        ("tracking.enabled=false", {"track"}),
    ],
)
def test_a_value_reaches_only_its_readers_and_the_report(override: str, readers: set[str]) -> None:
    assert changed_sections(override) == {*readers, "report"}


def test_how_pictures_are_downloaded_concerns_only_who_downloads_them() -> None:
    before = sections(compose_study(CONF, "lfw", ["data=pubfig"]))
    after = sections(compose_study(CONF, "lfw", ["data=pubfig", "data.fetch.pause=2"]))
    assert {name for name in before if before[name] != after[name]} == {"fetch_pictures", "report"}


def test_a_section_survives_its_file(tmp_path: Path) -> None:
    values = sections(compose_study(CONF, "smoke"))["attack_glasses"]
    path = tmp_path / "attack.yaml"
    (stamp,) = section_stamps(tmp_path, {"attack": values})
    path.write_text(stamp.text)
    assert list(yaml.safe_load(stamp.text)) == list(values)
    assert read_section(path, AttackSection).model_dump(mode="json") == values


def test_sources_follow_imports_and_leave_the_configuration_out() -> None:
    found = {
        Path(path).resolve().relative_to(sources.PACKAGE) for path in sources.sources("attack")
    }
    assert Path("stages/attack.py") in found
    assert Path("files/formats.py") in found
    assert not [path for path in found if path.parts[0] in ("configuration", "cli.py", "errors.py")]
    assert Path("stages/report.py") not in found


def test_sources_are_sorted_and_follow_what_is_imported_indirectly() -> None:
    found = sources.sources("attack_shard")
    assert found == sorted(found)
    assert sources.PACKAGE / "recognizer/network.py" in found


def test_a_class_that_is_named_to_be_imported_late_is_a_source() -> None:
    attack = sources.PACKAGE / "attack"
    assert attack / "masked_pixels.py" in sources._imports(attack / "settings.py")


def test_an_inventory_sees_pictures_but_not_dates(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = sources.inventory(tmp_path)
    (tmp_path / "a").touch()
    assert sources.inventory(tmp_path) == before
    (tmp_path / "b").write_text("1")
    assert sources.inventory(tmp_path) != before
    assert sources.inventory(None) == ""
    one, other = (sources.inventory(tmp_path / name) for name in ("a", "b"))
    assert one != other


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


def test_pairs_of_another_collection_are_refused_before_anything_is_downloaded() -> None:
    message = refusal({"experiment": "dong2019", "overrides": ["data=pubfig"]})
    assert "conf/experiment/dong2019.yaml names people of data=lfw" in message
    assert '"attacks.glasses.named_pairs=[]"' in message
    own = "attacks.glasses.named_pairs=[{attacker: Ben Stiller, target: Clive Owen}]"
    study = compose_study(CONF, "dong2019", ["data=pubfig", own])
    assert study.attacks["glasses"].named_pairs[0].attacker == "Ben Stiller"


def test_replicates_of_another_collection_lie_together() -> None:
    settings = {"experiment": "dong2019", "variants": ["fold_1"], "replicates": ["0"]}
    settings["overrides"] = ["data=pubfig", "attacks.glasses.named_pairs=[]"]
    studies = studies_from_workflow(settings, CONF)
    assert list(studies) == ["dong2019_pubfig/seed_0", "dong2019_pubfig/variant_fold_1/seed_0"]
    assert {study.experiment for study in studies.values()} == {"dong2019_pubfig"}


def test_a_named_person_must_have_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "1.jpg").touch()
    pair = "attacks.glasses.named_pairs=[{attacker: ada, target: grace}]"
    with pytest.raises(InputError, match=r"attacks\.glasses\.named_pairs: .* no folder grace"):
        compose_study(CONF, "folder", [f"data.root={tmp_path}", pair])


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


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_every_fold_is_a_variant(fold: int) -> None:
    assert compose_study(CONF, "dong2019").data.fold == 0
    assert compose_study(CONF, "dong2019", variant=f"fold_{fold}").data.fold == fold


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


def test_never_occluded_means_not_masked_either() -> None:
    study = compose_study(CONF, "embedded", variant="no_occluded_copies")
    assert (study.recognizer.occluded_copies, study.recognizer.masked_copies) == (0, 0)


def test_other_masks_are_tried_on_the_same_network() -> None:
    usual = sections(compose_study(CONF, "smoke"), name="smoke")
    other = sections(compose_study(CONF, "smoke", variant="absolute_saliency"), name="smoke")
    changed = {name for name in usual if usual[name] != other[name]}
    assert "saliency_maps" in changed
    assert changed.isdisjoint({"recognizer", "attack_glasses", "influence", "detection"})


def test_names_of_any_bytes_are_counted_and_written_on_one_line(tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with Path(os.fsdecode(strange)).open("wb") as file:
        file.write(b"picture")
    assert sources.inventory(tmp_path) != sources.inventory(None)
    assert printable(os.fsdecode(strange)).endswith("caf\ufffd.jpg")
    assert printable("line\nbreak \x1b[31m\u2028") == "line\\nbreak \\x1b[31m\\u2028"
    assert printable("Zoë 日本 a\u00a0b") == "Zoë 日本 a\u00a0b"
