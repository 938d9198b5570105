"""A made-up study that is tracked into a database of its own."""

import json

from glassguard.configuration.sections import TrackSection
from glassguard.stages import track


class Study:
    """A folder of results that is tracked into a database beside it."""

    def __init__(self, root, name="smoke"):
        self.root = root
        self.name = name
        self.results = root / "results" / name
        self.outbox = self.results / "tracking" / "outbox"
        self.outbox.mkdir(parents=True)

    def write(self, job, stage, metrics, params=None):
        values = {"stage": stage, "started": 1.8e9, "ended": 1.8e9 + 5}
        values |= {"params": params or {"seed": 0}, "metrics": metrics}
        (self.outbox / f"{job}.json").write_text(json.dumps(values))

    def track(self, *, artifacts="artifacts", enabled=True):
        config = TrackSection.model_validate(
            {
                "experiment": self.name,
                "tracking": {
                    "enabled": enabled,
                    "uri": f"sqlite:///{self.root}/mlflow.db",
                    "artifacts": str(self.root / artifacts),
                },
            }
        )
        done = self.results / "tracking" / "done.json"
        return track.run(
            config, records=list(self.outbox.glob("*.json")), results=self.results, done=done
        )

    def runs(self):
        return self.opened(self.root)

    @staticmethod
    def opened(root):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
        experiment = client.get_experiment_by_name("glassguard")
        return client, client.search_runs([experiment.experiment_id])
