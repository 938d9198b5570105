"""How many shards there are, and the time that a cluster is asked for."""

import pytest
from shipped import CONF

from glassguard.configuration.compose import compose_study
from glassguard.configuration.costs import (
    attack_minutes,
    attack_shards,
    grid_minutes,
    grid_shards,
    pretraining_minutes,
    relative_work,
    time_limit,
)
from glassguard.configuration.schema import Study


def study(*overrides: str, experiment: str = "embedded") -> Study:
    plain = ["backbone=pretrain", "saliency.search.method=grid"]
    return compose_study(CONF, experiment, [*plain, *overrides])


def test_cost_follows_pixels_width_points_and_pictures() -> None:
    here = study("backbone.width=0.5")
    assert relative_work(here) == 1.0
    assert relative_work(study("backbone.width=1", "data.image_size=192")) == 16.0

    grid = here.saliency.grid
    points = len(grid.map) * len(grid.mu) * len(grid.n) * len(grid.phi) * len(grid.fill)
    attack = here.attacks["glasses"]
    pairs = attack.targets * attack.attackers_per_target
    expected = points * 2 * pairs * attack.validation_images * here.costs.seconds_per_mask / 60
    assert grid_minutes(here) == pytest.approx(expected)
    few = study("backbone.width=0.5", "saliency.grid.images=12")
    assert grid_minutes(few) == pytest.approx(expected * 12 / (pairs * attack.validation_images))
    drawn = study("backbone.width=0.5", "saliency.search.method=random", "saliency.search.trials=9")
    assert grid_minutes(drawn) == pytest.approx(expected * 9 / points)

    pictures = pairs * (attack.validation_images + attack.test_images)
    seconds = pictures * here.costs.seconds_per_attacked_picture
    assert attack_minutes(here) == pytest.approx(seconds / 60)


def test_pretraining_costs_what_its_epochs_show() -> None:
    steps = "backbone.pretraining.steps=[{image_size:96,epochs:2},{image_size:48,epochs:4}]"
    here = study("backbone.width=0.5", steps, "backbone.pretraining.threads=1")
    pretraining = here.backbone.pretraining
    pictures = pretraining.identities * pretraining.images_per_identity
    expected = pictures * 3 * here.costs.seconds_per_pretraining_picture / 60
    assert pretraining_minutes(here) == pytest.approx(expected)
    assert time_limit(pretraining_minutes(study("backbone=tiny")), here) == 5


def test_costly_work_is_split_into_more_jobs() -> None:
    costly = ("backbone.width=1", "data.image_size=224")
    for shards, minutes in ((attack_shards, attack_minutes), (grid_shards, grid_minutes)):
        large = study(*costly)
        assert shards(large) > large.costs.least_shards
        share = minutes(large) / shards(large)
        assert large.costs.shard_minutes / 2 < share <= large.costs.shard_minutes
        assert shards(study("costs.seconds_per_mask=1e-9", "backbone.width=0.0625")) == 4


def test_numbers_that_are_given_are_kept() -> None:
    given = study("attack_shards=7", "saliency.grid.shards=9")
    assert (attack_shards(given), grid_shards(given)) == (7, 9)
    for method in ("bayesian", "racing"):
        assert grid_shards(study(f"saliency.search.method={method}")) == 1


def test_the_time_limit_has_headroom_and_a_least_value() -> None:
    here = study("costs.headroom=3", "costs.least_minutes=5")
    assert [time_limit(minutes, here) for minutes in (0.1, 5.0, 5.01)] == [5, 15, 16]
