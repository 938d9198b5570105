"""The operators of convolutional face networks as modules of PyTorch.

Each takes a node, its constants and the shapes of what it reads, and refuses what it would not
compute exactly as ONNX defines it (github.com/onnx/onnx, ``docs/Operators.md``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from glassguard.recognizer.onnx_file import Node, OnnxError
from glassguard.recognizer.onnx_modules import (
    Arithmetic,
    Convolution,
    Dense,
    Joined,
    Mean,
    Reshaped,
    UnitLength,
)
from glassguard.recognizer.onnx_operands import Operands, Shape, shown

Built = tuple[nn.Module, Shape]
"""A module and the shape of what it gives."""


def _convolution(given: Operands) -> Built:
    _, channels, height, width = given.shape(4)
    weight = given.weights(1, None, None, None, None)
    filters, inputs, *kernel = weight.shape
    group = given.attribute("group", int, 1)
    if group < 1 or inputs * group != channels or filters % group or min(kernel) < 1:
        raise OnnxError(
            f"{given.node}: weights of {shown(weight.shape)} in {group} groups do not fit "
            f"{channels} channels"
        )
    if given.node.attributes.get("kernel_shape", [*kernel]) != [*kernel]:
        raise OnnxError(f"{given.node}: kernel_shape is not that of its weights")
    strides = given.sizes("strides", 2, [1, 1], 1)
    dilations = given.sizes("dilations", 2, [1, 1], 1)
    before, after = _padding(given, [height, width], [*kernel], strides, dilations)
    bias = None
    if len(given.node.inputs) > 2 and given.node.inputs[2]:
        bias = given.weights(2, filters)
    module = Convolution(
        channels,
        filters,
        (kernel[0], kernel[1]),
        stride=(strides[0], strides[1]),
        padding=(before[0], before[1]) if before == after else 0,
        dilation=(dilations[0], dilations[1]),
        groups=group,
        bias=bias is not None,
    )
    module.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias, requires_grad=False)
    places = _places(given, [height, width], [*kernel], strides, dilations, before, after)
    if before != after:
        return nn.Sequential(_border(before, after, 0.0), module), (1, filters, *places)
    return module, (1, filters, *places)


def _padding(
    given: Operands, sides: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int]]:
    """Pixels before and after, on the vertical and the horizontal axis."""
    kind = given.attribute("auto_pad", str, "NOTSET")
    if kind == "NOTSET":
        pads = given.sizes("pads", 4, [0, 0, 0, 0], 0)
        return pads[:2], pads[2:]
    if kind == "VALID":
        return [0, 0], [0, 0]
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise OnnxError(f"{given.node}: auto_pad={kind[:20]} is not known")
    whole = [
        max(0, (math.ceil(side / stride) - 1) * stride + (size - 1) * dilation + 1 - side)
        for side, size, stride, dilation in zip(sides, kernel, strides, dilations, strict=True)
    ]
    less, more = [one // 2 for one in whole], [one - one // 2 for one in whole]
    return (less, more) if kind == "SAME_UPPER" else (more, less)


def _places(
    given: Operands,
    sides: list[int],
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
    before: list[int],
    after: list[int],
) -> tuple[int, int]:
    """Height and width of what a convolution or a pool gives."""
    rows, columns = (
        (side + first + last - (size - 1) * dilation - 1) // stride + 1
        for side, size, stride, dilation, first, last in zip(
            sides, kernel, strides, dilations, before, after, strict=True
        )
    )
    if rows < 1 or columns < 1:
        raise OnnxError(f"{given.node}: its kernel is larger than {shown(tuple(sides))} pixels")
    return rows, columns


def _border(before: list[int], after: list[int], value: float) -> nn.Module:
    return nn.ConstantPad2d((before[1], after[1], before[0], after[0]), value)


def _pool(given: Operands) -> Built:
    _, channels, height, width = given.shape(4)
    kernel = given.sizes("kernel_shape", 2, [], 1)
    strides = given.sizes("strides", 2, [1, 1], 1)
    dilations = given.sizes("dilations", 2, [1, 1], 1)
    given.only("ceil_mode", 0)
    given.only("storage_order", 0)
    before, after = _padding(given, [height, width], kernel, strides, dilations)
    size, step = (kernel[0], kernel[1]), (strides[0], strides[1])
    places = _places(given, [height, width], kernel, strides, dilations, before, after)
    shape = (1, channels, *places)
    if given.node.operator == "MaxPool":
        if len([one for one in given.node.outputs if one]) > 1:
            raise OnnxError(f"{given.node}: the places of its maxima are not supported")
        module: nn.Module = nn.MaxPool2d(size, step, dilation=(dilations[0], dilations[1]))
        if any(before + after):
            module = nn.Sequential(_border(before, after, -math.inf), module)
        return module, shape
    if dilations != [1, 1]:
        raise OnnxError(f"{given.node}: dilations={dilations} is not supported; allowed is 1, 1")
    counted = bool(given.attribute("count_include_pad", int, 0))
    if before != after and not counted:
        raise OnnxError(f"{given.node}: uneven pads need count_include_pad=1")
    if before != after:
        return nn.Sequential(_border(before, after, 0.0), nn.AvgPool2d(size, step)), shape
    if any(2 * pad > one for pad, one in zip(before, kernel, strict=True)):
        raise OnnxError(f"{given.node}: pads={before} exceed half of kernel_shape={kernel}")
    padding = before[0], before[1]
    return nn.AvgPool2d(size, step, padding, count_include_pad=counted), shape


def _batch_normalisation(given: Operands) -> Built:
    shape = given.shape()
    if len(shape) not in (2, 4):
        raise OnnxError(f"{given.node} reads {shown(shape)}; allowed are 2 or 4 axes")
    given.only("training_mode", 0)
    given.only("spatial", 1)
    if len([one for one in given.node.outputs if one]) > 1:
        raise OnnxError(f"{given.node}: statistics as outputs are not supported")
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    module = kind(shape[1], eps=given.attribute("epsilon", float, 1e-5))
    scale, shift, mean, variance = (given.weights(place, shape[1]) for place in (1, 2, 3, 4))
    if bool((variance < 0).any()):
        raise OnnxError(f"{given.node}: {given.node.inputs[4]} holds a negative variance")
    module.weight = nn.Parameter(scale, requires_grad=False)
    module.bias = nn.Parameter(shift, requires_grad=False)
    module.running_mean, module.running_var = mean, variance
    module.num_batches_tracked = None
    return module.eval(), shape


def _clip(given: Operands) -> Built:
    shape = given.shape()
    low, high = given.number(1, "min", -math.inf), given.number(2, "max", math.inf)
    if not low < high:
        raise OnnxError(f"{given.node}: its bounds {low:g} and {high:g} leave nothing between")
    if (low, high) == (-math.inf, math.inf):
        return nn.Identity(), shape
    if (low, high) == (0.0, math.inf):
        return nn.ReLU(inplace=False), shape
    return nn.Hardtanh(low, high, inplace=False), shape


def _prelu(given: Operands) -> Built:
    shape = given.shape()
    slope = given.constant(1)
    if slope is None or slope.dtype != torch.float32:
        raise OnnxError(f"{given.node}: its slopes must be constants of float32 numbers")
    # Broadcast from the last axis on: one slope a channel is C x 1 x 1 for pictures.
    of_channels = (shape[1], *(1 for _ in shape[2:]))
    if slope.numel() != 1 and tuple(slope.shape) not in (of_channels, (1, *of_channels)):
        raise OnnxError(
            f"{given.node}: slopes of {shown(slope.shape)} for {shown(shape)}; allowed is one a "
            f"channel, {shown(of_channels)}, or one"
        )
    module = nn.PReLU(slope.numel())
    module.weight = nn.Parameter(slope.flatten(), requires_grad=False)
    return module, shape


_COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
}


def _arithmetic(given: Operands) -> Built:
    combine, node = _COMBINE[given.node.operator], given.node
    if len(node.inputs) != 2 or not given.moving:
        raise OnnxError(f"{node} needs two inputs, one of which depends on the pictures")
    shapes = [given.shapes[name] for name in given.moving]
    if len(shapes) == 2:
        if len(shapes[0]) != len(shapes[1]):
            raise OnnxError(f"{node}: {shown(shapes[0])} and {shown(shapes[1])} do not fit")
        return Arithmetic(combine, None, 0), _broadcast(node, *shapes)
    place = 1 - node.inputs.index(given.moving[0])
    constant = given.constant(place)
    if constant is None or constant.dtype != torch.float32:
        raise OnnxError(f"{node}: its constant must be float32 numbers")
    axes = len(shapes[0])
    if constant.ndim > axes or (constant.ndim == axes and constant.shape[0] != 1):
        raise OnnxError(f"{node}: a constant of {shown(constant.shape)} for {shown(shapes[0])}")
    return Arithmetic(combine, constant, place), _broadcast(node, shapes[0], constant.shape)


def _broadcast(node: Node, one: Shape, other: Shape | torch.Size) -> Shape:
    try:
        return np.broadcast_shapes(one, other)
    except ValueError:
        raise OnnxError(f"{node}: {shown(one)} and {shown(other)} do not fit") from None


def _dense(given: Operands) -> Built:
    _, inputs = given.shape(2)
    transposed = given.attribute("transB", int, 0)
    given.only("transA", 0)
    weight = given.weights(1, *((None, inputs) if transposed else (inputs, None)))
    weight = given.attribute("alpha", float, 1.0) * (weight if transposed else weight.T)
    module = Dense(inputs, len(weight), bias=len(given.node.inputs) > 2)
    module.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if len(given.node.inputs) > 2:
        bias = given.constant(2)
        fits = bias is not None and bias.dtype == torch.float32 and bias.ndim <= 2
        if bias is None or not fits or bias.numel() not in (1, len(weight)):
            raise OnnxError(f"{given.node}: its third input must be {len(weight)} float32 numbers")
        shift = given.attribute("beta", float, 1.0) * bias.flatten()
        module.bias = nn.Parameter(shift.expand(len(weight)).clone(), requires_grad=False)
    return module, (1, len(weight))


def _reshape(given: Operands) -> Built:
    shape = given.shape()
    given.only("allowzero", 0)
    target = given.integers(1, "shape")
    if not target or target[0] not in given.batches:
        allowed = ", ".join(map(str, sorted(given.batches)))
        raise OnnxError(
            f"{given.node}: its new shape {target} must start with the number of pictures "
            f"({allowed})"
        )
    rest = [
        shape[place] if one == 0 and place < len(shape) else one for place, one in enumerate(target)
    ][1:]
    if rest.count(-1) > 1 or any(one < 1 and one != -1 for one in rest):
        raise OnnxError(f"{given.node}: {target} is no shape")
    count = math.prod(shape[1:])
    known = math.prod(one for one in rest if one != -1)
    if count % known or (-1 not in rest and count != known):
        raise OnnxError(f"{given.node}: {shown(shape)} has no shape {target}")
    return _reshaped(*(count // known if one == -1 else one for one in rest))


def _reshaped(*shape: int) -> Built:
    return Reshaped(shape), (1, *shape)


def _axes(given: Operands, place: int) -> list[int]:
    """The axes of an operator, from 1 on: the first one counts pictures."""
    count = len(given.shape())
    found = given.integers(place, "axes")
    axes = [one + count if one < 0 else one for one in found or ()]
    if not axes or any(not 1 <= one < count for one in axes) or len({*axes}) < len(axes):
        raise OnnxError(f"{given.node}: axes={found} must lie behind that of the pictures")
    return sorted(axes)


def _squeeze(given: Operands) -> Built:
    shape, axes = given.shape(), _axes(given, 1)
    if any(shape[one] != 1 for one in axes):
        raise OnnxError(f"{given.node}: {shown(shape)} has no axes {axes} of size 1")
    return _reshaped(*(size for axis, size in enumerate(shape) if axis and axis not in axes))


def _mean(given: Operands) -> Built:
    shape, axes = given.shape(), _axes(given, 1)
    keep = bool(given.attribute("keepdims", int, 1))
    sizes = [1 if axis in axes else size for axis, size in enumerate(shape)]
    left = [size for axis, size in enumerate(sizes) if keep or axis not in axes]
    return Mean(axes, keep), tuple(left)


def _flatten(given: Operands) -> Built:
    shape = given.shape()
    given.only("axis", 1, 1 - len(shape))
    return nn.Flatten(), (1, math.prod(shape))


def _concatenation(given: Operands) -> Built:
    axis, shapes = given.attribute("axis", int), list(given.shapes.values())
    count = len(shapes[0]) if shapes else 0
    axis += count if axis < 0 else 0
    if list(given.node.inputs) != given.moving or not 0 < axis < count:
        raise OnnxError(f"{given.node}: axis={axis} must lie behind that of the pictures")
    shapes = [given.shapes[name] for name in given.moving]
    around = {(*one[:axis], *one[axis + 1 :]) for one in shapes}
    if len(around) > 1:
        raise OnnxError(f"{given.node}: {' and '.join(map(shown, shapes[:4]))} do not fit")
    whole = sum(one[axis] for one in shapes)
    return Joined(axis), (*shapes[0][:axis], whole, *shapes[0][axis + 1 :])


def _unit_length(given: Operands) -> Built:
    shape = given.shape()
    given.only("p", 2)
    given.only("axis", *((1, -1) if len(shape) == 2 else (1,)))
    return UnitLength(), shape


def _dropout(given: Operands) -> Built:
    shape = given.shape()
    trains = given.constant(2)
    if trains is not None and bool(trains.any()):
        raise OnnxError(f"{given.node}: training_mode is on")
    return nn.Identity(), shape


def _plain(make: Callable[[], nn.Module]) -> Callable[[Operands], Built]:
    def build(given: Operands) -> Built:
        return make(), given.shape()

    return build


def _global_mean(given: Operands) -> Built:
    return nn.AdaptiveAvgPool2d(1), (1, given.shape(4)[1], 1, 1)


def _leaky(given: Operands) -> Built:
    shape = given.shape()
    return nn.LeakyReLU(given.attribute("alpha", float, 0.01), inplace=False), shape


@dataclass(frozen=True)
class Operator:
    """How an operator is made, its greatest number of inputs and its attributes."""

    build: Callable[[Operands], Built]
    inputs: int
    attributes: frozenset[str]


def _operator(build: Callable[[Operands], Built], inputs: int, attributes: str = "") -> Operator:
    return Operator(build, inputs, frozenset(attributes.split()))


_POOL = "auto_pad ceil_mode dilations kernel_shape pads strides"
OPERATORS: dict[str, Operator] = {
    "Add": _operator(_arithmetic, 2),
    "AveragePool": _operator(_pool, 1, f"{_POOL} count_include_pad"),
    "BatchNormalization": _operator(
        _batch_normalisation, 5, "epsilon momentum spatial training_mode"
    ),
    "Clip": _operator(_clip, 3, "min max"),
    "Concat": _operator(_concatenation, 64, "axis"),
    "Conv": _operator(_convolution, 3, "auto_pad dilations group kernel_shape pads strides"),
    "Div": _operator(_arithmetic, 2),
    "Dropout": _operator(_dropout, 3, "ratio seed"),
    "Flatten": _operator(_flatten, 1, "axis"),
    "Gemm": _operator(_dense, 3, "alpha beta transA transB"),
    "GlobalAveragePool": _operator(_global_mean, 1),
    "Identity": _operator(_plain(nn.Identity), 1),
    "LeakyRelu": _operator(_leaky, 1, "alpha"),
    "LpNormalization": _operator(_unit_length, 1, "axis p"),
    "MatMul": _operator(_dense, 2),
    "MaxPool": _operator(_pool, 1, f"{_POOL} storage_order"),
    "Mul": _operator(_arithmetic, 2),
    "PRelu": _operator(_prelu, 2),
    "ReduceMean": _operator(_mean, 2, "axes keepdims noop_with_empty_axes"),
    "Relu": _operator(_plain(lambda: nn.ReLU(inplace=False)), 1),
    "Reshape": _operator(_reshape, 2, "allowzero shape"),
    "Sigmoid": _operator(_plain(nn.Sigmoid), 1),
    "Squeeze": _operator(_squeeze, 2, "axes"),
    "Sub": _operator(_arithmetic, 2),
}


def module_of(given: Operands) -> Built:
    """The module of a node, whose weights share the constants' memory, and the shape that it gives.

    Raises:
        OnnxError: the operator is none of :data:`OPERATORS`, or used in a way that is not
            supported; names the node.
    """
    node = given.node
    operator = OPERATORS.get(node.operator)
    if operator is None:
        raise OnnxError(f"{node}: no such operator is read; allowed are {', '.join(OPERATORS)}")
    unknown = sorted(node.attributes.keys() - operator.attributes)
    if unknown or not 1 <= len(node.inputs) <= operator.inputs:
        what = f"attribute {unknown[0][:60]}" if unknown else f"{len(node.inputs)} inputs"
        raise OnnxError(f"{node} has {what}, which it does not have in ONNX")
    return operator.build(given)
