"""The ReLUs that a network calls, by whatever name, seen below autograd.

Autograd's graph does not name everything: an in-place operation on part of a tensor appears as
``CopySlices``, a product with ``x > 0`` as any other product. PyTorch's dispatcher sees each
operation with its arguments, also in scripted modules. What it cannot see, the graph shows as a
node that is not PyTorch's own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from glassguard.influence.graph import nodes_between

LEAST_FLOOR = 1e-3
"""A lower bound above 0 and up to here keeps a denominator off 0 and is no ReLU."""

PIXEL_RANGES = (1, 255)
"""Upper bounds of ``clamp`` from 0 that cut pixels to their range."""


class _Call(NamedTuple):
    """A ReLU that was called."""

    name: str
    output: Any
    node: Node | None


class RectifierSearch(TorchDispatchMode):
    """While a network runs in it, remembers the ReLUs that gradients pass.

    Args:
        known: autograd functions that hide no ReLU.
    """

    def __init__(self, *known: type[torch.autograd.Function]) -> None:
        super().__init__()
        self._known = known
        self._new: list[tuple[str, Any]] = []
        self._calls: list[_Call] = []
        self._new_parts: list[Tensor] = []
        self._parts: set[Node] = set()
        self._hidden: list[str] = []
        self._memory: set[StorageWeakRef] = set()
        self._masks = WeakTensorKeyDictionary()
        self._magnitudes = WeakTensorKeyDictionary()
        self._beside_zeros = WeakTensorKeyDictionary()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing here is compiled, and to skip the compiler imports it: seconds and 90 MB.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation and remember it where it is a ReLU."""
        kwargs = kwargs or {}
        self._settle()
        called = func._schema.name.removeprefix("aten::")
        name = called.removesuffix("_")
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        followed = torch.is_grad_enabled() and any(one.requires_grad for one in given)
        # Asked before the operation, which may work in place.
        rectifies = followed and (
            (name in _RECTIFIERS and _RECTIFIERS[name](*args, **kwargs))
            or self._composes(name, args, given)
        )
        self._memory.update(
            memory
            for one in given
            if one.grad_fn is not None and (memory := _memory(one)) is not None
        )
        for written in _written(func, args, kwargs):
            if followed and written.requires_grad:
                self._new_parts += [written] if written._is_view() else []
            elif _memory(written) in self._memory:
                self._hidden.append(called)

        output = func(*args, **kwargs)

        if rectifies:
            self._new.append((called, output))
        if isinstance(output, Tensor):
            self._remember(name, given, output)
        return output

    def taken(self, output: Tensor) -> bool:
        """Whether ``output`` is that of a ReLU, which then no longer counts as found."""
        self._settle()
        others = [call for call in self._calls if call.output is not output]
        was_one = len(others) < len(self._calls)
        self._calls = others
        return was_one

    def know(self, part: Tensor) -> None:
        """Note that the last in-place operation on ``part`` of a tensor was no ReLU."""
        self._new_parts.append(part)

    def problems(self, leaf: Tensor, *nodes: Node | None) -> Iterator[str]:
        """ReLUs, or what may hide one, between the nodes and the leaf, where gradients end.

        Yields:
            What the network does there, as the rest of a sentence.
        """
        self._settle()
        way = nodes_between(leaf, *nodes)
        for call in self._calls:
            if call.node is None or call.node in way:
                yield f"calls a ReLU that is no nn.ReLU module ({call.name})"
        for name in self._hidden:
            yield f"changes a tensor in place out of autograd's sight ({name})"
        for node in way:
            if self._opaque(node):
                yield f"runs what no search for ReLUs can look into ({node.name()})"

    def _opaque(self, node: Node) -> bool:
        written_in_python = getattr(node, "_forward_cls", None)
        if written_in_python is not None:
            return written_in_python not in self._known
        kind = type(node).__name__
        return kind == "CppFunction" or (kind == "CopySlices" and node not in self._parts)

    def _settle(self) -> None:
        """Look up the nodes that autograd made for the operation before."""
        for name, output in self._new:
            self._calls.append(_Call(name, output, _node(output)))
        self._parts.update(node for part in self._new_parts if (node := _node(part)) is not None)
        self._new.clear()
        self._new_parts.clear()

    def _composes(self, name: str, args: tuple[Any, ...], given: list[Tensor]) -> bool:
        """Whether an operation makes a ReLU out of what came before."""
        if name in ("add", "sub"):
            return any(
                self._magnitudes[one] is other
                for one in given
                if one in self._magnitudes
                for other in given
            )
        if name in ("amax", "max"):
            return args[0] in self._beside_zeros
        if name not in _MASKING:
            return False
        if name in ("masked_fill", "index_put") and torch.as_tensor(args[2]).any():
            return False
        masks = [one for one in given if one in self._masks]
        values = [one for one in given if one.requires_grad and one not in self._masks]
        return any(mask.shape == value.shape for mask in masks for value in values)

    def _remember(self, name: str, given: list[Tensor], output: Tensor) -> None:
        """Remember what an operation made, where a later one can make a ReLU out of it."""
        of_mask = any(one in self._masks for one in given) and not any(
            one.requires_grad and one not in self._masks for one in given
        )
        if name in _COMPARISONS or of_mask:
            self._masks[output] = None
        elif name == "abs":
            self._magnitudes[output] = given[0]
        elif name in ("cat", "stack") and any(map(_zero, given)):
            self._beside_zeros[output] = None


