"""Stages import the large libraries that they compute with, and no others."""

import pytest
from shipped import ROOT, script_of

from glassguard.cli import STAGES

WITH_TORCH = {
    "pretrain",
    "import_backbone",
    "recognizer",
    "attack_shard",
    "controls",
    "robustness",
    "open_set",
    "responses",
    "experts",
    "banded_recognizer",
    "landmarks",
    "guard",
    "certify",
    "adaptive_shard",
    "adaptive",
    "mask_grid_shard",
    "mask_evaluation",
    "mask_transfer",
}
"""They pass pictures through a network, or read one."""

WITH_SCIKIT_LEARN = {"fit_detectors", "detection", "figures"}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in WITH_TORCH])
def test_a_stage_without_a_network_starts_fast(stage: str) -> None:
    _, libraries = script_of("imports", ROOT / "benchmarks").measured(stage)
    assert not {"torch", "pytorch_lightning", "requests", "optuna", "mlflow"} & {*libraries}
    assert ("sklearn" in libraries) == (stage in WITH_SCIKIT_LEARN)
    assert ("matplotlib" in libraries) == (stage == "figures")


@pytest.mark.parametrize("stage", ["attack_shard", "mask_grid_shard"])
def test_lightning_is_for_training(stage: str) -> None:
    _, libraries = script_of("imports", ROOT / "benchmarks").measured(stage)
    assert not {"pytorch_lightning", "matplotlib", "sklearn"} & {*libraries}
