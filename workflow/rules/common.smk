# The validated study, and the names that rules share; configuration/plan.py computes what they hold.

import os
import re
import sys
from pathlib import Path

from glassguard.cli import STAGES
from glassguard.configuration import file_dates, plan, stamps
from glassguard.configuration.problems import refuse_renamed
from glassguard.configuration.remarks import remarks
from glassguard.configuration.replicates import studies_from_workflow
from glassguard.errors import InputError
from glassguard.files import layout
from glassguard.files.layout import benchmark_of, given_to, log_of, record
from glassguard.files.layout import result, section_of

try:
    refuse_renamed(sys.argv[1:])
    PLAN = plan.Plan(studies_from_workflow(config, Path(workflow.basedir) / "conf"))
except InputError as error:
    # A WorkflowError would bury the one line that matters in Snakemake's own.
    sys.exit(f"glassguard: {error}")

STUDY, ROOT, HEADLINE = PLAN.study, PLAN.root, PLAN.headline
STAMPS = PLAN.stamps(STAGES)
DOWNLOADS = stamps.download_stamps(STUDY)
DOWNLOADED = STUDY.downloaded
# Snakemake takes braces for wildcards, even in the name of a folder that contains the checkout.
ENVIRONMENT = re.sub(
    r"([{}])", r"\1\1", str(Path(workflow.basedir).resolve() / "environment.yml")
)
os.environ.update(plan.job_environment())

if workflow.is_main_process:
    for line in remarks(STUDY):
        print(f"glassguard: {line}", file=sys.stderr)
    for path in file_dates.restore(ROOT, STUDY.downloads.folder):
        print(f"glassguard: {path}: its date cannot be put back", file=sys.stderr)
    stamps.stage([*STAMPS.values(), *DOWNLOADS.values()])
    # One job at a time uses this machine's GPU; a cluster counts its own. Only a cluster's profile
    # says how many jobs may be queued.
    if (
        workflow.resource_settings.nodes is None
        and "gpu" not in workflow.global_resources
    ):
        workflow.register_resource("gpu", 1)


def record_dates():
    file_dates.record(ROOT, ROOT.rglob("*"))
    file_dates.record(STUDY.downloads.folder, DOWNLOADED)


onstart:
    file_dates.forget(ROOT, STUDY.downloads.folder)


onsuccess:
    record_dates()


onerror:
    record_dates()


wildcard_constraints:
    study="|".join(PLAN.sections),
    stamp=r"(code/|given/)?\w+\.(yaml|sha256|txt)",
    attack="|".join(PLAN.attacks),
    control="|".join(layout.CONTROLS),
    set="|".join(layout.sets(PLAN.attacks)),


scattergather:
    attack=PLAN.attack_shards,
    mask_grid=PLAN.grid_shards,
    adaptive=STUDY.adaptive.shards,


def download(path):
    """A file that rule fetch downloads. A stamp has the digest of any other file that the user names."""
    return str(path) if path in DOWNLOADED else []
