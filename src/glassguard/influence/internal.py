"""Internal influence of every slice of a network (Leino et al. 2018, section 2; Study I, 2.2).

The network is f = g o h, cut at a slice with z = h(x); the influence of neuron j on the quantity
of interest q is the expected gradient of q(g(z)) with respect to z_j over a distribution of
interest. There is no factor z_j: that would be attribution, and is an option.

All slices are read off one forward and one backward pass. A gradient is reduced to one number a
filter the moment it arrives at its slice and is then dropped, so that at 224 pixels an image costs
a few kilobytes in place of 54 MB. What convolutions would keep for the gradient of their weights
is not kept.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from glassguard.influence.convolution_inputs import inputs_forgotten
from glassguard.influence.distributions import (
    Distribution,
    InputLine,
    LayerLine,
    Point,
    along,
    as_pictures,
    expectation,
    nodes,
)
from glassguard.influence.graph import depends_on
from glassguard.influence.quantities import Logit, Quantity, quantity_named
from glassguard.influence.settings import QuantityName, Reduction
from glassguard.recognizer.answers import require_evaluation_mode, require_logits
from glassguard.recognizer.finite import require_finite

Places = tuple[int, int]
"""Rows and columns that space is divided into."""

EVERYWHERE: Places = (1, 1)
INFERENCE_TENSOR = "Inference tensors cannot be saved"
"""What PyTorch says where autograd needs a tensor that was made in inference mode."""

Reduced = TypeVar("Reduced")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One of several calls of a module that a forward pass runs more than once.

    Attributes:
        module: for example a ReLU that several layers share.
        number: 0 for the first call.
    """

    module: nn.Module
    number: int

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module) or self.number < 0:
            raise ValueError(f"a call is of a module and has a number from 0 on: {self}")


Slices = Mapping[str, nn.Module | Call]
"""The module whose output each slice is, by the name of the slice."""


@dataclass(frozen=True)
class Measured(Generic[Reduced]):
    """What a gradient was reduced to at every slice.

    Attributes:
        slices: by name, in the order in which the slices were given.
        logits: N x C float32, of the pictures.
    """

    slices: dict[str, Reduced]
    logits: Tensor


@dataclass(frozen=True)
class InfluenceProfiles:
    """Profiles of a batch.

    Attributes:
        profiles: per slice N x filters float32, with several places N x (filters · places), the
            places of a filter side by side; per neuron where the slice is dense.
        logits: N x C float32.
    """

    profiles: dict[str, Tensor]
    logits: Tensor


