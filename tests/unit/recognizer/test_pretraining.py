"""Pretraining of the convolutions: schedule, margins, several devices, and a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from recognizer.pretraining_pool import EPOCHS, PEOPLE, arguments, pool, settings

from glassguard.cli import main
from glassguard.configuration.sections import BackboneSection
from glassguard.recognizer.margins import MarginClassifier
from glassguard.recognizer.pretraining import BackbonePretraining, one_cycle, pretrain
from glassguard.recognizer.settings import Backbone
from glassguard.recognizer.trainer import LabelledPictures, read_checkpoint
from glassguard.stages import pretrain as pretrain_stage


@pytest.mark.parametrize("updates", range(1, 21))
def test_the_rate_of_learning_has_a_cycle_of_any_length(updates) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = one_cycle(optimizer, 0.5, updates)
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    peak = int(np.argmax(rates))
    assert peak <= 1
    assert min(rates) >= 0
    assert max(rates) <= 0.5
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if updates != 10:
        # Committed figures rest on these.
        other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        plain = torch.optim.lr_scheduler.OneCycleLR(
            other, 0.5, updates, pct_start=0.1, anneal_strategy="linear", cycle_momentum=False
        )
        assert plain.state_dict()["_schedule_phases"] == schedule.state_dict()["_schedule_phases"]
        return
    # Between those of nine and of eleven updates.
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[1] == pytest.approx(0.5 * 8 / 9)


def test_a_cosine_margin_is_taken_off_the_true_class() -> None:
    torch.manual_seed(0)
    plain = MarginClassifier(8, 3, kind="cosine", margin=0.25, scale=10)
    embeddings, labels = torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])
    difference = plain(embeddings) - plain(embeddings, labels)
    expected = 2.5 * torch.nn.functional.one_hot(labels, 3)
    assert torch.allclose(difference, expected.float(), atol=1e-5)


def test_an_arc_margin_turns_the_true_class_away() -> None:
    network = MarginClassifier(2, 2, kind="arc", margin=0.5, scale=1)
    network.centres.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    angles = torch.linspace(0.01, torch.pi - 0.01, 200)
    embeddings = torch.stack([angles.cos(), angles.sin()], 1).requires_grad_()
    labels = torch.zeros(200, dtype=torch.int64)
    logits = network(embeddings, labels)
    turning = angles < torch.pi - 0.5
    assert torch.allclose(logits[turning, 0], (angles + 0.5).cos()[turning], atol=1e-4)
    assert (logits[1:, 0] < logits[:-1, 0]).all(), "further away is never better"
    assert torch.allclose(logits[:, 1], angles.sin(), atol=1e-5)
    logits.sum().backward()
    assert torch.isfinite(embeddings.grad).all()


def test_an_arc_margin_has_a_gradient_at_the_centre_itself() -> None:
    network = MarginClassifier(2, 2, kind="arc", margin=0.5, scale=1)
    embedding = network.centres.data[:1].clone().requires_grad_()
    network(embedding, torch.tensor([0])).sum().backward()
    assert torch.isfinite(embedding.grad).all()


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "adamw", "learning_rate": 1e-2}], ids=["sgd", "adamw"]
)
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, changes: dict) -> None:
    pool(tmp_path)
    assert main(arguments(tmp_path, "whole", **changes)) == 0
    killed = arguments(tmp_path, "killed", **changes)
    command = [sys.executable, "-m", "glassguard.cli", *killed]
    checkpoint = tmp_path / "killed" / "backbone.safetensors.checkpoint"
    log = tmp_path / "killed.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        until = time.monotonic() + 120
        while "epoch 2 of" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert checkpoint.is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pretraining: resumes after epoch" in again.stderr
    assert "epoch 1 of" not in again.stderr
    names = ("backbone.safetensors", "metrics.json")
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == sorted(names)


class StoppedError(Exception):
    """Stands for a kill within one process."""


def stopped_training(folder: Path, monkeypatch: pytest.MonkeyPatch, **pretraining) -> Path:
    """Train until the backbone would be written, and leave the checkpoint there."""
    pool(folder)

    def stop(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(pretrain_stage, "write_backbone", stop)
        with pytest.raises(StoppedError):
            main(arguments(folder, "out", **pretraining))
    return folder / "out" / "backbone.safetensors.checkpoint"


@pytest.mark.parametrize("change", ["settings", "pictures", "damage", "code"])
def test_a_checkpoint_of_something_else_is_not_used(
    tmp_path: Path, monkeypatch, capsys, change: str
) -> None:
    checkpoint = stopped_training(tmp_path, monkeypatch)
    changed: dict = {}
    if change == "settings":
        changed = {"margin": 0.1}
    elif change == "pictures":
        images = np.load(tmp_path / "images.npy")
        images[1, 0, 0, 0] ^= 1
        np.save(tmp_path / "images.npy", images)
    elif change == "damage":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    else:

        class Code:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/executed",)

        torch.save({"glassguard_bound_to": Code()}, checkpoint)
    capsys.readouterr()
    assert main(arguments(tmp_path, "out", **changed)) == 0
    said = capsys.readouterr().err
    assert "resumes" not in said
    assert f"epoch 1 of {EPOCHS}" in said
    assert not (tmp_path / "executed").exists()


def test_a_training_that_was_finished_is_not_done_again(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    checkpoint = stopped_training(tmp_path, monkeypatch)
    assert read_checkpoint(checkpoint, "something else") is None
    capsys.readouterr()
    assert main(arguments(tmp_path, "out")) == 0
    assert f"resumes after epoch {EPOCHS}" in capsys.readouterr().err
    assert not checkpoint.exists()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["precision"] == "float32"
    assert (metrics["accelerator"], metrics["devices"]) == ("cpu", 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"margin_kind": "arc", "margin_rise": 0.3},
        {"precision": "bfloat16"},
        {"optimizer": "adamw", "learning_rate": 1e-2, "weight_decay": 0.05},
    ],
)
def test_other_ways_to_train_learn_as_well(tmp_path: Path, changes: dict) -> None:
    pictures = LabelledPictures(*pool(tmp_path))
    _, measured = pretrain(
        pictures,
        pictures,
        Backbone.model_validate(settings(margin=0.05, scale=12.0, **changes)),
        seed=1,
    )
    assert measured["pool_val_accuracy"] > 0.4


def test_the_margin_rises_to_its_full_size(tmp_path: Path, monkeypatch) -> None:
    pictures = LabelledPictures(*pool(tmp_path))
    asked: list[float] = []
    forward = MarginClassifier.forward

    def heard(self: MarginClassifier, *given: torch.Tensor) -> torch.Tensor:
        if len(given) == 2:
            asked.append(self.margin)
        return forward(self, *given)

    monkeypatch.setattr(MarginClassifier, "forward", heard)
    pretrain(
        pictures,
        pictures,
        Backbone.model_validate(settings(margin=0.2, margin_rise=0.5)),
        seed=1,
    )
    updates = EPOCHS * (len(pictures.images) // 8)
    expected = [0.2 * min(1.0, 2 * update / updates) for update in range(updates)]
    assert asked == pytest.approx(expected)


@pytest.mark.parametrize("side", [48, 64, 96])
def test_the_embedding_is_made_from_the_places_that_the_dense_layers_see(side: int) -> None:
    network = BackbonePretraining(
        Backbone.model_validate(settings()),
        identities=PEOPLE,
        image_size=96,
        teacher_dimensions=0,
        seed=0,
        order=None,
    ).eval()
    seen: list[torch.Tensor] = []
    network.embedding[0].register_forward_hook(lambda *given: seen.append(given[-1]))
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        network.embed(pixels)
        pooled = network.features(network.normalisation(pixels))
    assert seen[0].shape[2:] == (3, 3)
    # A filter that fires somewhere has not one value for all nine places.
    places = seen[0].flatten(2)
    fires = places.amax(dim=2) > 0
    assert fires.any()
    assert (places.std(dim=2)[fires] > 0).all()
    if side == 96:
        assert torch.equal(seen[0], pooled)


def test_two_devices_train_one_network(tmp_path: Path) -> None:
    pool(tmp_path)
    steps = [{"image_size": 32, "epochs": 2}]
    shared = {"devices": 2, "strategy": "ddp_spawn", "steps": steps}
    command = [sys.executable, "-m", "glassguard.cli", *arguments(tmp_path, "two", **shared)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.count("epoch 2 of 2 at 32 px, loss") == 1
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["devices"] == 2
    assert (tmp_path / "two" / "backbone.safetensors").is_file()


def test_an_accelerator_that_is_not_here_is_one_line(tmp_path: Path, capsys) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is one here")
    pool(tmp_path)
    assert main(arguments(tmp_path, "gpu", accelerator="gpu")) == 2
    said = capsys.readouterr().err
    assert "backbone.pretraining: accelerator=gpu, devices=1: " in said
    assert "Traceback" not in said


def test_several_devices_need_a_strategy() -> None:
    with pytest.raises(ValueError, match="ddp_spawn"):
        BackboneSection.model_validate({"seed": 0, "backbone": settings(devices=2)})
