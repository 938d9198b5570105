"""Detectors, thresholds, distances and the choice of a slice, on made-up profiles."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from glassguard.detection.calibration import (
    calibrate,
    threshold_at,
    threshold_for_every_kind,
)
from glassguard.detection.characteristic_profiles import (
    METRICS,
    CharacteristicProfiles,
    Metric,
    profiles_of_people,
)
from glassguard.detection.covered_area import estimated_area, given_area
from glassguard.detection.evaluation import (
    DetectorSettings,
    SliceDetectors,
    fit_slice,
    pair_rates,
    pairs_of,
    sweep,
)
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.linear_detector import DetectorBank, ProfileDetector, fit_detectors
from glassguard.detection.pictures import (
    JOINED,
    NOBODY,
    Pictures,
    half_wearing,
    joined,
    only,
    together,
)
from glassguard.detection.projection import Projection
from glassguard.detection.quadratic_terms import QuadraticTerms
from glassguard.detection.scores import (
    dimensionality_over_layers,
    joint_score,
    mahalanobis_over_layers,
    masking_score,
    remembered,
    squeezing_score,
)
from glassguard.detection.selection import choose, choose_without, left_out
from glassguard.detection.settings import Variant
from glassguard.detection.tables import (
    classifier_sweep_table,
    controls_table,
    distances_table,
    layers_table,
    operating_points,
    roc_table,
)
from glassguard.statistics import area_under_curve, wilson_interval

PEOPLE = 6
SETTINGS = DetectorSettings(alpha=0.005, max_iter=100, acceptance=0.9)
FAIR = {"minimum_benign_target": 0.7, "minimum_benign_other": 0.9}


def made_up(seed: int = 0, *, size: int = 12, scale: float = 1.0) -> tuple[Pictures, Pictures]:
    """Benign and adversarial pictures; an attack only shows at conv4_1.

    There an impersonation's profile stays the attacker's; at conv1_1 it is noise for everybody,
    at fc7 it is the target's.
    """
    generator = np.random.default_rng(seed)
    # The second half: where activations of attacks lie, near nobody.
    centres = generator.normal(0, 3, (2 * PEOPLE, size))
    identity = np.repeat(np.arange(PEOPLE), 40)
    split = np.tile(np.repeat(["train", "val", "test"], [20, 10, 10]), PEOPLE)

    def profiles(at_conv4: np.ndarray, at_fc7: np.ndarray) -> dict[str, np.ndarray]:
        noise = generator.normal(0, 1, (3, len(at_conv4), size))
        return {
            "conv1_1": scale * noise[0],
            "conv4_1": scale * (centres[at_conv4] + noise[1]),
            "fc7": scale * (centres[at_fc7] + noise[2]),
        }

    def baselines(at_conv4: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        seen = {"conv4_1": centres[at_conv4] + generator.normal(size=(len(at_conv4), size))}
        return {"activations": seen, "mean_activations": seen}

    benign = Pictures(
        profiles(identity, identity),
        prediction=identity,
        confidence=np.full(len(identity), 0.99),
        identity=identity,
        target=np.full(len(identity), NOBODY),
        split=split,
        face=np.array([f"i{row}" for row in range(len(identity))]),
        agreement=np.where(split == "train", np.nan, generator.uniform(-0.5, 0, len(split))),
        covered=np.zeros(len(identity)),
        misnamed_bare=np.zeros(len(identity), dtype=bool),
        squeezed=np.where(split == "train", np.nan, generator.uniform(0, 0.1, len(split))),
        **baselines(identity),
    )
    pairs = [(0, 2), (0, 3), (1, 4), (1, 5)]
    target, attacker = (np.repeat(column, 12) for column in np.array(pairs).T)
    prediction = target.copy()
    prediction[::6] = attacker[::6]
    attacks = Pictures(
        profiles(attacker, prediction),
        prediction=prediction,
        confidence=np.full(len(target), 0.9),
        identity=attacker,
        target=target,
        split=np.tile(np.repeat(["val", "test"], 6), len(pairs)),
        face=np.full(len(target), "i0"),
        agreement=generator.uniform(-9, -3, len(target)),
        covered=np.full(len(target), 0.07),
        misnamed_bare=np.zeros(len(target), dtype=bool),
        squeezed=generator.uniform(0.5, 2, len(target)),
        **baselines(attacker + PEOPLE),
    )
    return benign, attacks


def test_scores_are_judged_among_those_who_wear_as_much() -> None:
    benign, _ = made_up()
    generator = np.random.default_rng(5)
    covered = np.where(np.arange(len(benign)) % 2, 0.07, 0.0)
    shows = generator.normal(size=(len(benign), 3))
    shows[:, 1] += 100 * covered
    worn = replace(
        benign,
        covered=covered,
        activations={"conv1_1": generator.normal(size=(len(benign), 3)), "conv2_1": shows},
    )
    area = estimated_area(worn.in_split("train"))
    test = worn.in_split("test")
    assert np.corrcoef(area(test), test.covered)[0, 1] > 0.9
    assert len(area(test.where(np.zeros(len(test), dtype=bool)))) == 0

    def score(pictures: Pictures) -> np.ndarray:
        return 1 + 50 * area(pictures)

    conditioned = given_area(score, area=area, benign=worn.in_split("val"))
    # Whatever a score says of being covered alone is gone.
    assert np.allclose(conditioned(test), 0)


def test_detector_is_the_sources_classifier_when_raw() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    ours = ProfileDetector("raw", 0.005, 500, 7).fit(values, truth)
    peer = SGDClassifier(alpha=0.005, max_iter=500, random_state=7).fit(values, truth)
    assert np.array_equal(ours.decision_function(values), peer.decision_function(values))
    assert np.array_equal(ours.predict(values), peer.predict(values))


def test_raw_gradients_degenerate_and_standardised_ones_do_not() -> None:
    benign, _ = made_up(scale=1e-3)
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    assert not ProfileDetector("raw").fit(values, truth).predict(values).any()
    for variant in ("standardised", "unit_standardised"):
        found = ProfileDetector(variant).fit(values, truth).predict(values)
        assert found[truth].mean() > 0.9
        assert found[~truth].mean() < 0.05


def test_unit_variant_ignores_the_length_of_a_profile() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    stretch = np.random.default_rng(1).uniform(0.1, 10, (len(values), 1))
    unit = ProfileDetector("unit_standardised").fit(values, truth)
    assert np.allclose(unit.decision_function(values * stretch), unit.decision_function(values))
    plain = ProfileDetector("standardised").fit(values, truth)
    assert not np.allclose(
        plain.decision_function(values * stretch), plain.decision_function(values)
    )


def test_detector_is_an_estimator_and_repeats() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 1
    detector = ProfileDetector("standardised", random_state=3)
    copy = clone(detector)
    assert copy.get_params() == detector.get_params()
    assert np.array_equal(
        detector.fit(values, truth).decision_function(values),
        copy.fit(values, truth).decision_function(values),
    )
    assert detector.decision_function(values[:0]).shape == (0,)
    with pytest.raises(ValueError, match="must be one of raw, standardised"):
        ProfileDetector("squared").fit(values, truth)  # type: ignore[arg-type]


def test_calibration_accepts_the_wanted_share_whatever_the_scale() -> None:
    generator = np.random.default_rng(0)
    people, each = 40, 25
    own = np.kron(np.eye(people, dtype=bool), np.ones((1, each), dtype=bool))
    scale, shift = generator.uniform(0.1, 100, (people, 1)), generator.normal(0, 50, (people, 1))

    def draw() -> np.ndarray:
        return scale * generator.normal(np.where(own, 4.0, 0.0)) + shift

    calibration = calibrate(draw(), own, acceptance=0.9)
    fresh = draw()
    accepted = (fresh > calibration.thresholds[:, None])[own]
    assert 0.86 < accepted.mean() < 0.94
    # Every person alike: a pooled raw threshold would favour large margins.
    assert accepted.reshape(people, each).mean(axis=1).min() > 0.5
    units = (fresh - calibration.location[:, None]) / calibration.scale[:, None]
    assert np.allclose(units[own].mean(), 0, atol=0.15)
    seeds = calibrate(np.stack([fresh, 2 * fresh]), own, acceptance=0.9)
    assert seeds.thresholds[1] == pytest.approx(2 * seeds.thresholds[0])


def test_calibration_lives_with_one_picture_or_none_of_a_person() -> None:
    own = np.array([[1, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
    calibration = calibrate(np.random.default_rng(0).normal(size=(3, 4)), own, acceptance=0.8)
    assert np.isfinite(calibration.thresholds).all()
    with pytest.raises(ValueError, match="no benign validation picture"):
        calibrate(np.zeros((3, 4)), np.zeros((3, 4), dtype=bool), acceptance=0.8)


def test_thresholds_on_faces_of_the_calibration_hold_for_new_faces() -> None:
    # A dozen pictures a person: with its own picture in the mean, a validation score is too good.
    people, each, rate = 30, 12, 0.05
    identity = np.repeat(np.arange(people), each)
    generator = np.random.default_rng(5)
    asis = make_pipeline("passthrough").fit(np.zeros((1, people)))
    bank = DetectorBank(np.arange(people), asis, np.eye(people)[None], np.zeros((1, people)))
    flagged: list[float] = []
    template, _ = made_up()
    template = template.take(np.zeros(len(identity), dtype=np.int64))

    def draw(start: str) -> Pictures:
        return replace(
            template,
            profiles={"fc7": generator.normal(4.0 * np.eye(people)[identity])},
            prediction=identity,
            identity=identity,
            face=np.array([f"{start}{row}" for row in range(len(identity))]),
        )

    for _ in range(40):
        known, new = draw("known"), draw("new")
        own = known.identity[None, :] == np.arange(people)[:, None]
        calibration = calibrate(bank.margins(known.profiles["fc7"]), own, acceptance=0.9)
        fitted = SliceDetectors("fc7", "raw", bank, calibration, known.face, known.identity)
        threshold = threshold_at(fitted.scores(known), rate)
        flagged.append(float((fitted.scores(new) > threshold).mean()))
        anew = replace(known, face=new.face)
        flattered = threshold_at(fitted.scores(anew), rate)
        assert flattered < threshold
    assert np.mean(flagged) == pytest.approx(rate, abs=0.007)


def test_threshold_never_flags_more_than_the_rate() -> None:
    scores = np.arange(100.0)
    for rate, flagged in ((0.01, 1), (0.05, 5), (0.0991, 9), (0.0, 0)):
        assert (scores > threshold_at(scores, rate)).sum() == flagged
    assert (np.ones(10) > threshold_at(np.ones(10), 0.5)).sum() == 0


def test_threshold_for_every_kind_spares_the_hardest() -> None:
    easy, hard = np.arange(1000.0), np.arange(1000.0) + 100
    both = np.concatenate([easy, hard])
    alone = threshold_at(both, 0.05)
    assert (hard > alone).sum() == 100
    threshold = threshold_for_every_kind(both, [easy, hard], 0.05)
    flagged = int((hard > threshold).sum())
    assert flagged < 100
    assert wilson_interval(flagged, 1000)[1] <= 0.1 < wilson_interval(flagged + 1, 1000)[1]
    # Where no kind is harder than another, the population decides.
    assert threshold_for_every_kind(easy, [easy, easy], 0.05) == threshold_at(easy, 0.05)
    assert threshold_for_every_kind(easy, [], 0.05) == threshold_at(easy, 0.05)
    with pytest.raises(ValueError, match="no benign validation picture"):
        threshold_for_every_kind(easy, [easy[:0]], 0.05)


@pytest.mark.parametrize("variant", get_args(Variant))
def test_a_bank_is_its_detectors(variant: Variant) -> None:
    benign, _ = made_up()
    values = benign.profiles["conv4_1"]
    settings = {"variant": variant, "alpha": 0.01, "max_iter": 50}
    bank = fit_detectors(values, benign.identity, people=[1, 4], seeds=[3, 8], **settings)
    margins = bank.margins(values)
    assert margins.shape == (2, 2, len(values))
    for row, seed in enumerate((3, 8)):
        for column, person in enumerate((1, 4)):
            one = ProfileDetector(**settings, random_state=seed).fit(
                values, benign.identity == person
            )
            assert np.allclose(margins[row, column], one.decision_function(values), atol=1e-9)
    assert bank.margins(values[:0]).shape == (2, 2, 0)


def test_controls_say_whom_the_network_misnames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    rows = np.arange(len(test))
    shown = replace(
        test,
        prediction=np.where(rows < 6, (test.identity + 1) % PEOPLE, test.identity),
        misnamed_bare=rows < 3,
    )
    table = controls_table(
        {"all_of_the_misnamed": lambda pictures: (rows < 6).astype(float)}, {"plain_frames": shown}
    ).iloc[0]
    assert table["flag_rate"] == table["misnamed"] == 6 / len(test)
    assert table["misnamed_bare"] == 3 / len(test)
    assert table["flag_rate_named_right"] == 0
    assert table["flag_rate_named_right_n"] == len(test) - 6
    assert table["misnamed_bare_low"] < table["misnamed_bare"] < table["misnamed_bare_high"]


def rates_of(benign: Pictures, attacks: Pictures, seed: int = 0) -> pd.DataFrame:
    return sweep(
        benign,
        attacks,
        variants=("raw", "standardised"),
        settings=SETTINGS,
        seeds=[seed, seed + 1],
    )


def test_the_planted_slice_is_found_for_every_pair() -> None:
    benign, attacks = made_up(scale=1e-3)
    rates = rates_of(benign, attacks)
    seen = rates[rates["split"] == "val"]
    for target, attacker in pairs_of(attacks):
        chosen = choose_without(seen, target=target, attacker=attacker, **FAIR)
        assert chosen.slice == "conv4_1"
        # The other target's two pairs; the pair beside it shares its target.
        assert chosen.pairs == 2
    # Without mercy for honest people the one that rejects everybody looks fine.
    raw = seen[(seen["slice"] == "fc7") & (seen["variant"] == "raw")]
    assert raw["benign_target"].max() == 0
    assert raw["impersonation"].min() == 1


def test_thresholds_and_choice_never_read_the_test_split() -> None:
    benign, attacks = made_up()
    rates = rates_of(benign, attacks)
    other_benign, other_attacks = made_up(seed=9)

    def with_other_test(ours: Pictures, other: Pictures) -> Pictures:
        test = (ours.split == "test")[:, None]
        mixed = {
            name: np.where(test, 5 * other.profiles[name], profile)
            for name, profile in ours.profiles.items()
        }
        return replace(ours, profiles=mixed)

    changed = rates_of(
        with_other_test(benign, other_benign), with_other_test(attacks, other_attacks)
    )
    for split, same in (("val", True), ("test", False)):
        left, right = (frame[frame["split"] == split] for frame in (rates, changed))
        assert left.equals(right) is same
    fits = [thresholds(pictures) for pictures in (benign, with_other_test(benign, other_benign))]
    assert np.array_equal(*fits)


def thresholds(pictures: Pictures) -> np.ndarray:
    """Of everybody's detector at one slice, from benign pictures."""
    return fit_slice(
        pictures.in_split("train"),
        pictures.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.arange(PEOPLE),
        settings=SETTINGS,
        seeds=[0],
    ).calibration.thresholds


