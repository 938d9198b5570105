"""Frames, penalties, pairs and the attack itself."""

import itertools

import numpy as np
import pytest
import torch
from shipped import section
from small_attacks import HEIGHT, MASK_FORMS, WIDTH, frames
from torch import nn

from glassguard.attack.accessories import accessory_mask, accessory_masks
from glassguard.attack.frames import frame_mask, frame_masks, random_texture, wear
from glassguard.attack.glasses import AdversarialGlasses
from glassguard.attack.pairs import Pair, choose_pairs
from glassguard.attack.printing import non_printability, total_variation
from glassguard.attack.settings import PlacedShape, WornShape

EYES_AT_96 = np.array([[30.29, 41.7], [65.53, 41.5]])


@pytest.mark.parametrize("size", [64, 96, 112, 224])
def test_frame_covers_what_the_source_covers(size):
    mask = frame_mask(EYES_AT_96 * size / 96, size)
    assert abs(mask.mean() - 0.0672) < 0.01
    columns = np.flatnonzero(mask.any(0)) / size
    rows = np.flatnonzero(mask.any(1)) / size
    assert abs((columns.max() - columns.min()) - (193 - 29) / 224) < 0.03
    assert abs((rows.max() - rows.min()) - (111 - 56) / 224) < 0.03
    eyes = np.round(EYES_AT_96 * size / 96).astype(int)
    assert not mask[eyes[:, 1], eyes[:, 0]].any(), "one looks through the lenses"


def test_frame_follows_the_eyes():
    upright = frame_mask(np.array([[35.0, 48.0], [61.0, 48.0]]), 96)
    turned = frame_mask(np.array([[47.0, 35.0], [47.0, 61.0]]), 96)
    assert (np.rot90(upright, -1) ^ turned).mean() < 0.01
    moved = frame_mask(np.array([[38.0, 53.0], [64.0, 53.0]]), 96)
    assert np.array_equal(np.roll(upright, (5, 3), (0, 1)), moved)
    with pytest.raises(ValueError, match="same place"):
        frame_mask(np.zeros((2, 2)), 96)


def placed(kind, **changes):
    return PlacedShape.model_validate(section(f"attack/{kind}", shape=changes)["shape"])


@pytest.mark.parametrize("kind", ["sticker", "patch", "band"])
@pytest.mark.parametrize("size", [64, 96, 224])
def test_shipped_accessories_are_as_large_as_the_frame_and_in_the_picture(kind, size):
    mask = accessory_mask(placed(kind), EYES_AT_96 * size / 96, size)
    assert abs(mask.mean() - 0.0672) < 0.01
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()


def test_an_accessory_is_where_it_is_put():
    eyes = np.array([[39.5, 49.5], [59.5, 49.5]])
    patch = accessory_mask(placed("patch", x=-1.0, y=0.5, width=0.5, height=1.0), eyes, 96)
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    assert (len(rows), len(columns), patch.sum()) == (20, 10, 200)
    assert (rows.mean(), columns.mean()) == (59.5, 29.5)
    sticker = accessory_mask(placed("sticker", x=0.0, y=0.0, width=1.0, height=1.0), eyes, 96)
    assert sticker.sum() == pytest.approx(np.pi * 100, rel=0.03)
    turned = accessory_mask(
        placed("patch", x=-1.0, y=0.5, width=0.5, height=1.0),
        np.array([[49.5, 39.5], [49.5, 59.5]]),
        96,
    )
    assert np.flatnonzero(turned.any(1)).mean() == 29.5
    assert np.flatnonzero(turned.any(0)).mean() == 39.5


def test_glasses_and_the_whole_picture_are_shapes_as_well():
    eyes = np.stack([EYES_AT_96, EYES_AT_96 + 2])
    assert np.array_equal(
        accessory_masks(WornShape(kind="glasses"), eyes, 96), frame_masks(eyes, 96)
    )
    assert accessory_masks(WornShape(kind="whole"), eyes, 96).all()


def test_wearing_changes_the_frame_only():
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    masks = frame_masks(np.stack([EYES_AT_96, EYES_AT_96 + 2]), 96)
    worn = wear(images, masks, np.array([255, 255, 0], dtype=np.uint8))
    assert np.array_equal(worn[~masks], images[~masks])
    assert (worn[masks] == [255, 255, 0]).all()
    texture = random_texture(2, 96, generator=np.random.default_rng(1))
    assert texture.std() > 50
    assert not np.array_equal(texture[0], texture[1])


