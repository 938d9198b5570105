"""Figures of influence: profiles, receptive fields, heat maps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_study import write_experts
from matplotlib.figure import Figure
from shipped import section

from glassguard.influence.settings import Experts
from glassguard.report import influence_figures
from glassguard.report.style import drawing

SUCCESSES = pd.DataFrame({"split": ["test"] * 4, "success": [True] * 4})
EXPERTS = Experts.model_validate(section("influence/internal")["experts"])


def figures_of(maps: dict[str, np.ndarray]) -> list[Figure]:
    return [
        influence_figures.receptive_fields(maps, SUCCESSES, experts=EXPERTS)[0],
        influence_figures.heat_maps(maps, SUCCESSES)[0],
    ]


def test_figures_of_experts_say_that_no_attack_succeeded(tmp_path):
    write_experts(tmp_path, np.random.default_rng(0), pairs=0)
    with np.load(tmp_path / "experts.npz") as file:
        maps = dict(file)
    for figure in figures_of(maps):
        (axes,) = figure.axes
        assert "no attack of the test split succeeded" in axes.texts[0].get_text()
    figure, _ = influence_figures.share_inside(pd.read_csv(tmp_path / "share_inside.csv"))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "impersonations, inside their glasses: none" in labels


def experts_of(folder: Path) -> dict[str, np.ndarray]:
    write_experts(folder, np.random.default_rng(0))
    with np.load(folder / "experts.npz") as file:
        return dict(file)


def test_maps_of_nothing_say_so(tmp_path: Path) -> None:
    maps = experts_of(tmp_path)
    maps["heat"][2, 4] = 0
    maps["strongest"][2, 4] = False
    for figure in figures_of(maps):
        said = [axes for axes in figure.axes for text in axes.texts if "no infl" in text.get_text()]
        (empty,) = said
        position = empty.get_subplotspec()
        assert position.colspan.start == 3, "of the third layer"
        # Rows of pictures with a gap between the pairs.
        assert position.rowspan.start == 5
    (picture,) = empty.images
    assert np.ma.getmaskarray(picture.get_array()).all(), "no colour of the scale"


def test_heat_maps_share_a_scale_of_square_roots_in_a_column(tmp_path: Path) -> None:
    maps = experts_of(tmp_path)
    maps["heat"][1] *= maps["heat"][1]
    figure, _ = influence_figures.heat_maps(maps, SUCCESSES)
    scales = {
        axes.get_subplotspec().colspan.start: image.norm
        for axes in figure.axes
        for image in axes.images
        if axes.get_subplotspec().colspan.start
    }
    of_column = [
        {id(image.norm) for axes in figure.axes for image in axes.images if image.norm is scale}
        for scale in scales.values()
    ]
    assert [len(one) for one in of_column] == [1, 1, 1]
    for scale in scales.values():
        assert float(scale(scale.vmax / 4)) == pytest.approx(0.5)
    assert scales[2].vmax > scales[1].vmax


def test_names_are_no_formulas(tmp_path: Path) -> None:
    name = "cost $\\frac$ 5$"
    manifest = pd.DataFrame({"image_id": ["a", "b"], "identity": name, "split": "test"})
    examples = pd.DataFrame({"example_id": ["c"], "target": name, "split": "test", "success": True})
    profiles = pd.DataFrame(np.ones((3, 3)), index=["a", "b", "c"])
    given = (profiles, profiles, manifest, examples, {"slice": "fc6"})
    with drawing():
        figure, numbers = influence_figures.profiles(*given)
        figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 0
    assert numbers == {"slice": "fc6", "benign": 2, "impersonations": 1}