def table(rows: list[tuple]) -> pd.DataFrame:
    columns = ["slice", "variant", "target", "attacker", "benign_target", "benign_other"]
    found = pd.DataFrame(rows, columns=[*columns, "impersonation"])
    return found.assign(benign_target_named=found["benign_target"])


def test_the_reported_pair_has_no_say_in_its_choice() -> None:
    pairs = [("a", "b"), ("a", "c"), ("d", "b"), ("d", "e")]
    rates = table(
        [("conv1_1", "standardised", *pair, 0.9, 1.0, 0.5) for pair in pairs]
        + [("conv2_1", "standardised", *pair, 0.9, 1.0, 0.4) for pair in pairs]
    )
    shared = (rates["target"] == "a") | (rates["attacker"] == "b")
    assert left_out(rates, target="a", attacker="b")[
        ["target", "attacker"]
    ].drop_duplicates().to_numpy().tolist() == [["d", "e"]]
    before = choose_without(rates, target="a", attacker="b", **FAIR)
    tempting = rates.copy()
    tempting.loc[shared & (tempting["slice"] == "conv2_1"), "impersonation"] = 1.0
    assert choose_without(tempting, target="a", attacker="b", **FAIR) == before
    assert before.slice == "conv1_1"
    # The same temptation decides where it may: for the pair it does not concern.
    assert choose(tempting, **FAIR).slice == "conv2_1"


