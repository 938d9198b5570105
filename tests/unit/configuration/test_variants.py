"""Replicates and variants of an experiment."""

from pathlib import Path

import pytest
from shipped import CONF, copy_of_conf

from glassguard.configuration.compose import compose_study
from glassguard.configuration.replicates import replicates_section, studies_from_workflow
from glassguard.configuration.sections import sections
from glassguard.errors import InputError


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
        "backbone: {shipped: null}",
        "backbone: {weights: somewhere}",
        "backbone: {pretraining: {accelerator: gpu}}",
        "backbone: {pretraining: {accelerator: gpu, devices: 2, strategy: ddp_spawn}}",
        "backbone: {pretraining: {teacher: {file: somewhere, image_size: 112, weight: 1, "
        "mean: [0, 0, 0], scale: [1, 1, 1], channels: rgb}}}",
    ],
)
def test_a_variant_of_other_jobs_is_refused(change: str, tmp_path: Path) -> None:
    conf = copy_of_conf(tmp_path)
    # Only a network that is trained or read has the other settings.
    overrides = [] if "shipped" in change else ["backbone.shipped=null"]
    # Neither weights nor a model of ONNX, but of no kind that is known to be neither.
    (tmp_path / "somewhere").write_bytes(b"\x08\x07" if "teacher" in change else b"PK\x03\x04")
    change = change.replace("somewhere", str(tmp_path / "somewhere"))
    (conf / "variant" / "other.yaml").write_text(f"# @package _global_\n{change}\n")
    with pytest.raises(InputError, match=r"conf/variant/other\.yaml: .*must not change what jobs"):
        studies_from_workflow(
            {"experiment": "smoke", "overrides": overrides, "variants": ["other"]}, conf
        )


def test_replicates_of_another_collection_lie_together() -> None:
    settings = {"experiment": "dong2019", "variants": ["fold_1"], "replicates": ["0"]}
    settings["overrides"] = ["data=pubfig", "attacks.glasses.named_pairs=[]"]
    studies = studies_from_workflow(settings, CONF)
    assert list(studies) == ["dong2019_pubfig/seed_0", "dong2019_pubfig/variant_fold_1/seed_0"]
    assert {study.experiment for study in studies.values()} == {"dong2019_pubfig"}


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_every_fold_is_a_variant(fold: int) -> None:
    assert compose_study(CONF, "dong2019").data.fold == 0
    assert compose_study(CONF, "dong2019", variant=f"fold_{fold}").data.fold == fold


def test_never_occluded_means_not_masked_either() -> None:
    study = compose_study(CONF, "embedded", variant="no_occluded_copies")
    assert (study.recognizer.occluded_copies, study.recognizer.masked_copies) == (0, 0)


def test_other_masks_are_tried_on_the_same_network() -> None:
    usual = sections(compose_study(CONF, "smoke"), name="smoke")
    other = sections(compose_study(CONF, "smoke", variant="absolute_saliency"), name="smoke")
    changed = {name for name in usual if usual[name] != other[name]}
    assert "responses" in changed
    assert changed.isdisjoint({"recognizer", "attack_glasses", "controls", "detection"})
