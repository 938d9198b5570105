"""The table of verification against counting by hand, and the stage that writes it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recognizer.onnx_writing import residual_network, write
from sklearn.metrics.pairwise import cosine_similarity

from glassguard.configuration.sections import OpenSetSection
from glassguard.errors import InputError
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.embeddings import embeddings_of
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.onnx_file import read_onnx
from glassguard.recognizer.open_set import Embedded, enrolled, verification_table
from glassguard.recognizer.weights import write_recognizer
from glassguard.stages import open_set
from glassguard.statistics import wilson_interval

DRAW = np.random.default_rng(0)
CENTRES = DRAW.standard_normal((5, 12))
SIDE, PEOPLE = 32, ["ann", "bob", "eve", "kim"]


def embedded(count: int, targets: bool = False, rate: float = 1.0) -> Embedded:
    labels = np.arange(count) % 5
    vectors = CENTRES[labels] + rate * DRAW.standard_normal((count, 12))
    return Embedded(vectors, labels, (labels + 2) % 5 if targets else None)


def row_of(table: pd.DataFrame, name: str, kind: str, wanted: float) -> pd.Series:
    chosen = (table["set"] == name) & (table["kind"] == kind)
    (found,) = table.index[chosen & (table["wanted_false_accepts"] == wanted)]
    return table.loc[found]


def test_every_claim_is_counted_on_test_pictures() -> None:
    train, val, test, worn = embedded(50), embedded(300), embedded(60), embedded(40, targets=True)
    hidden = embedded(20, rate=3.0)
    table = verification_table(
        enrolled(train.embeddings, train.labels, 5),
        validation=val,
        test=test,
        attacks={"glasses": worn, "scarf": hidden},
    )
    units = train.embeddings / np.linalg.norm(train.embeddings, axis=1, keepdims=True)
    people = np.stack([units[train.labels == one].mean(0) for one in range(5)])
    others = [
        score
        for scores, own in zip(cosine_similarity(val.embeddings, people), val.labels, strict=True)
        for one, score in enumerate(scores)
        if one != own
    ]
    assert len(table) == 2 * (2 + 2 + 1)
    for wanted, allowed in ((0.001, 1), (0.01, 12)):
        threshold = sorted(others)[-allowed - 1]
        for name, kind, pictures, claims in (
            ("benign", "genuine", test, test.labels),
            ("glasses", "impersonation", worn, worn.targets),
            ("glasses", "dodging", worn, worn.labels),
            ("scarf", "dodging", hidden, hidden.labels),
        ):
            found = row_of(table, name, kind, wanted)
            scores = cosine_similarity(pictures.embeddings, people)
            hits = sum(row[one] > threshold for row, one in zip(scores, claims, strict=True))
            n = len(claims)
            assert found["threshold"] == pytest.approx(threshold)
            assert found["accepted"] == pytest.approx(hits / n)
            assert found["accepted_n"] == n
            assert tuple(found[["accepted_low", "accepted_high"]]) == pytest.approx(
                wilson_interval(hits, n)
            )
        scores = cosine_similarity(test.embeddings, people)
        false = sum(
            scores[at, one] > threshold for at in range(60) for one in range(5) if one != at % 5
        )
        found = row_of(table, "benign", "impostor", wanted)
        assert found["accepted"] == pytest.approx(false / 240)
        assert found["accepted_n"] == 60, "pictures, since claims of one picture depend on another"


def test_a_share_that_validation_cannot_tell_is_left_open() -> None:
    table = verification_table(CENTRES, validation=embedded(30), test=embedded(10), attacks={})
    known = table["wanted_false_accepts"] == 0.01
    assert table.loc[known, "threshold"].notna().all()
    open_ = table[~known]
    assert open_[["threshold", "accepted", "accepted_low"]].isna().all(axis=None)
    assert (open_["accepted_n"] == 0).all()


def network(folder: Path) -> EmbeddingRecognizer:
    torch.manual_seed(0)
    graph = read_onnx(write(folder / "network.onnx", residual_network()))
    given = {"mean": (127.5,) * 3, "scale": 127.5, "channels": "rgb", "image_size": SIDE}
    made = EmbeddingRecognizer(graph, identities=4, hidden=8, **given)  # type: ignore[arg-type]
    return made.requires_grad_(False).eval()


def write_study(folder: Path) -> dict[str, Path | list[Path]]:
    """Four people of one colour each; attacked pictures show the target's colour."""
    colours = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250], [240, 240, 30]])
    rows = [
        {"image_id": f"{name}-{number}", "identity": name, "split": split}
        for name in PEOPLE
        for split, count in (("train", 3), ("val", 10), ("test", 4))
        for number in range(count)
    ]
    manifest = pd.DataFrame(rows)
    manifest["image_id"] = [f"p{number}" for number in range(len(rows))]
    for column in ("source", "sha256", "aligned_by"):
        manifest[column] = "drawn"
    for column in ("width", "height"):
        manifest[column] = SIDE
    for column in ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"):
        manifest[column] = 9.0

    def pictures(people: pd.Series) -> np.ndarray:
        shape = (len(people), SIDE, SIDE, 3)
        who = [PEOPLE.index(name) for name in people]
        noise = DRAW.integers(-20, 21, shape)
        return np.clip(colours[who][:, None, None, :] + noise, 0, 255).astype(np.uint8)

    examples = pd.DataFrame(
        [
            {"attacker": "ann", "target": "bob", "split": split, "goal": "impersonation"}
            for split in ("val", "test", "test", "test")
        ]
    )
    examples.insert(0, "example_id", [f"g{number}" for number in range(4)])
    examples["image_id"] = manifest.loc[manifest["identity"] == "ann", "image_id"].iloc[0]
    examples["prediction"], examples["success"] = "bob", True
    files = {name: folder / name for name in ("m.csv", "m.npy", "e.csv", "e.npy")}
    manifest.to_csv(files["m.csv"], index=False)
    np.save(files["m.npy"], pictures(manifest["identity"]))
    examples.to_csv(files["e.csv"], index=False)
    np.save(files["e.npy"], pictures(examples["target"]))
    write_recognizer(folder / "recognizer.safetensors", network(folder), PEOPLE)
    return {
        "benign": [files["m.csv"], files["m.npy"]],
        "attacks": [files["e.csv"], files["e.npy"]],
        "recognizer": folder / "recognizer.safetensors",
        "table": folder / "open_set.csv",
    }


