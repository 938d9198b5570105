"""What the attack takes, what it must leave alone, and what it refuses."""

import copy

import numpy as np
import pytest
import torch
from attack.small_attacks import (
    CLASSES,
    FLOATS,
    HEIGHT,
    MASK_FORMS,
    WIDTH,
    frames,
    levels,
    recognizer,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassguard.attack.accessories import accessory_masks, frame_masks
from glassguard.attack.directions import Scaled, Sign
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.printing import TotalVariation
from glassguard.attack.rounding import ROUNDING
from glassguard.attack.shape_settings import WornShape

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
wide = settings(max_examples=60)


def attack(network: nn.Module | None = None, **changes) -> MaskedPixelAttack:
    return MaskedPixelAttack(
        recognizer() if network is None else network,
        **{"iterations": 3, "confidence": 1.0, "step": 0.1, **changes},
    )


@wide
@given(
    count=st.integers(1, 5),
    seed=st.integers(0, 99),
    pictures=st.sampled_from(FLOATS),
    network=st.sampled_from(FLOATS),
    mask=st.sampled_from([torch.bool, *INTEGERS, *FLOATS]),
    form=st.sampled_from(list(MASK_FORMS)),
    label=st.sampled_from(INTEGERS),
    between=st.booleans(),
    change=st.none() | st.floats(0, 0.2),
    goal=st.sampled_from(["impersonation", "dodging"]),
)
def test_every_number_type_and_shape_of_mask_changes_the_frame_alone(
    count, seed, pictures, network, mask, form, label, between, change, goal
):
    pixels = levels(count, seed)
    if between:
        pixels = (pixels * 0.7 + 0.15 * torch.rand_like(pixels)).clamp(0, 1)
    pixels = pixels.to(pictures)
    one_each = frames(count, seed)
    given_masks = MASK_FORMS[form](one_each)
    everywhere = given_masks.reshape(-1, HEIGHT, WIDTH).expand(count, HEIGHT, WIDTH)
    labels = torch.arange(count) % CLASSES
    before = pixels.clone()
    one = attack(
        recognizer().to(network),
        goal=goal,
        initial_colour=(1.0, 1.0, 0.0) if change is None else None,
        largest_change=change,
        direction=Sign(),
        batch_size=2,
    )
    found = one(pixels, given_masks.to(mask), labels.to(label))

    assert torch.equal(pixels, before)
    assert found.pixels.dtype == pictures
    outside = ~everywhere[:, None].expand_as(pixels)
    assert torch.equal(found.pixels[outside], pixels[outside])
    work = torch.promote_types(pictures, torch.float32)
    every_level = (torch.arange(256, dtype=work) / 255).to(pictures)
    changed = found.pixels != pixels
    assert torch.isin(found.pixels[changed].double(), every_level.double()).all()
    if change is not None:
        assert (found.pixels.double() - pixels.double()).abs().max() <= change + ROUNDING
    assert found.probabilities.shape == (count, CLASSES)
    assert found.probabilities.dtype == torch.float32
    expected = one.network(found.pixels.to(network)).double().softmax(1)
    assert torch.allclose(found.probabilities.double(), expected, atol=2e-2)
    # The same masks and labels in the plainest form.
    plain = one(pixels, everywhere, labels)
    assert torch.equal(found.pixels, plain.pixels)


BAD_PICTURES = [
    (lambda x: x * 255, r"pixels are in \[0, 1\]; picture 2: values from 0 to 255"),
    (lambda x: x * 2 - 1, r"pixels are in \[0, 1\]; picture 2: values from -1 to 1"),
    (lambda x: x + 0.01, r"picture 2: values from 0\.0\d+ to 1\.0\d+"),
    (lambda x: x.where(x < 1, torch.nan), r"picture 2: 81 of 162 values are not finite"),
    (lambda x: x.where(x < 1, -torch.inf), r"picture 2: 81 of 162 values are not finite"),
]


@pytest.mark.parametrize("number_type", FLOATS)
@pytest.mark.parametrize(("spoil", "said"), BAD_PICTURES)
def test_pictures_out_of_range_are_refused_with_number_and_range(number_type, spoil, said):
    pixels = torch.full((4, 3, HEIGHT, WIDTH), 0.5)
    extreme = torch.zeros(3, HEIGHT, WIDTH)
    extreme.flatten()[1::2] = 1
    pixels[2] = spoil(extreme)
    with pytest.raises(ValueError, match=said):
        attack()(pixels.to(number_type), frames(4), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("pixels", levels(2).mul(255).byte(), "pixels are floating point.*torch.uint8, 2 x 3 x 6"),
        ("pixels", levels(2).long(), "pixels are floating point, N x 3 .*torch.int64"),
        ("pixels", levels(2).to(torch.complex64), "pixels are floating point.*torch.complex64"),
        ("pixels", levels(2)[:, :1], "pixels are floating point.* 2 x 1 x 6 x 9"),
        ("pixels", levels(2)[0], "pixels are floating point.* 3 x 6 x 9"),
        ("pixels", levels(2)[..., :0], "pixels are floating point.* 2 x 3 x 6 x 0"),
        ("pixels", levels(2).numpy(), "pixels are a tensor, not a ndarray"),
        ("pixels", levels(2).to("meta"), "pixels are on the meta device"),
        ("masks", frames(2).transpose(1, 2), "masks are 6 x 9, for all .* 2 x 6 x 9: 2 x 9 x 6"),
        ("masks", frames(3), "masks are 6 x 9.*: 3 x 6 x 9"),
        ("masks", frames(2)[:, None].expand(-1, 3, -1, -1), "masks are 6 x 9.*: 2 x 3 x 6 x 9"),
        ("masks", frames(2)[:, :, :1], "masks are 6 x 9.*: 2 x 6 x 1"),
        ("masks", frames(2).numpy(), "masks are a tensor, not a ndarray"),
        ("masks", frames(2).to("meta"), "masks are on the meta device"),
        (
            "masks",
            torch.stack([frames(1)[0].byte(), 255 * frames(1)[0].byte()]),
            "masks are 1 inside and 0 outside; mask 1: values from 0 to 255",
        ),
        (
            "masks",
            torch.tensor([0, 1, 7], dtype=torch.uint16)[frames(2).int() * 2],
            "mask 0: values from 0 to 7",
        ),
        ("masks", frames(2).to_sparse(), "masks are a dense tensor, not torch.sparse_coo"),
        ("pixels", levels(2).to_sparse(), "pixels are a dense tensor, not torch.sparse_coo"),
        ("masks", frames(2) * 0.5, "mask 0: values from 0 to 0.5"),
        ("masks", frames(2).double().where(frames(2), torch.nan), "mask 0: values from nan to"),
        ("labels", torch.tensor([1]), r"labels are one for each picture: \(1,\) for 2 pictures"),
        ("labels", torch.tensor([[1], [2]]), r"one for each picture: \(2, 1\) for 2 pictures"),
        ("labels", torch.tensor(1), r"one for each picture: \(\) for 2 pictures"),
        ("labels", torch.tensor([1, 4]), "labels are 0 to 3, .*picture 1: 4"),
        ("labels", torch.tensor([-1, 0]), "labels are 0 to 3, .*picture 0: -1"),
        ("labels", torch.tensor([1.0, 2.0]), "labels are integers.*: torch.float32"),
        ("labels", torch.tensor([True, False]), "labels are integers.*: torch.bool"),
        ("labels", [1, 2], "labels are a tensor, not a list"),
        ("labels", torch.tensor([1, 2]).to("meta"), "labels are on the meta device"),
    ],
)
def test_what_is_no_picture_mask_or_label_is_refused_by_name(argument, value, said):
    arguments = {"pixels": levels(2), "masks": frames(2), "labels": torch.tensor([1, 2])}
    with pytest.raises(ValueError, match=said):
        attack()(**{**arguments, argument: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("network", lambda pixels: pixels),
        ("goal", "evasion"),
        ("direction", "raw"),
        *(
            ("initial_colour", value)
            for value in ((1.0, 1.0), (), (255, 255, 0), (0, 0, torch.nan))
        ),
        *(("initial_colour", value) for value in ((0.5,) * 4, 0.5, "abc")),
        *(("largest_change", value) for value in (-0.1, 8, torch.nan, "0.1")),
        *(("step", value) for value in (0, -0.1, 20, torch.nan, None)),
        *(("momentum", value) for value in (-0.1, 1.1, torch.nan)),
        *(("iterations", value) for value in (-1, 2.5, torch.inf)),
        *(("confidence", value) for value in (-0.1, 95, torch.nan)),
        *(("dodging_confidence", value) for value in (-0.1, 1.1, torch.nan)),
        *(("batch_size", value) for value in (0, -1, 1.5)),
        ("loss", "margin"),
        ("penalties", TotalVariation(1.0)),
        ("penalties", [1.0]),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, value):
    changes = {"initial_colour": None} if setting == "largest_change" else {}
    with pytest.raises(ValueError, match=f"^{setting} (must|are)"):
        MaskedPixelAttack(**{"network": recognizer(), **changes, setting: value})


def test_no_picture_gives_an_empty_result_as_wide_as_any():
    for masks in (frames(0), frames(1)[0], frames(0)[:, None]):
        found = attack()(levels(0), masks, torch.zeros(0, dtype=torch.int64))
        assert found.pixels.shape == (0, 3, HEIGHT, WIDTH)
        assert found.probabilities.shape == (0, CLASSES)
        assert found.probabilities.dtype == torch.float32
        assert found.iterations.shape == found.gradients.shape == (0,)
    eyes = np.zeros((0, 2, 2))
    assert frame_masks(eyes, 32).shape == (0, 32, 32)
    assert accessory_masks(WornShape(kind="glasses"), eyes, 32).shape == (0, 32, 32)


class Odd(nn.Module):
    """A recognizer that gives numbers of no use for pictures of one red level."""

    def __init__(self, where: str, value: float = 0.0) -> None:
        super().__init__()
        self.inner, self.where, self.value = recognizer(), where, value
        self.eval()

    def forward(self, pixels):
        logits = self.inner(pixels)
        odd = (pixels[:, 0, 0, 0] == 1.0)[:, None]
        if self.where == "logits":
            return torch.where(odd, self.value, logits)
        # The square root's derivative at 0 is infinite, and 0 times that no number.
        rows = slice(None, 2) if self.where == "outside" else slice(2, None)
        nothing = (pixels[:, :, rows] * 0).sum(dim=(1, 2, 3))[:, None]
        return logits + (nothing + torch.where(odd, 0.0, 1.0)).sqrt()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_logits_that_are_not_finite_are_refused_with_the_picture(value, batch_size):
    pixels = levels(5) * 0.99
    pixels[3, 0, 0, 0] = 1.0
    masks = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    with pytest.raises(ValueError, match="logits: not finite at picture 3"):
        attack(Odd("logits", value), batch_size=batch_size)(pixels, masks, torch.arange(5) % 4)


@pytest.mark.parametrize("direction", [Scaled(), Sign()])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_gradients_that_are_not_finite_count_inside_the_frame(direction, batch_size):
    pixels = levels(5) * 0.99
    pixels[3, 0, 0, 0] = 1.0
    masks = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    masks[2:5] = True
    chosen = {"direction": direction, "batch_size": batch_size}
    labels = torch.arange(5) % CLASSES
    with pytest.raises(ValueError, match="gradients: not finite at picture 3"):
        attack(Odd("inside"), **chosen)(pixels, masks, labels)
    found = attack(Odd("outside"), **chosen)(pixels, masks, labels)
    plain = attack(**chosen)(pixels, masks, labels)
    assert torch.equal(found.pixels, plain.pixels)
    assert (found.gradients == 3).all()


@pytest.mark.parametrize("goal", ["impersonation", "dodging"])
def test_a_network_without_a_gradient_to_the_pixels_is_refused(goal):
    class Cut(nn.Module):
        def __init__(self, how):
            super().__init__()
            self.inner, self.how = recognizer(), how
            self.eval()

        def forward(self, pixels):
            if self.how == "detached":
                return self.inner(pixels.detach())
            with torch.no_grad():
                return self.inner(pixels)

    for how in ("detached", "no_grad"):
        with pytest.raises(ValueError, match="no gradient leads from the network's logits to the"):
            attack(Cut(how), goal=goal)(levels(2), frames(2), torch.tensor([0, 1]))


def test_networks_whose_answers_depend_on_chance_or_company_are_refused():
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = recognizer()

        def forward(self, pixels):
            return self.inner(nn.functional.dropout(pixels, training=self.training))

    normalised = nn.Sequential(nn.BatchNorm2d(3), recognizer())
    arguments = (levels(2), frames(2), torch.tensor([0, 1]))
    for network in (normalised, Dropping(), nn.Sequential(recognizer(), nn.Dropout())):
        network.train()
        before = copy.deepcopy(network.state_dict())
        with pytest.raises(ValueError, match=r"in training mode: call eval\(\) first"):
            attack(network)(*arguments)
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])
        attack(network.eval())(*arguments)
    by_batch = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), recognizer()).eval()
    with pytest.raises(ValueError, match="Sequential: 0 keeps no running statistics"):
        attack(by_batch)(*arguments)