def test_a_lone_pair_is_chosen_for_on_benign_pictures() -> None:
    rates = table(
        [
            ("conv1_1", "standardised", "a", "b", 0.8, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.9, 1.0, 0.0),
        ]
    )
    chosen = choose_without(rates, target="a", attacker="b", **FAIR)
    assert (chosen.slice, chosen.pairs) == ("conv2_1", 0)


def test_detectors_that_turn_honest_people_away_come_last() -> None:
    rates = table(
        [
            ("conv1_1", "raw", "a", "b", 0.6, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.8, 0.95, 0.7),
        ]
    )
    assert choose(rates, **FAIR).slice == "conv2_1"
    assert choose(rates.iloc[:1], **FAIR).slice == "conv1_1"
    with pytest.raises(ValueError, match="nothing to choose"):
        choose(rates.iloc[:0], **FAIR)


@pytest.mark.parametrize("metric", METRICS)
def test_profiles_that_never_vary_within_a_class_have_finite_distances(metric: Metric) -> None:
    identity = np.repeat(np.arange(3), 4)
    profiles = np.eye(3)[identity]
    found = CharacteristicProfiles(metric).fit(profiles, identity).transform(profiles)
    assert np.allclose(found, np.sqrt(2) * (1 - np.eye(3)[identity]))


