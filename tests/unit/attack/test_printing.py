"""Penalties for smooth and printable accessories."""

import pytest
import torch

from glassguard.attack.printing import NonPrintability, TotalVariation


def test_total_variation_ignores_the_edge():
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[..., 1:3, 1:3] = True
    texture = torch.zeros(1, 3, 4, 4)
    texture[:, :, 1:3, 1:3] = 0.7
    assert TotalVariation(1.0)(texture, masks).item() == 0
    texture[:, 0, 1, 1] = 0.2
    assert TotalVariation(1.0)(texture, masks).item() == pytest.approx(2 * 0.5 / 4)


def test_non_printability_is_the_distance_to_the_nearest_colour():
    printable = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    masks = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    texture = torch.tensor([0.0, 0.4]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    expected = 2.0 * 0.4 * 3**0.5 / 2
    assert NonPrintability(2.0, printable)(texture, masks).item() == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("weight", [-1, torch.nan, torch.inf])
def test_weights_out_of_range_are_refused(weight):
    for penalty in (TotalVariation, lambda value: NonPrintability(value, torch.zeros(1, 3))):
        with pytest.raises(ValueError, match=r"^weight must be finite, not negative"):
            penalty(weight)


@pytest.mark.parametrize(
    "colours",
    [
        torch.rand(3),
        torch.rand(3, 4),
        torch.rand(0, 3),
        torch.rand(2, 3) * 255,
        torch.full((2, 3), torch.nan),
        [(0.0, 0.0, 0.0)],
    ],
)
def test_colours_out_of_range_are_refused(colours):
    with pytest.raises(ValueError, match=r"^printable_colours (must|are)"):
        NonPrintability(1.0, colours)
