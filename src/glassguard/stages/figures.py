"""Draw the figures of a study."""

from functools import cache, reduce
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from glassguard.configuration.sections import ReportSection
from glassguard.errors import InputError
from glassguard.files.formats import read_examples, read_json, write_json
from glassguard.files.reading import read_result
from glassguard.progress import track
from glassguard.report import (
    attack_figures,
    detection_figures,
    guard_figures,
    influence_figures,
    saliency_figures,
)
from glassguard.report.figures import figures_of
from glassguard.report.style import DOTS_PER_INCH, Drawn, drawing
from glassguard.stages.paths import OutputPath

DRAWN_IN = {
    "attack": attack_figures,
    "detection": detection_figures,
    "influence": influence_figures,
    "saliency": saliency_figures,
    "guard": guard_figures,
}


def run(
    config: ReportSection, *, results: Path, figures: OutputPath
) -> dict[str, float | int | str]:
    """Draw every figure that :func:`glassguard.report.figures.figures_of` names.

    The figures are of the first attack. The folder ``figures`` gets ``<name>.svg``, ``<name>.png``
    and ``captions.json``.

    Raises:
        InputError: a file of an earlier stage is missing or cannot be read.
    """
    figures.mkdir(parents=True, exist_ok=True)
    attack = next(iter(config.study.attacks))
    examples = results / "attacks" / attack / "examples.csv"
    if not (read_examples(examples)["split"] == "test").any():
        raise InputError(f"{examples}: no test example")
    read = cache(lambda path: _read(results, path))
    captions = {}
    with drawing():
        for one in track(figures_of(len(config.study.attacks)), description="figures"):
            given = {name: read(path.format(attack=attack)) for name, path in one.reads.items()}
            given |= {
                name: reduce(getattr, key.split("."), config.study)
                for name, key in one.settings.items()
            }
            drawn: Drawn = getattr(DRAWN_IN[one.act], one.name)(**given)
            figure, numbers = drawn
            captions[one.name] = one.captioned(numbers)
            figure.savefig(figures / f"{one.name}.svg", metadata={"Date": None})
            # Laid out once: both files show the same, in half of the time.
            figure.set_layout_engine("none")
            png = figures / f"{one.name}.png"
            figure.savefig(png, dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_json(captions, figures / "captions.json")
    return {"figures": len(captions)}


def _read(results: Path, path: str) -> Any:
    file = results / path
    if file.name == "profiles.npz":
        return _profiles(file, read_json(results / "detection" / "best_layer.json")["slice"])
    return read_result(file)


def _profiles(path: Path, slice_name: str) -> pd.DataFrame:
    """Profiles of one slice; rows are named by picture."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return pd.DataFrame(file[slice_name], index=file["ids"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}") from None
    except (ValueError, OSError, EOFError, BadZipFile):
        raise InputError(f"{path}: not a file of profiles, or damaged; compute it again") from None