CONFIG = OpenSetSection(attacks=("glasses",), recognizer={"threads": 1})  # type: ignore[arg-type]


def test_the_stage_verifies_claims_of_a_study(tmp_path: Path) -> None:
    files = write_study(tmp_path)
    metrics = open_set.run(CONFIG, **files)  # type: ignore[arg-type]
    table = pd.read_csv(tmp_path / "open_set.csv")
    pictures, worn = np.load(tmp_path / "m.npy"), np.load(tmp_path / "e.npy")[1:]
    manifest = pd.read_csv(tmp_path / "m.csv")
    who = np.array([PEOPLE.index(name) for name in manifest["identity"]])
    seen = embeddings_of(network(tmp_path), pictures)
    splits = {one: (manifest["split"] == one).to_numpy() for one in ("train", "val", "test")}
    train, val, test = (Embedded(seen[rows], who[rows]) for rows in splits.values())
    attacked = Embedded(embeddings_of(network(tmp_path), worn), np.zeros(3, int), np.ones(3, int))
    expected = verification_table(
        enrolled(train.embeddings, train.labels, 4),
        validation=val,
        test=test,
        attacks={"glasses": attacked},
    )
    pd.testing.assert_frame_equal(table, expected, rtol=1e-5)
    assert row_of(table, "benign", "genuine", 0.01)["accepted_n"] == 16
    assert table.loc[table["wanted_false_accepts"] == 0.001, "threshold"].isna().all()
    known = expected[expected["threshold"].notna()].to_dict("records")
    assert metrics == {f"{row['kind']}_at_0.01": row["accepted"] for row in known}


def test_embeddings_are_the_networks_own(tmp_path: Path) -> None:
    made = network(tmp_path)
    pictures = DRAW.integers(0, 256, (70, SIDE, SIDE, 3), dtype=np.uint8)
    found = embeddings_of(made, pictures)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    np.testing.assert_allclose(found, made.features((pixels - 127.5) / 127.5), rtol=1e-4, atol=1e-5)
    assert embeddings_of(made, pictures[:0]).shape == (0, found.shape[1])
    with pytest.raises(ValueError, match="training mode"):
        embeddings_of(made.train(), pictures)


def test_what_cannot_be_verified_is_refused_in_one_line(tmp_path: Path) -> None:
    files = write_study(tmp_path)
    table = pd.read_csv(tmp_path / "m.csv")
    kim = table["identity"] == "kim"
    table.assign(split=table["split"].where(~kim, "test")).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(InputError, match=r"m\.csv: 'kim' has no picture of split train"):
        open_set.run(CONFIG, **files)  # type: ignore[arg-type]
    table.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(InputError, match="--attacks: examples and pictures of glasses"):
        open_set.run(CONFIG, **{**files, "attacks": files["attacks"][:1]})  # type: ignore[index, arg-type]
    vgg16 = FaceRecognizer(
        identities=4, image_size=SIDE, width=0.0625, hidden=8, mean=(0, 0, 0), scale=1.0
    )
    write_recognizer(tmp_path / "recognizer.safetensors", vgg16, PEOPLE)
    with pytest.raises(InputError, match=r"recognizer\.safetensors: has no embedding; allowed"):
        open_set.run(CONFIG, **files)  # type: ignore[arg-type]
