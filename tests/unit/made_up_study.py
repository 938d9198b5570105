"""A small made-up study: what its stages would have left for figures and report."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
from made_up_guard import write_guard
from shipped import section

from glassguard.configuration.schema import Study
from glassguard.configuration.sections import ReportSection
from glassguard.recognizer.layers import LAYERS, SLICES, paper_index
from glassguard.report.figures import FIGURES
from glassguard.stages import report as report_stage
from glassguard.statistics import Rate

PEOPLE = ["ann", "bob", "007", "NA"]
SIDE = 32
JOBS = ("data", "attack_0", "detection")
RATES = ("adversarial_success", "adversarial_correct", "clean_accuracy", "defence_success")
OF_ONE_ATTACK = [figure.name for figure in FIGURES if not figure.several_attacks]


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
                "kernels": "pinned",
                "data": data,
                "downloads": section("downloads/published"),
                "backbone": section("backbone/pretrain"),
                "recognizer": section("recognizer/dense"),
                "costs": section("costs/measured"),
                "attack_shards": 1,
                "attacks": dict.fromkeys(attacks, attack),
                "robustness": section("robustness/placements"),
                "controls": section("controls/frames", colour=[1, 1, 0]),
                "influence": section("influence/internal"),
                "detector": section("detector/linear", variants=["raw", "standardised"]),
                "saliency": section("saliency/guided", grid=grid),
                "guard": section("guard/eye_band"),
                "adaptive": section("adaptive/none"),
                "tracking": section("tracking/mlflow"),
            }
        )
    )


def with_interval(row, name, successes, n):
    return row | Rate.counted(successes, n).columns(name)


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
    (root / "backbone").mkdir()
    (root / "backbone/metrics.json").write_text(json.dumps({"accelerator": "cpu"}))
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
    table(
        "attacks/glasses/robustness.csv",
        [
            with_interval(
                {"transformation": kind, "placements": 50}
                | Rate.counted(6, 6).columns("undistorted"),
                "success",
                hits,
                6,
            )
            for kind, hits in (("all", 2), ("jpeg", 3))
        ],
    )
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
        # Of those that succeeded.
        example_ids=np.array(["g00013", "g00014", "g00016", "g00017", "g00019"]),
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
        attacker=np.array(["007", "007", "NA", "NA", "007"]),
        target=np.array(["ann"] * 4 + ["bob"]),
        prediction_before=np.array(["ann"] * 4 + ["bob"]),
        prediction_after=np.array(["007"] * count),
        confidence_before=np.linspace(0.5, 1, count),
        confidence_after=np.linspace(0.4, 1, count),
    )
    write_guard(root, PEOPLE)
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


def write_report(root, config):
    return report_stage.run(
        config,
        results=root,
        records=[root / f"tracking/outbox/{job}.json" for job in JOBS],
        summary=root / "summary.json",
        page=root / "report.html",
        timings=root / "timings.csv",
        machine=root / "machine.json",
    )
