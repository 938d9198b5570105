"""Experts of sets of pictures: how much they see of the glasses, and maps for the figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glassguard.influence.experts import find_experts, heat_maps
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.receptive_fields import (
    expert_gradients,
    receptive_field,
    share_inside,
    strongest,
)
from glassguard.influence.settings import Experts as ExpertSettings
from glassguard.progress import track
from glassguard.recognizer.layers import paper_index
from glassguard.recognizer.network import pixels_for
from glassguard.statistics import mean_interval


@dataclass(frozen=True)
class Worn:
    """Pictures of one kind and the places of their glasses, worn or not.

    Attributes:
        images: N x H x W x 3 uint8 RGB.
        frames: N x H x W bool.
    """

    images: np.ndarray
    frames: np.ndarray


def expert_shares(
    influence: InternalInfluence, sets: Mapping[str, Worn], *, share: float, batch_size: int
) -> pd.DataFrame:
    """How much of the experts' influence comes from the glasses, at every slice.

    Args:
        influence: what is measured, and where.
        sets: pictures by name.
        share: of a layer's neurons that are experts, in (0, 1].
        batch_size: pictures per pass.

    Returns:
        A row for each set and slice, means over the pictures whose experts see any pixel at all:
        set, slice, paper_index, n, share_inside, frame_area, ratio of both, ratio_low, ratio_high.
    """
    rows = []
    for name, worn in sets.items():
        found: dict[str, list[np.ndarray]] = {one: [np.empty((2, 0))] for one in influence.slices}
        starts = range(0, len(worn.images), batch_size)
        for start in track(starts, description=f"experts of {name}, batches"):
            batch = slice(start, start + batch_size)
            pixels = pixels_for(influence.network, worn.images[batch])
            experts = find_experts(influence, pixels, share=share)
            heat = heat_maps(influence.network, influence.slices, pixels, experts)
            for one, of_slice in heat.items():
                found[one].append(np.stack(share_inside(of_slice.numpy(), worn.frames[batch])))
        for one, parts in found.items():
            shares, areas = np.concatenate(parts, axis=1)
            seen = np.isfinite(shares) & (areas > 0)
            shares, areas = shares[seen], areas[seen]
            row: dict[str, object] = {
                "set": name,
                "slice": one,
                "paper_index": paper_index(one),
                "n": len(shares),
            }
            measured = {"share_inside": shares, "frame_area": areas, "ratio": shares / areas}
            row |= {what: _mean(values) for what, values in measured.items()}
            row["ratio_low"], row["ratio_high"] = mean_interval(measured["ratio"])
            rows.append(row)
    return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def expert_maps(
    influence: InternalInfluence, images: np.ndarray, settings: ExpertSettings
) -> dict[str, np.ndarray]:
    """Where the experts of each picture look.

    Args:
        influence: what is measured, and where.
        images: N x H x W x 3 uint8 RGB.
        settings: how the maps are drawn.

    Returns:
        Slices x N x H x W each: ``heat`` float32, magnitude of the propagated influence; ``fields``
        float32 in [0, 1], receptive fields; ``strongest`` bool, their strongest pixels.
    """
    network, slices = influence.network, influence.slices
    shape = (len(slices), *images.shape[:3])
    heat, fields = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    blur = settings.blur * images.shape[1]
    for row, image in enumerate(images):
        pixels = pixels_for(network, image[None])
        experts = find_experts(influence, pixels, share=settings.share)
        warm = heat_maps(network, slices, pixels, experts)
        seen = expert_gradients(network, slices, pixels, experts, guided=settings.guided)
        for layer, name in enumerate(slices):
            heat[layer, row] = warm[name][0].abs().sum(dim=0).numpy()
            fields[layer, row] = receptive_field(
                seen[name].numpy(), clip_percentile=settings.clip_percentile, blur=blur
            )[0]
    above = np.stack([strongest(field, settings.mask_percentile) for field in fields])
    return {"heat": heat, "fields": fields, "strongest": above}


def shown_pairs(succeeded: pd.DataFrame, people: pd.DataFrame, pairs: int) -> pd.DataFrame:
    """Pictures of the first pairs of attacker and target, different targets first.

    Args:
        succeeded: successful attacks, with ``image_id``, ``attacker``, ``target``; the index is the
            row of the attacked picture.
        people: ``image_id``, ``identity`` and ``split``; the index is the row of the picture.
        pairs: how many, at most.

    Returns:
        ``row`` of the picture in its set, ``pair``, ``kind`` (impersonation, attacker, target) and
        ``identity``; three rows for each pair, two where there is no target.
    """
    firsts = succeeded.drop_duplicates(["target", "attacker"])
    of_new_targets = firsts.drop_duplicates("target")
    rest = firsts.loc[~firsts.index.isin(of_new_targets.index)]
    row_of = pd.Series(people.index, index=people["image_id"])
    benign = people[people["split"] == "test"].drop_duplicates("identity")
    own_picture = pd.Series(benign.index, index=benign["identity"])
    rows = []
    for pair, (row, attack) in enumerate(pd.concat([of_new_targets, rest]).head(pairs).iterrows()):
        attacker, target = attack["attacker"], attack["target"]
        rows.append((row, pair, "impersonation", attacker))
        rows.append((row_of[attack["image_id"]], pair, "attacker", attacker))
        # Whoever only hides has no target.
        if target in own_picture.index:
            rows.append((own_picture[target], pair, "target", target))
    return pd.DataFrame(rows, columns=["row", "pair", "kind", "identity"])


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of the rows, spread evenly over all."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
