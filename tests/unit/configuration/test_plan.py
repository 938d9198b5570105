"""Which jobs a run is made of, and what they ask for."""

import json
from pathlib import Path

import pytest
from shipped import CONF

from glassguard.cli import STAGES
from glassguard.configuration.plan import Captions, Plan, attempted, position, shards
from glassguard.configuration.replicates import studies_from_workflow
from glassguard.errors import InputError


def plan(experiment: str = "smoke", *overrides: str, **settings: object) -> Plan:
    asked = {"experiment": experiment, "overrides": list(overrides), **settings}
    return Plan(studies_from_workflow(asked, CONF))


def test_every_job_has_a_record_of_its_own_name() -> None:
    smoke = plan()
    assert len(set(smoke.jobs)) == len(smoke.jobs)
    assert smoke.records == [f"results/{{study}}/tracking/outbox/{job}.json" for job in smoke.jobs]
    assert {"attack_glasses_2-of-2", "responses_plain_frames", "mask_grid_1-of-2"} <= set(
        smoke.jobs
    )
    assert "mask_transfer" not in smoke.jobs
    both = plan("embedded")
    assert both.attacks == ["glasses", "robust"]
    assert both.tuned == ["glasses"], "no mask is tuned where no validation picture is attacked"
    assert {"mask_transfer", "robustness_glasses", "robustness_robust"} <= set(both.jobs)
    assert not [job for job in both.jobs if job.startswith("mask_grid_robust")]
    assert not [file for file in both.tables if "tuned_on" in file]
    several = plan("accessories")
    assert "mask_transfer" in several.jobs
    assert f"mask_grid_{several.attacks[1]}" in several.jobs
    assert f"mask_grid_{several.headline}" not in several.jobs


@pytest.mark.parametrize(
    ("overrides", "jobs", "start"),
    [
        ([], ["shipped_backbone"], "backbone/pool_"),
        (["backbone=tiny"], ["pool", "pretrain"], "backbone/pool_"),
        (
            ["backbone=vggface", "backbone.weights=vgg_face_dag"],
            ["import_backbone"],
            "backbone/pool_",
        ),
    ],
)
def test_convolutions_come_from_the_package_a_pool_or_a_file(
    overrides: list[str], jobs: list[str], start: str
) -> None:
    found = plan("smoke", *overrides)
    assert found.backbone_jobs == jobs
    assert found.pretraining_pictures["images.npy"] == f"{start}images.npy"


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        (["backbone.pretraining.accelerator=cpu"], 0),
        (["backbone.pretraining.accelerator=auto"], 1),
        (
            [
                "backbone=faces_gpu",
                "backbone.pretraining.identities=12",
                "backbone.pretraining.images_per_identity=16",
            ],
            1,
        ),
        (
            [
                "backbone.pretraining.accelerator=gpu",
                "backbone.pretraining.devices=2",
                "backbone.pretraining.strategy=ddp_spawn",
            ],
            2,
        ),
    ],
)
def test_pretraining_asks_for_the_gpus_it_takes(overrides: list[str], gpus: int) -> None:
    assert plan("smoke", "backbone=pretrain", *overrides).gpus == gpus


def test_people_are_verified_where_there_is_an_embedding() -> None:
    table = "results/{study}/recognizer/open_set.csv"
    stamps = {"open_set": ["results/{study}/config/open_set.yaml"]}
    vgg16 = plan()
    embedding = plan("faces_mobilefacenet", "+attack@attacks.cosine=cosine")
    for study, expected in ((vgg16, False), (embedding, True)):
        assert ("open_set" in study.jobs) == expected
        assert all(
            (table in files) == expected for files in (study.tables, study.reported, study.tracked)
        )
        assert bool(study.stamps_read(stamps)) == expected
    section = embedding.sections["faces_mobilefacenet"]["open_set"]
    assert "cosine" in embedding.attacks
    assert (section["attacks"], section["recognizer"]) == (embedding.attacks, {"threads": 2})


