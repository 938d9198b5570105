"""Upserts the runs of one experiment into MLflow.

The parent run is the experiment, its children are the stages, and the children of a stage are
points of its grid. A job and the digest of what it found identify a run: unchanged runs stay,
changed ones are replaced, and runs without a record are removed. So the records determine the
store, and it can be rebuilt from them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

# Set before the import: MLflow looks at it when it is loaded.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from glassguard.errors import InputError
from glassguard.tracking.records import StageRun, digest_of, split_metrics

MLFLOW_EXPERIMENT = "glassguard"
EXPERIMENT_TAG = "glassguard.experiment"
JOB_TAG = "glassguard.job"
PARENT_TAG = "mlflow.parentRunId"
STAGE_TAG = "glassguard.stage"
DIGEST_TAG = "glassguard.digest"
PARENT_JOB = "experiment"
DESCRIPTION = "The report and all plots are artifacts of the child runs *report* and *figures*."
PAGE = 1000
LARGEST_BATCH = 100


@dataclass
class Upserted:
    """How many stage runs were new, replaced, left alone and removed."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0


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
        try:
            self.client = MlflowClient(tracking_uri=uri)
            self.experiment_id = self._experiment(location)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise InputError(f"tracking.uri: {uri}: {str(error).splitlines()[0]}") from error

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

    def upsert(
        self,
        experiment: str,
        runs: Sequence[StageRun],
        *,
        headline: Mapping[str, object],
        config: str,
    ) -> Upserted:
        """Bring the runs of one experiment up to date.

        Args:
            experiment: name of the experiment; becomes the parent run.
            runs: a run for every record.
            headline: ``summary.json``; its numbers become metrics of the parent run.
            config: resolved configuration as text; a tag would be too short, so it is an artifact
                of the parent run.
        """
        done = Upserted()
        stored = self._stored(experiment)
        parent = self._upsert_parent(experiment, stored.get(PARENT_JOB, []), runs, headline, config)
        wanted = {run.record.job: run for run in runs}
        for job, old_runs in sorted(stored.items()):
            if job not in wanted and job != PARENT_JOB:
                self._delete(old_runs)
                done.removed += 1
        for job, run in sorted(wanted.items()):
            old_runs = stored.get(job, [])
            if (same := self._kept(old_runs, run.digest)) is not None:
                if same.data.tags.get(PARENT_TAG) != parent:
                    self.client.set_tag(same.info.run_id, PARENT_TAG, parent)
                done.unchanged += 1
                continue
            self._write(experiment, run, parent)
            done.replaced += bool(old_runs)
            done.new += not old_runs
        return done

    def _upsert_parent(
        self,
        experiment: str,
        old_runs: Sequence[Run],
        runs: Sequence[StageRun],
        headline: Mapping[str, object],
        config: str,
    ) -> str:
        metrics, words = split_metrics(headline)
        digest = digest_of([metrics, words, config])
        if (same := self._kept(old_runs, digest)) is not None:
            return same.info.run_id
        started = min((run.record.started for run in runs), default=0.0)
        ended = max((run.record.ended for run in runs), default=started)
        tags = {EXPERIMENT_TAG: experiment, STAGE_TAG: "experiment", JOB_TAG: PARENT_JOB}
        run_id = self._create(experiment, started, tags)
        self._log(run_id, words, metrics, started)
        self.client.log_text(run_id, config, "configuration.yaml")
        self.client.set_tag(run_id, "mlflow.note.content", DESCRIPTION)
        self._finish(run_id, digest, ended)
        return run_id

    def _kept(self, old_runs: Sequence[Run], digest: str) -> Run | None:
        """The run with that digest, if any; all others are deleted."""
        same = [old for old in old_runs if old.data.tags.get(DIGEST_TAG) == digest]
        self._delete([old for old in old_runs if old not in same[:1]])
        return same[0] if same else None

    def _write(self, experiment: str, run: StageRun, parent: str) -> None:
        record = run.record
        tags = {EXPERIMENT_TAG: experiment, STAGE_TAG: record.stage}
        of_job = {**tags, PARENT_TAG: parent, JOB_TAG: record.job}
        run_id = self._create(record.job, record.started, of_job)
        metrics = {**run.metrics, "seconds": record.ended - record.started}
        self._log(run_id, run.params, metrics, record.started, words=run.words)
        for artifact in run.artifacts:
            self.client.log_artifact(run_id, str(artifact.path))
        for point in run.points:
            below = self._create(point.name, record.started, {**tags, PARENT_TAG: run_id})
            self._log(below, point.params, point.metrics, record.started)
            self._finish(below, "", record.ended)
        self._finish(run_id, run.digest, record.ended)

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
    ) -> None:
        moment = round(at * 1000)
        logged = [Param(key, value) for key, value in params.items()]
        numbers = [Metric(key, value, moment, 0) for key, value in metrics.items()]
        tags = [RunTag(key, value) for key, value in (words or {}).items()]
        # A server takes at most 100 parameters or tags at once.
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
            for below in self._search(f"tags.`{PARENT_TAG}` = '{run.info.run_id}'"):
                if JOB_TAG not in below.data.tags:
                    self.client.delete_run(below.info.run_id)
            self.client.delete_run(run.info.run_id)

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