def test_misnamed_pictures_do_not_make_a_slice_unfair() -> None:
    rates = table(
        [
            ("conv1_1", "raw", "a", "b", 0.6, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.8, 0.95, 0.7),
        ]
    )
    # Of those whom the network names right, the first accepts enough as well.
    assert choose(rates.assign(benign_target_named=[0.75, 0.8]), **FAIR).slice == "conv1_1"


def test_a_misnamed_picture_has_no_say_in_calibration() -> None:
    benign, _ = made_up()
    first = int(np.flatnonzero(benign.split == "val")[0])

    elsewhere = {name: profile.copy() for name, profile in benign.profiles.items()}
    for profile in elsewhere.values():
        profile[first] = 100.0
    outlier = replace(benign, profiles=elsewhere)
    misnamed = benign.prediction.copy()
    misnamed[first] = (benign.identity[first] + 1) % PEOPLE
    without = np.delete(np.arange(len(benign)), first)
    assert not np.allclose(thresholds(outlier), thresholds(benign))
    assert np.array_equal(
        thresholds(replace(outlier, prediction=misnamed)), thresholds(benign.take(without))
    )


def test_a_network_that_names_nobody_right_is_calibrated_on_everybody() -> None:
    benign, _ = made_up()
    nobody = replace(benign, prediction=(benign.identity + 1) % PEOPLE)
    assert np.array_equal(thresholds(nobody), thresholds(benign))


