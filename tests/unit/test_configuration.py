"""The composed configuration, its slices and the sources of stages."""

import json
from pathlib import Path

import pytest

from glassguard.cli import main
from glassguard.configuration import compose, sources
from glassguard.configuration.compose import compose_study, study_from_workflow
from glassguard.configuration.slices import AttackSlice, read_slice, slices
from glassguard.errors import InputError

CONF = Path(__file__).parents[2] / "conf"


def refusal(settings: dict) -> str:
    with pytest.raises(InputError) as caught:
        study_from_workflow(settings, CONF)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("experiment", ["embedded", "smoke"])
def test_an_experiment_composes(experiment: str) -> None:
    assert compose_study(CONF, experiment).experiment == experiment


def test_smoke_overrides_what_the_root_file_sets() -> None:
    assert compose_study(CONF, "smoke").attack_shards == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"experiment": "embeded"}, ["embeded", "embedded, folder, smoke"]),
        ({"experimnt": "smoke"}, ["experimnt", "unknown key", "experiment=NAME"]),
        ({"overrides": 3}, ["--config overrides", "list of key=value"]),
        ({"overrides": ["saliency.grdi=1"]}, ["saliency.grdi", "did you mean grid?"]),
        (
            {"overrides": ["+attacks.glasses.stpe=1"]},
            ["attacks.glasses.stpe", "did you mean step?"],
        ),
        ({"overrides": ["attacks.glasses.step=-1"]}, ["attacks.glasses.step", "greater than 0"]),
        ({"overrides": ["saliency.grid.mu=[0.5,2]"]}, ["saliency.grid.mu.1", "less than 1"]),
        ({"overrides": ["data.image_size=33"]}, ["data.image_size", "multiple of 32"]),
        ({"overrides": ["backbone=vgg"]}, ["backbone/vgg", "pretrain"]),
        ({"overrides": ["seed"]}, ["'seed'"]),
        ({"overrides": ["seed=${nothing}"]}, ["nothing", "not found"]),
        ({"overrides": ["experiment=smoke"]}, ["--config experiment=NAME"]),
        ({"overrides": ["+attack@attacks.benign=glasses"]}, ["attacks.benign", "taken"]),
        ({"overrides": ["backbone.weights=a", "backbone.pool=b"]}, ["weights", "pool", "give one"]),
        ({"overrides": ["backbone.weights=nowhere"]}, ["backbone.weights", "nowhere"]),
        ({"experiment": "folder"}, ["data.root", "required"]),
        ({"experiment": "folder", "overrides": ["data.root=nowhere"]}, ["data.root", "nowhere"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(settings: dict, said: list[str]) -> None:
    message = refusal(settings)
    assert all(part in message for part in said), message


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


@pytest.mark.parametrize("source", ["embedded", "folder"])
def test_conf_spells_out_every_key_of_the_schema(source: str, tmp_path: Path) -> None:
    """Hydra overrides only what stands in a file, so a key that is missing cannot be set."""
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "1.png").touch()
    overrides = [f"data.root={tmp_path}"] if source == "folder" else []
    values, _ = compose._compose(CONF, source, overrides)

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

    typed = compose_study(CONF, source, overrides).model_dump(exclude={"experiment"})
    assert missing(typed, values, "") == []


def changed_slices(*overrides: str) -> set[str]:
    before = slices(compose_study(CONF, "smoke"))
    after = slices(compose_study(CONF, "smoke", overrides))
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "readers"),
    [
        ("saliency.grid.n=[3]", {"saliency"}),
        ("attacks.glasses.step=10", {"attack_glasses"}),
        ("backbone.pretraining.learning_rate=0.01", {"backbone"}),
        ("detector.seeds=3", {"detection"}),
        ("tracking.enabled=false", {"track"}),
    ],
)
def test_a_value_reaches_only_its_readers_and_the_report(override: str, readers: set[str]) -> None:
    assert changed_slices(override) == {*readers, "report"}


def test_a_slice_survives_its_file(tmp_path: Path) -> None:
    values = slices(compose_study(CONF, "smoke"))["attack_glasses"]
    path = tmp_path / "config" / "attack.yaml"
    assert main(["write-config", "--values", json.dumps(values), "--output", str(path)]) == 0
    assert read_slice(path, AttackSlice).model_dump(mode="json") == values


def test_sources_follow_imports_and_leave_the_configuration_out() -> None:
    found = {
        Path(path).resolve().relative_to(sources.PACKAGE) for path in sources.sources("attack")
    }
    assert Path("stages/attack.py") in found
    assert Path("stages/files.py") in found
    assert not [path for path in found if path.parts[0] in ("configuration", "cli.py", "errors.py")]
    assert Path("stages/report.py") not in found


def test_sources_are_sorted_and_follow_what_is_imported_indirectly() -> None:
    found = sources.sources("attack_shard")
    assert found == sorted(found)
    assert any(path.endswith("recognizer/network.py") for path in found)


def test_an_inventory_sees_pictures_but_not_dates(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = sources.inventory(tmp_path)
    (tmp_path / "a").touch()
    assert sources.inventory(tmp_path) == before
    (tmp_path / "b").write_text("1")
    assert sources.inventory(tmp_path) != before
    assert sources.inventory(None) == ""