@pytest.mark.parametrize(
    ("images", "masks", "texture", "said"),
    [
        ((2, 4, 5, 3, "float32"), (2, 4, 5, "bool"), (3, "uint8"), "images must be uint8: float32"),
        ((2, 4, 5, "uint8"), (2, 4, 5, "bool"), (3, "uint8"), "images must be N x height"),
        ((2, 4, 5, 3, "uint8"), (2, 4, 5, "bool"), (3, "float64"), "texture must be uint8"),
        ((2, 4, 5, 3, "uint8"), (2, 4, 5, "bool"), (4, "uint8"), r"shape \(4,\) does not fit"),
        ((2, 4, 5, 3, "uint8"), (2, 5, 4, "bool"), (3, "uint8"), "masks are 4 x 5.*: 2 x 5 x 4"),
    ],
)
def test_only_stored_pictures_wear(images, masks, texture, said):
    arrays = [np.ones(shape[:-1], dtype=shape[-1]) for shape in (images, masks, texture)]
    with pytest.raises(ValueError, match=said):
        wear(*arrays)


@pytest.mark.parametrize("form", MASK_FORMS)
@pytest.mark.parametrize("number_type", ["bool", "uint8", "float32"])
def test_wearing_takes_every_form_of_mask(form, number_type):
    images = np.zeros((2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    masks = MASK_FORMS[form](frames(2)).numpy()
    worn = wear(images, masks.astype(number_type), np.array([7, 8, 9], dtype=np.uint8))
    assert worn.shape == images.shape
    everywhere = np.broadcast_to(masks.reshape(-1, HEIGHT, WIDTH), (2, HEIGHT, WIDTH))
    assert (worn[everywhere] == [7, 8, 9]).all()
    assert not worn[~everywhere].any()


def test_total_variation_ignores_the_edge():
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[..., 1:3, 1:3] = True
    texture = torch.zeros(1, 3, 4, 4)
    texture[:, :, 1:3, 1:3] = 0.7
    assert total_variation(texture, masks).item() == 0
    texture[:, 0, 1, 1] = 0.2
    assert total_variation(texture, masks).item() == pytest.approx(2 * 0.5 / 4)


def test_non_printability_is_the_distance_to_the_nearest_colour():
    printable = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    masks = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    texture = torch.tensor([0.0, 0.4]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    expected = 0.4 * 3**0.5 / 2
    assert non_printability(texture, masks, printable).item() == pytest.approx(expected, abs=1e-5)


def test_pairs_are_distinct_people_and_spread():
    people = [f"p{i:02d}" for i in range(30)]
    pairs = choose_pairs(people, targets=12, attackers_per_target=2, seed=0)
    assert len(set(pairs)) == 24
    assert all(pair.target != pair.attacker for pair in pairs)
    assert len({pair.target for pair in pairs}) == 12
    assert len({pair.attacker for pair in pairs}) == 24, (
        "nobody attacks twice while others are free"
    )
    assert pairs == choose_pairs(people[::-1], targets=12, attackers_per_target=2, seed=0)
    assert pairs != choose_pairs(people, targets=12, attackers_per_target=2, seed=1)


def test_named_pairs_come_first_and_are_not_drawn_again():
    people = [f"p{i:02d}" for i in range(5)]
    named = [Pair("p03", "p01"), Pair("p00", "p04")]
    pairs = choose_pairs(people, targets=5, attackers_per_target=2, seed=0, named=named)
    assert pairs[:2] == named
    assert len(set(pairs)) == len(pairs) == 12
    with pytest.raises(ValueError, match="there is no p9; the people are p00, p01"):
        choose_pairs(people, targets=1, attackers_per_target=1, seed=0, named=[Pair("p9", "p01")])
    with pytest.raises(ValueError, match="p01 cannot attack p01"):
        choose_pairs(people, targets=1, attackers_per_target=1, seed=0, named=[Pair("p01", "p01")])


class Glimpse(nn.Module):
    """A recognizer that looks at the frame's region through fixed random filters."""

    def __init__(self, size: int = 96, classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3 * size * size, classes)
        nn.init.normal_(self.linear.weight, std=0.02)
        self.requires_grad_(False).eval()
        self.seen: list[int] = []

    def forward(self, pixels):
        self.seen.append(len(pixels))
        return self.linear(pixels.flatten(1))


@pytest.fixture
def faces():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (7, 96, 96, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(frame_masks(np.repeat(EYES_AT_96[None], 7, 0), 96))
    return pixels, masks


def test_attack_changes_the_frame_only_and_reaches_the_target(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    network = Glimpse()
    attack = AdversarialGlasses(network, batch_size=3)
    result = attack(pixels, masks, targets)
    outside = ~masks[:, None].expand_as(pixels)
    assert torch.equal(result.pixels[outside], pixels[outside])
    levels = result.pixels * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    confidence = result.probabilities.gather(1, targets[:, None])[:, 0]
    assert (confidence >= 0.95).all()
    torch.testing.assert_close(network(result.pixels).softmax(1), result.probabilities)
    assert max(network.seen) <= 7
    assert network.seen[0] == 3


def test_converged_pictures_leave_the_batch(faces):
    pixels, masks = faces
    network = Glimpse()
    finished = []
    result = AdversarialGlasses(network, batch_size=7)(
        pixels, masks, torch.arange(7) % 5, on_done=finished.append
    )
    assert sum(finished) == 7
    # Every picture is seen once per gradient and once more when it is done.
    assert sum(network.seen) == int(result.gradients.sum()) + 7
    assert torch.equal(result.iterations, result.gradients), "the last iterate was the best here"


def test_batches_do_not_change_the_result(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    one = AdversarialGlasses(Glimpse(), batch_size=1)(pixels, masks, targets)
    seven = AdversarialGlasses(Glimpse(), batch_size=7)(pixels, masks, targets)
    assert torch.equal(one.iterations, seven.iterations)
    assert (one.pixels - seven.pixels).abs().max() < 1.5 / 255


def test_more_iterations_are_never_worse(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    network = Glimpse()
    network.linear.weight.mul_(0.2)
    confidences = []
    for iterations in (0, 1, 3, 10, 30):
        result = AdversarialGlasses(network, iterations=iterations, step=5 / 255)(
            pixels, masks, targets
        )
        assert (result.gradients <= iterations).all()
        confidences.append(result.probabilities.gather(1, targets[:, None])[:, 0])
    for fewer, more in itertools.pairwise(confidences):
        assert (more >= fewer - 1e-6).all()
    assert confidences[-1].mean() > confidences[0].mean() + 0.05


def test_whole_picture_always_succeeds_and_larger_frames_more_often(faces):
    pixels, masks = faces
    network = Glimpse()
    network.linear.weight.mul_(0.03)
    targets = torch.arange(7) % 5
    attack = AdversarialGlasses(network, iterations=40)
    means = []
    for area in (
        masks,
        masks | torch.from_numpy(np.arange(96) < 40)[:, None],
        torch.ones_like(masks),
    ):
        means.append(attack(pixels, area, targets).probabilities.gather(1, targets[:, None]).mean())
    assert means[0] < means[1] < means[2]
    assert means[2] > 0.9


def test_a_bounded_attack_starts_from_the_picture_and_stays_near(faces):
    pixels, masks = faces
    attack = AdversarialGlasses(
        Glimpse(),
        initial_colour=None,
        direction="sign",
        largest_change=8 / 255,
        step=2 / 255,
        momentum=0.0,
        iterations=10,
    )
    targets = torch.arange(7) % 5
    result = attack(pixels, torch.ones_like(masks), targets)
    assert (result.pixels - pixels).abs().max() <= 8 / 255 + 1e-6
    untouched = AdversarialGlasses(Glimpse(), initial_colour=None, iterations=0)(
        pixels, masks, targets
    )
    torch.testing.assert_close(untouched.pixels, pixels)
    before = untouched.probabilities.gather(1, targets[:, None])
    assert (result.probabilities.gather(1, targets[:, None]) >= before).all()
    assert result.probabilities.gather(1, targets[:, None]).mean() > before.mean() + 0.2
    with pytest.raises(ValueError, match="largest_change"):
        AdversarialGlasses(Glimpse(), largest_change=0.1)


def test_a_step_by_signs_moves_every_pixel_alike(faces):
    pixels, masks = faces
    attack = AdversarialGlasses(
        Glimpse(),
        initial_colour=None,
        direction="sign",
        step=4 / 255,
        iterations=1,
        confidence=0.999999,
    )
    result = attack(pixels, masks, torch.arange(7) % 5)
    moved = (result.pixels - pixels).abs().permute(0, 2, 3, 1)[masks]
    free = (moved > 0) & (moved < 3.9 / 255)
    assert free.float().mean() < 0.02, "clipped ones only"


def test_dodging_lowers_the_true_class(faces):
    pixels, masks = faces
    network = Glimpse()
    labels = network(pixels).argmax(1)
    result = AdversarialGlasses(network, goal="dodging")(pixels, masks, labels)
    assert (result.probabilities.gather(1, labels[:, None]) <= 0.01).all()


def test_penalties_are_felt(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    rough = AdversarialGlasses(Glimpse(), iterations=20, confidence=0.999999)(
        pixels, masks, targets
    )
    smooth = AdversarialGlasses(
        Glimpse(), iterations=20, confidence=0.999999, total_variation_weight=50.0
    )(pixels, masks, targets)
    assert (
        total_variation(smooth.pixels, masks[:, None]).mean()
        < total_variation(rough.pixels, masks[:, None]).mean()
    )
    with pytest.raises(ValueError, match="printable_colours"):
        AdversarialGlasses(Glimpse(), non_printability_weight=1.0)


def test_initial_frame_is_yellow(faces):
    pixels, masks = faces
    result = AdversarialGlasses(Glimpse(), iterations=0)(
        pixels, masks, torch.zeros(7, dtype=torch.int64)
    )
    inside = result.pixels.permute(0, 2, 3, 1)[masks]
    assert torch.equal(inside.unique(dim=0), torch.tensor([[1.0, 1.0, 0.0]]))
    assert not result.gradients.any()