def test_a_backbone_is_made_by_one_job_and_stamps_are_of_jobs_that_there_are() -> None:
    shipped, trained = plan("smoke"), plan("smoke", "backbone=pretrain")
    read = plan("smoke", "backbone=vggface", "backbone.weights=vgg_face_dag")
    makers = ("pretrain", "import_backbone", "shipped_backbone")
    assert [len(shipped.backbone_by(job, "metrics.json")) for job in makers] == [0, 0, 1]
    assert [len(trained.backbone_by(job, "metrics.json")) for job in makers] == [1, 0, 0]
    assert [len(read.backbone_by(job, "metrics.json")) for job in makers] == [0, 1, 0]
    inputs = {job: [f"results/{{study}}/config/given/{job}.txt"] for job in ("data", *makers)}
    assert [Path(one).stem for one in shipped.stamps_read(inputs)] == ["data", "shipped_backbone"]
    assert [Path(one).stem for one in trained.stamps_read(inputs)] == ["data", "pretrain"]
    assert [Path(one).stem for one in read.stamps_read(inputs)] == ["data", "import_backbone"]


def test_figures_report_and_tracking_read_what_the_layout_names() -> None:
    smoke, several = plan(), plan("accessories")
    transfer = "results/{study}/saliency/generality.csv"
    for files in ("drawn", "reported", "tracked"):
        assert len(set(getattr(several, files))) == len(getattr(several, files))
        assert transfer in getattr(several, files)
        assert transfer not in getattr(smoke, files)
    assert "results/{study}/saliency/tuned_on/patch/grid.csv" in several.tracked
    assert "results/{study}/attacks/glasses/robustness.csv" in smoke.tracked
    assert "results/{study}/figures/roc.png" in smoke.tracked
    assert "results/{study}/detection/detectors.safetensors" not in smoke.tracked


def test_studies_that_download_the_same_share_one_job() -> None:
    assert plan().fetched("data/{source}.csv") == []
    assert plan("lfw").fetched("data/{source}.csv") == ["results/lfw/data/lfw.csv"]
    folds = plan("dong2019", variants=["fold_1", "fold_2"])
    assert folds.fetched("data/{source}.csv") == ["results/dong2019/data/lfw.csv"]
    assert len(folds.studies) == 3


def test_shards_are_named_as_snakemake_scatters_them() -> None:
    assert shards(3) == ["1-of-3", "2-of-3", "3-of-3"]
    assert [position(one) for one in shards(3)] == [0, 1, 2]
    smoke = plan()
    assert smoke.gathered("attack", "{attack}/{scatteritem}.npz") == [
        f"{{attack}}/{one}.npz" for one in shards(smoke.attack_shards)
    ]


def test_a_further_attempt_asks_for_more() -> None:
    asked = attempted(1500.2)
    assert [asked(None, attempt=attempt) for attempt in (1, 2)] == [1501, 3002]


def test_code_is_stated_once_for_all_seeds() -> None:
    stamps = plan("smoke", replicates=[0, 1]).stamps(STAGES)
    code = [name for name in stamps if "/code/" in name]
    assert code == [f"results/smoke/config/code/{stage}.sha256" for stage in STAGES]
    assert "results/smoke/seed_1/config/data.yaml" in stamps
    assert "results/smoke/config/replicates.yaml" in stamps


def test_captions_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    captions = Captions(str(path))
    path.write_text(json.dumps({"roc": "Curves, n = 3."}))
    assert captions["roc"] == "Curves, n = 3."
    assert repr(captions) == f"Captions({str(path)!r})"


def test_informed_attackers_are_jobs_where_they_are_asked_for() -> None:
    informed = plan("smoke", "adaptive=informed", "adaptive.shards=2")
    assert {"adaptive_1-of-2", "adaptive_2-of-2", "adaptive"} <= set(informed.jobs)
    for file in ("table.csv", "guard.csv"):
        assert f"results/{{study}}/adaptive/{file}" in informed.tables
    assert not [job for job in plan().jobs if job.startswith("adaptive")]
    assert not [file for file in plan().tables if "/adaptive/" in file]


def test_plain_frames_have_the_colour_that_the_first_attack_starts_from() -> None:
    other = ("~attack@attacks.glasses", "+attack@attacks.pink=glasses")
    colour = "attacks.pink.initial_colour=[1,0,1]"
    assert plan("lfw", *other, colour).study.controls.colour == (1, 0, 1)
    given = plan("lfw", *other, colour, "controls.colour=[0,0,1]")
    assert given.study.controls.colour == (0, 0, 1)
    with pytest.raises(InputError, match=r"controls\.colour: give R, G, B: the first attack"):
        plan("lfw", "~attack@attacks.glasses", "+attack@attacks.pink=whole")
