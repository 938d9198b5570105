"""Slices of a network and hooks that watch their outputs in a forward pass."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


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


@contextmanager
def watched(
    slices: Slices, see: Callable[[str, Tensor], Tensor | None], *, apart: bool = False
) -> Iterator[Callable[[], list[str]]]:
    """Context in which ``see`` is called with the name and output of every slice that runs.

    What it returns, unless None, replaces the output. All hooks are removed at the end, also after
    an error.

    Args:
        slices: the module whose output each slice is.
        see: takes the name and the output.
        apart: whether to copy, where gradients are on, an output that is the module's own input, as
            of ``nn.Identity``, or part of another tensor. Other modules read the same tensor, and
            their gradients would count as the slice's. An output that the module has changed in
            place is its own.

    Yields:
        A function that names the slices whose copy or original was changed in place later, where
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
    """How often a tensor was changed in place; 0 for one of inference mode, which never is."""
    return 0 if tensor.is_inference() else tensor._version
