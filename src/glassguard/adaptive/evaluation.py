"""Every attacker on every defence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.adaptive.attacks import InformedAttack, OrthogonalAttack
from glassguard.adaptive.defences import Defence, MaskedAnswer, Undefended
from glassguard.adaptive.gradient_free import random_search
from glassguard.adaptive.guarded import GUARD, Bound, Guarded
from glassguard.adaptive.settings import Adaptive
from glassguard.attack.controls import random_texture, wear
from glassguard.attack.losses import CrossEntropy, LogitMargin
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.starts import Colour, Face, Noise, Start
from glassguard.progress import track
from glassguard.recognizer.answers import logits_of
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import Recognizer, to_images, to_pixels
from glassguard.statistics import Rate

WORST = "worst"
STARTS: tuple[Start, ...] = (Colour((1.0, 1.0, 0.0)), Noise(), Face())
TEXTURES = 0x7E37
"""Separates the draw of random textures from other draws."""


@dataclass(frozen=True)
class Victims:
    """What attackers start from.

    Attributes:
        faces: N x S x S x 3 uint8, without a frame.
        frames: N x S x S bool.
        targets: N int64, whom the pictures shall be taken for.
        blind: N x S x S x 3 uint8, attacked by somebody who knows the recognizer alone.
        numbers: N numbers by which random draws tell pictures apart.
    """

    faces: NDArray[np.uint8]
    frames: NDArray[np.bool_]
    targets: NDArray[np.int64]
    blind: NDArray[np.uint8]
    numbers: Sequence[int]


@dataclass(frozen=True)
class Outcome:
    """What an attacker reached against a defence.

    Attributes:
        defence, attacker: their names.
        iterations: of each of his attempts; 0 where none is made beyond the study's own attack.
        restarts: attempts beyond the first.
        fooled: N bool, whether the recognizer alone is fooled.
        passed: N bool, whether a picture of his gets through.
    """

    defence: str
    attacker: str
    iterations: int
    restarts: int
    fooled: NDArray[np.bool_]
    passed: NDArray[np.bool_]


def attack_all(
    network: Recognizer,
    defences: Mapping[str, Defence],
    victims: Victims,
    settings: Adaptive,
    *,
    seed: int,
) -> list[Outcome]:
    """Attack every defence in every way.

    - ``blind``: the given attacked pictures.
    - ``random``: random textures; any that gets through counts.
    - ``best_of_k``: attacks on the recognizer alone by two losses, every step length and three
      starts; any result that gets through counts (this took AmI from 85 % detection to none,
      Carlini 2019).
    - ``hinge`` (behind a mask ``bpda``) and ``orthogonal``: gradient attacks on both at once.
    - ``sparse_rs``: random search, if queries are allowed.

    Args:
        network: the recognizer.
        defences: by name.
        victims: the pictures.
        settings: of the attackers.
        seed: of random draws.
    """
    targets = torch.from_numpy(victims.targets)
    bare = Undefended(network)

    def passes(defence: Defence, pictures: Tensor) -> NDArray[np.bool_]:
        found = []
        for start in range(0, len(pictures), settings.batch_size):
            part = slice(start, start + settings.batch_size)
            of_part = defence.at(victims.numbers[part])
            found.append(of_part.passes(pictures[part], targets[part]).numpy())
        return np.concatenate(found)

    found: list[Outcome] = []

    def tried(attacker: str, iterations: int, candidates: Callable[[], list[Tensor]]) -> None:
        """Any of the candidates counts, for every defence."""
        pictures = candidates()
        for name, defence in defences.items():
            through = np.array([passes(defence, one) for one in pictures])
            fooled = np.array([passes(bare, one) for one in pictures])
            found.append(
                Outcome(
                    name,
                    attacker,
                    iterations,
                    len(pictures) - 1,
                    np.any(fooled, axis=0),
                    np.any(through, axis=0),
                )
            )

    tried("blind", 0, lambda: [to_pixels(torch.from_numpy(victims.blind))])
    if settings.random_textures:
        tried("random", 0, lambda: _random_textures(victims, settings.random_textures, seed))
    tried("best_of_k", settings.iterations, lambda: _best_of_k(network, victims, settings, seed))
    for name, defence in track(list(defences.items()), description="defences"):
        if isinstance(defence, Undefended):
            continue
        behind_mask = isinstance(defence, MaskedAnswer)
        attackers: list[tuple[str, type[InformedAttack]]] = [
            ("bpda" if behind_mask else "hinge", InformedAttack),
            ("orthogonal", OrthogonalAttack),
        ]
        iterations, restarts = settings.iterations, 0
        if isinstance(defence, Guarded):
            iterations, restarts = settings.guard.iterations, settings.guard.restarts
        how = {"iterations": iterations, "restarts": [Noise()] * restarts}
        for attacker, kind in attackers:
            arguments = {**_arguments(settings, seed), **how, "weight": settings.weight}
            pixels = _attacked(kind(network, defence=defence, **arguments), victims)
            outcome = passes(bare, pixels), passes(defence, pixels)
            found.append(Outcome(name, attacker, iterations, restarts, *outcome))
        if settings.queries:
            found.append(_searched(network, name, defence, victims, settings, seed))
    return found


def informed_table(outcomes: Sequence[Outcome], rates: Mapping[str, float]) -> pd.DataFrame:
    """``adaptive/table.csv``.

    Args:
        outcomes: of all pictures.
        rates: by defence, the false-alarm rate that its threshold is set at; NaN without one.

    Returns:
        A row for each attacker on each defence and, per defence, for the ``worst`` of all: a
        picture counts where anybody gets through with it. ``success`` is the share of pictures that
        get through; ``detected`` the share stopped of those that fool the recognizer alone.
    """
    rows = []
    for defence in dict.fromkeys(one.defence for one in outcomes):
        for one in _and_the_worst(outcomes, defence):
            stopped = ~one.passed[one.fooled]
            rows.append(
                {
                    "defence": defence.split("@")[0],
                    "attacker": one.attacker,
                    "wanted_fpr": rates[defence],
                    "iterations": one.iterations,
                    "restarts": one.restarts,
                    "n": len(one.passed),
                    **Rate.counted(int(one.passed.sum()), len(one.passed)).columns("success"),
                    **Rate.counted(int(stopped.sum()), len(stopped)).columns("detected"),
                }
            )
    return pd.DataFrame(rows)


def guard_table(outcomes: Sequence[Outcome], bound: Bound) -> pd.DataFrame:
    """``adaptive/guard.csv``: the certificate, confronted with every attacker on the guard.

    Args:
        outcomes: of all pictures, on all defences.
        bound: what the certificate allows.

    Returns:
        A row for each attacker on the guard and for the worst of all. ``accepted_as_target`` is a
        share of all pictures. ``covered`` counts those of which the certificate says anything,
        ``banded_target`` those whose bare face the banded recognizer takes for the target, and
        ``beyond_bound`` the covered ones that are accepted as the target although it does not:
        each would refute the certificate.
    """
    rows = []
    for one in _and_the_worst(outcomes, GUARD):
        beyond = one.passed & bound.covered & ~bound.banded_target
        rows.append(
            {
                "attacker": one.attacker,
                "iterations": one.iterations,
                "restarts": one.restarts,
                "n": len(one.passed),
                "covered": int(bound.covered.sum()),
                "banded_target": int(bound.banded_target.sum()),
                **Rate.counted(int(one.passed.sum()), len(one.passed)).columns(
                    "accepted_as_target"
                ),
                "beyond_bound": int(beyond.sum()),
            }
        )
    return pd.DataFrame(rows)


def _and_the_worst(outcomes: Sequence[Outcome], defence: str) -> list[Outcome]:
    own = [one for one in outcomes if one.defence == defence]
    fooled = np.any([one.fooled for one in own], axis=0)
    passed = np.any([one.passed for one in own], axis=0)
    steps, restarts = max(one.iterations for one in own), max(one.restarts for one in own)
    return [*own, Outcome(defence, WORST, steps, restarts, fooled, passed)]


def _arguments(settings: Adaptive, seed: int) -> dict[str, Any]:
    return {
        "step": settings.steps[0] / 255,
        "momentum": settings.momentum,
        "iterations": settings.iterations,
        "confidence": settings.confidence,
        "batch_size": settings.batch_size,
        "seed": seed,
    }


def _attacked(
    attack: MaskedPixelAttack, victims: Victims, faces: NDArray[np.uint8] | None = None
) -> Tensor:
    return attack(
        to_pixels(torch.from_numpy(victims.faces if faces is None else faces)),
        torch.from_numpy(victims.frames),
        torch.from_numpy(victims.targets),
        numbers=victims.numbers,
    ).pixels


def _best_of_k(
    network: Recognizer, victims: Victims, settings: Adaptive, seed: int
) -> list[Tensor]:
    attempts = list(product((CrossEntropy(), LogitMargin()), settings.steps, STARTS))
    faces = to_pixels(torch.from_numpy(victims.faces))
    frames = torch.from_numpy(victims.frames)[:, None]
    found = []
    for number, (loss, step, start) in enumerate(track(attempts, description="best of K")):
        keys = ([seed, one, number, TEXTURES] for one in victims.numbers)
        begun = start(faces, frames, [np.random.default_rng(key) for key in keys])
        arguments = {**_arguments(settings, seed), "step": step / 255, "loss": loss}
        attack = MaskedPixelAttack(network, initial_colour=None, **arguments)
        found.append(_attacked(attack, victims, to_images(begun).numpy()))
    return found


def _random_textures(victims: Victims, count: int, seed: int) -> list[Tensor]:
    size = victims.faces.shape[1]
    generators = [np.random.default_rng([seed, one, TEXTURES]) for one in victims.numbers]
    found = []
    for _ in range(count):
        textures = np.concatenate([random_texture(1, size, generator=one) for one in generators])
        worn = wear(victims.faces, victims.frames, textures)
        found.append(to_pixels(torch.from_numpy(worn)))
    return found


def _searched(
    network: Recognizer,
    name: str,
    defence: Defence,
    victims: Victims,
    settings: Adaptive,
    seed: int,
) -> Outcome:
    def judge(
        images: NDArray[np.uint8], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        targets, losses, passed = torch.from_numpy(victims.targets[rows]), [], []
        pixels, numbers = (
            to_pixels(torch.from_numpy(images)),
            [victims.numbers[row] for row in rows],
        )
        for start in range(0, len(rows), settings.batch_size):
            part = slice(start, start + settings.batch_size)
            with torch.no_grad():
                # A confidence of 0 would hide who comes nearer.
                losses.append(LogitMargin()(logits_of(network, pixels[part]), targets[part]))
            passed.append(defence.at(numbers[part]).passes(pixels[part], targets[part]))
        return torch.cat(losses).double().numpy(), torch.cat(passed).numpy()

    found = random_search(
        judge,
        victims.faces,
        victims.frames,
        queries=settings.queries,
        numbers=victims.numbers,
        seed=seed,
    )
    fooled = probabilities_of(network, found.images).argmax(1) == victims.targets
    return Outcome(name, "sparse_rs", settings.queries, 0, fooled, found.passed)
