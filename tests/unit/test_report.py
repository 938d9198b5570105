"""The report's figures, tables, headline and page, on a small made-up study."""

import itertools
import json
import re
import shutil
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import jinja2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from shipped import section

from glassguard.configuration.schema import Study
from glassguard.configuration.sections import ReportSection
from glassguard.errors import InputError
from glassguard.recognizer.layers import LAYERS, SLICES, paper_index
from glassguard.report import (
    attack_figures,
    detection_figures,
    influence_figures,
    saliency_figures,
    sources_figures,
)
from glassguard.report.captions import CAPTIONS, FIGURES, figures_of
from glassguard.report.page import headline
from glassguard.report.style import drawing, font_families, whole_percent
from glassguard.report.summary import (
    attack_rates,
    covered_seconds,
    evaluation_rates,
    started,
    timings,
)
from glassguard.report.tables import (
    attacks_table,
    choices_table,
    evaluation_table,
    pairs_table,
    rate,
)
from glassguard.stages import figures as figures_stage
from glassguard.stages import report as report_stage
from glassguard.statistics import wilson_interval

PEOPLE = ["ann", "bob", "007", "NA"]
SIDE = 32
REPORT_CAPTIONS = Path(__file__).resolve().parents[2] / "workflow" / "report"
JOBS = ("data", "attack_0", "detection")
RATES = ("adversarial_success", "adversarial_correct", "clean_accuracy", "defence_success")


def configuration(source="embedded", attacks=("glasses",)):
    data = section(f"data/{source}")
    if source == "folder":
        data["root"] = "x"
    grid = {"mu": [0.9, 0.98], "n": [0, 8], "phi": [0, 80], "fill": ["zero", "telea"]}
    attack = section("attack/glasses", printable_colours=[[1, 0, 0]])
    return ReportSection(
        study=Study.model_validate(
            {
                "experiment": "made_up",
                "seed": 3,
                "data": data,
                "downloads": section("downloads/published"),
                "backbone": section("backbone/pretrain"),
                "recognizer": section("recognizer/dense"),
                "costs": section("costs/measured"),
                "attack_shards": 1,
                "attacks": dict.fromkeys(attacks, attack),
                "controls": section("controls/frames", colour=[1, 1, 0]),
                "influence": section("influence/internal"),
                "detector": section("detector/linear", variants=["raw", "standardised"]),
                "saliency": section("saliency/guided", grid=grid),
                "tracking": section("tracking/mlflow"),
            }
        )
    )


def with_interval(row, name, successes, n):
    low, high = wilson_interval(successes, n)
    return row | {name: successes / n, f"{name}_n": n, f"{name}_low": low, f"{name}_high": high}


def write_experts(folder: Path, generator: np.random.Generator, *, pairs: int = 2) -> None:
    kinds = ["impersonation", "attacker", "target"] * pairs
    shape = (3, len(kinds), SIDE, SIDE)
    frames = np.zeros(shape[1:], dtype=bool)
    frames[::3, 10:16, 4:28] = True
    np.savez(
        folder / "experts.npz",
        images=generator.integers(0, 256, (len(kinds), SIDE, SIDE, 3), dtype=np.uint8),
        frames=frames,
        pair=np.arange(pairs).repeat(3),
        kind=np.array(kinds, dtype=np.str_),
        identity=np.array(["ann", "ann", "007"] * pairs, dtype=np.str_),
        layers=np.array(["conv1_2", "conv3_2", "fc6"]),
        heat=generator.random(shape, dtype=np.float32),
        fields=generator.random(shape, dtype=np.float32),
        strongest=generator.random(shape) > 0.95,
    )
    rows = [
        {
            "set": name,
            "slice": layer,
            "paper_index": paper_index(layer),
            "n": n,
            "share_inside": 0.1 if n else None,
            "frame_area": 0.067 if n else None,
            "ratio": 1.5 if n else None,
            "ratio_low": 1.2 if n > 1 else None,
            "ratio_high": 1.8 if n > 1 else None,
        }
        for name, n in (
            ("impersonations", 4 * pairs),
            ("without_glasses", 4 * pairs),
            ("plain_frames", 12),
        )
        for layer in LAYERS
    ]
    pd.DataFrame(rows).to_csv(folder / "share_inside.csv", index=False)


