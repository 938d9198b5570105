"""Networks that come with the package."""

import hashlib
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from shipped import CONF, section

from glassguard.cli import main
from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import sections
from glassguard.errors import InputError
from glassguard.faces.embedded.identity import draw_identity
from glassguard.recognizer import shipped_networks
from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.settings import ShippedNetwork
from glassguard.recognizer.shipped_networks import FOLDER, network_bytes, network_record
from glassguard.recognizer.weights import read_backbone
from glassguard.stages.pool import FIRST_IDENTITY

NAMES = get_args(ShippedNetwork)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_what_its_record_says(name: ShippedNetwork) -> None:
    path, record = FOLDER / f"{name}.safetensors", network_record(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256
    assert path.stat().st_size <= 4_000_000
    backbone = read_backbone(path)
    assert backbone.width == record.backbone["width"]
    assert list(backbone.tensors) == [
        f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias")
    ]
    assert all(np.isfinite(tensor.numpy()).all() for tensor in backbone.tensors.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_model_card_has_the_figures_of_the_record(name: ShippedNetwork) -> None:
    card, record = (FOLDER / f"{name}.md").read_text(), network_record(name)
    metrics = record.metrics
    assert re.findall(r"\b[0-9a-f]{64}\b", card) == [record.sha256]
    assert f"{float(metrics['pool_val_accuracy']):.3f}" in card
    assert f"{metrics['pool_identities']} people" in card
    assert f"{metrics['pool_images']:,} pictures" in card
    assert f"torch {record.torch}" in card


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_pretraining_are_those_of_the_network(name: ShippedNetwork) -> None:
    """So the command of the model card makes the same network, and the configuration tells."""
    told = section("backbone/pretrain")
    recorded = network_record(name).backbone
    assert recorded == json.loads(json.dumps({key: told[key] for key in recorded}))
    study = compose_study(CONF, "embedded")
    assert study.backbone.shipped == name
    assert (study.data.image_size, study.seed) == (network_record(name).image_size, 0)


def test_nobody_of_a_study_is_in_the_pool_whatever_its_seed() -> None:
    record = network_record("drawn_faces")
    numbers = range(FIRST_IDENTITY, FIRST_IDENTITY + record.backbone["pretraining"]["identities"])
    pool = {draw_identity(record.seed, number) for number in numbers}
    assert len(pool) == len(numbers)
    # A study has at most 1,000 people, numbered from 0.
    people = compose_study(CONF, "embedded").data.identities
    assert people is not None
    for seed in range(11):
        assert not pool & {draw_identity(seed, number) for number in range(people)}
    assert not pool & {draw_identity(record.seed, number) for number in range(1000)}


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = network_record("drawn_faces").sha256
    content = network_bytes("drawn_faces", sha256=sha256)
    monkeypatch.setattr(shipped_networks, "FOLDER", tmp_path)
    (tmp_path / "drawn_faces.safetensors").write_bytes(content[:-1] + b"\0")
    with pytest.raises(InputError, match=r"drawn_faces\.safetensors: SHA-256 is \w{64}, expected"):
        network_bytes("drawn_faces", sha256=sha256)


def test_the_stage_copies_the_network_and_tells_where_it_comes_from(tmp_path: Path) -> None:
    section = sections(compose_study(CONF, "embedded"))["shipped_backbone"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(section))
    backbone, metrics = tmp_path / "out" / "backbone.safetensors", tmp_path / "out" / "metrics.json"
    arguments = ["--config", str(tmp_path / "config.yaml")]
    arguments += ["--backbone", str(backbone), "--metrics", str(metrics)]
    assert main(["shipped_backbone", *arguments]) == 0
    assert backbone.read_bytes() == (FOLDER / "drawn_faces.safetensors").read_bytes()
    told = json.loads(metrics.read_text())
    assert told["backbone"] == "pretrained on other people (the shipped network drawn_faces)"
    assert told["sha256"] == section["sha256"]


def test_the_seed_of_a_study_does_not_change_its_backbone() -> None:
    one, other = (sections(compose_study(CONF, "embedded", [f"seed={n}"])) for n in (1, 2))
    assert one["shipped_backbone"] == other["shipped_backbone"]
    assert one["recognizer"] != other["recognizer"]
