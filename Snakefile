# Adversarial eyeglasses against face recognition, and two defences.
#
#   snakemake --cores 2
#   snakemake --cores 2 --config experiment=smoke
#   snakemake --cores 2 --config 'overrides=["attacks.glasses.step=10"]'
#   snakemake --cores 2 --config 'replicates=[0,1,2]' 'variants=["absolute_saliency"]'
#   profiles/slurm/run --config experiment=embedded


include: "workflow/rules/common.smk"
include: "workflow/rules/config.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/recognizer.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/responses.smk"
include: "workflow/rules/influence.smk"
include: "workflow/rules/saliency.smk"
include: "workflow/rules/guard.smk"
include: "workflow/rules/adaptive.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/track.smk"
include: "workflow/rules/replicates.smk"


rule all:
    default_target: True
    input:
        expand(
            [
                result("summary.json"),
                result("report.html"),
                result("timings.csv"),
                result("machine.json"),
                *PLAN.stamps_read({rule.name: rule.input for rule in workflow.rules}),
                *PLAN.tables,
                *layout.figures(PLAN.figures, "svg"),
                *layout.figures(PLAN.figures, "png"),
                result("tracking/done.json"),
            ],
            study=PLAN.studies,
        ),
        REPLICATES_TABLE if list(PLAN.studies) != [STUDY.experiment] else [],
