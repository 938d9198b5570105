"""The few figures that the list of runs shows, and their verdicts."""

from glassguard.report.verdicts import FIGURES
from glassguard.tracking.headline import description, metrics


def rate(name, value, low, high):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


SUMMARY = {
    "experiment": "embedded",
    "seed": 3,
    "faces": "embedded",
    "wall_s": 60.5,
    "recognizer": rate("test_accuracy", 0.97, 0.95, 0.985),
    "attacks": {"glasses": rate("success", 0.95, 0.93, 0.97), "sticker": {"success": 0.1}},
    "detection": {
        "tpr_at_fpr": {"0.01": 0.5, "0.05": 0.7, "0.0991": 0.8},
        "tpr_at_fpr_low": {"0.0991": 0.7},
        "tpr_at_fpr_high": {"0.0991": 0.82},
        "auc": float("nan"),
    },
    "open_set": {"0.001": {}, "0.01": rate("genuine", 0.9, 0.8, 0.95)},
    "saliency": {
        "best": {"goodness": 0.7768},
        "test": {"after": rate("adversarial_success", 0.1, 0.05, 0.2)},
    },
}


def test_the_headline_is_short_and_its_names_do_not_depend_on_the_study():
    assert len(FIGURES) <= 25
    assert metrics(SUMMARY) == {
        "recognizer_accuracy": 0.97,
        "attack_success": 0.95,
        "influence_at_1_percent": 0.5,
        "influence_at_5_percent": 0.7,
        "influence_at_10_percent": 0.8,
        "mask_goodness": 0.7768,
        "masked_attack_success": 0.1,
        "open_set_genuine": 0.9,
        "seconds": 60.5,
    }
    assert metrics({}) == {}


def test_the_description_has_a_table_and_leads_to_the_stages():
    text = description(SUMMARY, {"attack_glasses": "#/experiments/1/runs/abc"})
    assert "**embedded, seed 3**: drawn faces" in text
    assert "| faces named right | 0.970 [0.950–0.985] | 0.981 | reproduced |" in text
    assert "[attack_glasses](#/experiments/1/runs/abc)" in text
    assert "flagged" not in text