def _node(output: Any) -> Node | None:
    if not isinstance(output, Tensor):
        return None
    return (output._base if output._base is not None else output).grad_fn


def _memory(tensor: Tensor) -> StorageWeakRef | None:
    return StorageWeakRef(tensor.untyped_storage()) if tensor.layout == torch.strided else None


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    if not func._schema.is_mutable:
        return []
    values = {
        **dict(zip((one.name for one in func._schema.arguments), args, strict=False)),
        **kwargs,
    }
    return [
        one
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
        for one in tree_leaves(values.get(argument.name))
        if isinstance(one, Tensor)
    ]


def _constant(value: Any) -> bool:
    return not (isinstance(value, Tensor) and value.requires_grad)


def _zero(value: Any) -> bool:
    return _constant(value) and not value.any()


def _bound(value: Any) -> float | None:
    """A bound of ``clamp``, or None where there is none or it is learned."""
    if isinstance(value, Tensor):
        return float(value.amax()) if value.numel() and _constant(value) else None
    return None if value is None else float(value)


def _clamps(low: Any, high: Any) -> bool:
    least, most = _bound(low), _bound(high)
    if least is None:
        return most == 0
    if high is None:
        return not 0 < least <= LEAST_FLOOR
    return least == 0 and most not in PIXEL_RANGES


_RECTIFIERS: dict[str, Callable[..., bool]] = {
    "_foreach_clamp_min": lambda *args: True,
    "_foreach_clamp_max": lambda *args: True,
    "_foreach_maximum": lambda *args: True,
    "_foreach_minimum": lambda *args: True,
    "relu": lambda *args: True,
    "threshold": lambda *args: True,
    "clamp": lambda values, low=None, high=None: _clamps(low, high),
    "clamp_min": lambda values, low: _clamps(low, None),
    "clamp_max": lambda values, high: _clamps(None, high),
    # ReLU6 is one from 0 to 6.
    "hardtanh": lambda values, low=-1, high=1: low == 0,
    "leaky_relu": lambda values, slope=0.01: slope == 0,
    "rrelu_with_noise": lambda values, noise, low=1 / 8, high=1 / 3, *rest: low + high == 0,
    "elu": lambda values, alpha=1, *rest: alpha == 0,
    "_prelu_kernel": lambda values, slopes: not slopes.all(),
    "_addmm_activation": lambda *args, use_gelu=False, **rest: not use_gelu,
    # The larger of a tensor and a constant, and a choice between them.
    "maximum": lambda one, other: _constant(one) or _constant(other),
    "fmax": lambda one, other: _constant(one) or _constant(other),
    "where": lambda condition, one, other: _constant(one) or _constant(other),
    # The negative of a ReLU of the negative.
    "minimum": lambda one, other: _zero(one) or _zero(other),
    "fmin": lambda one, other: _zero(one) or _zero(other),
}
_COMPARISONS = frozenset({"gt", "ge", "lt", "le", "sign", "sgn", "heaviside", "signbit"})
# An activation times a comparison of its own shape is a ReLU or may be one.
_MASKING = frozenset({"mul", "addcmul", "masked_fill", "index_put", "index", "masked_select"})
