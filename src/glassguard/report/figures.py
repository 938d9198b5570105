"""The figures of a study, one record each.

The workflow imports this module to know which files there will be, so it imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Act = Literal["attack", "detection", "influence", "saliency", "guard"]


@dataclass(frozen=True)
class Figure:
    """A figure: ``figures/<name>.svg`` and ``figures/<name>.png``.

    The function ``name`` in ``glassguard.report.<act>_figures`` draws it. It takes the files and
    settings that the figure reads and returns the figure and the numbers of its caption.

    Attributes:
        name: name of the figure and of the function.
        act: part of the study that it belongs to.
        summary: what it shows, in one sentence.
        caption: template of the caption. It says how many things were counted.
        reads: path below the study's folder by argument; ``{attack}`` is the first attack. A file
            of profiles is read as a table: the profiles at the best layer.
        settings: dotted key of the configuration by argument.
        several_attacks: whether only studies with several attacks have it.
    """

    name: str
    act: Act
    summary: str
    caption: str
    reads: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    several_attacks: bool = False

    @property
    def template(self) -> str:
        """The caption in Snakemake's report, a Jinja template of reStructuredText."""
        return f'{_flowing(self.summary)}\n\n{{{{ snakemake.params.captions["{self.name}"] }}}}\n'

    def captioned(self, numbers: Mapping[str, object]) -> str:
        """The caption with its numbers."""
        return _flowing(self.caption).format(**numbers)


def _flowing(text: str) -> str:
    """Text without its line ends."""
    return " ".join(text.split())


PROFILES = {
    "benign": "influence/benign/profiles.npz",
    "attacked": "influence/{attack}/profiles.npz",
    "manifest": "data/manifest.csv",
    "examples": "attacks/{attack}/examples.csv",
    "best": "detection/best_layer.json",
}

