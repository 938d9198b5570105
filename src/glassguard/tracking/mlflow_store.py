"""Upserts the runs of one experiment into MLflow.

The parent run is the experiment, its children are the stages, and the children of a stage are
points of its grid or detectors. A job and the digest of what it found identify a run: unchanged
runs stay, changed ones are replaced, and runs without a record are removed. So the records
determine the store, and it can be rebuilt from them.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

# Set before the import: MLflow looks at it when it is loaded.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from glassguard.errors import InputError
from glassguard.tracking import headline, records
from glassguard.tracking.records import Artifact, Curves, StageRun, digest_of

MLFLOW_EXPERIMENT = "glassguard"
EXPERIMENT_TAG = "glassguard.experiment"
JOB_TAG = "glassguard.job"
PARENT_TAG = "mlflow.parentRunId"
STAGE_TAG = "glassguard.stage"
DIGEST_TAG = "glassguard.digest"
PARENT_JOB = "experiment"
NOTE_TAG = "mlflow.note.content"
CONTEXT_TAG = "mlflow.data.context"
VIEW_TAG = "mlflow.sharedViewState.headline"
"""A saved view of the list of runs, which its address names by the last part of the tag."""

COLUMNS = (
    "recognizer_accuracy",
    "attack_success",
    "influence_auc",
    "influence_at_5_percent",
    "flagged_plain_frames",
    "masked_attack_success",
    "masked_attack_undone",
    "masked_clean_accuracy",
)
MODEL_NAME = "recognizer"
PAGE = 1000
LARGEST_BATCH = 100
"""Parameters or tags that a server takes at once."""


@dataclass
class Upserted:
    """How many stage runs were new, replaced, left alone and removed."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True)
class StudyRun:
    """What is logged about a study as a whole.

    Attributes:
        experiment: name of the experiment; becomes the name of the parent run.
        summary: ``summary.json``.
        config: resolved configuration as text; a tag would be too short.
        tags: what runs are filtered and grouped by.
        artifacts: figures and report.
        datasets: pictures that the study has read.
    """

    experiment: str
    summary: Mapping[str, object]
    config: str
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()
    datasets: Sequence[records.Dataset] = ()


