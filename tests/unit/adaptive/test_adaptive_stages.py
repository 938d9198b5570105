"""The table of informed attackers, and every attacker on small defences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from adaptive.small_defences import images, masks, network, targets
from shipped import CONF, section

from glassguard.adaptive.defences import Squeezed, Undefended
from glassguard.adaptive.evaluation import Outcome, Victims, attack_all, informed_table
from glassguard.adaptive.settings import Adaptive
from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import AdaptiveSection, sections
from glassguard.detection.feature_squeezing import fewer_bits
from glassguard.errors import InputError
from glassguard.stages import adaptive

COUNT = 3


def settings(**changes: object) -> Adaptive:
    small = {"pictures": COUNT, "iterations": 6, "random_textures": 2, "queries": 4, "steps": [20]}
    return Adaptive.model_validate(section("adaptive/none", **(small | changes)))


def outcomes() -> list[Outcome]:
    defences = {
        "none": Undefended(network()),
        "squeezing@0.05": Squeezed(network(), (lambda one: fewer_bits(one, 2),), 0.4),
    }
    victims = Victims(
        images(COUNT), masks(COUNT).numpy(), targets(COUNT).numpy(), images(COUNT), range(COUNT)
    )
    return attack_all(network(), defences, victims, settings(), seed=0)


def test_every_attacker_meets_every_defence_and_the_worst_counts() -> None:
    found = outcomes()
    names = [(one.defence, one.attacker) for one in found]
    assert names == [
        *[(defence, "blind") for defence in ("none", "squeezing@0.05")],
        *[(defence, "random") for defence in ("none", "squeezing@0.05")],
        *[(defence, "best_of_k") for defence in ("none", "squeezing@0.05")],
        *[("squeezing@0.05", one) for one in ("hinge", "orthogonal", "sparse_rs")],
    ]
    by_name = dict(zip(names, found, strict=True))
    assert not by_name["none", "blind"].passed.any(), "the pictures are not attacked"
    assert by_name["none", "best_of_k"].restarts == 5
    assert np.array_equal(by_name["none", "best_of_k"].passed, by_name["none", "best_of_k"].fooled)
    for one in found:
        assert not (one.passed & ~one.fooled).any()
    again = outcomes()
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.passed, other.passed)


def test_rates_of_the_table() -> None:
    def outcome(attacker: str, fooled: list[int], passed: list[int]) -> Outcome:
        return Outcome("squeezing@0.05", attacker, 9, 1, np.array(fooled) > 0, np.array(passed) > 0)

    made = [
        outcome("blind", [1, 1, 0, 0], [1, 0, 0, 0]),
        outcome("hinge", [0, 1, 1, 0], [0, 1, 0, 0]),
    ]
    table = informed_table(made, {"squeezing@0.05": 0.05}).set_index("attacker")
    assert table["defence"].tolist() == ["squeezing"] * 3
    assert table["success"].tolist() == [0.25, 0.25, 0.5]
    assert table["detected"].tolist() == pytest.approx([0.5, 0.5, 1 / 3])
    assert table.loc["worst", "detected_n"] == 3
    assert (table["wanted_fpr"] == 0.05).all()
    assert (table["n"] == 4).all()


def config() -> AdaptiveSection:
    study = compose_study(CONF, "smoke", ["adaptive=informed"])
    return AdaptiveSection.model_validate(sections(study)["adaptive"])


def order_passed(order: list[int]) -> list[bool]:
    """Accepted as the target: where the certificate allows it, and where it says nothing."""
    return [row in (0, 2) for row in order]


def write_shard(path: Path, order: list[int], **changes: object) -> Path:
    shard = {
        "order": np.array(order),
        "defences": np.array(["none", "squeezing@0.05", "guard"]),
        "attackers": np.array(["blind"] * 3),
        "rates": np.array([np.nan, 0.05, np.nan]),
        "iterations": np.array([5] * 3),
        "restarts": np.array([0] * 3),
        "fooled": np.array([[True] * len(order)] * 3),
        "passed": np.array([[True] * len(order), [False] * len(order), order_passed(order)]),
        "banded_target": np.array([row == 0 for row in order]),
        "covered": np.array([row < 2 for row in order]),
    }
    np.savez(path, **(shard | changes))
    return path


def test_shards_are_gathered(tmp_path: Path) -> None:
    parts = [write_shard(tmp_path / "1.npz", [0, 2]), write_shard(tmp_path / "2.npz", [1])]
    files = {"table": tmp_path / "table.csv", "guard": tmp_path / "guard.csv"}
    metrics = adaptive.run(config(), shards=parts, **files)
    assert metrics == {
        "pictures": 3,
        "beyond_bound_of_guard": 0,
        "none": 1.0,
        "squeezing_0.05": 0.0,
        "guard": 2 / 3,
    }
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["n"].tolist() == [3] * 6
    guard = pd.read_csv(files["guard"]).set_index("attacker")
    assert guard.index.tolist() == ["blind", "worst"]
    assert guard.loc["worst", ["n", "covered", "banded_target"]].tolist() == [3, 2, 1]
    other = write_shard(tmp_path / "3.npz", [3], iterations=np.array([6, 5, 5]))
    with pytest.raises(InputError, match=r"3\.npz: made by other attackers"):
        adaptive.run(config(), shards=[*parts, other], **files)