def test_rates_by_hand() -> None:
    benign, attacks = made_up()
    fitted = fit_slice(
        benign.in_split("train"),
        benign.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.array([0, 1]),
        settings=SETTINGS,
        seeds=[4],
    )
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    row = pair_rates(fitted, test, attacked, [(1, 4)], tuned=[False]).iloc[0]
    detector = ProfileDetector("standardised", 0.005, 100, 4).fit(
        benign.in_split("train").profiles["conv4_1"], benign.in_split("train").identity == 1
    )
    says = detector.predict(test.profiles["conv4_1"])
    theirs = (attacked.target == 1) & (attacked.identity == 4) & (attacked.prediction == 1)
    assert row["benign_target"] == says[test.identity == 1].mean()
    assert row["benign_other"] == 1 - says[test.identity != 1].mean()
    assert row["impersonation_n"] == theirs.sum() > 0
    assert row["impersonation"] == 1 - detector.predict(attacked.profiles["conv4_1"][theirs]).mean()


def test_scores_and_flags_use_the_predicted_person() -> None:
    benign, attacks = made_up()
    fitted = fit_slice(
        benign.in_split("train"),
        benign.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.arange(PEOPLE),
        settings=SETTINGS,
        seeds=[0, 1, 2],
    )
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    success, failed = (
        attacked.where(attacked.impersonating),
        attacked.where(~attacked.impersonating),
    )
    scores = {"influence": fitted.scores}
    points = operating_points(
        scores,
        populations={"bare": ([benign.in_split("val")], test)},
        impersonations=success,
        bootstrap=50,
        seed=0,
    )
    assert points["auc"].min() > 0.98
    assert (points["auc_low"] <= points["auc"]).all()
    assert (points["fpr"] < 0.3).all()
    assert (points["tpr_n"] == len(success)).all()
    curve = roc_table({"influence": (scores["influence"], test)}, success)
    assert (curve["fpr_n"] == len(test)).all()
    assert (curve["tpr_low"] <= curve["tpr"]).all()
    assert curve[["fpr", "tpr"]].iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    flags = controls_table(
        {"influence": lambda pictures: fitted.flagged(pictures, tuned=True)},
        {"benign": test, "failed_attacks": failed, "impersonations": success},
    ).set_index("control")
    assert flags.loc["impersonations", "flag_rate"] > 0.9
    assert flags.loc["benign", "flag_rate"] < 0.3
    # A failed attack is seen as its wearer, whose profile it has here.
    assert flags.loc["failed_attacks", "flag_rate"] < 0.6
    assert flags.loc["benign", "n"] == len(test)
    assert flags.loc["benign", "flag_rate_low"] <= flags.loc["benign", "flag_rate"]