class MlflowStore:
    """An MLflow tracking store, opened by one process at a time.

    Args:
        uri: ``sqlite:///FILE`` or the address of a server.
        artifacts: folder for files; not used with a server, which has its own place.

    Raises:
        InputError: the store cannot be opened or reached.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        location = None
        if uri.startswith("sqlite:///"):
            Path(unquote(uri.removeprefix("sqlite:///"))).parent.mkdir(parents=True, exist_ok=True)
            artifacts.mkdir(parents=True, exist_ok=True)
            location = artifacts.resolve().as_uri()
        with self._refusals():
            self.client = MlflowClient(tracking_uri=uri)
            self.experiment_id = self._experiment(location)
            columns = ["tags.`seed`", *(f"metrics.`{name}`" for name in COLUMNS)]
            view = json.dumps({"selectedColumns": columns})
            self.client.set_experiment_tag(self.experiment_id, VIEW_TAG, view)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """A locked, read-only or broken store is the user's to mend: one line."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"tracking.uri: {self.uri}: {first}; no record is lost: the next run tracks them"
            ) from error

    def _experiment(self, location: str | None) -> str:
        found = self.client.get_experiment_by_name(MLFLOW_EXPERIMENT)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            if location is None or found.artifact_location == location:
                return found.experiment_id
            # The folder was moved. An experiment's place of files cannot be changed, but the
            # records bring everything back.
            self.client.rename_experiment(
                found.experiment_id, f"{MLFLOW_EXPERIMENT} {found.experiment_id} (moved)"
            )
        # The kind opens MLflow's page on training runs instead of language-model traces.
        return self.client.create_experiment(
            MLFLOW_EXPERIMENT,
            artifact_location=location,
            tags={"mlflow.experimentKind": "custom_model_development"},
        )

    def upsert(self, study: StudyRun, runs: Sequence[StageRun]) -> Upserted:
        """Bring the runs of one experiment up to date.

        Args:
            study: what the parent run shows.
            runs: a run for every folded record.

        Raises:
            InputError: the store refuses, for example because it may not be written.
        """
        with self._refusals():
            done = Upserted()
            stored = self._stored(study.experiment)
            parent = self._upsert_parent(study, stored.get(PARENT_JOB, []), runs)
            wanted = {run.record.job: run for run in runs}
            for job, old_runs in sorted(stored.items()):
                if job not in wanted and job != PARENT_JOB:
                    self._delete(old_runs)
                    done.removed += 1
            written: dict[str, str] = {}
            for job, run in sorted(wanted.items()):
                old_runs = stored.get(job, [])
                if (same := self._kept(old_runs, run.digest)) is not None:
                    written[job] = same.info.run_id
                    if same.data.tags.get(PARENT_TAG) != parent.info.run_id:
                        self.client.set_tag(same.info.run_id, PARENT_TAG, parent.info.run_id)
                    done.unchanged += 1
                    continue
                written[job] = self._write(study, run, parent.info.run_id)
                done.replaced += bool(old_runs)
                done.new += not old_runs
            self._describe(study, parent, written)
        return done

    def _upsert_parent(
        self, study: StudyRun, old_runs: Sequence[Run], runs: Sequence[StageRun]
    ) -> Run:
        metrics = headline.metrics(study.summary)
        files = [[one.path.name, one.sha256] for one in study.artifacts]
        data = [[one.name, one.digest] for one in study.datasets]
        # Neither the commit nor times: the same results again are the same run.
        digest = digest_of([metrics, study.config, files, data])
        if (same := self._kept(old_runs, digest)) is not None:
            return same
        started = min((run.record.started for run in runs), default=0.0)
        ended = max((run.record.ended for run in runs), default=started)
        tags = {EXPERIMENT_TAG: study.experiment, STAGE_TAG: "experiment", JOB_TAG: PARENT_JOB}
        run_id = self._create(study.experiment, started, {**study.tags, **tags})
        self._log(run_id, {}, metrics, started)
        self.client.log_text(run_id, study.config, "configuration.yaml")
        self._log_files(run_id, study.artifacts)
        self._log_datasets(run_id, study.datasets)
        self._finish(run_id, digest, ended)
        return self.client.get_run(run_id)

    def _describe(self, study: StudyRun, parent: Run, written: Mapping[str, str]) -> None:
        """The text of the parent run, with links to the runs of the stages."""
        page = f"#/experiments/{self.experiment_id}/runs"
        links = {job: f"{page}/{run_id}" for job, run_id in written.items()}
        text = headline.description(study.summary, links)
        if parent.data.tags.get(NOTE_TAG) != text:
            self.client.set_tag(parent.info.run_id, NOTE_TAG, text)

    def _kept(self, old_runs: Sequence[Run], digest: str) -> Run | None:
        """The run with that digest, if any; all others are deleted."""
        same = [old for old in old_runs if old.data.tags.get(DIGEST_TAG) == digest]
        self._delete([old for old in old_runs if old not in same[:1]])
        return same[0] if same else None

    def _write(self, study: StudyRun, run: StageRun, parent: str) -> str:
        record = run.record
        tags = {EXPERIMENT_TAG: study.experiment, STAGE_TAG: record.stage}
        of_job = {**tags, PARENT_TAG: parent, JOB_TAG: record.job}
        run_id = self._create(record.job, record.started, of_job)
        metrics = {**run.metrics, "seconds": record.seconds, "jobs": float(record.jobs)}
        words, curves = run.words, run.curves
        self._log(run_id, run.params, metrics, record.started, words=words, curves=curves)
        self._log_files(run_id, run.artifacts)
        for name, shown in run.pictures.items():
            for step, picture in enumerate(shown):
                self.client.log_image(run_id, picture, key=name, step=step, synchronous=True)
        for point in run.points:
            below = self._create(point.name, record.started, {**tags, PARENT_TAG: run_id})
            self._log(below, point.params, point.metrics, record.started)
            self._finish(below, "", record.ended)
        if run.model is not None:
            self._log_datasets(run_id, study.datasets)
            self._log_model(run.model, run_id, parent, name=f"{study.experiment} recognizer")
        self._finish(run_id, run.digest, record.ended)
        return run_id

    def _log_files(self, run_id: str, files: Iterable[Artifact]) -> None:
        for file in files:
            self.client.log_artifact(run_id, str(file.path), file.folder or None)

    def _log_datasets(self, run_id: str, datasets: Sequence[records.Dataset]) -> None:
        inputs = [
            DatasetInput(
                Dataset(
                    name=one.name,
                    digest=one.digest,
                    source_type="code",
                    source=json.dumps({"tags": {"file": "data/manifest.csv"}}),
                    profile=json.dumps(one.profile),
                ),
                [InputTag(CONTEXT_TAG, one.split)],
            )
            for one in datasets
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)

    def _log_model(self, weights: Path, run_id: str, parent: str, *, name: str) -> None:
        # PyTorch, which most of what is tracked does not need.
        from glassguard.tracking.recognizer_model import save_model

        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "model"
            save_model(weights, saved, name=name)
            model = self.client.create_logged_model(
                self.experiment_id, name=MODEL_NAME, source_run_id=run_id, model_type="classifier"
            )
            self.client.log_model_artifacts(model.model_id, str(saved))
            card = (saved / "README.md").read_text(encoding="utf-8")
        card = card.replace("MODEL_ID", model.model_id)
        self.client.set_logged_model_tags(model.model_id, {NOTE_TAG: card})
        self.client.finalize_logged_model(model.model_id, "READY")
        for run in (run_id, parent):
            self.client.log_outputs(run, [LoggedModelOutput(model.model_id, step=0)])

    def _create(self, name: str, started: float, tags: dict[str, str]) -> str:
        run = self.client.create_run(
            self.experiment_id,
            start_time=round(started * 1000),
            tags={**tags, "mlflow.source.name": "glassguard"},
            run_name=name,
        )
        return run.info.run_id

    def _log(
        self,
        run_id: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        at: float,
        *,
        words: Mapping[str, str] | None = None,
        curves: Curves | None = None,
    ) -> None:
        moment = round(at * 1000)
        logged = [Param(key, value) for key, value in params.items()]
        numbers = [Metric(key, value, moment, 0) for key, value in metrics.items()]
        for key, curve in (curves or {}).items():
            numbers += [Metric(key, value, moment, step) for step, value in curve]
        tags = [RunTag(key, value) for key, value in (words or {}).items()]
        for start in range(0, max(len(logged), len(numbers), len(tags)), LARGEST_BATCH):
            part = slice(start, start + LARGEST_BATCH)
            self.client.log_batch(run_id, numbers[part], logged[part], tags[part])

    def _finish(self, run_id: str, digest: str, ended: float) -> None:
        # Last of all: a run without a digest was interrupted and will be replaced.
        if digest:
            self.client.set_tag(run_id, DIGEST_TAG, digest)
        self.client.set_terminated(run_id, "FINISHED", round(ended * 1000))

    def _stored(self, experiment: str) -> dict[str, list[Run]]:
        """Runs of the experiment by job, without the points of grids."""
        stored: dict[str, list[Run]] = {}
        for run in self._search(f"tags.`{EXPERIMENT_TAG}` = '{experiment}'"):
            if JOB_TAG in run.data.tags:
                stored.setdefault(run.data.tags[JOB_TAG], []).append(run)
        return stored

    def _delete(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._delete_models(run)
            for below in self._search(f"tags.`{PARENT_TAG}` = '{run.info.run_id}'"):
                if JOB_TAG not in below.data.tags:
                    self.client.delete_run(below.info.run_id)
            self.client.delete_run(run.info.run_id)

    def _delete_models(self, run: Run) -> None:
        of_run = f"source_run_id = '{run.info.run_id}'"
        for model in self.client.search_logged_models([self.experiment_id], of_run):
            self.client.delete_logged_model(model.model_id)

    def _search(self, condition: str) -> list[Run]:
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], condition, max_results=PAGE, page_token=token
            )
            found.extend(page)
            token = page.token
            if not token:
                return found
