"""What lies behind a tensor in autograd's graph."""

from collections import defaultdict
from collections.abc import Iterator

from torch import Tensor
from torch.autograd.graph import Node


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
