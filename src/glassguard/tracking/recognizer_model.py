"""The recognizer as a model of MLflow: weights in safetensors, loaded by this module, no pickle.

``mlflow.pyfunc.load_model("models:/<id>")`` gives a model whose ``predict`` takes pictures.
"""

import warnings
from importlib import metadata
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from numpy.typing import NDArray

from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import Recognizer as Network
from glassguard.recognizer.weights import read_recognizer

CARD = """# {name}

A face recognizer of the shape of VGG-16, for {people} people. It takes aligned faces, uint8 RGB,
N x {size} x {size} x 3; its preprocessing is part of it. It names one of its people, whoever is
shown.

```python
import mlflow

model = mlflow.pyfunc.load_model("models:/MODEL_ID")
model.predict(pictures)  # prediction, confidence
```

`glassguard.tracking.recognizer_model` loads the weights from safetensors, and nothing is unpickled.
Adversarial eyeglasses fool this network. The study says how often, and what helps.
"""


class Recognizer:
    """What MLflow calls: names the people in pictures.

    Args:
        network: the recognizer.
        identities: its people, in the order of its logits.
    """

    def __init__(self, network: Network, identities: list[str]) -> None:
        self.network = network
        self.identities = np.array(identities)

    def predict(
        self, model_input: NDArray[np.uint8], params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """The most likely person in each picture.

        Args:
            model_input: N x H x W x 3 uint8 RGB, aligned faces of the network's size.
            params: nothing is read from it.

        Returns:
            Columns ``prediction`` (name) and ``confidence`` (softmax, in [0, 1]).
        """
        probabilities = probabilities_of(self.network, model_input)
        return pd.DataFrame(
            {
                "prediction": self.identities[probabilities.argmax(1)],
                "confidence": probabilities.max(1).astype(float),
            }
        )


def _load_pyfunc(path: str) -> Recognizer:
    """Called by MLflow with the place of the weights."""
    return Recognizer(*read_recognizer(Path(path)))


def save_model(weights: Path, folder: Path, *, name: str) -> None:
    """Write a folder that MLflow reads as a model.

    Args:
        weights: ``recognizer/recognizer.safetensors``.
        folder: a new folder.
        name: of the model card.

    Raises:
        InputError: the weights are missing or no recognizer of ours.
    """
    network, identities = read_recognizer(weights)
    size = network.image_size
    with warnings.catch_warnings():
        # It asks for an example of the input, which would be somebody's picture.
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        _save(weights, folder, size)
    card = CARD.format(name=name, people=len(identities), size=size)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _save(weights: Path, folder: Path, size: int) -> None:
    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=__name__,
        data_path=str(weights),
        pip_requirements=[f"{one}=={metadata.version(one)}" for one in ("glassguard", "torch")],
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, size, size, 3))]),
            outputs=Schema(
                [ColSpec(DataType.string, "prediction"), ColSpec(DataType.double, "confidence")]
            ),
        ),
    )
