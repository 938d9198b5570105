"""What the guard would have left of a made-up study."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.guard.certificate import certificate_table, headline, targets_table
from glassguard.guard.operating_curve import Side, operating_curve
from glassguard.guard.tables import PARTS, classes_in, judged_in, predictions_in

LEAST = {"least_full": 0.4, "least_banded": 0.3}
BAND = {
    "half_width": 1.1,
    "top": -0.35,
    "bottom": 0.47,
    "margin": 0.0,
    "placements": {"shift": 0.018, "rotation": 4, "scale": 0.05},
    "share_of_picture": 0.29,
    "smallest_share": 0.28,
    "largest_share": 0.3,
}


def made_up_decisions(people: list[str], seed: int = 0) -> pd.DataFrame:
    """Decisions on the pictures of :mod:`made_up_study`: some right, some wrong, some rejected."""
    generator = np.random.default_rng(seed)
    rows = []
    for name in ("benign", "glasses", "plain_frames", "random_frames"):
        for split in ("val", "test"):
            for number in range(12):
                person = people[number % 2 + 2 if name == "glasses" else number % len(people)]
                face = f"{person}-{split}-{number % 3}"
                row = {
                    "image_id": face,
                    "example_id": face,
                    "set": name,
                    "split": split,
                    "identity": person,
                    "target": people[number // 6] if name == "glasses" else "",
                }
                if name == "glasses":
                    row["example_id"] = f"g{number + 12 * (split == 'test'):05d}"
                for part in PARTS:
                    right = generator.random() < (0.2 if part == "full" else 0.8)
                    row[f"answer_{part}"] = person if right else people[number // 6]
                    row[f"confidence_{part}"] = 0.4 + 0.6 * generator.random()
                accepts = row["answer_full"] == row["answer_banded"]
                row["decision"] = "accept" if accepts else "reject"
                row["answer"] = row["answer_full"] if accepts else ""
                row["covered"] = True
                row["certified"] = row["answer_banded"] == person
                rows.append(row)
    return pd.DataFrame(rows)


def write_guard(root: Path, people: list[str]) -> None:
    """``guard/`` below the study's folder."""
    (root / "guard").mkdir()
    decisions = made_up_decisions(people)
    decisions.to_csv(root / "guard/decisions.csv", index=False)
    test = decisions[decisions["split"] == "test"]
    of_set = dict(tuple(test.groupby("set", sort=False)))
    judged = {name: judged_in(table, people) for name, table in of_set.items()}
    certificate_table(judged).to_csv(root / "guard/certificate.csv", index=False)
    targets = targets_table(judged["benign"], people, least_banded=LEAST["least_banded"])
    targets.to_csv(root / "guard/targets.csv", index=False)
    attacks = of_set["glasses"]
    honest, attacked = (
        Side(
            **{part: predictions_in(table, part, people) for part in PARTS},
            scores={"influence": np.linspace(start, 1, len(table))},
        ).defences("influence")
        for start, table in ((0.0, of_set["benign"]), (0.5, attacks))
    )
    target = classes_in(attacks["target"], people)
    operating_curve(
        honest,
        attacked,
        people=classes_in(of_set["benign"]["identity"], people),
        attacker=classes_in(attacks["identity"], people),
        target=target,
    ).to_csv(root / "guard/operating_curve.csv", index=False)
    worn = {"bare": judged["benign"]}
    worn |= {name: judged[name] for name in ("plain_frames", "random_frames")}
    summary = headline(worn, judged["glasses"], target) | {"combined_detector": "influence"}
    for name, values in (
        ("summary", summary),
        ("band", BAND),
        ("thresholds", LEAST | {"mode": "accept_or_reject", "largest_rejected": 0.005}),
    ):
        (root / f"guard/{name}.json").write_text(json.dumps(values))
