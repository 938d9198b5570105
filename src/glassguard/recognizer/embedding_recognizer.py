"""A published embedding network as a face recognizer: frozen, with dense layers on its embedding.

The embedding is brought to one length first: published networks compare directions, and lengths
differ by orders of magnitude from one to the next.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby

from torch import Tensor, nn

from glassguard.recognizer.layers import PRE_RELU
from glassguard.recognizer.network import Normalisation, Recognizer, at_depth, named_slices
from glassguard.recognizer.onnx_file import Graph, OnnxError
from glassguard.recognizer.onnx_network import ACTIVATIONS, OnnxNetwork, Step
from glassguard.recognizer.onnx_preprocessing import WITHOUT_EFFECT, check_input
from glassguard.recognizer.settings import Channels, Position, SliceChoice

DENSE = {"fc1": "relu1", "fc2": "relu2"}
"""The hidden dense layers and their activations."""
SHALLOW = 16
"""Layers of a network of which all are slices; VGG-16 has 15."""
SHOWN = 6
"""Columns of the experts' figures."""
PER_STAGE = 3
"""Slices of every stage, i.e. of all layers of one resolution, in a deeper network."""


class Direction(nn.Module):
    """Embeddings brought to the length of the square root of their dimension: entries near one."""

    def forward(self, embeddings: Tensor) -> Tensor:
        """N x D to N x D."""
        length = embeddings.norm(dim=1, keepdim=True)
        return embeddings * (embeddings.shape[1] ** 0.5 / (length + 1e-12))


class EmbeddingRecognizer(Recognizer):
    """A frozen embedding network and three trained dense layers.

    Args:
        graph: the network, from :func:`glassguard.recognizer.onnx_file.read_onnx`.
        identities: number of people, i.e. of logits.
        image_size: side of the pictures, pixels.
        hidden: neurons in fc1 and fc2.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean, or one each of R, G and B.
        channels: order of the colours that the network expects.
        dropout: share of dropped neurons after fc1 and fc2 in training.

    Raises:
        OnnxError: the network takes pictures of another size, normalises its input itself although
            mean or scale do so too, or has no activation.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        identities: int,
        image_size: int,
        hidden: int,
        mean: Sequence[float],
        scale: float | Sequence[float],
        channels: Channels,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_input(graph, image_size=image_size, mean=mean, scale=scale)
        features = OnnxNetwork(graph, image_size)
        self.image_size = image_size
        self.normalisation = Normalisation(mean, scale, channels)
        self.features: OnnxNetwork = features
        self.flatten = Direction()
        self.classifier = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(features.dimensions, hidden),
                relu1=nn.ReLU(inplace=False),
                dropout1=nn.Dropout(dropout),
                fc2=nn.Linear(hidden, hidden),
                relu2=nn.ReLU(inplace=False),
                dropout2=nn.Dropout(dropout),
                fc3=nn.Linear(hidden, identities),
            )
        )
        self._layers = _layers(features)
        if not self._layers:
            raise OnnxError("it has neither convolutions nor activations")

    def embeddings(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 RGB in [0, 1] to N x D float32, as the file's network gives them.

        The trained layers have no part in them.
        """
        embeddings: Tensor = self.features(self.normalisation(pixels))
        return embeddings

    def slice_modules(
        self, positions: Sequence[Position] = ("post_relu",), chosen: SliceChoice = "by_rule"
    ) -> OrderedDict[str, nn.Module]:
        """See :class:`~glassguard.recognizer.network.Recognizer`.

        Slices are the outputs of activations, and of convolutions that no activation follows, by
        the names in the file; then fc1 and fc2.
        """
        kept = by_stage(self._layers) if chosen == "by_rule" else self._layers
        behind: OrderedDict[str, nn.Module] = OrderedDict()
        before: OrderedDict[str, nn.Module] = OrderedDict()
        for step, source in kept:
            behind[step.slice] = self.features.module(step)
            if source is not None:
                before[step.slice + PRE_RELU] = self.features.module(source)
        for layer, activation in DENSE.items():
            behind[layer] = getattr(self.classifier, activation)
            before[layer + PRE_RELU] = getattr(self.classifier, layer)
        modules = OrderedDict(behind) if "post_relu" in positions else OrderedDict()
        if "pre_relu" in positions:
            modules.update(before)
        return modules if isinstance(chosen, str) else named_slices(modules, chosen)

    def shown_layers(self) -> tuple[str, ...]:
        """See :class:`~glassguard.recognizer.network.Recognizer`; the last ones of stages, fc1."""
        stages = groupby((step for step, _ in self._layers), key=lambda step: step.shape[1:])
        return (*([*stage][-1].slice for _, stage in stages), *DENSE)[:SHOWN]

    def slice_at(self, place: str | float) -> nn.Module:
        """See :class:`~glassguard.recognizer.network.Recognizer`."""
        if isinstance(place, str):
            return self.slice_modules(chosen=(place,))[place]
        spatial = [
            step
            for step, source in self._layers
            if source is not None and len(step.shape) == 3 and step.shape[1] > 1
        ]
        if not spatial:
            raise ValueError("the network has no activation of more than one place")
        return self.features.module(spatial[at_depth(place, len(spatial))])


Layer = tuple[Step, Step | None]
"""A slice behind an activation, with the step before it; without one for a bare convolution."""


def _layers(features: OnnxNetwork) -> list[Layer]:
    """All slices, in the order of the network."""
    made_by = {step.output: step for step in features.steps}
    activated = set()
    for step in features.steps:
        if step.node.operator in ACTIVATIONS:
            source = made_by.get(step.inputs[0])
            # The convolution itself may lie behind a normalisation.
            while source is not None and source.output not in activated:
                activated.add(source.output)
                passes = (*WITHOUT_EFFECT, "BatchNormalization")
                source = made_by.get(source.inputs[0]) if source.node.operator in passes else None
    layers: list[Layer] = []
    for step in features.steps:
        if len(step.shape) not in (1, 3):
            continue
        if step.node.operator in ACTIVATIONS and step.inputs[0] in made_by:
            layers.append((step, made_by[step.inputs[0]]))
        elif step.node.operator == "Conv" and step.output not in activated:
            layers.append((step, None))
    return layers


def by_stage(layers: Sequence[Layer]) -> list[Layer]:
    """A few slices of every stage, i.e. of all layers in a row with one resolution.

    They are spread evenly, and the last one of each stage is among them. A shallow network keeps
    all.
    """
    if len(layers) <= SHALLOW:
        return list(layers)
    kept: list[Layer] = []
    for _, stage in groupby(layers, key=lambda layer: layer[0].shape[1:]):
        members = list(stage)
        places = {-(-len(members) * (one + 1) // PER_STAGE) - 1 for one in range(PER_STAGE)}
        kept += [members[place] for place in sorted(places) if place >= 0]
    return kept
