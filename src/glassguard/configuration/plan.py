"""The jobs of a run: how they are split, which resources they need and what they read.

The rules of the workflow read this and hold no logic of their own.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from glassguard.configuration import costs
from glassguard.configuration.replicates import replicates_section
from glassguard.configuration.schema import Study
from glassguard.configuration.sections import sections
from glassguard.configuration.stamps import Stamp, code_stamps, given_stamps, section_stamps
from glassguard.files import layout
from glassguard.report.figures import figures_of

RESULTS = Path("results")
BACKBONE_JOBS = {"shipped_backbone", "import_backbone", "pool", "teacher", "pretrain"}
OPEN_SET = "open_set"


@dataclass(frozen=True)
class Plan:
    """One study, or its replicates and variants side by side.

    All of them are made of the same jobs, so any of them says which.

    Attributes:
        studies: by the folder below ``results/``.
    """

    studies: Mapping[str, Study]

    @property
    def study(self) -> Study:
        """The first of the studies."""
        return next(iter(self.studies.values()))

    @property
    def root(self) -> Path:
        """The folder of the experiment, which holds those of all studies."""
        return RESULTS / self.study.experiment

    @property
    def attacks(self) -> list[str]:
        """All attacks. Detection and the mask search are made for the first one."""
        return list(self.study.attacks)

    @property
    def tuned(self) -> list[str]:
        """Attacks that masks are tuned on, the first one's first."""
        return [name for name, attack in self.study.attacks.items() if attack.validation_images]

    @property
    def headline(self) -> str:
        """The attack that detection and the mask search are made for."""
        return self.attacks[0]

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        return tuple(figure.name for figure in figures_of(len(self.attacks)))

    @property
    def captions(self) -> list[Stamp]:
        """A file of text for every figure: Snakemake's report takes captions from nowhere else."""
        folder = self.root / "figures"
        return [
            Stamp(folder / f"{figure.name}.rst", figure.template)
            for figure in figures_of(len(self.attacks))
        ]

    @cached_property
    def sections(self) -> dict[str, dict]:
        """Sections of the configuration by folder and name."""
        found = {folder: sections(study, name=folder) for folder, study in self.studies.items()}
        found.setdefault(self.study.experiment, {})["replicates"] = replicates_section(self.studies)
        return found

    @property
    def best_masks(self) -> list[str]:
        """The outcome of every search for the best mask, the headline's first."""
        return [layout.result(f"{folder}/best.json") for folder in layout.searched(self.tuned)]

    def code_of(self, stage: str) -> str:
        """The digests of a stage's source files, the same for all studies."""
        return f"{self.root}/config/code/{stage}.sha256"

    def of_attacks(self, pattern: str) -> list[str]:
        """A file of every attack, the headline's first: ``{attack}`` in the pattern is replaced."""
        return [layout.result(pattern.replace("{attack}", attack)) for attack in self.attacks]

    def gathered(self, split: str, pattern: str) -> list[str]:
        """All shards of a pattern: ``{scatteritem}`` in it is replaced.

        Args:
            split: ``attack``, ``mask_grid`` or ``adaptive``.
            pattern: a file's.
        """
        count = {
            "attack": self.attack_shards,
            "mask_grid": self.grid_shards,
            "adaptive": self.study.adaptive.shards,
        }[split]
        return [pattern.replace("{scatteritem}", one) for one in shards(count)]

    def stamps(self, stages: tuple[str, ...]) -> dict[str, Stamp]:
        """What the run depends on apart from the files that it makes, by where each is kept.

        Args:
            stages: names of all stages.
        """
        stamps = code_stamps(self.root / "config" / "code", stages, self.study)
        for folder, found in self.sections.items():
            stamps += section_stamps(RESULTS / folder / "config", found)
        for folder, study in self.studies.items():
            stamps += given_stamps(RESULTS / folder / "config" / "given", study)
        return {str(stamp.file): stamp for stamp in stamps}

    def stamps_read(self, inputs: Mapping[str, Iterable[object]]) -> list[str]:
        """Every stamp that jobs read. Results whose stamp is lost may be of any settings.

        Args:
            inputs: of all rules, by their names, as patterns with ``{study}`` and ``{attack}``;
                functions of wildcards are left out.
        """
        unused = (BACKBONE_JOBS | {OPEN_SET}) - {*self.jobs}
        patterns = {
            one
            for rule, files in inputs.items()
            if rule not in unused
            for one in files
            if isinstance(one, str) and "/config/" in one
        }
        return sorted(
            {one.replace("{attack}", attack) for one in patterns for attack in self.attacks}
        )

    def _largest(self, cost: Callable[[Study], float]) -> float:
        """The jobs of all studies are as many and ask for the same: the largest cost counts."""
        return max(map(cost, self.studies.values()))

    @cached_property
    def attack_shards(self) -> int:
        """Jobs of an attack."""
        return int(self._largest(costs.attack_shards))

    @cached_property
    def grid_shards(self) -> int:
        """Jobs of a mask search."""
        return int(self._largest(costs.grid_shards))

    @property
    def attack_minutes(self) -> int:
        """Minutes that a shard of an attack asks for."""
        minutes = self._largest(costs.attack_minutes) / self.attack_shards
        return costs.time_limit(minutes, self.study)

    @property
    def grid_minutes(self) -> int:
        """Minutes that a shard of a mask search asks for."""
        return costs.time_limit(self._largest(costs.grid_minutes) / self.grid_shards, self.study)

    @property
    def pretraining_minutes(self) -> int:
        """Minutes that pretraining asks for."""
        return costs.time_limit(self._largest(costs.pretraining_minutes), self.study)

    @property
    def passes(self) -> float:
        """Time of a pass through the network, over that at 96 pixels and half width; at least 1."""
        return max(1.0, self._largest(costs.relative_work))

    @property
    def pixels(self) -> float:
        """Pixels of a picture, over those at 96 pixels a side; at least 1."""
        return max(1.0, self._largest(costs.relative_pixels))

    @property
    def pretrains_on_own_pictures(self) -> bool:
        """Photographs without a pool: the convolutions learn from the study's training pictures."""
        return self.study.data.source != "embedded" and self.study.backbone.pool is None

    @property
    def pretraining_pictures(self) -> dict[str, str]:
        """Pictures and manifest that the convolutions learn from."""
        start = "data/" if self.pretrains_on_own_pictures else "backbone/pool_"
        return {name: start + name for name in ("images.npy", "manifest.csv")}

    def backbone_by(self, job: str, name: str) -> list[str]:
        """A file below ``backbone/`` where this job is the one that makes it."""
        return [layout.result(f"backbone/{name}")] if job in self.backbone_jobs else []

    def with_pool(self, file: str) -> list[str]:
        """A file that is read only with a pool of photographs."""
        return [] if self.study.backbone.pool is None else [file]

    @property
    def teacher(self) -> Path | None:
        """File of the network that pretraining is drawn towards."""
        teacher = self.study.backbone.pretraining.teacher
        return None if teacher is None else teacher.file

    @property
    def embeddings(self) -> list[str]:
        """What the teacher leaves for pretraining, where there is one."""
        return [] if self.teacher is None else [layout.result("backbone/teacher_embeddings.npy")]

    @property
    def finds_landmarks(self) -> bool:
        """Whether the study has a detector of faces."""
        return getattr(self.study.data, "detector", None) is not None

    @property
    def landmarks(self) -> list[str]:
        """How far landmarks moved, where the study has a detector of faces."""
        return [layout.result("guard/landmarks.csv")] if self.finds_landmarks else []

    @property
    def backbone_jobs(self) -> list[str]:
        """Jobs that end in the convolutions, in their order."""
        backbone = self.study.backbone
        if backbone.shipped is not None:
            return ["shipped_backbone"]
        if backbone.weights is not None:
            return ["import_backbone"]
        return [
            *([] if self.pretrains_on_own_pictures else ["pool"]),
            *([] if self.teacher is None else ["teacher"]),
            "pretrain",
        ]

    @property
    def gpus(self) -> int:
        """GPUs that pretraining asks for; one where it is not known how many there are."""
        pretraining = self.study.backbone.pretraining
        if pretraining.accelerator == "cpu":
            return 0
        return 1 if pretraining.devices == "auto" else pretraining.devices

    @property
    def fetches(self) -> str | None:
        """The source of photographs that have to be downloaded first."""
        return self.study.data.source if self.study.data.needs_fetching else None

    def fetched(self, pattern: str) -> list[str]:
        """A file of the job that downloads photographs, if there is one.

        Studies that would ask for the same share the job of the first one: no server is asked by
        each of them for what is gone.

        Args:
            pattern: with ``{source}`` where the collection is named.
        """
        if self.fetches is None:
            return []
        wanted = [self.sections[folder].get("fetch_pictures") for folder in self.studies]
        alike = all(one == wanted[0] for one in wanted)
        file = layout.result(pattern.replace("{source}", self.fetches))
        return [file.replace("{study}", next(iter(self.studies))) if alike else file]

    @property
    def records(self) -> list[str]:
        """What every job of a study leaves for tracking, figures and report aside."""
        downloads = self.fetched("tracking/outbox/fetch_{source}.json")
        return [*downloads, *map(layout.record, self.jobs)]

    @property
    def tables(self) -> list[str]:
        """What a run leaves apart from its report and figures; a lost file is made again."""
        files = ["adaptive/table.csv", "adaptive/guard.csv"]
        informed = files if self.study.adaptive.pictures else []
        verified = [layout.OPEN_SET] if self.study.has_embedding else []
        names = [*layout.tables(self.attacks, self.tuned), *informed, *verified]
        return [layout.result(name) for name in names]

    @property
    def benchmarks(self) -> list[str]:
        """Time and memory of every job of a study but downloads and the report."""
        return [layout.benchmark_of(job) for job in [*self.jobs, "figures"]]

    @property
    def drawn(self) -> list[str]:
        """What the figures are drawn from."""
        read = [path for one in figures_of(len(self.attacks)) for path in one.reads.values()]
        return [layout.result(path.format(attack=self.headline)) for path in dict.fromkeys(read)]

    @property
    def reported(self) -> list[str]:
        """What the headline and the page are made from, apart from records and figures."""
        found = layout.reported(self.attacks, embedding=self.study.has_embedding)
        tables = [layout.result(path) for path in found.values()]
        return [*tables, *self.of_attacks("attacks/{attack}/examples.csv")]

    @property
    def tracked(self) -> list[str]:
        """Files that tracking keeps with the runs of stages."""
        stages = ["attack", "robustness", *self.jobs, "figures", "report"]
        found = layout.tracked(stages, self.attacks, self.figures, self.tuned)
        return [layout.result(path) for path in found]

    @property
    def jobs(self) -> list[str]:
        """Every job of a study but downloads, figures and report."""
        sets = layout.sets(self.attacks)
        further = self.tuned[1:]
        return [
            "data",
            *self.backbone_jobs,
            "recognizer",
            *[f"attack_{a}_{one}" for a in self.attacks for one in shards(self.attack_shards)],
            *[f"attack_{attack}" for attack in self.attacks],
            *[f"robustness_{attack}" for attack in self.attacks],
            *([OPEN_SET] if self.study.has_embedding else []),
            *[f"controls_{control}" for control in layout.CONTROLS],
            *[f"responses_{name}" for name in sets],
            "experts",
            "fit_detectors",
            "detection",
            *[f"mask_grid_{one}" for one in shards(self.grid_shards)],
            "mask_grid",
            "mask_evaluation",
            *[f"mask_grid_{a}_{one}" for a in further for one in shards(self.grid_shards)],
            *[f"mask_grid_{attack}" for attack in further],
            *(["mask_transfer"] if len(self.attacks) > 1 else []),
            "banded_recognizer",
            *(["landmarks"] if self.finds_landmarks else []),
            "guard",
            "certify",
            *self._informed,
        ]

    @property
    def _informed(self) -> list[str]:
        """Jobs of informed attackers, if there are any."""
        adaptive = self.study.adaptive
        if not adaptive.pictures:
            return []
        return [*[f"adaptive_{one}" for one in shards(adaptive.shards)], "adaptive"]


