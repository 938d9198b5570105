"""The figures of a study: their names, in the order of the report, and their captions.

Imports nothing heavy, so that a workflow can read the names. Templates are filled in from the
data by the ``figures`` stage; every caption says how many things were counted.
"""

CAPTIONS: dict[str, str] = {
    "attack_examples": (
        "Adversarial eyeglasses. Columns: the first attacked test picture of n = {pairs} of the "
        "{all_pairs} pairs, whatever its outcome. Rows: the attacker, the attacker with "
        "adversarial glasses, the person to be impersonated. Under each: the recognizer's answer "
        "to the attacked picture and its confidence in the target."
    ),
    "recognizer_training": (
        "Training of the fully connected layers over {epochs} epochs on n = {train} training "
        "pictures; n = {validation} validation pictures. Study S prints {source_train} and "
        "{source_validation}."
    ),
    "attack_confidence": (
        "Undefended attacks on the test split (n = {n}, of which {successes} succeeded). Left: "
        "confidence in the target after rounding to 8 bits. Right: share of attacks that had "
        "reached their goal within a number of iterations."
    ),
    "layers": (
        "Linear detectors on influence profiles of every slice, on the validation pictures that "
        "the slice is chosen on: means over n = {pairs} pairs ({impersonations} impersonations, "
        "{benign} benign pictures). Lines: mean over seeds of the classifier (n = {seeds}), areas "
        "under the curve of the mean margin; bands: lowest to highest seed. Hollow: not "
        "acceptable, because less than {least_own} of the target's own pictures that the network "
        "names right are accepted, or less than {least_others} of other people's rejected; chosen "
        "only where nothing is acceptable. The vertical line marks the slice that most pairs "
        "chose, each on other pairs: {slice} (index {paper_index} in Study I's count; Study I "
        "chose {source_index}). An area far below one half is a detector "
        "that likes impersonations better than the person."
    ),
    "table1": (
        "Study I's Table 1. Dots: accuracy with 95 % Wilson interval for each of {pairs} pairs "
        "of target and attacker (n = {impersonations} impersonations in all); hollow squares: "
        "the three pairs that Study I prints, without intervals. Vertical lines: means over our "
        "pairs."
    ),
    "distance_histograms": (
        "Distances of test pictures to characteristic profiles at {slice}: of benign pictures to "
        "their own person's (n = {within}) and to everybody else's (n = {between}), of successful "
        "impersonations to their target's (n = {impersonation}); and the score by which pictures "
        "are flagged. The line is the threshold above which {wanted} of bare validation pictures, "
        "or fewer, are flagged."
    ),
    "distance_matrix": (
        "Euclidean distance between the characteristic profiles of n = {people} people at {slice}; "
        "the diagonal, which is 0, is left blank."
    ),
    "roc": (
        "Successful impersonations that are flagged against benign pictures that are flagged, on "
        "the test split (n = {impersonations} impersonations, {benign} benign pictures). Drawn are "
        "{detectors} of {all_detectors} detectors: {names}; the curves of all are in "
        "detection/roc.csv. Inset: the same with a logarithmic axis, where a usable threshold "
        "lies; dotted at 1, 5 and 9.91 % false alarms. What it covers is worse than chance. Below: "
        "half of the benign pictures wear honest frames (n = {half_wearing})."
    ),
    "profiles": (
        "Influence profiles at {slice}, filters ordered by the target's mean (after Study I, "
        "Fig. 6): benign test pictures of the target against successful impersonations of it, "
        "mean and middle 80 %; n = {benign} and {impersonations} in all."
    ),
    "profile_projection": (
        "Profiles at {slice} on the first two principal components of benign training profiles "
        "(n = {training}), each of unit length and standardised by filter; the axes say how much "
        "of their variance they carry. Benign test pictures of all people (n = {others}), of "
        "one target a panel (n = {benign} in all) and successful test impersonations of it "
        "(n = {impersonations} in all). Components were fitted without any attack."
    ),
    "receptive_fields": (
        "Receptive fields of experts (after Study I, Figs. 2 and 3): in colour, the {kept} of the "
        "pixels in which the {gradient} of the experts' activations is greatest; experts are the "
        "{share} of a layer's neurons with the greatest influence on the answer to that picture. "
        "No influence: they are all switched off, and no pixel moves them. "
        "Rows: for n = {shown} of {successes} successful attacks of the test split, the attacked "
        "picture, the same one without glasses, and a picture of the target."
    ),
    "heat_maps": (
        "The experts' influence propagated back to the pixels (after Study I, Fig. 4): its "
        "magnitude in multiples of each map's own mean, so that colours compare places and not "
        "pictures; one colour scale a column, by the square root. The glasses are outlined. No "
        "influence: the layer's experts are all switched off, and the map is zero everywhere. "
        "Pictures as in the figure of receptive fields: n = {shown} of {successes} successful "
        "attacks of the test split."
    ),
    "share_inside": (
        "Influence per area: the share of the experts' influence, propagated to the pixels, that "
        "lies inside the glasses, over the share of the area that they cover (dotted: as much as "
        "of the area), at every layer behind the activation; test split, means with 95 % intervals "
        "(Student). n = {impersonations} impersonations, {plain} honest wearers of plain frames, "
        "and the impersonators' {bare} pictures before the attack, measured where the glasses "
        "would be; fewer where a layer's experts are all switched off and see nothing."
    ),
    "saliency_steps": (
        "The saliency mask step by step, {map} map, \u03bc = {mu:g} ({mu_as}), n = {n}, "
        "\u03c6 = {phi}, fill {fill}. Top: one attacked test picture, the frame outlined on "
        "the mask. Below: n = {shown} test pictures, evenly drawn from those that fooled the "
        "recognizer and on which the mask worked (the answer became the attacker's own name) or "
        "failed, with the answer below each; none: there is no such picture in the test split. "
        "Over the whole test split it worked on {undone} (n = {examples} attacked pictures)."
    ),
    "saliency_grid": (
        "Goodness on the validation split (n = {adversarial} attacked, {clean} clean "
        "pictures), one panel for each \u03c6 and kind of saliency map: {kinds}. Only "
        "combinations with the fill and the reading of \u03bc of the kind's best are shown; all "
        "are in saliency/grid.csv. Framed: the best combination of each kind; blank: not tried."
    ),
    "saliency_evaluation": (
        "Test split before and after the defence (n = {adversarial} attacked, {clean} clean "
        "pictures), with 95 % Wilson intervals; oracle masks exactly the frame, random masks as "
        "much area anywhere. The saliency mask is cut from the {map} map, the kind that was better "
        "on validation attacks. The affordable mask, shown where the best of all costs clean "
        "validation pictures more, is the best of those that cost them little. Hollow: what Study "
        "S prints for its own recognizer and people, undefended and behind its mask. That one is "
        "cut from the guided map with parameters tuned there: ours to hold it against are {method} "
        "(its method) and Study S's setting (its parameters)."
    ),
    "threshold_curve": (
        "Rejecting answers below a confidence, without and with the saliency mask "
        "(n = {adversarial} attacked, {clean} clean test pictures); bands: 95 % Wilson "
        "intervals. The dotted line marks the "
        "threshold that the study sets, {threshold:g}, the solid one the working point, "
        "{working_point:g}: of those that cost clean validation pictures no more than "
        "{largest_clean_loss}, the lowest at which attacks succeed least."
    ),
    "generality": (
        "Masks whose parameters were chosen on validation attacks with one accessory (rows), on "
        "test attacks with every accessory (columns; n = {n}; undefended success in brackets): how "
        "often the attack still succeeds, and how often it is undone, of all attacks, with 95 % "
        "Wilson intervals. Framed: masks on the accessory that they were tuned on."
    ),
}
"""Name of every figure to the template of its caption."""

FIGURES: tuple[str, ...] = tuple(name for name in CAPTIONS if name != "generality")
"""Names of the figures; each becomes ``figures/<name>.svg`` and ``figures/<name>.png``."""


def figures_of(attacks: int) -> tuple[str, ...]:
    """Names of the figures of a study with so many attacks; one alone has no generality."""
    return FIGURES if attacks == 1 else (*FIGURES, "generality")
