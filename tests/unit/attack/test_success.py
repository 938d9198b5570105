"""Success of an attack, and the JPEG round trip."""

import numpy as np

from glassguard.attack.success import succeeded, through_jpeg


def test_success_is_being_the_target_or_not_being_oneself():
    confidences = np.eye(3, dtype=np.float32)
    attacker, target = np.array([0, 0, 0]), np.array([1, 1, 1])
    assert succeeded(confidences, attacker, target, "impersonation").tolist() == [
        False,
        True,
        False,
    ]
    assert succeeded(confidences, attacker, target, "dodging").tolist() == [False, True, True]


def test_jpeg_round_trip_keeps_colours_and_loses_noise() -> None:
    red = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert np.abs(through_jpeg(red, 90).astype(int) - red).max() <= 4
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    assert np.abs(through_jpeg(noise, 50).astype(int) - noise).mean() > 10
