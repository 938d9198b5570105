"""Saliency maps of held-out pictures."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import SaliencyMapsSection
from glassguard.files.formats import check_rows, check_top_classes, read_images, read_pictures_table
from glassguard.progress import track
from glassguard.recognizer.network import pixels_for
from glassguard.saliency.explanation import explainer
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_recognizer, use_threads


def run(
    config: SaliencyMapsSection, *, images: Path, ids: Path, recognizer: Path, maps: OutputPath
) -> dict[str, float | int | str]:
    """Explain the prediction of every validation and test picture.

    Writes ``ids`` (text), a float32 M x H x W array in [0, 1] for every kind of map, and
    ``prediction`` (int64, the class in the recognizer's order), rows in the order of the table.
    """
    use_threads(config.threads)
    pictures = read_images(images)
    table, column = read_pictures_table(ids)
    check_rows(table, pictures, ids, images)
    network, identities = open_recognizer(recognizer, pictures, images)
    check_top_classes("saliency.top_classes", config.top_classes, identities, recognizer)
    rows = np.flatnonzero(table["split"].isin(("val", "test")).to_numpy())
    shape = len(rows), *pictures.shape[1:3]
    found = {kind: np.zeros(shape, dtype=np.float32) for kind in config.maps}
    explain = {kind: explainer(network, kind, config) for kind in config.maps}
    prediction = np.zeros(len(rows), dtype=np.int64)
    starts = range(0, len(rows), config.batch_size)
    for start in track(starts, description="saliency maps, batches"):
        batch = slice(start, start + config.batch_size)
        pixels = pixels_for(network, pictures[rows[batch]])
        for kind, maps_of_kind in found.items():
            batch_maps, batch_prediction = explain[kind](pixels)
            maps_of_kind[batch], prediction[batch] = batch_maps.numpy(), batch_prediction.numpy()
    names = table[column].to_numpy(dtype=np.str_)[rows]
    np.savez(maps, allow_pickle=False, ids=names, prediction=prediction, **found)
    means = {kind: float(one.mean()) if len(rows) else 0.0 for kind, one in found.items()}
    return {"pictures": len(rows), **{f"mean_{kind}": mean for kind, mean in means.items()}}
