"""Draw the figures of a study."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from glassguard.configuration.sections import ReportSection
from glassguard.detection.projection import Projection
from glassguard.errors import InputError
from glassguard.files.formats import (
    read_arrays,
    read_examples,
    read_images,
    read_json,
    read_manifest,
    read_table,
    write_json,
)
from glassguard.progress import track
from glassguard.report import (
    attack_figures,
    detection_figures,
    influence_figures,
    saliency_figures,
    sources_figures,
)
from glassguard.report.captions import CAPTIONS, figures_of
from glassguard.report.style import DOTS_PER_INCH, drawing, spelt, whole_percent
from glassguard.report.tables import HEADLINE_RATE
from glassguard.stages.paths import OutputPath

EXAMPLE_COLUMNS = 6
PROFILE_TARGETS = 3

Drawn = tuple[Figure, dict[str, Any]]
TargetProfiles = tuple[str, np.ndarray, np.ndarray]
"""A target, profiles of its benign test pictures and of successful impersonations of it."""


def run(
    config: ReportSection, *, results: Path, figures: OutputPath
) -> dict[str, float | int | str]:
    """Draw every figure that :func:`glassguard.report.captions.figures_of` names.

    Args:
        config: the whole configuration; the figures are of its first attack.
        results: folder of the experiment.
        figures: folder to write ``<name>.svg``, ``<name>.png`` and ``captions.json`` into.

    Raises:
        InputError: a file of an earlier stage is missing or cannot be read.
    """
    figures.mkdir(parents=True, exist_ok=True)
    study = _Study(config, results)
    names = figures_of(len(config.study.attacks))
    drawers: dict[str, Callable[[], Drawn]] = {name: getattr(study, name) for name in names}
    captions = {}
    with drawing():
        for name in track(names, description="figures"):
            figure, numbers = drawers[name]()
            captions[name] = CAPTIONS[name].format(**numbers)
            figure.savefig(figures / f"{name}.svg", metadata={"Date": None})
            # Laid out once: both files show the same, and half of the time is saved.
            figure.set_layout_engine("none")
            figure.savefig(figures / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_json(captions, figures / "captions.json")
    return {"figures": len(names)}


class _Study:
    """The files of one experiment; a method for every figure, named like it."""

    def __init__(self, config: ReportSection, results: Path) -> None:
        self.study = config.study
        self.results = results
        self.attack = next(iter(config.study.attacks))
        examples = read_examples(results / "attacks" / self.attack / "examples.csv")
        self.test = examples[examples["split"] == "test"]
        if self.test.empty:
            raise InputError(f"{results}/attacks/{self.attack}/examples.csv: no test example")
        self.best_layer = read_json(results / "detection" / "best_layer.json")
        self.best_mask = read_json(results / "saliency" / "best.json")["goodness"]

    def _table(self, *path: str) -> pd.DataFrame:
        return read_table(self.results.joinpath(*path))

    def attack_examples(self) -> Drawn:
        manifest = read_manifest(self.results / "data" / "manifest.csv")
        images = read_images(self.results / "data" / "images.npy")
        attacked = read_images(self.results / "attacks" / self.attack / "images.npy")
        shown = attack_figures.sampled_pairs(self.test, EXAMPLE_COLUMNS)
        row_of = pd.Series(manifest.index, index=manifest["image_id"])
        first_of = manifest[manifest["split"] == "test"].drop_duplicates("identity")
        target_row = pd.Series(first_of.index, index=first_of["identity"])
        figure = attack_figures.attack_examples(
            images[row_of[shown["image_id"]].to_numpy()],
            attacked[shown.index.to_numpy()],
            images[target_row[shown["target"]].to_numpy()],
            shown,
        )
        pairs = len(self.test[["target", "attacker"]].drop_duplicates())
        return figure, {"pairs": len(shown), "all_pairs": pairs}

    def recognizer_training(self) -> Drawn:
        history = self._table("recognizer", "history.csv")
        manifest = read_manifest(self.results / "data" / "manifest.csv")
        counts = manifest["split"].value_counts()
        return attack_figures.recognizer_training(history), {
            "epochs": len(history),
            "train": int(counts["train"]),
            "validation": int(counts["val"]),
            "source_train": whole_percent(sources_figures.RECOGNIZER.train_accuracy),
            "source_validation": whole_percent(sources_figures.RECOGNIZER.validation_accuracy),
        }

    def attack_confidence(self) -> Drawn:
        numbers = {"n": len(self.test), "successes": int(self.test["success"].sum())}
        return attack_figures.attack_confidence(self.test), numbers

    def layers(self) -> Drawn:
        layers = self._table("detection", "layers.csv")
        detector = self.study.detector
        figure = detection_figures.layers(
            layers,
            chosen=self.best_layer["slice"],
            variant=self.best_layer["variant"],
            floors=(detector.minimum_benign_target, detector.minimum_benign_other),
        )
        return figure, {
            "seeds": int(layers["seeds"].iloc[0]),
            "pairs": len(self.test[["target", "attacker"]].drop_duplicates()),
            "benign": int(layers["benign_other_n"].max()),
            "impersonations": int(layers["impersonation_n"].max()),
            "least_own": whole_percent(detector.minimum_benign_target),
            "least_others": whole_percent(detector.minimum_benign_other),
            "slice": self.best_layer["slice"],
            "paper_index": self.best_layer["paper_index"],
            "source_index": sources_figures.BEST_LAYER_INDEX,
        }

    def table1(self) -> Drawn:
        table = self._table("detection", "table1.csv")
        figure = detection_figures.table1(table)
        return figure, {"pairs": len(table), "impersonations": int(table["impersonation_n"].sum())}

    def distance_histograms(self) -> Drawn:
        table = self._table("detection", "histograms.csv")
        one = table[table["metric"] == table["metric"].iloc[0]]
        counts = one.groupby("group", sort=False)["count"].sum()
        points = self._table("detection", "attacks.csv")
        at = points[
            (points["attack"] == self.attack)
            & (points["detector"] == "influence")
            & (points["population"] == "bare")
            & (points["wanted_fpr"] == HEADLINE_RATE)
        ].iloc[0]
        figure = detection_figures.distance_histograms(table, threshold=float(at["threshold"]))
        return figure, {
            "slice": self.best_layer["slice"],
            "wanted": whole_percent(HEADLINE_RATE),
            **{name: int(counts.get(name, 0)) for name in ("within", "between", "impersonation")},
        }

    def distance_matrix(self) -> Drawn:
        table = self._table("detection", "distance_matrix.csv")
        return detection_figures.distance_matrix(table), {
            "people": table["identity"].nunique(),
            "slice": self.best_layer["slice"],
        }

    def roc(self) -> Drawn:
        table = self._table("detection", "roc.csv")
        mixed = table["detector"].str.contains("@")
        detectors = table.loc[~mixed, "detector"].unique().tolist()
        drawn = detection_figures.drawn_in_roc(detectors)
        return detection_figures.roc(table), {
            "detectors": len(drawn),
            "names": ", ".join(map(spelt, drawn)),
            "all_detectors": len(detectors),
            "impersonations": int(self.test["success"].sum()),
            "benign": _most(table.loc[~mixed, "fpr_n"]),
            "half_wearing": _most(table.loc[mixed, "fpr_n"]),
        }

    def profiles(self) -> Drawn:
        slice_name = self.best_layer["slice"]
        _, _, groups = self._profiles_of_targets()
        figure = attack_figures.profiles(groups, slice_name=slice_name)
        return figure, {"slice": slice_name, **_counts(groups)}

    def profile_projection(self) -> Drawn:
        training, everybody, groups = self._profiles_of_targets()
        projection = Projection.fitted(training)
        figure = detection_figures.profile_projection(
            projection(everybody),
            [(target, projection(own), projection(theirs)) for target, own, theirs in groups],
            explained=projection.explained,
        )
        return figure, {
            "slice": self.best_layer["slice"],
            "training": len(training),
            "others": len(everybody),
            **_counts(groups),
        }

    def _profiles_of_targets(self) -> tuple[np.ndarray, np.ndarray, list[TargetProfiles]]:
        """At the chosen slice: benign training and test profiles, and those of some targets."""
        slice_name = self.best_layer["slice"]
        influence = self.results / "influence"
        benign = _profiles(influence / "benign" / "profiles.npz", slice_name)
        attacked = _profiles(influence / self.attack / "profiles.npz", slice_name)
        manifest = read_manifest(self.results / "data" / "manifest.csv")
        succeeded = self.test[self.test["success"].astype(bool)]
        shown = succeeded["target"].drop_duplicates().tolist()[:PROFILE_TARGETS]
        of_test = manifest[manifest["split"] == "test"]
        groups = [
            (
                target,
                benign.loc[of_test.loc[of_test["identity"] == target, "image_id"]].to_numpy(),
                attacked.loc[succeeded.loc[succeeded["target"] == target, "example_id"]].to_numpy(),
            )
            for target in shown
        ]
        training = benign.loc[manifest.loc[manifest["split"] == "train", "image_id"]]
        return training.to_numpy(), benign.loc[of_test["image_id"]].to_numpy(), groups

    def receptive_fields(self) -> Drawn:
        maps = read_arrays(self.results / "influence" / "experts.npz", kind="a file of arrays")
        experts = self.study.influence.experts
        return influence_figures.receptive_fields(maps), {
            **self._shown(maps),
            "share": whole_percent(experts.share),
            "kept": whole_percent(1 - experts.mask_percentile / 100),
            "gradient": "guided gradient" if experts.guided else "gradient",
        }

    def heat_maps(self) -> Drawn:
        maps = read_arrays(self.results / "influence" / "experts.npz", kind="a file of arrays")
        return influence_figures.heat_maps(maps), self._shown(maps)

    def _shown(self, maps: dict[str, np.ndarray]) -> dict[str, Any]:
        return {
            "shown": len(np.unique(maps["pair"])),
            "successes": int(self.test["success"].sum()),
        }

    def share_inside(self) -> Drawn:
        table = self._table("influence", "share_inside.csv")
        most = table.groupby("set")["n"].max()
        return influence_figures.share_inside(table), {
            "impersonations": int(most["impersonations"]),
            "plain": int(most["plain_frames"]),
            "bare": int(most["without_glasses"]),
        }

    def saliency_steps(self) -> Drawn:
        examples = read_arrays(self.results / "saliency" / "masks.npz", kind="a file of arrays")
        evaluation = self._saliency_row()
        return saliency_figures.saliency_steps(examples), {
            **self.best_mask,
            "shown": len(examples["worked"]),
            "undone": whole_percent(evaluation["defence_success"]),
            "examples": int(evaluation["defence_success_n"]),
        }

    def saliency_grid(self) -> Drawn:
        grid = self._table("saliency", "grid.csv")
        by_map = read_json(self.results / "saliency" / "best.json")["by_map"]
        # A search by chance may have drawn no point of a kind.
        searched = [by_map[kind] for kind in self.study.saliency.grid.map if kind in by_map]
        return saliency_figures.saliency_grid(grid, searched), {
            "kinds": "; ".join(
                f"{best['map']}, fill {spelt(best['fill'])}, μ as a {best['mu_as']}"
                for best in searched
            ),
            "adversarial": int(grid["n_adv"].iloc[0]),
            "clean": int(grid["n_clean"].iloc[0]),
        }

    def saliency_evaluation(self) -> Drawn:
        evaluation = self._table("saliency", "evaluation.csv")
        return saliency_figures.saliency_evaluation(evaluation), {
            **self._evaluated(),
            "map": self.best_mask["map"],
            "method": saliency_figures.DEFENCES[
                saliency_figures.guided_and_tuned(saliency_figures.rows_as_text(evaluation))
            ],
        }

    def threshold_curve(self) -> Drawn:
        threshold = self.study.saliency.confidence_threshold
        curve = self._table("saliency", "threshold_curve.csv")
        chosen = read_json(self.results / "saliency" / "working_point.json")
        figure = saliency_figures.threshold_curve(
            curve, threshold=threshold, working_point=chosen["threshold"]
        )
        return figure, {
            **self._evaluated(),
            "threshold": threshold,
            "working_point": chosen["threshold"],
            "largest_clean_loss": whole_percent(chosen["largest_clean_loss"]),
        }

    def generality(self) -> Drawn:
        table = self._table("saliency", "generality.csv")
        counts = sorted(set(table["adversarial_success_n"]))
        figure = saliency_figures.generality(table)
        return figure, {"n": " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))}

    def _evaluated(self) -> dict[str, Any]:
        row = self._saliency_row()
        return {
            "adversarial": int(row["adversarial_success_n"]),
            "clean": int(row["clean_accuracy_n"]),
        }

    def _saliency_row(self) -> pd.Series:
        rows = self._table("saliency", "evaluation.csv")
        return rows[(rows["defence"] == "saliency") & rows["threshold"].isna()].iloc[0]


def _most(counts: pd.Series) -> int:
    """The largest count; 0 where there is none, as where no attack succeeded."""
    return 0 if counts.empty else int(counts.max())


def _counts(groups: list[TargetProfiles]) -> dict[str, int]:
    return {
        "benign": sum(len(own) for _, own, _ in groups),
        "impersonations": sum(len(theirs) for _, _, theirs in groups),
    }


def _profiles(path: Path, slice_name: str) -> pd.DataFrame:
    """Profiles of one slice, row named by picture."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return pd.DataFrame(file[slice_name], index=file["ids"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}") from None
    except (ValueError, OSError, EOFError, BadZipFile):
        raise InputError(f"{path}: not a file of profiles, or damaged; compute it again") from None
