"""What a node of an ONNX network reads, checked on the way out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glassguard.recognizer.onnx_file import Node, OnnxError

Shape = tuple[int, ...]
"""Of a tensor that depends on the pictures, for one of them: its first size is 1."""

_REQUIRED = object()


@dataclass(frozen=True)
class Operands:
    """What a node reads.

    Attributes:
        node: the node.
        constants: by name.
        shapes: of tensors that depend on the pictures, by name.
        batches: first sizes of a shape that stand for the number of pictures.
    """

    node: Node
    constants: Mapping[str, Tensor]
    shapes: Mapping[str, Shape]
    batches: frozenset[int]

    @property
    def moving(self) -> list[str]:
        """Names of the inputs that depend on the pictures."""
        return [name for name in self.node.inputs if name in self.shapes]

    def shape(self, axes: int | None = None) -> Shape:
        """Shape of the one input that depends on the pictures, which must be the first one."""
        if self.moving != list(self.node.inputs[:1]):
            raise OnnxError(f"{self.node}: only its first input may depend on the pictures")
        found = self.shapes[self.moving[0]]
        if axes is not None and len(found) != axes:
            raise OnnxError(f"{self.node} reads {shown(found)}; allowed are {axes} axes")
        return found

    def constant(self, place: int) -> Tensor | None:
        """The constant at a place of the inputs; None where it is left out."""
        name = self.node.inputs[place] if place < len(self.node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise OnnxError(f"{self.node}: its input {name} must be a constant")
        return self.constants[name]

    def weights(self, place: int, *shape: int | None) -> Tensor:
        """Float32 numbers at a place of the inputs, of the given shape; None fits any size."""
        found = self.constant(place)
        if found is None or found.dtype != torch.float32:
            raise OnnxError(f"{self.node}: its input {place} must be a constant of float32 numbers")
        fits = found.ndim == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
        )
        if not fits:
            wanted = " x ".join("?" if one is None else str(one) for one in shape)
            raise OnnxError(
                f"{self.node}: {self.node.inputs[place]} is {shown(found.shape)}; "
                f"allowed is {wanted}"
            )
        return found

    def integers(self, place: int, key: str) -> list[int] | None:
        """Whole numbers of an input, or of the attribute that older versions have instead."""
        found = self.constant(place)
        if found is None:
            given = self.node.attributes.get(key)
            return [int(one) for one in given] if isinstance(given, list) else None
        if found.dtype != torch.int64 or found.ndim > 1 or found.numel() > 16:
            raise OnnxError(f"{self.node}: {self.node.inputs[place]} must be a few whole numbers")
        return found.flatten().tolist()

    def number(self, place: int, key: str, otherwise: float) -> float:
        """A number of an input, or of the attribute that older versions have instead."""
        found = self.constant(place)
        if found is None:
            return float(self.node.attributes.get(key, otherwise))  # type: ignore[arg-type]
        if found.dtype != torch.float32 or found.numel() != 1:
            raise OnnxError(f"{self.node}: {self.node.inputs[place]} must be one float32 number")
        return float(found)

    def attribute(self, key: str, kind: type, otherwise: Any = _REQUIRED) -> Any:
        """An attribute of a type."""
        found = self.node.attributes.get(key, otherwise)
        if found is _REQUIRED or (found is not otherwise and not isinstance(found, kind)):
            raise OnnxError(f"{self.node}: attribute {key} is missing or of another kind")
        return found

    def sizes(self, key: str, count: int, otherwise: list[int], least: int) -> list[int]:
        """An attribute of ``count`` whole numbers from ``least`` on."""
        found = self.attribute(key, list, otherwise)
        if len(found) != count or any(
            not isinstance(one, int) or not least <= one <= 1024 for one in found
        ):
            raise OnnxError(
                f"{self.node}: {key} must be {count} whole numbers from {least} to 1024: {found}"
            )
        return found

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse other values of an attribute than those; the first is its default."""
        found = self.node.attributes.get(key, allowed[0])
        if found not in allowed:
            choices = " or ".join(map(str, allowed))
            raise OnnxError(f"{self.node}: {key}={found} is not supported; allowed is {choices}")


def shown(shape: tuple[int, ...] | torch.Size) -> str:
    """A shape in words."""
    return " x ".join(map(str, shape)) or "one number"
