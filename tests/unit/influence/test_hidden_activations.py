"""Guided backpropagation and influence where a ReLU is hard to see."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glassguard.influence import (
    InputLine,
    InternalInfluence,
    LayerLine,
    expert_gradients,
    top_neurons,
)
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.saliency.saliency_map import saliency_maps

CHANNELS, SIDE = 6, 8


class Rule(torch.autograd.Function):
    """The guided rule by hand."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return gradients[0].clamp_min(0) * (values > 0)


Middle = Callable[["Between", Tensor], Tensor]


class Between(nn.Module):
    """Two convolutions with anything between them; the second one's ReLU is a module."""

    def __init__(self, middle: Middle, *others: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.relu, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.second, self.last_relu = nn.Conv2d(CHANNELS, 5, 3, padding=1), nn.ReLU()
        self.head = nn.Linear(5, 4)
        self.others = nn.ModuleList(others)
        self.middle = middle

    def forward(self, pixels: Tensor) -> Tensor:
        seen = self.second(self.middle(self, self.first(pixels)))
        return self.head(self.last_relu(seen).mean(dim=(2, 3)))


PIXELS = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def by_hand(middle: Callable[[Tensor], Tensor]) -> Tensor:
    """The guided gradient where ``middle`` calls the rule itself."""
    network = Between(lambda own, values: middle(values)).eval()
    leaf = PIXELS.clone().requires_grad_(True)
    seen = Rule.apply(network.second(network.middle(network, network.first(leaf))))
    logits = network.head(seen.mean(dim=(2, 3)))
    return torch.autograd.grad(logits.amax(1).sum(), leaf)[0]


def guided(middle: Middle, *others: nn.Module) -> Tensor:
    network = Between(middle, *others).eval()
    try:
        return guided_backpropagation(network, PIXELS)
    finally:
        assert not any(module._forward_hooks for module in network.modules())


def in_place(change: Callable[[Tensor], object]) -> Middle:
    """What changes a tensor, or part of it, which then goes on as a whole."""

    def middle(network: Between, values: Tensor) -> Tensor:
        change(values)
        return values

    return middle


@st.composite
def views(draw: st.DrawFn) -> Callable[[Tensor], Tensor]:
    """A part of N x CHANNELS x SIDE x SIDE, by a chain of views."""
    chain: list[Callable[[Tensor], Tensor]] = []
    for axis, size in ((0, 2), (1, CHANNELS), (2, SIDE), (3, SIDE)):
        start = draw(st.integers(0, size - 1))
        length, step = draw(st.integers(1, size - start)), draw(st.integers(1, 2))
        kind = draw(st.sampled_from(["all", "narrow", "step"]))
        if kind == "narrow":
            chain.append(lambda t, a=axis, s=start, n=length: t.narrow(a, s, n))
        elif kind == "step":
            places = (slice(None),) * axis + (slice(start, start + length, step),)
            chain.append(lambda t, p=places: t[p])
    chain = draw(st.permutations(chain)) if len(chain) < 2 else chain
    for view in draw(
        st.lists(
            st.sampled_from(
                [
                    lambda t: t.transpose(1, 3),
                    lambda t: t.unsqueeze(1).squeeze(1),
                    lambda t: t[None][0],
                    lambda t: t.view_as(t),
                ]
            ),
            max_size=2,
        )
    ):
        chain.append(view)

    def part(values: Tensor) -> Tensor:
        for one in chain:
            values = one(values)
        return values if chain else values[:]

    return part


def places_of(part: Callable[[Tensor], Tensor]) -> Tensor:
    places = torch.zeros(2, CHANNELS, SIDE, SIDE, dtype=torch.bool)
    part(places).fill_(True)
    return places


@settings(max_examples=40)
@given(part=views())
def test_a_relu_in_place_on_any_part_of_a_tensor_is_guided(
    part: Callable[[Tensor], Tensor],
) -> None:
    places = places_of(part)
    expected = by_hand(lambda values: torch.where(places, Rule.apply(values), values))
    found = guided(lambda own, values: (own.inplace(part(values)), values)[1])
    torch.testing.assert_close(found, expected)
    for function in (F.relu_, lambda one: one.clamp_(min=0), lambda one: one.mul_(one > 0)):
        with pytest.raises(ValueError, match=r"Between calls a ReLU that is no nn\.ReLU module"):
            guided(in_place(lambda values, f=function: f(part(values))))


@settings(max_examples=40)
@given(part=views(), frozen=st.booleans(), times=st.booleans())
def test_influence_at_a_relu_in_place_on_any_part_counts_all_who_read_it(
    part: Callable[[Tensor], Tensor], frozen: bool, times: bool
) -> None:
    def whole_and_part(own: Between, values: Tensor) -> Tensor:
        return values + own.inplace(part(values)).sum()

    network = Between(whole_and_part).requires_grad_(not frozen).eval()
    places = places_of(part)
    start = network.first(PIXELS).detach()
    before, behind = (start.clone().requires_grad_(True) for _ in range(2))
    with torch.no_grad():
        behind.copy_(torch.where(places, start.relu(), start))
    by_slice = {}
    for name, leaf in (("first", before), ("inplace", behind)):
        seen = torch.where(places, leaf.relu(), leaf) if name == "first" else leaf
        seen = seen + part(seen).sum()
        logits = network.head(network.second(seen).relu().mean(dim=(2, 3)))
        (gradient,) = torch.autograd.grad(logits.amax(1).sum(), leaf)
        by_slice[name] = gradient if name == "first" else part(gradient)
        if times:
            by_slice[name] = by_slice[name] * (leaf if name == "first" else part(leaf)).detach()
    slices = {"first": network.first, "inplace": network.inplace}
    if times:
        # The convolution's activation is overwritten.
        slices.pop("first")
    found = InternalInfluence(network, slices, times_activation=times).neurons(PIXELS)
    for name in slices:
        torch.testing.assert_close(found.slices[name], by_slice[name])
    torch.testing.assert_close(found.logits, network(PIXELS).detach())


def masked(values: Tensor) -> Tensor:
    with torch.no_grad():
        mask = (values > 0).to(values)
    return values * mask


def zeros(values: Tensor) -> Tensor:
    return torch.zeros_like(values, requires_grad=False)


def overwritten_later(values: Tensor) -> Tensor:
    rectified = F.relu(values)
    doubled = rectified * 2
    rectified.zero_()
    return doubled


@torch.jit.script
def scripted_product(values: Tensor) -> Tensor:
    return values * (values > 0)


RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "functional": F.relu,
    "method": Tensor.relu,
    "overwritten later": overwritten_later,
    "clamp": lambda values: values.clamp(min=0),
    "clip": lambda values: values.clip(0),
    "clamp by a tensor": lambda values: values.clamp(min=torch.zeros(())),
    "clamp 0 to 6": lambda values: values.clamp(0, 6),
    "clamp of the negative": lambda values: -(-values).clamp(max=0),
    "minimum of the negative": lambda values: -torch.minimum(-values, zeros(values)),
    "fmax": lambda values: torch.fmax(values, torch.zeros(())),
    "max": lambda values: torch.max(values, zeros(values)),
    "relu6": F.relu6,
    "hardtanh": lambda values: F.hardtanh(values, 0, 20),
    "threshold": lambda values: F.threshold(values, 0.0, 0.0),
    "leaky without a leak": lambda values: F.leaky_relu(values, 0.0),
    "random leak without one": lambda values: F.rrelu(values, 0.0, 0.0),
    "elu to 0": lambda values: F.elu(values, 0.0),
    "prelu": lambda values: F.prelu(values, torch.zeros(CHANNELS)),
    "prelu of one channel": lambda values: F.prelu(values, torch.arange(CHANNELS).float()),
    "where": lambda values: torch.where(values > 0, values, 0.0),
    "product": lambda values: values * (values > 0),
    "product turned": lambda values: (values >= 0).to(values) * values,
    "product detached": lambda values: values * (values.detach() > 0),
    "product by no_grad": masked,
    "product with what is not negative": lambda values: values * ~(values < 0),
    "product with signs": lambda values: values * (values.sign() + 1) / 2,
    "product with steps": lambda values: values * torch.heaviside(values, torch.zeros(())),
    "product in einsum": lambda values: torch.einsum("nchw,nchw->nchw", values, masked(values)),
    "addcmul": lambda values: torch.addcmul(torch.zeros(()), values, (values > 0).float()),
    "masked_fill": lambda values: values.masked_fill(values < 0, 0.0),
    "largest beside zeros": lambda values: torch.stack([values, zeros(values)]).amax(0),
    "with its magnitude": lambda values: (values + values.abs()) / 2,
    "scripted": scripted_product,
    "traced": torch.jit.trace(nn.Sequential(nn.ReLU()), torch.rand(2, CHANNELS, SIDE, SIDE)),
    "vmap": torch.vmap(F.relu),
    "vjp": lambda values: torch.func.vjp(F.relu, values)[0],
    "checkpoint": lambda values: checkpoint(F.relu, values, use_reentrant=False),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_a_relu_is_refused_by_whatever_name_it_is_called(name: str) -> None:
    rectify = RECTIFIERS[name]
    with pytest.raises(ValueError, match=r"Between calls a ReLU that is no nn\.ReLU module \("):
        guided(lambda own, values: rectify(values))


@pytest.mark.parametrize(
    "change",
    [
        F.relu_,
        lambda values: F.relu_(values[:, :2]),
        lambda values: F.relu_(values[:, :4][:, 1:]),
        lambda values: F.threshold_(values[0], 0, 0),
        lambda values: F.hardtanh_(values[..., 1], 0, 6),
        lambda values: F.leaky_relu_(values.permute(0, 2, 3, 1), 0.0),
        lambda values: values[:, 1].masked_fill_(values[:, 1] < 0, 0),
        lambda values: values.__setitem__(values < 0, 0),
        lambda values: values[:, :2].copy_(values[:, :2].relu()),
        lambda values: torch._foreach_clamp_min_([values[:, :2]], 0),
    ],
)
def test_a_function_in_place_is_refused(change: Callable[[Tensor], object]) -> None:
    with pytest.raises(ValueError, match=r"Between calls a ReLU that is no nn\.ReLU module"):
        guided(in_place(change))


class Unguided(torch.autograd.Function):
    """A ReLU whose backward pass is its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * (ctx.saved_tensors[0] > 0)


class UnguidedInPlace(Unguided):
    """The same in place."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.mark_dirty(values)
        values.clamp_(min=0)
        ctx.save_for_backward(values)
        return values


class UnseenInPlace(Unguided):
    """The same by what PyTorch does not see."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.mark_dirty(values)
        array = values.numpy()
        array.clip(0, out=array)
        ctx.save_for_backward(values)
        return values


def untracked(values: Tensor, change: Callable[[Tensor], object]) -> None:
    with torch.no_grad():
        change(values)


@pytest.mark.parametrize(
    ("middle", "said"),
    [
        (lambda own, values: Unguided.apply(values), r"UnguidedBackward"),
        (lambda own, values: checkpoint(own.relu, values, use_reentrant=True), "CheckpointFunc"),
        (in_place(lambda values: UnseenInPlace.apply(values[:, :2])), "CopySlices"),
        (in_place(UnguidedInPlace.apply), "out of autograd's sight .clamp_"),
        (in_place(lambda values: UnguidedInPlace.apply(values[:, :2])), "out of autograd's sight"),
        (in_place(lambda values: values.data.relu_()), "out of autograd's sight .relu_"),
        (in_place(lambda values: values.detach()[:, :2].relu_()), "out of autograd's sight"),
        (in_place(lambda values: untracked(values, F.relu_)), "out of autograd's sight .relu_"),
        (in_place(lambda values: untracked(values[:, 1], F.relu_)), "out of autograd's sight"),
    ],
)
def test_what_the_search_cannot_look_into_is_refused_by_name(middle: Middle, said: str) -> None:
    with pytest.raises(ValueError, match=f"Between .*{said}.*plain gradient"):
        guided(middle)


def test_what_the_script_compiler_fuses_is_refused_by_name() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.ReLU(), nn.Tanh()))
    for _ in range(3):
        # The compiler waits for the second call.
        with pytest.raises(ValueError, match=r"ReLU that is no|DifferentiableGraphBackward"):
            guided(lambda own, values: scripted(values))


@pytest.mark.parametrize(
    "several",
    [
        lambda values: values.chunk(2, dim=1)[0],
        lambda values: values.split(2, dim=1)[1],
        lambda values: values.unbind()[0],
    ],
)
def test_a_network_that_has_no_gradients_in_place_is_refused(
    several: Callable[[Tensor], Tensor],
) -> None:
    def middle(own: Between, values: Tensor) -> Tensor:
        own.inplace(several(values))
        return values

    with pytest.raises(ValueError, match=r"Between cannot be run with gradients.*inplace=False"):
        guided(middle)
    network = Between(middle).eval()
    for line in (None, InputLine(steps=2), LayerLine(steps=2)):
        influence = InternalInfluence(network, {"first": network.first}, distribution=line)
        with pytest.raises(ValueError, match=r"Between cannot be run with gradients.*inplace=Fa"):
            influence.profiles(PIXELS)


class Counting(nn.ReLU):
    """A ReLU that does something beside."""

    def forward(self, values: Tensor) -> Tensor:
        assert values.ndim == 4
        return super().forward(values)


class Product(nn.ReLU):
    """A ReLU written as a product."""

    def forward(self, values: Tensor) -> Tensor:
        return values * (values > 0)


class Doubled(nn.ReLU):
    """Twice a ReLU: its output is not that of the ReLU."""

    def forward(self, values: Tensor) -> Tensor:
        return 2 * super().forward(values)


class Smooth(nn.ReLU):
    """No ReLU at all."""

    def forward(self, values: Tensor) -> Tensor:
        return F.gelu(values)


def flattened_in_place(own: Between, values: Tensor) -> Tensor:
    return own.inplace(values.flatten(1)).view_as(values)


def assigned(own: Between, values: Tensor) -> Tensor:
    values[:, :2] = own.relu(values[:, :2])
    return values


def shifted_parts(own: Between, values: Tensor) -> Tensor:
    values = own.relu(values) + 0
    values[:, 0].sub_(0.1)
    values[:, 1] *= 2
    return values


def shifted(values: Tensor) -> Tensor:
    scale, shift = torch.ones(CHANNELS, 1, 1), torch.zeros(CHANNELS, 1, 1)
    scale[1], shift[0] = 2, 0.1
    return Rule.apply(values) * scale - shift


@pytest.mark.parametrize(
    ("middle", "expected", "others"),
    [
        (lambda own, values: own.inplace(values), Rule.apply, ()),
        (in_place(lambda values: nn.functional.dropout(values, training=False)), lambda v: v, ()),
        (flattened_in_place, Rule.apply, ()),
        (
            assigned,
            lambda values: torch.cat([Rule.apply(values[:, :2]), values[:, 2:]], dim=1),
            (),
        ),
        (shifted_parts, shifted, ()),
        (lambda own, values: own.relu(own.relu(values)), lambda v: Rule.apply(Rule.apply(v)), ()),
        (
            lambda own, values: checkpoint(own.relu, values, use_reentrant=False),
            Rule.apply,
            (),
        ),
        (
            lambda own, values: F.normalize(own.relu(values), dim=1),
            lambda values: F.normalize(Rule.apply(values), dim=1),
            (),
        ),
        (lambda own, values: own.relu(values) + F.relu(own.head.bias).sum() * 0, Rule.apply, ()),
        (lambda own, values: own.others[0](values), Rule.apply, (Counting(),)),
        (lambda own, values: own.others[0](values), Rule.apply, (Product(),)),
        (lambda own, values: own.others[0](values), F.gelu, (Smooth(),)),
    ],
)
def test_what_is_guided_or_no_relu_has_the_value_of_the_rule_by_hand(
    middle: Middle, expected: Callable[[Tensor], Tensor], others: tuple[nn.Module, ...]
) -> None:
    torch.testing.assert_close(guided(middle, *others), by_hand(expected))


def test_a_subclass_that_goes_on_behind_its_relu_is_refused() -> None:
    with pytest.raises(ValueError, match=r"calls a ReLU that is no nn\.ReLU module \(relu\)"):
        guided(lambda own, values: own.others[0](values), Doubled())


def test_a_network_whose_relus_lie_elsewhere_is_refused() -> None:
    network = Between(lambda own, values: values)
    network.last_relu = nn.GELU()
    with pytest.raises(ValueError, match=r"Between runs none of its nn\.ReLU modules between"):
        guided_backpropagation(network.eval(), PIXELS)


def test_saliency_and_receptive_fields_search_as_well() -> None:
    network = Between(in_place(lambda values: F.relu_(values[:, :2]))).eval()
    slices = {"second": network.second}
    experts = {"second": top_neurons(torch.rand(2, 5, SIDE, SIDE), 0.1)}
    with pytest.raises(ValueError, match=r"calls a ReLU that is no nn\.ReLU module \(relu_\)"):
        saliency_maps(network, PIXELS)
    with pytest.raises(ValueError, match=r"calls a ReLU that is no nn\.ReLU module \(relu_\)"):
        expert_gradients(network, slices, PIXELS, experts, guided=True)
    plain = expert_gradients(network, slices, PIXELS, experts, guided=False)
    assert plain["second"].shape == PIXELS.shape


@pytest.mark.parametrize("read", ["base", "output"])
def test_a_slice_that_others_change_in_place_is_measured_or_refused(read: str) -> None:
    def middle(own: Between, values: Tensor) -> Tensor:
        passed_on = own.others[0](values)
        changed = own.inplace(passed_on if read == "base" else values)
        return values if read == "base" else changed * 0 + passed_on

    network = Between(middle, nn.Identity()).eval()
    with pytest.raises(ValueError, match=r"shortcut: .* what follows changes both in place"):
        InternalInfluence(network, {"shortcut": network.others[0]}).profiles(PIXELS)