FIGURES = (
    Figure(
        name="attack_examples",
        act="attack",
        summary="""Adversarial eyeglasses: attackers, the same pictures with adversarial glasses,
        and the people to be impersonated.""",
        caption="""Adversarial eyeglasses. Columns: the first attacked test picture of n = {pairs}
        of the {all_pairs} pairs, whatever its outcome. Rows: the attacker, the attacker with
        adversarial glasses, the person to be impersonated. Under each: the recognizer's answer to
        the attacked picture and its confidence in the target.""",
        reads={
            "manifest": "data/manifest.csv",
            "images": "data/images.npy",
            "attacked": "attacks/{attack}/images.npy",
            "examples": "attacks/{attack}/examples.csv",
        },
    ),
    Figure(
        name="attack_confidence",
        act="attack",
        summary="""Undefended attacks: confidence in the target after rounding to 8 bits, and
        iterations needed.""",
        caption="""Undefended attacks on the test split (n = {n}, of which {successes} succeeded).
        Left: confidence in the target after rounding to 8 bits. Right: share of attacks that had
        reached their goal within a number of iterations.""",
        reads={"examples": "attacks/{attack}/examples.csv"},
    ),
    Figure(
        name="recognizer_training",
        act="attack",
        summary="""Training of the fully connected layers on frozen features: loss and accuracy by
        epoch.""",
        caption="""Training of the fully connected layers over {epochs} epochs on n = {train}
        training pictures; n = {validation} validation pictures. Study S prints {source_train} and
        {source_validation}.""",
        reads={"history": "recognizer/history.csv", "manifest": "data/manifest.csv"},
    ),
    Figure(
        name="table1",
        act="detection",
        summary="""Study I, Table 1: accuracy on benign pictures of the target, on other benign
        pictures and on impersonations, with 95 % Wilson intervals.""",
        caption="""Study I's Table 1. Dots: accuracy with 95 % Wilson interval for each of {pairs}
        pairs of target and attacker (n = {impersonations} impersonations in all); hollow squares:
        the three pairs that Study I prints, without intervals. Vertical lines: means over our
        pairs.""",
        reads={"table": "detection/table1.csv"},
    ),
    Figure(
        name="layers",
        act="detection",
        summary="""Study I: balanced accuracy and area under the curve of the linear detector on
        influence profiles of every slice, with the band of its seeds.""",
        caption="""Linear detectors on influence profiles of every slice, on the validation pictures
        that the slice is chosen on: means over n = {pairs} pairs ({impersonations} impersonations,
        {benign} benign pictures). Lines: mean over seeds of the classifier (n = {seeds}), areas
        under the curve of the mean margin; bands: lowest to highest seed. Hollow: not acceptable,
        because less than {least_own} of the target's own pictures that the network names right are
        accepted, or less than {least_others} of other people's rejected; chosen only where nothing
        is acceptable. The vertical line marks the slice that most pairs chose, each on other pairs:
        {slice} ({paper_index}; Study I chose {source_index}). An area far
        below one half is a detector that likes impersonations better than the person.""",
        reads={
            "table": "detection/layers.csv",
            "best": "detection/best_layer.json",
            "examples": "attacks/{attack}/examples.csv",
        },
        settings={
            "least_own": "detector.minimum_benign_target",
            "least_others": "detector.minimum_benign_other",
        },
    ),
    Figure(
        name="roc",
        act="detection",
        summary="""Impersonations that are flagged against benign pictures that are flagged, on the
        test split; below with honest wearers of frames among the benign.""",
        caption="""Successful impersonations that are flagged against benign pictures that are
        flagged, on the test split (n = {impersonations} impersonations, {benign} benign pictures).
        Drawn are {detectors} of {all_detectors} detectors: {names}; the curves of all are in
        detection/roc.csv. Inset: the same with a logarithmic axis, where a usable threshold lies;
        dotted at 1, 5 and 9.91 % false alarms. What it covers is worse than chance. Below: half of
        the benign pictures wear honest frames (n = {half_wearing}).""",
        reads={"table": "detection/roc.csv", "examples": "attacks/{attack}/examples.csv"},
    ),
    Figure(
        name="profiles",
        act="influence",
        summary="""Study I, Fig. 6: influence profiles of the target against those of its
        impersonations.""",
        caption="""Influence profiles at {slice}, filters ordered by the target's mean (after Study
        I, Fig. 6): benign test pictures of the target against successful impersonations of it, mean
        and middle 80 %; n = {benign} and {impersonations} in all.""",
        reads=PROFILES,
    ),
    Figure(
        name="profile_projection",
        act="influence",
        summary="""Study I: profiles of benign pictures and of impersonations on principal
        components fitted on benign training profiles.""",
        caption="""Profiles at {slice} on the first two principal components of benign training
        profiles (n = {training}), each of unit length and standardised by filter; the axes say how
        much of their variance they carry. Benign test pictures of all people (n = {others}), of one
        target a panel (n = {benign} in all) and successful test impersonations of it (n =
        {impersonations} in all). Components were fitted without any attack.""",
        reads=PROFILES,
    ),
    Figure(
        name="receptive_fields",
        act="influence",
        summary="""Study I, Figs. 2 and 3: the pixels that the most influential tenth of each
        layer's neurons looks at.""",
        caption="""Receptive fields of experts (after Study I, Figs. 2 and 3): in colour, the {kept}
        of the pixels in which the {gradient} of the experts' activations is greatest; experts are
        the {share} of a layer's neurons with the greatest influence on the answer to that picture.
        No influence: they are all switched off, and no pixel moves them. Rows: for n = {shown} of
        {successes} successful attacks of the test split, the attacked picture, the same one without
        glasses, and a picture of the target.""",
        reads={"maps": "influence/experts.npz", "examples": "attacks/{attack}/examples.csv"},
        settings={"experts": "influence.experts"},
    ),
    Figure(
        name="heat_maps",
        act="influence",
        summary="""Study I, Fig. 4: influence of the most influential tenth of each layer's neurons,
        propagated back to the pixels.""",
        caption="""The experts' influence propagated back to the pixels (after Study I, Fig. 4): its
        magnitude in multiples of each map's own mean, so that colours compare places and not
        pictures; one colour scale a column, by the square root. The glasses are outlined. No
        influence: the layer's experts are all switched off, and the map is zero everywhere.
        Pictures as in the figure of receptive fields: n = {shown} of {successes} successful attacks
        of the test split.""",
        reads={"maps": "influence/experts.npz", "examples": "attacks/{attack}/examples.csv"},
    ),
    Figure(
        name="share_inside",
        act="influence",
        summary="""Study I: share of the influence of each layer's experts that lies inside the
        glasses, over the glasses' share of the area.""",
        caption="""Influence per area: the share of the experts' influence, propagated to the
        pixels, that lies inside the glasses, over the share of the area that they cover (dotted: as
        much as of the area), at every layer behind the activation; test split, means with 95 %
        intervals (Student). n = {impersonations} impersonations, {plain} honest wearers of plain
        frames, and the impersonators' {bare} pictures before the attack, measured where the glasses
        would be; fewer where a layer's experts are all switched off and see nothing.""",
        reads={"table": "influence/share_inside.csv"},
    ),
    Figure(
        name="distance_histograms",
        act="detection",
        summary="""Study I: distances of test pictures to characteristic profiles, by three metrics,
        and the score by which pictures are flagged.""",
        caption="""Distances of test pictures to characteristic profiles at {slice}: of benign
        pictures to their own person's (n = {within}) and to everybody else's (n = {between}), of
        successful impersonations to their target's (n = {impersonation}); and the score by which
        pictures are flagged. The line is the threshold above which {wanted} of bare validation
        pictures, or fewer, are flagged.""",
        reads={
            "table": "detection/histograms.csv",
            "points": "detection/attacks.csv",
            "best": "detection/best_layer.json",
        },
    ),
    Figure(
        name="distance_matrix",
        act="detection",
        summary="""Study I: Euclidean distance between the characteristic profiles, mean training
        profiles, of every two people.""",
        caption="""Euclidean distance between the characteristic profiles of n = {people} people at
        {slice}; the diagonal, which is 0, is left blank.""",
        reads={"table": "detection/distance_matrix.csv", "best": "detection/best_layer.json"},
    ),
    Figure(
        name="saliency_steps",
        act="saliency",
        summary="""Study S: the saliency mask step by step, where it worked and where it failed.""",
        caption="""The saliency mask step by step, {map} map, μ = {mu:g} ({mu_as}), n = {n}, φ =
        {phi}, fill {fill}. Top: one attacked test picture, the frame outlined on the mask. Below: n
        = {shown} test pictures, evenly drawn from those that fooled the recognizer and on which the
        mask worked (the answer became the attacker's own name) or failed, with the answer below
        each; none: there is no such picture in the test split. Over the whole test split it worked
        on {undone} (n = {examples} attacked pictures).""",
        reads={
            "masks": "saliency/masks.npz",
            "evaluation": "saliency/evaluation.csv",
            "best": "saliency/best.json",
        },
    ),
    Figure(
        name="saliency_evaluation",
        act="saliency",
        summary="""Study S: test split before and after the defence, beside oracle and random masks,
        with 95 % Wilson intervals.""",
        caption="""Test split before and after the defence (n = {adversarial} attacked, {clean}
        clean pictures), with 95 % Wilson intervals; oracle masks exactly the frame, random masks as
        much area anywhere. The saliency mask is cut from the {map} map, the kind that was better on
        validation attacks. The affordable mask, shown where the best of all costs clean validation
        pictures more, is the best of those that cost them little. Hollow: what Study S prints for
        its own recognizer and people, undefended and behind its mask. That one is cut from the
        guided map with parameters tuned there: ours to hold it against are {method} (its method)
        and Study S's setting (its parameters).""",
        reads={"evaluation": "saliency/evaluation.csv", "best": "saliency/best.json"},
    ),
    Figure(
        name="saliency_grid",
        act="saliency",
        summary="""Study S: goodness of the mask over its parameters, on attacked validation
        pictures.""",
        caption="""Goodness on the validation split (n = {adversarial} attacked, {clean} clean
        pictures), one panel for each φ and kind of saliency map: {kinds}. Only combinations with
        the fill and the reading of μ of the kind's best are shown; all are in saliency/grid.csv.
        Framed: the best combination of each kind; blank: not tried; ≤: dropped in a race, since its
        goodness is at most that.""",
        reads={"grid": "saliency/grid.csv", "best": "saliency/best.json"},
        settings={"kinds": "saliency.grid.map"},
    ),
    Figure(
        name="threshold_curve",
        act="saliency",
        summary="""Study S: rejecting answers below a confidence, with the saliency mask, on the
        test split.""",
        caption="""Rejecting answers below a confidence, without and with the saliency mask (n =
        {adversarial} attacked, {clean} clean test pictures); bands: 95 % Wilson intervals. The
        dotted line marks the threshold that the study sets, {threshold:g}, the solid one the
        working point, {working_point:g}: of those that cost clean validation pictures no more than
        {largest_clean_loss}, the lowest at which attacks succeed least.""",
        reads={
            "curve": "saliency/threshold_curve.csv",
            "working_point": "saliency/working_point.json",
            "evaluation": "saliency/evaluation.csv",
        },
        settings={"threshold": "saliency.confidence_threshold"},
    ),
    Figure(
        name="generality",
        act="saliency",
        summary="""Study S: masks tuned on one attack, tried on every other.""",
        caption="""Masks whose parameters were chosen on validation attacks of one kind
        (rows), on test attacks of every kind (columns; n = {n}; undefended success in
        brackets): how often the attack still succeeds, and how often it is undone, of all attacks,
        with 95 % Wilson intervals. Framed: masks on the attack that they were tuned on.""",
        reads={"table": "saliency/generality.csv"},
        several_attacks=True,
    ),
    Figure(
        name="operating_curves",
        act="guard",
        summary="""All defences: attacks accepted as the target and attacks named right, against
        honest pictures that are rejected or misnamed.""",
        caption="""Every defence on the test split (n = {attacked} attacked and {honest} honest
        pictures, of which half wear honest frames) as its threshold moves; the marker is where it
        rejects least. Drawn are {drawn} of {all_defences} defences; guard/operating_curve.csv has
        all. Detector, mask and guard: both recognizers agree and {detector} does not flag the
        picture, or the answer behind the saliency mask is the banded one. The attacker knows none
        of the defences. Not covered: eyes that an attacker moves where alignment is computed on the
        attacked picture, and paint outside the band.""",
        reads={"table": "guard/operating_curve.csv", "summary": "guard/summary.json"},
    ),
    Figure(
        name="guard_gallery",
        act="guard",
        summary="""The guard on attacked pictures: accepted, corrected, rejected and wrong.""",
        caption="""The guard on n = {n} attacked test pictures: {accepted_share} are accepted under
        the attacker's own name, {corrected_share} are taken for somebody else and named right where
        the band is hidden, {rejected_share} are rejected, {wrong_share} are accepted under a wrong
        name. Up to six of each that there is; below each, the answer and its confidence. Upper
        rows: as the recognizer sees them; lower rows: as the banded one does, for which they are
        equal to the bare faces. Not covered: eyes that an attacker moves where alignment is
        computed on the attacked picture, and paint outside the band.""",
        reads={
            "decisions": "guard/decisions.csv",
            "images": "attacks/{attack}/images.npy",
            "examples": "attacks/{attack}/examples.csv",
            "manifest": "data/manifest.csv",
            "band": "guard/band.json",
        },
    ),
)
"""In the order in which the page shows them."""


def figures_of(attacks: int) -> list[Figure]:
    """The figures of a study with that many attacks."""
    return [figure for figure in FIGURES if attacks > 1 or not figure.several_attacks]