def test_surroundings_do_not_matter_and_nothing_of_the_caller_is_changed():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = recognizer()
            self.eval()

        def forward(self, pixels):
            return self.inner(pixels.sub_(0.5).add_(0.5).mul_(1.0))

    labels = torch.tensor([1, 2, 3])
    expected = attack()(levels(3), frames(3), labels)
    one = attack()
    for surroundings in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with surroundings():
            pixels, masks = levels(3), frames(3)
            found = one(pixels, masks, labels.clone())
        assert torch.equal(found.pixels, expected.pixels)
        assert torch.equal(pixels, levels(3))
    leaf = levels(3).requires_grad_(True)
    found = attack()(leaf, frames(3), labels)
    assert torch.equal(found.pixels, expected.pixels)
    assert not found.pixels.requires_grad
    assert leaf.grad is None
    network = InPlace()
    pixels = levels(3)
    found = attack(network)(pixels, frames(3), labels)
    assert torch.equal(pixels, levels(3))
    outside = ~frames(3)[:, None].expand_as(pixels)
    assert torch.equal(found.pixels[outside], pixels[outside])
    assert all(weight.grad is None for weight in network.parameters())


def test_a_network_without_memory_is_refused():
    network = recognizer().to("meta")
    with pytest.raises(ValueError, match="Sequential is on the meta device: it has no weights"):
        attack(network)(levels(2), frames(2), torch.tensor([0, 1]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_the_work_moves_to_the_network_and_the_result_comes_back():
    arguments = (levels(5), frames(5), torch.arange(5) % CLASSES)
    expected = attack()(*arguments)
    found = attack(recognizer().cuda())(*arguments)
    assert found.pixels.device == found.gradients.device == torch.device("cpu")
    assert (found.pixels - expected.pixels).abs().max() < 2 / 255
    there = attack()(arguments[0].cuda(), *arguments[1:])
    assert there.pixels.is_cuda
    assert torch.equal(there.pixels.cpu(), expected.pixels)
