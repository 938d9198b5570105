"""Which values each stage reads."""

from pathlib import Path

import pytest
import yaml
from shipped import CONF

from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import AttackSection, read_section, sections
from glassguard.configuration.stamps import section_stamps


def changed_sections(*overrides: str) -> set[str]:
    before = sections(compose_study(CONF, "smoke", ["backbone=tiny"]))
    after = sections(compose_study(CONF, "smoke", ["backbone=tiny", *overrides]))
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "readers"),
    [
        ("saliency.grid.n=[3]", {"mask_grid"}),
        ("saliency.search.trials=7", {"mask_grid"}),
        ("saliency.source_setting.n=3", {"mask_grid", "mask_evaluation"}),
        ("saliency.confidence_threshold=0.7", {"mask_evaluation"}),
        ("saliency.largest_clean_loss=0.1", {"mask_evaluation"}),
        ("detector.masking.phi=5", {"responses"}),
        ("detector.baselines.squeezing.bits=4", {"responses", "fit_detectors", "adaptive"}),
        ("saliency.top_classes=2", {"responses", "adaptive"}),
        ("influence.reduction=mean", {"responses", "adaptive"}),
        ("attacks.glasses.step=10", {"attack_glasses"}),
        ("backbone.pretraining.learning_rate=0.01", {"backbone"}),
        ("detector.seeds=3", {"fit_detectors"}),
        ("detector.bootstrap=70", {"detection"}),
        ("detector.minimum_benign_other=0.9", {"fit_detectors", "detection"}),
        ("downloads.files.yunet.maximum_bytes=7", {"fetch_yunet"}),
        ("guard.margin=0.1", {"banded_recognizer", "guard"}),
        ("guard.mode=correct", {"guard"}),
        ("guard.occluded_copies=1", {"banded_recognizer"}),
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
