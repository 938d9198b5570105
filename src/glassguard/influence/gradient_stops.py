"""Where in a network gradients stop: part of it under ``no_grad``, in inference mode, detached."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from glassguard.influence.graph import depends_on


@dataclass
class _Call:
    """A call of a module: whether what goes in and what comes out depends on the pixels."""

    name: str
    inward: bool
    outward: bool = False


def where_gradients_stop(network: nn.Module, leaf: Tensor) -> str:
    """Run a network once more and say behind which part of it nothing depends on the pixels.

    Args:
        network: any network.
        leaf: N x 3 x H x W pixels that require a gradient.

    Returns:
        The outermost modules into which gradients do not get, or the two between which they stop,
        as the end of a sentence.
    """
    calls: list[_Call] = []
    running: list[_Call] = []

    def dependent(values: Any) -> bool:
        return any(isinstance(one, Tensor) and depends_on(one, leaf) for one in tree_leaves(values))

    def enter(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            calls.append(_Call(name, dependent((inputs, named))))
            running.append(calls[-1])

        return hook

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        running.pop().outward = dependent(output)

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if name:
                before = module.register_forward_pre_hook(enter(name), with_kwargs=True)
                stack.callback(before.remove)
                stack.callback(module.register_forward_hook(leave).remove)
        network(leaf.clone())

    ends: list[str] = []
    for call in calls:
        inside = any(call.name.startswith(f"{end}.") for end in ends)
        if call.inward and not call.outward and not inside and call.name not in ends:
            ends.append(call.name)
    if ends:
        return f"in {', '.join(ends)}"
    last = next((call.name for call in reversed(calls) if call.outward), None)
    first = next((call.name for call in calls if not call.inward), None)
    if last and first:
        return f"between {last} and {first}"
    return f"behind {last}" if last else f"before {first}" if first else "in its own forward"