def test_layers_table_has_the_columns_that_others_read() -> None:
    benign, attacks = made_up()
    layers = layers_table(
        rates_of(benign, attacks),
        sizes=dict.fromkeys(benign.profiles, 12),
        quantity="logit",
        seeds=2,
    )
    contract = (
        "slice paper_index size quantity variant benign_target benign_other impersonation "
        "balanced_accuracy auc seeds"
    )
    assert set(contract.split()) <= set(layers.columns)
    assert len(layers) == 3 * 4
    best = layers.loc[layers["balanced_accuracy"].idxmax()]
    assert best["slice"] == "conv4_1"
    # Two targets of ten validation pictures each, attacked by two people each.
    assert best["benign_target_n"] == 20
    # Every validation picture is somebody else's for one of the two targets, and counts once.
    assert best["benign_other_n"] == 10 * PEOPLE
    seeds = [f"balanced_accuracy_{end}_seed" for end in ("lowest", "highest")]
    assert best[seeds[0]] <= best["balanced_accuracy"] <= best[seeds[1]]
    assert (layers[seeds[0]] < layers[seeds[1]]).any()
    assert 0 <= best["impersonation_low"] <= best["impersonation"] <= best["impersonation_high"]


def test_distances_of_known_geometry() -> None:
    generator = np.random.default_rng(0)
    spread = np.array([1.0, 10.0])
    identity = np.repeat([0, 1], 4000)
    centres = np.array([[0.0, 0.0], [3.0, 40.0]])
    values = centres[identity] + spread * generator.normal(size=(8000, 2))
    expected = {"euclidean": np.hypot(3, 40), "standardised": 5.0, "mahalanobis": 5.0}
    for metric, distance in expected.items():
        fitted = CharacteristicProfiles(metric).fit(values, identity)
        assert np.allclose(fitted.centres_, [values[:4000].mean(0), values[4000:].mean(0)])
        assert fitted.between()[0, 1] == pytest.approx(distance, rel=0.05)
        assert fitted.transform(fitted.centres_[:1])[0, 0] == pytest.approx(0, abs=1e-9)
        assert fitted.transform(np.zeros((0, 2))).shape == (0, 2)


def test_mahalanobis_survives_dead_and_doubled_filters() -> None:
    benign, _ = made_up()
    values = benign.profiles["conv4_1"]
    values = np.hstack([values, values, np.zeros((len(values), 3))])
    distances = CharacteristicProfiles("mahalanobis").fit(values, benign.identity).transform(values)
    assert np.isfinite(distances).all()
    assert (distances.argmin(axis=1) == benign.identity).mean() > 0.95


def test_distances_table_shows_where_the_attack_is_seen() -> None:
    benign, attacks = made_up()
    found = distances_table(benign, attacks, slices=["conv4_1", "fc7"]).set_index(
        ["slice", "metric"]
    )
    near = found.loc[("fc7", "euclidean")]
    far = found.loc[("conv4_1", "euclidean")]
    assert far["auc"] > 0.95
    assert near["auc"] == pytest.approx(0.5, abs=0.2)
    assert far["within_mean"] < far["impersonation_mean"]
    assert far["within_mean"] < far["between_mean"]


def test_half_of_the_benign_pictures_wear_frames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    kinds = [replace(test, confidence=np.full(len(test), value)) for value in (0.1, 0.2, 0.3)]
    mixed = half_wearing(*kinds)
    counts = {value: int((mixed.confidence == value).sum()) for value in (0.1, 0.2, 0.3)}
    assert counts == {0.1: len(test) / 2, 0.2: len(test) / 4, 0.3: len(test) / 4}
    # Every face once, with its own profile.
    rows = np.concatenate([np.arange(k, len(test), 4) for k in range(4)])
    assert np.array_equal(mixed.identity, test.identity[rows])
    assert np.array_equal(mixed.profiles["fc7"], test.profiles["fc7"][rows])


def test_faces_are_joined_by_name_where_few_wear_frames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    plain, random = (
        replace(test, confidence=np.full(len(test), value)).take(rows)
        for value, rows in ((0.2, np.arange(0, 40)[::-1]), (0.3, np.arange(8, 60)))
    )
    mixed = half_wearing(test, plain, random)
    # Thirty-two faces are in all three: each once, half of them bare.
    assert sorted(mixed.face) == sorted(test.face[8:40])
    assert np.isin(mixed.confidence, (0.2, 0.3)).sum() == 16
    of_face = dict(zip(test.face, test.identity, strict=True))
    assert mixed.identity.tolist() == [of_face[face] for face in mixed.face]
    with pytest.raises(ValueError, match="no face is in all three"):
        half_wearing(test.take(np.arange(4)), plain, test.take(np.arange(4, 8)))
    with pytest.raises(ValueError, match="more than once"):
        half_wearing(test, plain, together([random, random]))


