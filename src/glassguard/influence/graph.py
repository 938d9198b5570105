"""Autograd's graph: what lies behind a tensor, and where in a network gradients stop."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils._pytree import tree_leaves


def nodes_behind(*nodes: Node | None) -> Iterator[Node]:
    """The nodes that made some tensors and every node that led to them, each once.

    Args:
        nodes: each tensor's ``grad_fn``; nothing is behind None.
    """
    seen: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.add(one)
        yield one
        waiting += [before for before, _ in one.next_functions]


def depends_on(tensor: Tensor, leaf: Tensor) -> bool:
    """Whether a gradient of ``tensor`` reaches ``leaf``, a tensor that starts a graph."""
    return any(_starts_at(node, leaf) for node in nodes_behind(tensor.grad_fn))


def nodes_between(leaf: Tensor, *nodes: Node | None) -> set[Node]:
    """The nodes through which gradients pass on their way to a leaf.

    Args:
        leaf: a tensor that starts a graph.
        nodes: where the gradients start: each tensor's ``grad_fn``.
    """
    after: defaultdict[Node, list[Node]] = defaultdict(list)
    waiting: list[Node] = []
    for node in nodes_behind(*nodes):
        if _starts_at(node, leaf):
            waiting.append(node)
        for before, _ in node.next_functions:
            if before is not None:
                after[before].append(node)
    found: set[Node] = set()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += after[one]
    return found


def _starts_at(node: Node, leaf: Tensor) -> bool:
    return getattr(node, "variable", None) is leaf


@dataclass
class _Call:
    """A call of a module, and whether its input and output depend on the pixels."""

    name: str
    inward: bool
    outward: bool = False


def where_gradients_stop(network: nn.Module, leaf: Tensor) -> str:
    """Run a network once more and name the part after which nothing depends on the pixels.

    Such a part runs under ``no_grad``, in inference mode, or detaches its output.

    Args:
        network: any network.
        leaf: N x 3 x H x W pixels that require a gradient.

    Returns:
        The outermost modules that gradients do not enter, or the two between which they stop, as
        the end of a sentence.
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