def job_environment() -> dict[str, str]:
    """Environment variables of every job."""
    return {
        # Jobs find the command line even where the environment is not activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        # Large blocks go back to the system late: training would spend its time on page faults.
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
        # Threads that wait for each other must not burn the core that they wait for.
        "OMP_WAIT_POLICY": "PASSIVE",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLBACKEND": "agg",
    }


def shards(count: int) -> list[str]:
    """Names of a job's shards, as Snakemake's scatter and gather has them."""
    return [f"{number}-of-{count}" for number in range(1, count + 1)]


def position(scatteritem: str) -> int:
    """Which shard it is, from 0 on."""
    return int(scatteritem.split("-of-")[0]) - 1


class Captions:
    """Captions of the figures by name, read when Snakemake's report asks for one.

    Args:
        path: JSON that the rule of the figures writes.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __getitem__(self, name: str) -> str:
        return json.loads(Path(self.path).read_text(encoding="utf-8"))[name]

    def __repr__(self) -> str:
        return f"Captions({self.path!r})"


def attempted(amount: float) -> Callable[..., int]:
    """What a job asks for: more in every attempt after one that may have run out of it."""
    return lambda wildcards, attempt: attempt * math.ceil(amount)


def optional(option: str, name: str) -> Callable[..., str]:
    """An option of a command that is given only where the rule's input of that name is."""
    return lambda wildcards, input: f"{option} {input[name]}" if input[name] else ""