def test_a_sweep_of_validation_touches_no_test_picture() -> None:
    benign, attacks = made_up()
    rates = sweep(
        benign.where(benign.split != "test"),
        attacks.where(attacks.split != "test"),
        variants=["standardised"],
        settings=SETTINGS,
        seeds=[0],
        splits=("val",),
    )
    both = sweep(benign, attacks, variants=["standardised"], settings=SETTINGS, seeds=[0])
    assert set(rates["split"]) == {"val"}
    assert rates.equals(both[both["split"] == "val"].reset_index(drop=True))


def test_the_area_of_every_seed_is_its_own() -> None:
    benign, attacks = made_up()
    seeds = [0, 1, 2]
    variants: list[Variant] = ["standardised"]
    rates = sweep(
        only(benign, "conv1_1"),
        only(attacks, "conv1_1"),
        variants=variants,
        settings=SETTINGS,
        seeds=seeds,
    )
    each = [
        sweep(
            only(benign, "conv1_1"),
            only(attacks, "conv1_1"),
            variants=variants,
            settings=SETTINGS,
            seeds=[seed],
        )
        for seed in seeds
    ]
    for split in ("val", "test"):
        areas = [one.loc[one["split"] == split, "auc"].mean() for one in each]
        found = rates[rates["split"] == split]
        assert found["auc_lowest_seed"].unique() == pytest.approx([min(areas)])
        assert found["auc_highest_seed"].unique() == pytest.approx([max(areas)])
        assert min(areas) < max(areas)


def test_characteristic_profiles_are_an_estimator() -> None:
    copy = clone(CharacteristicProfiles("standardised"))
    assert copy.get_params() == {"metric": "standardised"}
    with pytest.raises(NotFittedError):
        copy.transform([[0.0]])
    with pytest.raises(ValueError, match="must be one of euclidean"):
        CharacteristicProfiles("cosine").fit([[0.0]], [0])  # type: ignore[arg-type]


def test_joint_score_counts_every_score_the_same() -> None:
    benign, attacks = made_up()
    validation = benign.in_split("val")

    def thousandfold(pictures: Pictures) -> np.ndarray:
        return 1000 * masking_score(pictures) + 7

    one = joint_score([masking_score], benign=validation)
    assert np.allclose(one(validation).mean(), 0)
    assert np.allclose(one(validation).std(), 1)
    both = joint_score([masking_score, thousandfold], benign=validation)
    assert np.allclose(both(attacks), 2 * one(attacks))
    assert one(attacks).min() > one(validation).max()


def test_projection_is_fitted_on_what_it_is_given_and_nothing_else() -> None:
    generator = np.random.default_rng(2)
    benign = generator.normal(size=(200, 6))
    benign[:, 1] = benign[:, 0]
    projection = Projection.fitted(benign)
    shown = projection(benign)
    assert np.allclose(shown.mean(axis=0), 0, atol=1e-9)
    assert shown[:, 0].var() > shown[:, 1].var() > 0
    assert projection.explained[0] > 0.25
    # The length of a profile says nothing here.
    assert np.allclose(projection(7 * benign), shown)
    assert projection(benign[:0]).shape == (0, 2)


def test_quadratic_boundary_where_no_line_will_do() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(1200, 6))
    # Unit length is taken out first: the sign of a product is left, which no plane can follow.
    truth = values[:, 0] * values[:, 1] > 0
    fitted = {
        variant: ProfileDetector(variant, 0.0005, 500).fit(values[:800], truth[:800])
        for variant in ("unit_standardised", "quadratic")
    }
    right = {
        name: (one.predict(values[800:]) == truth[800:]).mean() for name, one in fitted.items()
    }
    assert right["unit_standardised"] < 0.65
    assert right["quadratic"] > 0.9
    peer = QuadraticDiscriminantAnalysis().fit(values[:800], truth[:800])
    assert right["quadratic"] > (peer.predict(values[800:]) == truth[800:]).mean() - 0.05


def test_dimensionality_is_that_of_the_surface() -> None:
    generator = np.random.default_rng(4)
    for dimensions in (1, 3, 6):
        plane = np.hstack([generator.uniform(size=(4000, dimensions)), np.zeros((4000, 4))])
        fitted = LocalIntrinsicDimensionality(20).fit(plane[:3500])
        inside = np.abs(plane[3500:, :dimensions] - 0.5).max(axis=1) < 0.3
        found = fitted.score_samples(plane[3500:][inside])
        assert np.median(found) == pytest.approx(dimensions, rel=0.2)
    # By hand, with the distances of the definition.
    distances = np.sort(np.linalg.norm(plane[:3500] - plane[3500], axis=1))[:20]
    by_hand = -1 / np.mean(np.log(distances / distances[-1]))
    assert fitted.score_samples(plane[3500:3501])[0] == pytest.approx(by_hand)
    twice = LocalIntrinsicDimensionality(20).fit(np.zeros((5, 3)))
    assert twice.score_samples(np.zeros((1, 3))).tolist() == [0]
    assert twice.score_samples(np.zeros((0, 3))).shape == (0,)
    # All as far away as each other: as many directions are open as there are.
    assert twice.score_samples(np.ones((1, 3))).tolist() == [3]