def write_results(root: Path) -> None:
    generator = np.random.default_rng(0)
    for folder in (
        "data",
        "recognizer",
        "attacks/glasses",
        "detection",
        "saliency",
        "influence/benign",
        "influence/glasses",
        "tracking/outbox",
        "benchmarks",
    ):
        (root / folder).mkdir(parents=True)

    def pictures(count):
        return generator.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)

    def table(path, rows):
        pd.DataFrame(rows).to_csv(root / path, index=False)

    manifest = [
        {
            "image_id": f"{name}-{split}-{index}",
            "identity": name,
            "split": split,
            "source": "",
            "sha256": "",
            "width": SIDE,
            "height": SIDE,
            "left_eye_x": 9,
            "left_eye_y": 12,
            "right_eye_x": 22,
            "right_eye_y": 12,
            "aligned_by": "drawn",
        }
        for name, split, index in itertools.product(PEOPLE, ("train", "val", "test"), range(3))
    ]
    table("data/manifest.csv", manifest)
    np.save(root / "data/images.npy", pictures(len(manifest)))
    metrics = {"train_accuracy": 1.0, "val_accuracy": 0.75, "test_accuracy": 0.5}
    metrics |= {"train_images": 12, "val_images": 12, "test_images": 12}
    metrics["backbone"] = "pretrained on other people"
    (root / "recognizer/metrics.json").write_text(json.dumps(metrics))
    table(
        "recognizer/history.csv",
        [
            {
                "epoch": e,
                "train_loss": 1 / e,
                "train_accuracy": 1 - 0.3 / e,
                "val_loss": 1.2 / e,
                "val_accuracy": 1 - 0.4 / e,
            }
            for e in range(1, 6)
        ],
    )
    examples = []
    for split, target, attacker in itertools.product(("val", "test"), PEOPLE[:2], PEOPLE[2:]):
        for index in range(3):
            success = index > 0
            examples.append(
                {
                    "example_id": f"g{len(examples):05d}",
                    "image_id": f"{attacker}-{split}-{index}",
                    "split": split,
                    "attacker": attacker,
                    "target": target,
                    "goal": "impersonation",
                    "iterations": 20 * (index + 1),
                    "gradients": 60,
                    "initial_prediction": attacker,
                    "prediction": target if success else attacker,
                    "confidence_true": 0.1,
                    "confidence_target": 0.95 if success else 0.2,
                    "success": success,
                    "success_jpeg": index > 1,
                    "frame_area": 0.067,
                }
            )
    table("attacks/glasses/examples.csv", examples)
    np.save(root / "attacks/glasses/images.npy", pictures(len(examples)))
    for name, ids in (
        ("benign", [row["image_id"] for row in manifest]),
        ("glasses", [row["example_id"] for row in examples]),
    ):
        np.savez(
            root / f"influence/{name}/profiles.npz",
            conv4_3=generator.normal(size=(len(ids), 8)).astype(np.float32),
            ids=np.array(ids),
        )

    write_experts(root / "influence", generator)

    layers = []
    for slice_name, variant in itertools.product(SLICES, ("raw", "standardised_tuned")):
        row = {
            "slice": slice_name,
            "paper_index": paper_index(slice_name),
            "size": 8,
            "quantity": "logit",
            "variant": variant,
        }
        for name in ("benign_target", "benign_other", "impersonation"):
            row = with_interval(row, name, 3, 4)
            row = with_interval(row, f"test_{name}", 2, 4)
        layers.append(
            row
            | {
                "balanced_accuracy": generator.uniform(0.5, 1),
                "balanced_accuracy_lowest_seed": 0.5,
                "balanced_accuracy_highest_seed": 1.0,
                "benign_target_named": 0.9 if slice_name in ("conv4_3", "fc6") else 0.7,
                "benign_other": 0.98,
                "auc": 0.9,
                "auc_lowest_seed": 0.8,
                "auc_highest_seed": 0.95,
                "seeds": 10,
            }
        )
    table("detection/layers.csv", layers)
    best = {"slice": "conv4_3", "paper_index": 14, "size": 8, "variant": "raw", "score": 0.9}
    (root / "detection/best_layer.json").write_text(json.dumps(best))
    pairs = []
    for target, attacker in itertools.product(PEOPLE[:2], PEOPLE[2:]):
        row = {"target": target, "attacker": attacker, "slice": "conv4_3", "variant": "raw"}
        row = with_interval(row, "benign_target", 3, 3)
        row = with_interval(row, "benign_other", 8, 9)
        pairs.append(with_interval(row, "impersonation", 1, 2))
    table("detection/table1.csv", pairs)
    curve = [
        {"detector": detector, "fpr": x, "fpr_n": n, "tpr": x**power}
        for detector, power, n in (
            ("influence", 0.2, 12),
            ("influence_with_frames", 0.4, 12),
            ("confidence", 0.8, 12),
            ("influence@half_wearing", 0.3, 10),
        )
        for x in np.linspace(0, 1, 20)
    ]
    table("detection/roc.csv", curve)
    choice = {"slice": "conv4_3", "variant": "raw", "chosen_by": "most pairs"}
    table(
        "detection/choices.csv",
        [
            choice | {"detector": "influence", "pairs": 3, "used": True},
            choice | {"detector": "influence", "slice": "fc6", "pairs": 1, "used": False},
            choice
            | {"detector": "distance_euclidean", "chosen_by": "as influence", "used": True}
            | {"variant": "euclidean"},
        ],
    )
    table(
        "detection/controls.csv",
        [
            {
                "detector": detector,
                "control": control,
                "flag_rate": 0.25,
                "n": 12,
                "flag_rate_low": 0.1,
                "flag_rate_high": 0.5,
                "misnamed_bare": 0.0,
                "misnamed": 0.125,
            }
            for detector in ("influence", "influence@0.05", "influence@0.05@half_wearing")
            for control in ("plain_frames", "random_frames", "failed_attacks")
        ],
    )
    table(
        "detection/attacks.csv",
        [
            with_interval(
                {
                    "attack": attack,
                    "detector": "influence",
                    "population": population,
                    "wanted_fpr": wanted,
                    "threshold": 1.5 + wanted,
                    "auc": 0.9,
                    "auc_low": 0.8,
                    "auc_high": 1.0,
                },
                "tpr",
                3,
                count,
            )
            for attack, count in (("glasses", 4), ("sticker", 6))
            for population in ("bare", "half_wearing")
            for wanted in (0.01, 0.05)
        ],
    )
    table(
        "detection/histograms.csv",
        [
            {
                "slice": "conv4_3",
                "metric": metric,
                "group": group,
                "lower": x,
                "upper": x + 1,
                "count": 3,
                "share": 0.25,
            }
            for metric, group, x in itertools.product(
                ("euclidean", "flag_score"), ("within", "impersonation"), range(4)
            )
        ],
    )
    table(
        "detection/distance_matrix.csv",
        [
            {
                "slice": "conv4_3",
                "metric": "euclidean",
                "identity": a,
                "other": b,
                "distance": float(a != b),
            }
            for a, b in itertools.product(PEOPLE, PEOPLE)
        ],
    )
    detection = {
        "slice": "conv4_3",
        "variant": "standardised_tuned",
        "auc": 0.987,
        "pairs": [{"target": "ann", "attacker": "007"}],
        "tpr_at_fpr": {"0.01": 0.5, "0.05": 0.75, "0.0991": 1.0},
        "flag_rate": {"plain_frames": 0.25, "random_frames": 0.25, "failed_attacks": None},
        "detectors": [
            {
                "detector": detector,
                "population": population,
                "wanted_fpr": wanted,
                "threshold": 1.0,
                "fpr": 0.0,
                "fpr_n": 12,
                "fpr_low": 0.0,
                "fpr_high": 0.3,
                "tpr": 0.5,
                "tpr_n": 8,
                "tpr_low": 0.2,
                "tpr_high": 0.8,
                "auc": auc,
                "auc_low": auc,
                "auc_high": auc,
            }
            for population in ("bare", "half_wearing")
            for detector, auc in (("influence", 0.987), ("softmax_confidence", None))
            for wanted in (0.01, 0.05, 0.0991)
        ],
    }
    (root / "detection/summary.json").write_text(json.dumps(detection))

    grid = [
        {
            "mu": mu,
            "mu_as": "quantile",
            "map": kind,
            "n": n,
            "phi": phi,
            "fill": fill,
            "ac_clean_real": 0.9,
            "ac_adv_real": 0.7,
            "ac_adv_target": 0.1,
            "goodness": generator.uniform(0.5, 0.9),
            "n_clean": 12,
            "n_adv": 12,
        }
        for kind, mu, n, phi, fill in itertools.product(
            ("guided", "relative"), (0.9, 0.98), (0, 8), (0, 80), ("zero", "telea")
        )
    ]
    table("saliency/grid.csv", grid)
    top = max(grid, key=lambda row: row["goodness"])
    chosen = dict.fromkeys(("clean", "adversarial_correct", "adversarial_success", "goodness"), top)
    chosen |= {"by_fill": {"zero": grid[0], "telea": grid[1]}, "source_setting": grid[0]}
    by_map = {
        kind: max((row for row in grid if row["map"] == kind), key=lambda row: row["goodness"])
        for kind in ("guided", "relative")
    }
    chosen |= {"by_map": by_map}
    chosen |= {"network_passes": 1234, "network_passes_naive": 56789, "n_clean": 12, "n_adv": 12}
    (root / "saliency/best.json").write_text(json.dumps(chosen))
    evaluation, thresholds = [], []
    for defence, threshold in itertools.product(
        ("none", "saliency", "saliency_source", "oracle", "random"), (None, 0.8)
    ):
        row = {
            "attack": "glasses",
            "defence": defence,
            "fill": "" if defence == "none" else "zero",
            "threshold": threshold,
        }
        hits = 8 if defence == "none" else 1
        row = with_interval(row, "adversarial_success", hits, 12)
        for name in RATES[1:]:
            row = with_interval(row, name, 9, 12)
        if defence != "none":
            row |= {"mask_iou": 0.4, "mask_iou_n": 12, "mask_iou_low": 0.3, "mask_iou_high": 0.5}
        evaluation.append(row)
    for defence, threshold in itertools.product(("none", "saliency"), np.linspace(0, 1, 11)):
        thresholds.append(
            {"defence": defence, "fill": "zero", "threshold": threshold, "split": "test"}
            | {f"{name}{end}": 1 - threshold for name in RATES for end in ("", "_low", "_high")}
        )
    table("saliency/evaluation.csv", evaluation)
    table("saliency/threshold_curve.csv", thresholds)
    point = {"threshold": 0.7, "chosen_on": "val", "largest_clean_loss": 0.05}
    for split in ("val", "test"):
        point[split] = {}
        for name in RATES:
            point[split] = with_interval(point[split], name, 9, 12)
    (root / "saliency/working_point.json").write_text(json.dumps(point))
    count = 5
    masks = generator.random((count, SIDE, SIDE)) > 0.7
    np.savez(
        root / "saliency/masks.npz",
        images=pictures(count),
        filled=pictures(count),
        saliency=generator.random((count, SIDE, SIDE), dtype=np.float32),
        thresholded=masks,
        closed=masks,
        filtered=masks,
        frames=masks,
        worked=np.array([True, True, True, False, False]),
        mu=0.9,
        n=1,
        phi=4,
        attacker=np.array(["007"] * count),
        target=np.array(["ann"] * count),
        prediction_before=np.array(["ann"] * count),
        prediction_after=np.array(["007"] * count),
        confidence_before=np.linspace(0.5, 1, count),
        confidence_after=np.linspace(0.4, 1, count),
    )
    for job, stage, start, end in (
        ("data", "data", 1000.0, 1010.0),
        ("attack_0", "attack_shard", 1005.0, 1020.0),
        ("detection", "detection", 1100.0, 1130.0),
        ("attack_of_a_former_run", "attack_shard", 1.0, 6000.0),
    ):
        record = {"stage": stage, "started": start, "ended": end, "params": {}, "metrics": {}}
        (root / f"tracking/outbox/{job}.json").write_text(json.dumps(record))
    (root / "benchmarks/data.tsv").write_text(
        "s\th:m:s\tmax_rss\tcpu_time\n10.5\t0:00:10\t321.5\t9.75\n"
    )
    for job in ("attack_0", "attack_of_a_former_run"):
        (root / f"benchmarks/{job}.tsv").write_text("s\tmax_rss\tcpu_time\n1\t2\t3\n")
    (root / "benchmarks/detection.tsv").write_text(
        "s\th:m:s\tmax_rss\tcpu_time\n0.2\t0:00:00\tNA\tNA\n"
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results") / "made_up"
    write_results(root)
    figures_stage.run(configuration(), results=root, figures=root / "figures")
    report(root, configuration())
    return root


def report(root, config):
    return report_stage.run(
        config,
        results=root,
        records=[root / f"tracking/outbox/{job}.json" for job in JOBS],
        summary=root / "summary.json",
        page=root / "report.html",
        timings=root / "timings.csv",
    )


def test_every_figure_is_a_readable_svg_and_png(results):
    for name in FIGURES:
        root = ET.parse(results / "figures" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
        png = (results / "figures" / f"{name}.png").read_bytes()
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(png[16:20], "big") >= 800


def test_figures_are_byte_identical_when_drawn_again(results, tmp_path):
    figures_stage.run(configuration(), results=results, figures=tmp_path)
    for path in sorted((results / "figures").iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_other_attacks_stand_beside_the_first(results):
    table = attacks_table(pd.read_csv(results / "detection/attacks.csv"))
    assert table.header == ("detector", "glasses (n = 4)", "sticker (n = 6)")
    assert table.rows[0][1].startswith("75.0 %")
    assert table.rows[0][2].endswith("; 0.900 [0.800–1.000]")


def test_every_caption_counts_something(results):
    captions = json.loads((results / "figures" / "captions.json").read_text())
    assert tuple(captions) == FIGURES
    for name, caption in captions.items():
        assert re.search(r"\bn = \d", caption), name
        assert ".0 %" not in caption, name
        assert "{" not in caption
    assert "n = 12, of which 8 succeeded" in captions["attack_confidence"]
    assert "n = 8 impersonations" in captions["roc"]
    assert "honest frames (n = 10)" in captions["roc"]
    assert "n = 2 of 8 successful attacks" in captions["heat_maps"]
    assert "n = 8 impersonations, 12 honest wearers" in captions["share_inside"]


def test_figures_of_experts_say_that_no_attack_succeeded(tmp_path):
    write_experts(tmp_path, np.random.default_rng(0), pairs=0)
    with np.load(tmp_path / "experts.npz") as file:
        maps = dict(file)
    for draw in (influence_figures.receptive_fields, influence_figures.heat_maps):
        (axes,) = draw(maps).axes
        assert "no attack of the test split succeeded" in axes.texts[0].get_text()
    figure = influence_figures.share_inside(pd.read_csv(tmp_path / "share_inside.csv"))
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
    for draw in (influence_figures.receptive_fields, influence_figures.heat_maps):
        figure = draw(maps)
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
    figure = influence_figures.heat_maps(maps)
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


@pytest.mark.parametrize("named", [0.9, 0.7])
def test_slices_that_are_not_acceptable_are_hollow(results: Path, named: float) -> None:
    table = pd.read_csv(results / "detection/layers.csv").assign(benign_target_named=named)
    rejecting = table["slice"].isin(["conv1_1", "fc7"])
    table.loc[rejecting, "benign_other"] = 0.5
    floors = (0.8, 0.97)
    figure = detection_figures.layers(table, chosen="conv1_2", variant="raw", floors=floors)
    upper = figure.axes[0]
    count = len(LAYERS)
    hollow = {
        int(place)
        for line in upper.lines
        if line.get_markerfacecolor() == "white"
        for place in line.get_xdata()
    }
    assert hollow == ({0, count - 1} if named == 0.9 else set(range(count)))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["hollow: not acceptable", "chosen: conv1_2"]
    assert not upper.texts, "nothing is written onto the curves"


def test_the_lowest_area_under_a_curve_is_not_cut(results: Path) -> None:
    table = pd.read_csv(results / "detection/layers.csv")
    table.loc[table["slice"] == "fc7_pre_relu", "auc"] = 0.05
    figure = detection_figures.layers(table, chosen="fc6", variant="raw", floors=(0.8, 0.97))
    assert figure.axes[3].get_ylim()[0] < 0.05


def test_the_threshold_of_the_flag_score_is_drawn(results: Path) -> None:
    table = pd.read_csv(results / "detection/histograms.csv")
    for threshold, side in ((1.0, "left"), (3.9, "right")):
        figure = detection_figures.distance_histograms(table, threshold=threshold)
        distance, score = figure.axes
        assert not distance.lines
        (line,) = score.lines
        assert set(line.get_xdata()) == {threshold}
        (words,) = score.texts
        assert words.get_text() == "flagged →"
        assert words.get_ha() == side
    # The one of 5 % on bare pictures, of the two that the table has.
    drawn = figures_stage._Study(configuration(), results).distance_histograms()[0].axes[1].lines
    assert drawn[0].get_xdata()[0] == pytest.approx(1.55)


def test_the_logarithmic_inset_hides_nothing_better_than_chance(results: Path) -> None:
    figure = detection_figures.roc(pd.read_csv(results / "detection/roc.csv"))
    assert len(figure.axes) == 2, "a panel for each kind of benign pictures"
    for axes in figure.axes:
        (inset,) = axes.child_axes
        assert inset.get_xscale() == "log"
        assert len(inset.lines) >= len(axes.lines)
        (ground,) = axes.patches
        left, top = ground.get_x(), ground.get_y() + ground.get_height()
        assert left > top, "below the diagonal"
    looks = [(line.get_linestyle(), line.get_marker()) for line in figure.axes[0].lines]
    assert len(set(looks)) == len(looks), "told apart without colours"


def test_the_caption_of_the_roc_names_who_is_drawn(results: Path) -> None:
    captions = json.loads((results / "figures" / "captions.json").read_text())
    assert "3 of 3 detectors: influence, influence with frames, confidence;" in captions["roc"]
    assert "detection/roc.csv" in captions["roc"]


def test_whole_percents_have_no_decimal() -> None:
    assert [whole_percent(x) for x in (0.05, 0.0991, 1.0, 0.0)] == ["5 %", "9.9 %", "100 %", "0 %"]


def grid_of(kind: str, mu_as: str, mus: tuple[float, ...], goodness: float) -> list[dict]:
    return [
        {"map": kind, "mu_as": mu_as, "mu": mu, "n": n, "phi": 80, "fill": "zero"}
        | {"goodness": goodness + 0.001 * (mu + n)}
        for mu in mus
        for n in (2, 4)
    ]


def test_values_and_quantiles_of_maps_share_no_axis() -> None:
    by_value = grid_of("guided", "value", (0.1, 0.3, 0.5), 0.4)
    by_quantile = grid_of("relative", "quantile", (0.96, 0.98), 0.41)
    grid = pd.DataFrame(by_value + by_quantile)
    figure = saliency_figures.saliency_grid(grid, [by_value[0], by_quantile[0]])
    first, second, _ = figure.axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["0.1", "0.3", "0.5"]
    assert [text.get_text() for text in second.get_xticklabels()] == ["0.96", "0.98"]
    assert first.get_xlabel() == "μ, a value"
    assert second.get_xlabel() == "μ, a quantile"
    # Two decimals would be the same.
    assert {text.get_text() for text in second.texts} == {".413", ".415"}


def masks_of(results: Path) -> dict[str, np.ndarray]:
    with np.load(results / "saliency/masks.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("worked", "said"), [(False, "worked: none"), (True, "failed: none")])
def test_steps_say_that_no_mask_worked_or_failed(results: Path, worked: bool, said: str) -> None:
    examples = masks_of(results)
    assert saliency_figures.saliency_steps(examples).get_supxlabel() == ""
    examples["worked"][:] = worked
    assert saliency_figures.saliency_steps(examples).get_supxlabel() == said


def test_the_true_frame_is_outlined_on_the_mask(results: Path) -> None:
    figure = saliency_figures.saliency_steps(masks_of(results))
    outlined = [axes.get_title() for axes in figure.axes if axes.collections]
    assert outlined == ["4 areas ≥ φ = 4"]


def test_printed_rates_are_bars_of_their_own(results: Path) -> None:
    evaluation = pd.read_csv(results / "saliency/evaluation.csv")

    def printed(table: pd.DataFrame) -> list[dict[str, list[float]]]:
        return [
            {
                bars.get_label(): [round(bar.get_height(), 3) for bar in bars]
                for bars in axes.containers
                if "Study S prints" in bars.get_label()
            }
            for axes in saliency_figures.saliency_evaluation(table).axes
        ]

    free, rejecting = printed(evaluation)
    assert free["Study S prints, undefended"] == [0.85, 0.133, 0.982]
    assert free["Study S prints, masked"] == [0.217, 0.6, 0.933, 0.567]
    assert rejecting["Study S prints, masked"] == [0.166, 0.533, 0.933, 0.549]
    # At another threshold Study S prints nothing.
    _, elsewhere = printed(evaluation.replace({"threshold": {0.8: 0.5}}))
    assert not any(elsewhere.values())
    same = evaluation[evaluation["defence"] == "saliency"].assign(defence="saliency_guided")
    twice = pd.concat([evaluation[evaluation["defence"] != "saliency_guided"], same])
    assert saliency_figures.guided_and_tuned(saliency_figures.rows_as_text(twice)) == "saliency"
    bars = saliency_figures.saliency_evaluation(twice).axes[0].containers
    assert "guided map, tuned" not in {one.get_label() for one in bars}, "the same mask is one bar"
    figure = saliency_figures.saliency_evaluation(evaluation)
    places = [bar.get_x() for bars in figure.axes[0].containers for bar in bars]
    assert len(set(np.round(places, 6))) == len(places), "none lies on another"


def test_bands_of_the_threshold_curve_reach_from_low_to_high(results: Path) -> None:
    curve = pd.read_csv(results / "saliency/threshold_curve.csv")
    curve["clean_accuracy"] = 0.5
    curve["clean_accuracy_low"], curve["clean_accuracy_high"] = 0.4, 0.8
    figure = saliency_figures.threshold_curve(curve, threshold=0.8, working_point=0.3)
    bands = [band.get_paths()[0].get_extents() for band in figure.axes[1].collections]
    assert [(round(box.y0, 3), round(box.y1, 3)) for box in bands].count((0.4, 0.8)) == 1


@pytest.mark.parametrize("name", CAPTIONS)
def test_snakemakes_own_report_has_the_same_captions(name):
    template = (REPORT_CAPTIONS / f"{name}.rst").read_text()
    params = types.SimpleNamespace(captions={name: "with its n = 12"})
    shown = jinja2.Template(template).render(snakemake=types.SimpleNamespace(params=params))
    assert shown.endswith("\n\nwith its n = 12")


def test_curves_of_detectors_that_have_seen_frames_are_drawn(results):
    assert "influence with frames" in (results / "figures" / "roc.svg").read_text()
    first = [*detection_figures.ROC_FIRST]
    drawn = detection_figures.drawn_in_roc(["other", "masking", "influence_with_frames", *first])
    assert drawn[:3] == ["influence", "influence_with_frames", "activations"]
    assert "other" not in drawn


def test_fonts_of_other_scripts_are_asked_for_where_they_are_installed():
    assert font_families([]) == ["DejaVu Sans"]
    installed = ["Arial", "Hiragino Sans", "Noto Sans CJK SC"]
    assert font_families(installed) == ["DejaVu Sans", "Noto Sans CJK SC", "Hiragino Sans"]
    with drawing():
        assert matplotlib.rcParams["font.family"][0] == "DejaVu Sans"


def test_the_logarithmic_axis_is_written_in_plain_numbers():
    curve = {"detector": "influence", "fpr": [0.0, 0.002, 0.5, 1.0], "tpr": [0.0, 0.5, 0.9, 1.0]}
    figure = detection_figures.roc(pd.DataFrame(curve))
    figure.canvas.draw()
    (inset,) = figure.axes[0].child_axes
    shown = [text.get_text() for text in inset.get_xticklabels()]
    assert {"0.01", "0.1", "1"} <= set(shown)
    assert not any("$" in text for text in shown)


def test_captions_do_not_need_heavy_packages():
    import subprocess
    import sys

    program = (
        "import sys, glassguard.report.captions; "
        "print([name for name in ('matplotlib', 'torch', 'pandas') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_missing_file_is_named(results, tmp_path):
    with pytest.raises(InputError, match=r"examples\.csv"):
        figures_stage.run(configuration(), results=tmp_path, figures=tmp_path / "figures")


def test_summary_has_the_keys_of_the_contract(results):
    summary = json.loads((results / "summary.json").read_text())
    assert summary["experiment"] == "made_up"
    assert summary["seed"] == 3
    assert summary["started"] == "1970-01-01T00:16:40+00:00"
    # 1000-1020 and 1100-1130: overlap counts once, the report's own record not at all.
    assert summary["wall_s"] == 50.0
    assert summary["recognizer"]["test_accuracy"] == 0.5
    assert summary["recognizer"]["test_accuracy_n"] == 12
    attack = summary["attacks"]["glasses"]
    assert (attack["n"], attack["success"], attack["still_correct"]) == (12, 8 / 12, 4 / 12)
    assert attack["validation"]["n"] == 12
    assert summary["detection"]["flag_rate"]["plain_frames"] == 0.25
    assert summary["detection"]["flag_rate_high"]["plain_frames"] == 0.5
    assert summary["detection"]["tpr_at_fpr_n"] == {"0.01": 8, "0.05": 8, "0.0991": 8}
    assert summary["detection"]["pairs"][0]["impersonation_n"] == 2
    saliency = summary["saliency"]
    assert set(saliency["best"]) == {"map", "mu", "mu_as", "n", "phi", "fill", "goodness"}
    assert saliency["source_setting"]["fill"] == "zero"
    assert saliency["test"]["before"]["adversarial_success"] == pytest.approx(8 / 12)
    assert "defence_success" not in saliency["test"]["before"]
    assert saliency["test"]["after"]["defence_success"] == 0.75
    assert saliency["test"]["after_threshold_0.8"]["adversarial_success_n"] == 12
    assert saliency["test"]["oracle"]["mask_iou"] == 0.4


def test_attack_rates_without_a_test_split_give_no_rate():
    examples = pd.DataFrame(
        {
            "split": ["val"],
            "attacker": ["a"],
            "target": ["b"],
            "prediction": ["b"],
            "success": [True],
            "success_jpeg": [False],
        }
    )
    rates = attack_rates(examples)
    assert rates["n"] == 0
    assert "success" not in rates
    assert rates["validation"]["success"] == 1.0


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [([], 0), ([(0, 5)], 5), ([(0, 5), (1, 2)], 5), ([(7, 9), (0, 5), (4, 6)], 8)],
)
def test_covered_seconds_is_the_length_of_the_union(intervals, seconds):
    assert covered_seconds(intervals) == seconds


def test_started_of_nothing_is_empty():
    assert started([]) == ""


def test_timings_keep_jobs_that_were_too_short_to_measure(results):
    table = pd.read_csv(results / "timings.csv")
    assert table.columns.tolist() == ["stage", "wall_s", "cpu_s", "max_rss_mb"]
    # A job of a former run, with a record and a benchmark still there, is no part of this one.
    assert table["stage"].tolist() == ["attack_0", "data", "detection"]
    assert table.loc[1].tolist() == ["data", 10.5, 9.75, 321.5]
    assert np.isnan(table.loc[2, "max_rss_mb"])
    assert timings({}).empty


def test_figures_of_no_success_say_so() -> None:
    columns = ["detector", "fpr", "fpr_n", "tpr", "tpr_n"]
    nobody = np.zeros((3, 2))
    for figure in (
        detection_figures.roc(pd.DataFrame(columns=columns)),
        detection_figures.profile_projection(nobody, [], explained=(0.5, 0.2)),
        attack_figures.profiles([], slice_name="fc6"),
    ):
        (axes,) = figure.axes
        assert "no attack of the test split succeeded" in axes.texts[0].get_text()


def test_names_are_no_formulas(tmp_path: Path) -> None:
    groups = [("cost $\\frac$ 5$", np.ones((2, 3)), np.ones((1, 3)))]
    with drawing():
        figure = attack_figures.profiles(groups, slice_name="fc6")
        figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 0


def test_rate_says_interval_and_n():
    values = {"success": 0.5, "success_low": 0.25, "success_high": 0.75, "success_n": 10}
    assert rate(values, "success") == "50.0 % [25.0–75.0], n = 10"
    assert rate({"success": float("nan")}, "success") == "–"


def test_table_1_has_the_sources_rows_last(results):
    table = pairs_table(pd.read_csv(results / "detection" / "table1.csv", dtype={"attacker": str}))
    last = [table.rows[index] for index in sorted(table.from_source)]
    assert [row[-1] for row in last] == ["92.3 %", "100.0 %", "94.9 %"]
    assert table.rows[0][-1] == "50.0 %"


def test_the_page_says_where_detectors_read(results):
    found = choices_table(pd.read_csv(results / "detection/choices.csv"))
    assert found.rows == (
        ("influence", "conv4_3, raw (pairs: 3)", "most pairs", "fc6, raw (pairs: 1)"),
        ("distance euclidean", "conv4_3, euclidean", "as influence", "–"),
    )


def test_evaluation_stands_beside_the_source(results):
    test = evaluation_rates(pd.read_csv(results / "saliency" / "evaluation.csv"))
    table = evaluation_table(test, threshold=0.8)
    by_name = {(row[0], row[1]): row for row in table.rows}
    assert by_name["guided mask, Study S", "–"][2:6] == ("21.7 %", "60.0 %", "93.3 %", "56.7 %")
    assert by_name["guided mask, Study S", "≥ 0.8"][5] == "54.9 %"
    assert by_name["none", "–"][2].startswith("66.7 %")


def test_sources_figures_are_those_of_the_texts():
    assert [pair.benign_target for pair in sources_figures.TABLE_1] == [1.0, 0.75, 0.714]
    assert sources_figures.BEST_GOODNESS == 0.7768


def test_page_is_self_contained_and_generated_from_numbers(results):
    page = (results / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "url(" not in page
    assert page.count("data:image/svg+xml;base64,") == len(FIGURES)
    assert "These are not real faces" in page
    assert "66.7 % of 12 test attacks" in page
    assert "≥ 0.7" in page, "the working point"
    assert "experiment: made_up" in page


def test_several_attacks_are_shown_under_each_others_masks(results, tmp_path):
    root = tmp_path / "made_up"
    shutil.copytree(results, root)
    shutil.copytree(root / "attacks/glasses", root / "attacks/sticker")
    rows = []
    for tuned_on, tested_on, threshold in itertools.product(
        ("glasses", "sticker"), ("glasses", "sticker"), (None, 0.8)
    ):
        row = {"tuned_on": tuned_on, "tested_on": tested_on, "threshold": threshold}
        row |= {"map": "guided", "mu": 0.9, "mu_as": "quantile", "n": 2, "phi": 8, "fill": "telea"}
        hits = 1 if tuned_on == tested_on else 5
        for name in ("undefended_success", *RATES):
            row = with_interval(row, name, 11 if name == "undefended_success" else hits, 12)
        for name in ("mask_iou", "mask_recall"):
            row |= {name: 0.5, f"{name}_n": 12, f"{name}_low": 0.4, f"{name}_high": 0.6}
        rows.append(row)
    pd.DataFrame(rows).to_csv(root / "saliency/generality.csv", index=False)
    config = configuration(attacks=("glasses", "sticker"))
    figures_stage.run(config, results=root, figures=root / "figures")
    assert (root / "figures/generality.png").stat().st_size > 1000
    captions = json.loads((root / "figures/captions.json").read_text())
    assert tuple(captions) == figures_of(2)
    assert "n = 12;" in captions["generality"]
    report(root, config)
    page = (root / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == len(figures_of(2))
    assert "Study S: other accessories" in page
    assert "glasses → sticker" in page
    assert "91.7 % [64.6–98.5], n = 12" in page


def test_page_of_photographs_has_no_banner(results, tmp_path):
    report_stage.run(
        configuration("folder"),
        results=results,
        records=[results / f"tracking/outbox/{job}.json" for job in JOBS],
        summary=tmp_path / "summary.json",
        page=tmp_path / "report.html",
        timings=tmp_path / "timings.csv",
    )
    assert "not real faces" not in (tmp_path / "report.html").read_text()


def test_page_escapes_names(results, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    path = copy / "detection" / "table1.csv"
    path.write_text(path.read_text().replace("ann", "<script>alert(1)</script>"))
    report(copy, configuration())
    page = (copy / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_headline_follows_the_numbers(results):
    summary = json.loads((results / "summary.json").read_text())
    means = {"benign_target": 0.1, "benign_other": 0.2, "impersonation": 0.3}
    words = " ".join(headline(summary, means=means, threshold=0.8))
    assert "reject 30.0 %" in words
    assert "from 66.7 % to 8.3 %" in words
    point = {"population": "half_wearing", "wanted_fpr": 0.05, "tpr": 0.91, "fpr": 0.04}
    summary["detection"]["detectors"] = [point | {"detector": "masking"}]
    words = " ".join(headline(summary, means=means, threshold=0.8))
    assert "for 5 % false alarms" in words
    assert "flagged: by masking 91.0 % (and 4.0 % of the benign)." in words


def test_captions_name_only_figures_that_can_be_drawn():
    assert all(hasattr(figures_stage._Study, name) for name in CAPTIONS)
