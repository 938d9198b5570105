"""Figures that the two studies print, to compare with what is measured here.

Study I: Dong, Fredrikson, Leino (2019), "Influence based explanations for detecting adversarial
attacks against deep neural network facial recognition systems", preprint, 13 May 2019.
Study S: "Robustifying machine perception for face recognition systems: defense against the dark
arts", blog article, 23 April 2019, on the saliency mask of Hayes (2018).

Rates are in [0, 1]. Neither study prints intervals; n is given where it is printed.
"""

from typing import NamedTuple

STUDY_I = (
    "Dong, Fredrikson, Leino (2019): Influence based explanations for detecting adversarial "
    "attacks against deep neural network facial recognition systems. Preprint."
)
STUDY_S = (
    "Robustifying machine perception for face recognition systems: defense against the dark "
    "arts. Blog article, 23 April 2019, on Hayes (2018)."
)


class SourcePair(NamedTuple):
    """One row of Study I's Table 1."""

    target: str
    attacker: str
    benign_target: float
    benign_other: float
    impersonation: float


TABLE_1 = (
    SourcePair("Milla Jovovich", "Lujo", 1.000, 0.978, 0.923),
    SourcePair("Brad Pitt", "Sruti", 0.750, 0.989, 1.000),
    SourcePair("Ariel", "Mahmood", 0.714, 0.959, 0.949),
)
"""Study I, Table 1 (about two hundred impersonations over the three pairs, section 3)."""

BEST_LAYER_INDEX = 8
"""Study I, section 3: "the output of the eighth layer", "a vector size of 256"."""

AMI_FALSE_POSITIVE_RATE = 0.0991
AMI_DETECTION = (0.83, 0.85)
"""AmI (Tao et al. 2018): adversarial glasses detected, at that share of benign pictures flagged."""


class SourceRecognizer(NamedTuple):
    """Study S's recognizer after 45 epochs, for 30 people with 2,300 pictures."""

    train_accuracy: float = 0.989
    validation_accuracy: float = 0.981


class SourceSaliency(NamedTuple):
    """One row of Study S's evaluation; ``None`` where it prints nothing."""

    adversarial_success: float
    adversarial_correct: float
    clean_accuracy: float
    defence_success: float | None


RECOGNIZER = SourceRecognizer()
UNDEFENDED = SourceSaliency(0.850, 0.133, 0.982, None)
DEFENDED = SourceSaliency(0.217, 0.600, 0.933, 0.567)
DEFENDED_WITH_THRESHOLD = SourceSaliency(0.166, 0.533, 0.933, 0.549)
CONFIDENCE_THRESHOLD = 0.8

BEST_MU = 0.98
BEST_N = 8
BEST_PHI = 80
BEST_GOODNESS = 0.7768
"""Study S: mu = 0.98, n = 8, phi = 80 with zero fill scored 0.7768 on the goodness score."""
