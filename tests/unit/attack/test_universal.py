"""One texture for many pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from glassguard.attack.accessories import frame_masks
from glassguard.attack.universal import (
    HALF_WIDTH,
    Faces,
    UniversalAttack,
    canvas_places,
    success_of,
    wear,
    worst_served,
)

SIZE, CLASSES, COUNT = 32, 3, 10
EYES = np.array([[10.0, 14.0], [21.5, 13.5]])


def recognizer() -> nn.Module:
    torch.manual_seed(1)
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * (SIZE // 4) ** 2, CLASSES))
    return network.requires_grad_(False).eval()


def people(count: int = COUNT) -> Faces:
    generator = np.random.default_rng(0)
    eyes = EYES + generator.uniform(-1, 1, (count, 2, 2))
    pixels = torch.from_numpy(generator.integers(0, 256, (count, 3, SIZE, SIZE)) / 255).float()
    # Wide glasses: a linear recognizer sees the frame as a fortieth of all that it sees.
    masks = canvas_places(eyes, (SIZE, SIZE)).abs().amax(dim=3) < 0.95
    return Faces(pixels, masks, eyes, recognizer()(pixels).argmax(1))


def test_the_canvas_holds_the_frame_at_any_eyes():
    turned = np.array([[[12.0, 8.0], [20.0, 20.0]], [[8.0, 16.0], [24.0, 15.0]]])
    places = canvas_places(turned, (SIZE, SIZE))
    masks = frame_masks(turned, SIZE)
    assert np.abs(places.numpy()[masks]).max() < 1
    # The eyes lie half a distance beside the middle.
    x, y = turned[1, 1].astype(int)
    assert places[1, y, x, 0].item() == pytest.approx(0.5 / HALF_WIDTH, abs=1e-6)
    with pytest.raises(ValueError, match="at the same place"):
        canvas_places(np.zeros((1, 2, 2)), (SIZE, SIZE))


def test_each_picture_wears_the_texture_at_its_own_eyes():
    faces = people(2)
    pixels, masks, eyes = faces.pixels, faces.masks, faces.eyes
    places = canvas_places(eyes, (SIZE, SIZE))
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 3, 27, 64)
    worn = wear(ramp, pixels, masks[:, None], places)
    outside = ~masks[:, None].expand_as(pixels)
    assert torch.equal(worn[outside], pixels[outside])
    # The ramp runs over the centres of the first and the last column.
    expected = ((places[..., 0] + 1) * 32 - 0.5) / 63
    torch.testing.assert_close(worn[:, 0][masks], expected[masks], atol=1e-5, rtol=0)


def test_one_texture_lets_pictures_pass_that_it_was_not_made_on():
    faces = people(30)
    before = (faces.labels == 1).float().mean()
    faces = replace(faces, labels=torch.full((30,), 1))
    train, held_out = torch.arange(0, 20), torch.arange(20, 30)
    attack = UniversalAttack(network=recognizer(), iterations=60, size=64)
    found = attack(faces.at(train))
    assert found.success.float().mean() > before + 0.3
    assert torch.equal(recognizer()(found.pixels).argmax(1) == 1, found.success)
    torch.testing.assert_close(found.texture * 255, (found.texture * 255).round())
    (later,) = success_of(recognizer(), [found.texture], faces.at(held_out), goal="impersonation")
    assert later.float().mean() > before


def test_more_textures_let_more_people_dodge():
    given = people()
    attack = UniversalAttack(
        network=recognizer(), goal="dodging", iterations=30, size=64, worst=0.5
    )
    found = worst_served(attack, given, textures=4)
    served = [int(one.success.sum()) for one in found]
    first = attack(given)
    assert served[0] == int(first.success.sum())
    assert len(found) == 1 or len(found[1].success) == COUNT - served[0]
    every = success_of(recognizer(), [one.texture for one in found], given, goal="dodging")
    assert every.any(dim=0).sum() >= sum(served)


def test_the_same_seed_gives_the_same_texture():
    given = people()
    one, two, other = (
        UniversalAttack(network=recognizer(), iterations=5, size=64, pictures=3, seed=seed)(given)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.texture, two.texture)
    assert not torch.equal(one.texture, other.texture)


@pytest.mark.parametrize(
    ("name", "value"), [("worst", 0.0), ("goal", "both"), ("size", 4), ("momentum", 1.0)]
)
def test_arguments_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be "):
        UniversalAttack(network=recognizer(), **{name: value})
