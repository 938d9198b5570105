"""The neurons of greatest influence, seen back in the pixels, and whether they see the glasses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import ExpertsSection
from glassguard.files.formats import check_rows, read_examples, read_images, write_csv
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
from glassguard.stages.influence_measure import internal_influence, pictures_at_once
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    StudyPictures,
    open_pictures,
    open_recognizer,
    read_frames,
    use_threads,
)
from glassguard.statistics import mean_interval


@dataclass(frozen=True)
class Worn:
    """Pictures of one kind and the glasses in them, or where glasses would be.

    Attributes:
        images: N x H x W x 3 uint8.
        frames: N x H x W bool.
    """

    images: np.ndarray
    frames: np.ndarray


def run(
    config: ExpertsSection,
    *,
    manifest: Path,
    images: Path,
    examples: Path,
    adversarial_images: Path,
    frames: Path,
    plain_examples: Path,
    plain_images: Path,
    plain_frames: Path,
    recognizer: Path,
    maps: OutputPath,
    shares: OutputPath,
) -> dict[str, float | int | str]:
    """Follow the experts' influence back to the pixels of test pictures.

    Args:
        config: what influence is measured on, and what is shown of the experts.
        manifest: the benign pictures.
        images: ``.npy``, uint8 N x H x W x 3.
        examples: the attack's table.
        adversarial_images: its pictures.
        frames: its frames, bool M x H x W.
        plain_examples: honest wearers of plain frames.
        plain_images: their pictures.
        plain_frames: their frames.
        recognizer: the network.
        maps: ``.npz`` to write, for the figures. Rows are pictures, three for each pair: ``images``
            uint8 R x H x W x 3, ``frames`` bool R x H x W (of the first only), ``pair`` int64,
            ``kind`` (impersonation, attacker, target), ``identity``; ``layers``; ``heat`` float32
            L x R x H x W, magnitude of the propagated influence; ``fields`` float32 in [0, 1] and
            ``strongest`` bool of the receptive fields. No row where no attack succeeded.
        shares: ``.csv`` to write: set, slice, paper_index, n, share_inside, frame_area, ratio,
            ratio_low, ratio_high.

    Raises:
        InputError: a file cannot be used, or files do not belong together.
    """
    use_threads(config.influence.threads)
    study = open_pictures(
        manifest=manifest,
        images=images,
        examples=examples,
        adversarial_images=adversarial_images,
        recognizer=recognizer,
    )
    attack_frames = read_frames(frames)
    check_rows(study.attacks, attack_frames, examples, frames)
    plain, worn = read_examples(plain_examples), read_images(plain_images)
    control_frames = read_frames(plain_frames)
    check_rows(plain, worn, plain_examples, plain_images)
    check_rows(plain, control_frames, plain_examples, plain_frames)
    open_recognizer(recognizer, worn, plain_images)

    succeeded = study.attacks[
        (study.attacks["split"] == "test") & study.attacks["success"].astype(bool)
    ]
    _write_maps(maps, config, study, attack_frames, succeeded)

    most = config.experts.pictures
    attacked = _evenly(succeeded.index.to_numpy(), most)
    honest = _evenly(np.flatnonzero(plain["split"] == "test"), most)
    row_of = pd.Series(study.people.index, index=study.people["image_id"])
    bare = row_of[study.attacks.loc[attacked, "image_id"]].to_numpy(dtype=np.int64)
    sets = {
        "impersonations": Worn(study.attacked[attacked], attack_frames[attacked]),
        "without_glasses": Worn(study.clean[bare], attack_frames[attacked]),
        "plain_frames": Worn(worn[honest], control_frames[honest]),
    }
    influence = internal_influence(config.influence, study.network, study.network.slice_modules())
    at_once = pictures_at_once(config.influence)
    table = pd.concat(
        [
            _shares(name, pictures, influence, config.experts.share, at_once)
            for name, pictures in sets.items()
        ],
        ignore_index=True,
    )
    write_csv(table, shares)
    ratios = table.groupby("set", sort=False)["ratio"].max()
    return {
        "pictures": sum(len(pictures.images) for pictures in sets.values()),
        **{f"{name}_greatest_ratio": float(r) for name, r in ratios.items() if np.isfinite(r)},
    }


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly over all of them."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _shares(
    name: str, worn: Worn, influence: InternalInfluence, share: float, at_once: int
) -> pd.DataFrame:
    """A row for every slice: means over the pictures whose experts see any pixel at all."""
    inside: dict[str, list[np.ndarray]] = {one: [] for one in influence.slices}
    area: dict[str, list[np.ndarray]] = {one: [] for one in influence.slices}
    starts = range(0, len(worn.images), at_once)
    for start in track(starts, description=f"experts of {name}, batches"):
        batch = slice(start, start + at_once)
        pixels = pixels_for(influence.network, worn.images[batch])
        experts = find_experts(influence, pixels, share=share)
        for one, heat in heat_maps(influence.network, influence.slices, pixels, experts).items():
            shares, areas = share_inside(heat.numpy(), worn.frames[batch])
            inside[one].append(shares)
            area[one].append(areas)
    rows = []
    for one in influence.slices:
        shares = np.concatenate([np.empty(0), *inside[one]])
        areas = np.concatenate([np.empty(0), *area[one]])
        seen = np.isfinite(shares) & (areas > 0)
        ratio = shares[seen] / areas[seen]
        low, high = mean_interval(ratio)
        rows.append(
            {
                "set": name,
                "slice": one,
                "paper_index": paper_index(one),
                "n": int(seen.sum()),
                "share_inside": _mean(shares[seen]),
                "frame_area": _mean(areas[seen]),
                "ratio": _mean(ratio),
                "ratio_low": low,
                "ratio_high": high,
            }
        )
    return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _write_maps(
    path: Path,
    config: ExpertsSection,
    study: StudyPictures,
    frames: np.ndarray,
    succeeded: pd.DataFrame,
) -> None:
    settings = config.experts
    shown = _shown(study, succeeded, settings.pairs)
    size = study.network.image_size
    images = np.zeros((len(shown), size, size, 3), dtype=np.uint8)
    glasses = np.zeros((len(shown), size, size), dtype=bool)
    for place, row in enumerate(shown.to_dict("records")):
        attacked = row["kind"] == "impersonation"
        images[place] = (study.attacked if attacked else study.clean)[row["row"]]
        if attacked:
            glasses[place] = frames[row["row"]]
    modules = study.network.slice_modules()
    slices = {name: modules[name] for name in settings.layers}
    influence = internal_influence(config.influence, study.network, slices)
    heat, fields = _maps(influence, images, settings)
    np.savez(
        path,
        allow_pickle=False,
        images=images,
        frames=glasses,
        pair=shown["pair"].to_numpy(dtype=np.int64),
        kind=shown["kind"].to_numpy(dtype=np.str_),
        identity=shown["identity"].to_numpy(dtype=np.str_),
        layers=np.array(settings.layers, dtype=np.str_),
        heat=heat,
        fields=fields,
        strongest=np.stack([strongest(field, settings.mask_percentile) for field in fields]),
    )


def _shown(study: StudyPictures, succeeded: pd.DataFrame, pairs: int) -> pd.DataFrame:
    """The pictures of the first pairs, different targets first: row in its set, kind and person."""
    firsts = succeeded.drop_duplicates(["target", "attacker"])
    of_new_targets = firsts.drop_duplicates("target")
    rest = firsts.loc[~firsts.index.isin(of_new_targets.index)]
    row_of = pd.Series(study.people.index, index=study.people["image_id"])
    benign = study.people[study.people["split"] == "test"].drop_duplicates("identity")
    own_picture = pd.Series(benign.index, index=benign["identity"])
    rows = []
    for pair, (row, attack) in enumerate(pd.concat([of_new_targets, rest]).head(pairs).iterrows()):
        attacker, target = attack["attacker"], attack["target"]
        rows.append((row, pair, "impersonation", attacker))
        rows.append((row_of[attack["image_id"]], pair, "attacker", attacker))
        # Who only hides has no target.
        if target in own_picture.index:
            rows.append((own_picture[target], pair, "target", target))
    return pd.DataFrame(rows, columns=["row", "pair", "kind", "identity"])


def _maps(
    influence: InternalInfluence, images: np.ndarray, settings: ExpertSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Heat maps and receptive fields: layers x pictures x H x W float32 each."""
    shape = (len(influence.slices), *images.shape[:3])
    heat, fields = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    blur = settings.blur * images.shape[1]
    for row, image in enumerate(images):
        pixels = pixels_for(influence.network, image[None])
        experts = find_experts(influence, pixels, share=settings.share)
        network, slices = influence.network, influence.slices
        warm = heat_maps(network, slices, pixels, experts)
        seen = expert_gradients(network, slices, pixels, experts, guided=settings.guided)
        for layer, name in enumerate(slices):
            heat[layer, row] = warm[name][0].abs().sum(dim=0).numpy()
            fields[layer, row] = receptive_field(
                seen[name].numpy(), clip_percentile=settings.clip_percentile, blur=blur
            )[0]
    return heat, fields
