"""What lies behind a tensor in autograd's graph."""

from collections.abc import Iterator

from torch.autograd.graph import Node


def nodes_behind(node: Node | None) -> Iterator[Node]:
    """The node that made a tensor and every node that led to it, each once.

    Args:
        node: ``tensor.grad_fn``; nothing is behind None.
    """
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.add(one)
        yield one
        waiting += [before for before, _ in one.next_functions]
