"""Put the network that a run has pretrained into the package, with its record.

    python docs/shipped_network.py build/drawn_faces/results/embedded

The model card, ``drawn_faces.md`` beside the network, is written by hand.
"""

import argparse
import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

import yaml

from glassguard.files.formats import read_json
from glassguard.recognizer.shipped_networks import FOLDER, NetworkRecord

NAME = "drawn_faces"


def main() -> None:
    """Copy ``backbone/backbone.safetensors`` of a run and write ``drawn_faces.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="a run's folder, with backbone and config")
    results = parser.parse_args().results
    trained = results / "backbone" / "backbone.safetensors"
    section, pool = (
        yaml.safe_load((results / "config" / f"{name}.yaml").read_text())
        for name in ("backbone", "pool")
    )
    if section["kernels"] != "pinned":
        parser.error(f"{results}: trained with kernels={section['kernels']}; wanted is pinned")
    record = NetworkRecord(
        sha256=hashlib.sha256(trained.read_bytes()).hexdigest(),
        torch=version("torch").partition("+")[0],
        seed=section["seed"],
        image_size=pool["data"]["image_size"],
        backbone={key: value for key, value in section["backbone"].items() if key != "shipped"},
        metrics=read_json(results / "backbone" / "metrics.json"),
    )
    shutil.copyfile(trained, FOLDER / f"{NAME}.safetensors")
    (FOLDER / f"{NAME}.json").write_text(record.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