@pytest.mark.parametrize(
    "estimator",
    [
        ProfileDetector(),
        ProfileDetector("unit_standardised"),
        *(CharacteristicProfiles(metric) for metric in METRICS),
        QuadraticTerms(),
        LocalIntrinsicDimensionality(),
    ],
    ids=repr,
)
def test_estimators_keep_scikit_learns_rules(estimator: BaseEstimator) -> None:
    checked = check_estimator(estimator, on_skip=None)
    assert {one["status"] for one in checked} <= {"passed", "skipped"}
    assert len(checked) > 20


def test_quadratic_terms_leave_out_what_is_rounding() -> None:
    generator = np.random.default_rng(3)
    plane = generator.normal(size=(200, 2)) @ generator.normal(size=(2, 30))
    rounding = 1e-9 * generator.normal(size=plane.shape)
    # Two components, their squares and their product.
    assert QuadraticTerms().fit(plane + rounding).transform(plane).shape == (200, 5)
    assert QuadraticTerms().fit(np.ones((5, 3))).transform(np.ones((1, 3))).shape == (1, 2)


def test_people_without_a_profile_and_impossible_rates_are_named() -> None:
    with pytest.raises(ValueError, match="class 1 has no training profile"):
        profiles_of_people([[0.0], [1.0]], [0, 2], "euclidean")
    for rate in (-0.2, 1.0):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            threshold_at(np.arange(5.0), rate)


def test_baselines_are_fitted_on_benign_pictures_and_see_the_attack() -> None:
    benign, attacks = made_up()
    training, validation = benign.in_split("train"), benign.in_split("val")
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    for score in (
        squeezing_score,
        mahalanobis_over_layers(training, validation=validation),
        dimensionality_over_layers(training, validation=validation, neighbours=10),
    ):
        assert area_under_curve(score(test), score(attacked)) > 0.9
        assert np.isfinite(score(validation)).all()


def test_a_remembered_score_is_computed_once_for_each_set() -> None:
    benign, attacks = made_up()
    asked = []

    def score(pictures: Pictures) -> np.ndarray:
        asked.append(len(pictures))
        return masking_score(pictures)

    recalled = remembered(score)
    for pictures in (benign, attacks, benign, attacks):
        assert np.array_equal(recalled(pictures), masking_score(pictures), equal_nan=True)
    assert asked == [len(benign), len(attacks)]


def test_joined_slices_lie_side_by_side_at_unit_length() -> None:
    benign, _ = made_up(scale=1e-3)
    both = joined(benign, ["conv4_1", "fc7"]).profiles[JOINED]
    assert both.shape == (len(benign), 24)
    assert np.allclose(np.linalg.norm(both[:, :12], axis=1), 1)
    assert np.allclose(np.linalg.norm(both, axis=1), np.sqrt(2))
    assert joined(benign.where(np.zeros(len(benign), dtype=bool)), ["fc7"]).profiles[
        JOINED
    ].shape == (0, 12)


def test_classifier_settings_are_chosen_without_the_pair() -> None:
    benign, attacks = made_up()
    parts = [
        sweep(
            benign,
            attacks,
            variants=("standardised",),
            settings=replace(SETTINGS, alpha=alpha, max_iter=max_iter),
            seeds=[0, 1],
        ).assign(alpha=alpha, max_iter=max_iter)
        for alpha, max_iter in ((0.005, 100), (100.0, 1))
    ]
    rates = pd.concat(parts)
    found = classifier_sweep_table(
        rates[rates["slice"] == "conv4_1"],
        variant="standardised",
        sizes={"conv4_1": 12},
        seeds=2,
        **FAIR,
    )
    assert found[["alpha", "max_iter"]].to_numpy().tolist() == [[0.005, 100], [100, 1]]
    # So heavy a weight on regularisation leaves nothing to tell anybody by.
    assert found["chosen"].tolist() == [len(pairs_of(attacks)), 0]
    assert {"impersonation_low", "test_impersonation_n", "seeds"} <= set(found.columns)
