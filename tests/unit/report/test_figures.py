"""Every figure: files, captions, what it reads and what has to be imported to know of it."""

import inspect
import json
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ET

import jinja2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_up_study import OF_ONE_ATTACK, configuration

from glassguard.errors import InputError
from glassguard.report import detection_figures, influence_figures
from glassguard.report.figures import FIGURES
from glassguard.report.style import drawing, font_families
from glassguard.stages import figures as figures_stage


def test_every_figure_is_a_readable_svg_and_png(results):
    for name in OF_ONE_ATTACK:
        root = ET.parse(results / "figures" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
        png = (results / "figures" / f"{name}.png").read_bytes()
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(png[16:20], "big") >= 800


def test_figures_are_byte_identical_when_drawn_again(results, tmp_path):
    figures_stage.run(configuration(), results=results, figures=tmp_path)
    for path in sorted((results / "figures").iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_every_caption_counts_something(results):
    captions = json.loads((results / "figures" / "captions.json").read_text())
    assert list(captions) == OF_ONE_ATTACK
    for name, caption in captions.items():
        assert re.search(r"\bn = \d", caption), name
        assert ".0 %" not in caption, name
        assert "{" not in caption
    assert "n = 12, of which 8 succeeded" in captions["attack_confidence"]
    assert "n = 8 impersonations" in captions["roc"]
    assert "honest frames (n = 10)" in captions["roc"]
    assert "n = 2 of 8 successful attacks" in captions["heat_maps"]
    assert "n = 8 impersonations, 12 honest wearers" in captions["share_inside"]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_snakemakes_own_report_has_the_same_captions(figure):
    params = types.SimpleNamespace(captions={figure.name: "with its n = 12"})
    shown = jinja2.Template(figure.template).render(snakemake=types.SimpleNamespace(params=params))
    assert shown.endswith("\n\nwith its n = 12")


def test_fonts_of_other_scripts_are_asked_for_where_they_are_installed():
    assert font_families([]) == ["DejaVu Sans"]
    installed = ["Arial", "Hiragino Sans", "Noto Sans CJK SC"]
    assert font_families(installed) == ["DejaVu Sans", "Noto Sans CJK SC", "Hiragino Sans"]
    with drawing():
        assert matplotlib.rcParams["font.family"][0] == "DejaVu Sans"


def test_captions_do_not_need_heavy_packages():
    program = (
        "import sys, glassguard.report.figures; "
        "print([name for name in ('matplotlib', 'torch', 'pandas') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_missing_file_is_named(results, tmp_path):
    with pytest.raises(InputError, match=r"examples\.csv"):
        figures_stage.run(configuration(), results=tmp_path, figures=tmp_path / "figures")


def test_figures_of_no_success_say_so(results) -> None:
    columns = ["detector", "fpr", "fpr_n", "tpr", "tpr_n"]
    examples = pd.read_csv(results / "attacks/glasses/examples.csv").assign(success=False)
    manifest = pd.read_csv(results / "data/manifest.csv", keep_default_na=False)
    ids = [*manifest["image_id"], *examples["example_id"]]
    profiles = pd.DataFrame(np.zeros((len(ids), 2)), index=ids)
    given = (profiles, profiles, manifest, examples, {"slice": "fc6"})
    for figure, _ in (
        detection_figures.roc(pd.DataFrame(columns=columns), examples),
        influence_figures.profile_projection(*given),
        influence_figures.profiles(*given),
    ):
        (axes,) = figure.axes
        assert "no attack of the test split succeeded" in axes.texts[0].get_text()


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_is_given_what_it_reads_and_nothing_else(figure):
    function = getattr(figures_stage.DRAWN_IN[figure.act], figure.name)
    declared = {*figure.reads, *figure.settings}
    taken = inspect.signature(function).parameters
    needed = {name for name, one in taken.items() if one.default is one.empty}
    assert needed <= declared <= set(taken)


def test_names_of_figures_are_their_own():
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