@contextmanager
def watched(
    slices: Slices, see: Callable[[str, Tensor], Tensor | None], *, apart: bool = False
) -> Iterator[Callable[[], list[str]]]:
    """While open, ``see`` is called with the name and output of every slice that runs.

    What it returns takes the output's place, unless that is None. All hooks are gone when the
    context is left, by an error as well.

    Args:
        slices: the module whose output each slice is.
        see: takes the name and the output.
        apart: whether an output that is the module's own input, as that of ``nn.Identity``, or part
            of another tensor is copied first, where gradients are on. Others read the same tensor,
            and what they owe to it would be counted as the slice's. An output that the module has
            changed in place is its own, part of another tensor or not.

    Yields:
        The names of the slices whose copy or original was changed in place by what followed, where
        the network may have needed both to be the same tensor.

    Raises:
        ValueError: a slice's module runs more than once and no call of it was named, or its output
            is no tensor; raised by the network's forward pass.
    """
    calls: dict[str, int] = dict.fromkeys(slices, 0)
    entered: dict[str, list[tuple[Tensor, int]]] = {}
    copies: list[tuple[str, Tensor, int]] = []

    def enter(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            given = [one for one in (*inputs, *named.values()) if isinstance(one, Tensor)]
            entered[name] = [(one, _version(one)) for one in given]

        return hook

    def watch(name: str, wanted: int | None) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
            given = entered.pop(name, [])
            call = calls[name]
            calls[name] += 1
            if wanted is None and call:
                raise ValueError(
                    f"{name}: its {type(module).__name__} runs more than once in a forward pass; "
                    "say which call is meant, or give every layer a module of its own"
                )
            if wanted is not None and call != wanted:
                return None
            if not isinstance(output, Tensor):
                raise ValueError(f"{name}: its {type(module).__name__} gives no tensor")
            if not apart or not torch.is_grad_enabled():
                return see(name, output)
            # An activation that works in place gives its input, but as another version.
            before = [version for one, version in given if output is one]
            passed_on = _version(output) in before
            if not (passed_on or output.is_inference() or (output._is_view() and not before)):
                return see(name, output)
            copy = output.clone()
            seen = see(name, copy)
            for one in (output, copy if seen is None else seen):
                copies.append((name, one, _version(one)))
            return copy if seen is None else seen

        return hook

    handles = []
    for name, place in slices.items():
        module, number = (place.module, place.number) if isinstance(place, Call) else (place, None)
        handles.append(module.register_forward_hook(watch(name, number)))
        if apart:
            handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
    try:
        yield lambda: [name for name, one, version in copies if _version(one) != version]
    finally:
        for handle in handles:
            handle.remove()


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; one of inference mode is not, outside of it."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def with_gradients(network: nn.Module, pixels: Tensor) -> Iterator[None]:
    """Where a network runs forward and backward, uncompiled: PyTorch's complaints in plain words.

    Raises:
        ValueError: the network works in place where gradients cannot follow, or takes pixels of
            another number type.
    """
    # What torch.compile has made of a network has no hooks. Whoever compiles has imported this.
    compiles = "torch._dynamo" in sys.modules
    try:
        with torch.compiler.set_stance("force_eager") if compiles else nullcontext():
            yield
    except RuntimeError as error:
        kind, said = type(network).__name__, " ".join(str(error).split())
        if any(word in said.lower() for word in ("inplace", "in-place", "inference tensor")):
            advice = "build what works in place with inplace=False"
            if "nference" in said:
                advice = "tensors made in inference mode take no part in them"
            raise ValueError(
                f"{kind} cannot be run with gradients: {advice} ({said[:160]})"
            ) from error
        kinds = {one.dtype for one in network.parameters() if one.is_floating_point()}
        if "type" in said and kinds and pixels.dtype not in kinds:
            raise ValueError(
                f"pixels are {pixels.dtype}, the weights of {kind} are "
                f"{', '.join(sorted(map(str, kinds)))}: give pixels of the network's type"
            ) from error
        raise


def behind_inference_mode(network: nn.Module, run: Callable[[], Result]) -> Result:
    """Run a network of which a part may be in inference mode.

    Autograd keeps no tensor of that mode for the gradient of a weight, which nobody asks for here:
    where it meets one, the weights are frozen until the pass has run once more.

    Args:
        network: what is run.
        run: forward and backward passes of it; called twice where the first forward pass fails.
    """
    try:
        return run()
    except RuntimeError as error:
        if INFERENCE_TENSOR not in str(error):
            raise
    # Weights that were made in inference mode could not be thawed again.
    thawed = [one for one in network.parameters() if one.requires_grad and not one.is_inference()]
    for one in thawed:
        one.requires_grad_(False)
    try:
        return run()
    finally:
        for one in thawed:
            one.requires_grad_(True)


def finite_logits(logits: object, count: int, points: int = 1) -> Tensor:
    """What a network answered, if it is one row of finite logits a picture.

    Args:
        logits: the answer.
        count: number of pictures that it was asked about, all their points together.
        points: asked about of each picture, the pictures of the first one first.

    Returns:
        ``logits``: count x C.

    Raises:
        ValueError: it is anything else; logits that are not finite are named by their picture.
    """
    return require_finite("the network's logits", require_logits(logits, count), points)


def own_pixels(pixels: object) -> Tensor:
    """A copy of pictures: what is done to it, in place as well, stays off the caller's.

    To be called where inference mode is off: a tensor that was made in it takes no part in a
    backward pass.

    Args:
        pixels: N x channels x height x width, floating point, finite.

    Raises:
        ValueError: they are anything else.
    """
    if not isinstance(pixels, Tensor):
        raise ValueError(f"pixels are a tensor, not a {type(pixels).__name__}")
    if pixels.ndim != 4 or not pixels.is_floating_point():
        raise ValueError(
            "pixels are floating point, N x channels x height x width: "
            f"{pixels.dtype}, {' x '.join(map(str, pixels.shape))}"
        )
    return require_finite("pixels", pixels).detach().clone()


class InternalInfluence:
    """Influence of every neuron or filter of some slices on a quantity of interest.

    Activations that work in place and modules that several layers share are handled: a gradient
    belongs to the output as it was when the slice's module returned. Weights may be frozen or not,
    and slices may lie side by side, as in the branches of a residual block: gradients of weights
    and of pixels are not computed and nothing is accumulated.

    Args:
        network: maps N pictures to N x C logits; in evaluation mode.
        slices: the module whose output each slice is. A slice at a ReLU is the post position, at
            the convolution before it the pre position; there ``pre == post * (z > 0)`` holds
            before any reduction.
        quantity: what influence is measured on, or its name
            (:func:`~glassguard.influence.quantities.quantity_named`).
        distribution: the points that it is averaged over. With :class:`LayerLine` everything behind
            a slice must depend on the picture through the slice alone.
        times_activation: multiply by the picture's own activation, which makes it attribution
            (χ times z); with :class:`LayerLine` by what lies between it and the line's start.

    Raises:
        ValueError: there is no slice, no quantity of that name, a slice is no module, or the
            quantity or the distribution is of another kind.

    Example:
        >>> slices = {"conv3_2": network.features.relu3_2}
        >>> influence = InternalInfluence(network, slices, quantity=Comparative())
        >>> influence.profiles(pixels).profiles["conv3_2"].shape
        torch.Size([8, 256])
    """

    def __init__(
        self,
        network: nn.Module,
        slices: Slices,
        *,
        quantity: Quantity | QuantityName | None = None,
        distribution: Distribution | None = None,
        times_activation: bool = False,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise ValueError(f"the network is an nn.Module, not a {type(network).__name__}")
        if not isinstance(slices, Mapping):
            raise ValueError(f"slices are modules by name, not a {type(slices).__name__}")
        if not slices:
            raise ValueError("no slice to measure influence at")
        for name, place in slices.items():
            if not isinstance(name, str):
                raise ValueError(f"names of slices are text: {name!r}")
            if not isinstance(place, nn.Module | Call):
                raise ValueError(f"{name}: a slice is a module of the network, or a Call of one")
        self.network = network
        self.slices = dict(slices)
        self.quantity: Quantity = (
            quantity_named(quantity) if isinstance(quantity, str) else quantity or Logit()
        )
        if isinstance(quantity, type) or not callable(self.quantity):
            raise ValueError(
                f"a quantity of interest is one of {', '.join(get_args(QuantityName))}, Logit(), "
                "Comparative(), Softmax() or a function of points' and pictures' logits: "
                f"{quantity!r}"
            )
        self.distribution = Point() if distribution is None else distribution
        if not isinstance(self.distribution, Point | InputLine | LayerLine):
            raise ValueError(
                "a distribution of interest is Point(), InputLine(...) or LayerLine(...): "
                f"{distribution!r}"
            )
        self.times_activation = times_activation

    def profiles(
        self, pixels: Tensor, *, reduction: Reduction = "max", places: Places = EVERYWHERE
    ) -> InfluenceProfiles:
        """Influence profiles: one number a filter, or a neuron where the slice is dense.

        Args:
            pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
            reduction: over space; the sources take the maximum.
            places: rows and columns that space is divided into, each reduced by itself: a profile
                then says where a filter has its influence as well. The sources have one place.

        Returns:
            Profiles in the order of the slices (quantity per unit of activation), and the logits.

        Raises:
            ValueError: there is no such reduction, a place has no extent, an influence is not
                finite, or see :meth:`measure`.
        """
        if reduction not in get_args(Reduction):
            raise ValueError(
                f"no reduction {reduction!r}; allowed are {', '.join(get_args(Reduction))}"
            )
        if not isinstance(places, tuple) or len(places) != len(EVERYWHERE) or min(places) < 1:
            raise ValueError(f"places {places}: rows and columns, at least one of each")
        found = self.measure(
            pixels,
            lambda name, influence: require_finite(
                f"influence at {name}", reduced(influence, reduction, places)
            ),
        )
        return InfluenceProfiles(found.slices, found.logits)

    def neurons(self, pixels: Tensor) -> Measured[Tensor]:
        """Influence of every single neuron: N x the slice's own shape float32, kept for all slices.

        Raises:
            ValueError: see :meth:`measure`, or an influence is not finite.
        """
        return self.measure(
            pixels,
            lambda name, influence: require_finite(f"influence at {name}", influence).clone(),
        )

    def measure(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> Measured[Reduced]:
        """What ``reduce`` makes of every slice's influence inside the backward pass.

        Args:
            pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
            reduce: takes the name of a slice and its influence, N x the slice's shape float32,
                which is not to be kept or changed.

        Raises:
            ValueError: the network is not in evaluation mode or does not answer with finite logits;
                a slice does not run, or no gradient gets to it from the logits; its module runs
                more than once; a baseline does not fit; the activation to multiply by was
                overwritten in place; the network works in place where gradients cannot follow; the
                pixels are no finite pictures of the network's type; or, along a layer's line,
                something behind the slice depends on the picture past it.
        """
        require_evaluation_mode(self.network)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            with_gradients(self.network, pixels),
            inputs_forgotten(self.network),
        ):
            return behind_inference_mode(self.network, lambda: self._measured(pixels, reduce))

    def _measured(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> Measured[Reduced]:
        line = self.distribution
        if not isinstance(line, LayerLine):
            gathered, logits = self._at_points(pixels, reduce)
            return _measured(self.slices, [gathered], logits)
        pixels = own_pixels(pixels)
        logits = self._answer(pixels)
        parts = [self._along_layer(name, pixels, line, reduce, logits) for name in self.slices]
        return _measured(self.slices, parts, logits)

    def _answer(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            return finite_logits(self.network(pixels.clone()), len(pixels))

    def _at_points(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> tuple["_Gathered[Reduced]", Tensor]:
        points = own_pixels(pixels)
        count = len(points)
        weights: list[float] = []
        if isinstance(self.distribution, InputLine):
            places, weights = nodes(self.distribution.steps)
            points = along(as_pictures(self.distribution.baseline, points), points, places)
        gathered = _Gathered(self.slices, reduce, count, weights, self.times_activation)
        with watched(self.slices, gathered.see, apart=True) as changed:
            logits = finite_logits(self.network(points), len(points), len(weights) + 1)
        names = changed()
        if names and not _alike(logits[-count:], self._answer(own_pixels(pixels))):
            raise ValueError(
                f"{', '.join(names)}: the output is part of another tensor, or the module's own "
                "input, and what follows changes both in place; build that with inplace=False"
            )
        gathered.backward(logits, self.quantity)
        return gathered, logits[len(logits) - count :]

    def _along_layer(
        self,
        name: str,
        pixels: Tensor,
        line: LayerLine,
        reduce: Callable[[str, Tensor], Reduced],
        expected: Tensor,
    ) -> "_Gathered[Reduced]":
        places, weights = nodes(line.steps)
        count = len(pixels)
        start = [] if line.baseline is None else [as_pictures(line.baseline, pixels)]
        here = {name: self.slices[name]}
        gathered = _Gathered(here, reduce, count, weights, self.times_activation)

        def spread(name: str, output: Tensor) -> Tensor:
            activation = output.detach()
            own = activation[:count]
            lines_start = activation[count:] if start else torch.zeros_like(own[:1])
            return gathered.see(name, along(lines_start, own, places), lines_start)

        past = f"{name}: what lies behind it depends on the picture past it, so it has no line"
        try:
            with watched(here, spread, apart=True):
                logits = self.network(torch.cat([pixels, *start]))
        except RuntimeError as error:
            if INFERENCE_TENSOR in str(error) or "inplace" in str(error):
                raise
            # Points of the line met as many pictures: the network has answered those alone.
            raise ValueError(f"{past}: {' '.join(str(error).split())[:120]}") from error
        if name in gathered.seen:
            points = len(places) + 1
            if len(logits) != count * points:
                raise ValueError(past)
            logits = finite_logits(logits, count * points, points)
            if not _alike(logits[-count:], expected):
                raise ValueError(past)
        gathered.backward(logits, self.quantity)
        return gathered


def _alike(logits: Tensor, expected: Tensor) -> bool:
    """Whether logits are the same but for what the size of a batch makes of their last digits."""
    scale = float(expected.abs().max()) if len(expected) else 0.0
    last = 8 * torch.finfo(expected.dtype).eps
    return torch.allclose(logits, expected, rtol=max(1e-3, last), atol=max(1e-4, last) * scale)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def reduced(influence: Tensor, reduction: Reduction, places: Places = EVERYWHERE) -> Tensor:
    """One number a filter and place; a dense slice stays as it is, but in memory of its own.

    Args:
        influence: N x filters x height x width, or N x neurons.
        reduction: over space: its maximum, largest magnitude or mean.
        places: rows and columns that space is divided into. They share pixels where they do not
            divide it, and all of them where it is smaller.

    Returns:
        N x (filters · places), the places of a filter side by side, or N x neurons.

    Raises:
        ValueError: there is no such reduction, or the slice has another number of axes.
    """
    if influence.ndim == 2:
        return influence.clone()
    if influence.ndim != 4:
        raise ValueError(
            f"a slice of shape N x {' x '.join(map(str, influence.shape[1:]))} is neither N x "
            "filters x height x width nor N x neurons: reduce it yourself, by measure"
        )
    if places != EVERYWHERE:
        return _by_place(influence, reduction, places).flatten(1)
    if reduction == "max":
        return influence.amax(dim=(2, 3))
    if reduction == "abs_max":
        # Without a copy of the whole gradient.
        return torch.maximum(influence.amax(dim=(2, 3)), influence.amin(dim=(2, 3)).neg_())
    if reduction == "mean":
        return influence.mean(dim=(2, 3))
    raise ValueError(f"no reduction {reduction!r}")


def _by_place(influence: Tensor, reduction: Reduction, places: Places) -> Tensor:
    if reduction == "mean":
        return F.adaptive_avg_pool2d(influence, places)
    largest = F.adaptive_max_pool2d(influence, places)
    if reduction == "abs_max":
        return torch.maximum(largest, F.adaptive_max_pool2d(-influence, places))
    return largest


class _Anchor(torch.autograd.Function):
    """The output of a slice before which there is no other as a start of the graph, uncopied.

    The gradient that is asked for is that of a number that nothing depends on. Asked for the output
    itself, autograd would hand over the gradient behind an activation that works in place.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0].new_zeros(())


class _Received(torch.autograd.Function):
    """The output of a slice that is part of a tensor and was changed there in place.

    It is a start of the graph as well, but lets gradients on. Those of whoever reads the whole
    tensor arrive here too; a hook on the output would miss them.
    """

    @staticmethod
    def forward(
        ctx: Any, output: Tensor, anchor: Tensor, receive: Callable[[Tensor], None]
    ) -> Tensor:
        ctx.mark_dirty(output)
        ctx.receive = receive
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        ctx.receive(gradients[0])
        return gradients[0], gradients[0].new_zeros(()), None


class _Gathered(Generic[Reduced]):
    """Puts hooks on the outputs of slices and gathers what arrives there."""

    def __init__(
        self,
        slices: Slices,
        reduce: Callable[[str, Tensor], Reduced],
        count: int,
        weights: Sequence[float],
        times_activation: bool,
    ) -> None:
        self.slices, self.reduce = slices, reduce
        self.count, self.weights = count, weights
        self.times_activation = times_activation
        self.anchor: Tensor | None = None
        self.seen: set[str] = set()
        self.found: dict[str, Reduced] = {}

    def see(self, name: str, output: Tensor, start: Tensor | None = None) -> Tensor:
        self.seen.add(name)
        if not torch.is_grad_enabled():
            return output
        if self.anchor is None:
            self.anchor = output.new_zeros((), requires_grad=True)
        part = output._is_view()
        # With weights that are not frozen, a branch beside the slices so far has a graph, but one
        # that autograd would not walk: nothing in it is asked for.
        if not part and not depends_on(output, self.anchor):
            output = _Anchor.apply(output, self.anchor)
        version = output._version
        activation = output.detach()[-self.count :] if self.times_activation else None

        def receive(gradient: Tensor | None) -> None:
            # None where what lies behind has no backward pass, as the kernels of quantisation.
            if gradient is None:
                return
            gradient = _at_least_float32(gradient)
            influence = expectation(gradient, self.weights) if self.weights else gradient
            if activation is not None:
                if activation._version != version:
                    raise ValueError(
                        f"{name}: its activation was overwritten in place by what follows; build "
                        "that with inplace=False"
                    )
                influence = influence * (activation if start is None else activation - start)
            self.found[name] = self.reduce(name, influence.float())

        if part:
            # The module may keep its output, whose values stay as they are.
            with _unsafe_preserve_version_counter(output):
                return _Received.apply(output, self.anchor, receive)
        output.register_hook(receive)
        return output

    def backward(self, logits: Tensor, quantity: Quantity) -> None:
        if self.anchor is None or not logits.requires_grad:
            return
        logits = _at_least_float32(logits)
        pictures = logits[len(logits) - self.count :]
        points = logits.unflatten(0, (-1, self.count)) if self.weights else logits
        total = quantity(points, pictures).sum()
        torch.autograd.grad(total, self.anchor, allow_unused=True)


def _measured(
    slices: Slices, passes: Sequence[_Gathered[Reduced]], logits: Tensor
) -> Measured[Reduced]:
    """What all passes have gathered, in the order of the slices."""
    seen = {name for gathered in passes for name in gathered.seen}
    absent = [name for name in slices if name not in seen]
    if absent:
        raise ValueError(
            f"{', '.join(absent)}: not run by the network, or not so often as the call's number"
        )
    found = {name: reduced for gathered in passes for name, reduced in gathered.found.items()}
    missing = [name for name in slices if name not in found]
    if missing:
        raise ValueError(
            f"no influence at {', '.join(missing)}: not on the way to the logits by any gradient "
            "(no_grad, inference_mode and detach stop them)"
        )
    return Measured({name: found[name] for name in slices}, logits.detach().float())
