"""The report's page."""

import base64
import hashlib
import itertools
import json
import re
import shutil
from importlib.metadata import version
from urllib.parse import unquote

import pandas as pd
from made_up_study import (
    JOBS,
    OF_ONE_ATTACK,
    RATES,
    configuration,
    with_interval,
    write_report,
)

from glassguard import kernels
from glassguard.report.figures import FIGURES
from glassguard.report.guard_tables import NOT_COVERED
from glassguard.report.page import headline
from glassguard.stages import figures as figures_stage
from glassguard.stages import report as report_stage


def test_page_is_self_contained_and_generated_from_numbers(results):
    page = (results / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    drawn = re.findall(r'src="data:image/svg\+xml,([^"]*)"', page)
    assert len(drawn) == len(OF_ONE_ATTACK)
    names = re.findall(r'<figure class="picture" id="(\w+)">', page)
    assert sorted(names) == sorted(OF_ONE_ATTACK)
    for name, address in zip(names, drawn, strict=True):
        assert not set(address) & set('<>#"%&') - {"%", "&"}
        svg = (results / f"figures/{name}.svg").read_text()
        assert unquote(address) == svg.replace("\n", " ")
    assert "url(" not in re.sub(r'src="[^"]*"', "", page)
    assert "These are not real faces" in page
    assert "66.7 % of 12 test attacks" in page
    assert "What attacks survive" in page
    assert "33.3 % [9.7–70.0]" in page, "under all circumstances together"
    assert "≥ 0.7" in page, "the working point"
    assert "experiment: made_up" in page


def test_verification_by_embeddings_is_shown_where_there_are_any(results, tmp_path):
    assert "The embedding alone" not in (results / "report.html").read_text()
    assert "open_set" not in json.loads((results / "summary.json").read_text())
    root = tmp_path / "made_up"
    shutil.copytree(results, root)
    rows = []
    for wanted, n, threshold in ((0.001, 0, None), (0.01, 12, 0.4321)):
        for name, kind, hits in (
            ("benign", "genuine", 11),
            ("benign", "impostor", 1),
            ("glasses", "impersonation", 6),
            ("glasses", "dodging", 3),
            ("sticker", "dodging", 4),
        ):
            row = {"set": name, "kind": kind, "wanted_false_accepts": wanted}
            row["threshold"] = threshold
            rows.append(with_interval(row, "accepted", hits if n else 0, n))
    pd.DataFrame(rows).to_csv(root / "recognizer/open_set.csv", index=False)
    config = configuration()
    backbone = config.study.backbone.model_copy(update={"network": "onnx"})
    study = config.study.model_copy(update={"backbone": backbone})
    write_report(root, config.model_copy(update={"study": study}))
    page = (root / "report.html").read_text()
    table = page[page.index("Open set: claims that are accepted") :]
    cells = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", table[: table.index("</table>")])
    assert cells[:6] == [
        *("claim", "at 0.1 % false accepts", "at 1 % false accepts"),
        *("threshold of cosine similarity", "–", "0.432"),
    ]
    shown = dict(zip(cells[6::3], zip(cells[7::3], cells[8::3], strict=True), strict=True))
    attacked = shown["glasses, attacked pictures as the target"]
    assert attacked == ("–", "50.0 % [25.4–74.6], n = 12")
    assert shown["honest pictures as the person shown"][1].startswith("91.7 %")
    assert "sticker, attacked pictures as the attacker" in shown
    found = json.loads((root / "summary.json").read_text())["open_set"]
    assert found["0.001"] == {}
    assert (found["0.01"]["dodging"], found["0.01"]["dodging_n"]) == (0.25, 12)
    assert {name for name in found["0.01"] if "_" not in name} == {
        *("genuine", "impostor", "impersonation", "dodging")
    }


def test_several_attacks_are_shown_under_each_others_masks(results, tmp_path):
    root = tmp_path / "made_up"
    shutil.copytree(results, root)
    shutil.copytree(root / "attacks/glasses", root / "attacks/sticker")
    rows = []
    for tuned_on, tested_on, threshold in itertools.product(
        ("glasses", "sticker"), ("glasses", "sticker"), (None, 0.8)
    ):
        row = {"tuned_on": tuned_on, "tested_on": tested_on, "threshold": threshold}
        row |= {"map": "guided", "mu": 0.9, "mu_as": "quantile", "n": 2, "phi": 8, "fill": "telea"}
        hits = 1 if tuned_on == tested_on else 5
        for name in ("undefended_success", *RATES):
            row = with_interval(row, name, 11 if name == "undefended_success" else hits, 12)
        for name in ("mask_iou", "mask_recall"):
            row |= {name: 0.5, f"{name}_n": 12, f"{name}_low": 0.4, f"{name}_high": 0.6}
        rows.append(row)
    pd.DataFrame(rows).to_csv(root / "saliency/generality.csv", index=False)
    config = configuration(attacks=("glasses", "sticker"))
    figures_stage.run(config, results=root, figures=root / "figures")
    assert (root / "figures/generality.png").stat().st_size > 1000
    captions = json.loads((root / "figures/captions.json").read_text())
    assert list(captions) == [figure.name for figure in FIGURES]
    assert "n = 12;" in captions["generality"]
    write_report(root, config)
    page = (root / "report.html").read_text()
    assert page.count("data:image/svg+xml,") == len(FIGURES)
    assert "saliency mask, sticker attack (undefended 91.7 %)" in page
    assert "Study S: other attacks" in page
    assert "glasses → sticker" in page
    assert "91.7 % [64.6–98.5], n = 12" in page


def test_page_of_photographs_has_no_banner(results, tmp_path):
    report_stage.run(
        configuration("folder"),
        results=results,
        records=[results / f"tracking/outbox/{job}.json" for job in JOBS],
        summary=tmp_path / "summary.json",
        page=tmp_path / "report.html",
        timings=tmp_path / "timings.csv",
        machine=tmp_path / "machine.json",
    )
    assert "not real faces" not in (tmp_path / "report.html").read_text()


def test_the_machine_is_written_down(results):
    machine = json.loads((results / "machine.json").read_text())
    assert machine["kernels"] == kernels.in_force()
    assert machine["device"] == "cpu"
    assert machine["threads"]["influence"] == 1
    assert machine["versions"]["torch"] == version("torch")
    assert {"processor", "cores", "system"} <= machine.keys()
    summary = json.loads((results / "summary.json").read_text())
    assert summary["kernels"] == machine["kernels"]
    page = (results / "report.html").read_text()
    assert f"<dt>kernels</dt><dd>{machine['kernels']}</dd>" in page


def test_page_escapes_names(results, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    path = copy / "detection" / "table1.csv"
    path.write_text(path.read_text().replace("ann", "<script>alert(1)</script>"))
    write_report(copy, configuration())
    page = (copy / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_every_table_names_the_file_that_its_numbers_come_from(results):
    page = (results / "report.html").read_text()
    tables = re.findall(
        r'<figure class="table">\n<figcaption>(.*?)</figcaption>(.*?)</figure>', page, re.S
    )
    assert len(tables) == 13 + 1
    for title, table in tables:
        named = re.findall(r"<code>(.*?)</code>", table)
        assert named or title == "Time and memory", title
        assert all((results / name).is_file() for name in named)


def test_the_policy_lets_only_the_pages_own_script_run(results):
    page = (results / "report.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy


def test_every_picture_says_what_it_shows(results):
    page = (results / "report.html").read_text()
    texts = re.findall(r'<img src="[^"]*" alt="([^"]*)"', page)
    assert len(texts) == page.count("<img ") == len(OF_ONE_ATTACK) + 7
    assert all(len(text) > 10 for text in texts)


def test_the_first_screen_has_the_numbers_the_curve_and_verdicts_before_any_fold(results):
    page = (results / "report.html").read_text()
    first = page[: page.index("<details")]
    assert "A face recognizer of 4 people was attacked with 12 test pictures" in first
    assert first.count("<li><b>") == 5
    assert "<b>66.7\u00a0%</b><span>of the attacks succeed undefended" in first
    assert 'id="operating_curves"' in first
    for verdict, sign, count in (("exceeded", "▲", 2), ("reproduced", "=", 6)):
        assert f"{sign} {count} {verdict}</span>" in first
        assert first.count(f'<td class="verdict {verdict}">') == count
    assert "▼ 3 not reached</span>" in first
    assert NOT_COVERED in first, "beside the guard's picture"


def test_headline_follows_the_numbers(results):
    summary = json.loads((results / "summary.json").read_text())
    means = {"benign_target": 0.1, "benign_other": 0.2, "impersonation": 0.3}
    words = " ".join(headline(summary, means=means, threshold=0.8))
    assert "reject 30.0 %" in words
    assert "from 66.7 % to 8.3 %" in words
    point = {"population": "half_wearing", "wanted_fpr": 0.05, "tpr": 0.91, "fpr": 0.04}
    summary["detection"]["detectors"] = [point | {"detector": "masking"}]
    words = " ".join(headline(summary, means=means, threshold=0.8))
    assert "for 5 % false alarms" in words
    assert "flagged: by masking 91.0 % (and 4.0 % of the benign)." in words
