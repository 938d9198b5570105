# Several studies of one experiment, over seeds and variants: one table of all headline figures.

REPLICATES_TABLE = f"results/{STUDY.experiment}/replicates.csv"
REPLICATES_PAGE = f"results/{STUDY.experiment}/replicates.html"


rule replicates:
    input:
        config=expand(section_of("replicates"), study=STUDY.experiment),
        summaries=expand(result("summary.json"), study=PLAN.studies),
        code=PLAN.code_of("replicates"),
    output:
        table=REPLICATES_TABLE,
        page=REPLICATES_PAGE,
    log:
        f"results/{STUDY.experiment}/logs/replicates.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(1500),
        runtime=plan.attempted(5),
    shell:
        "glassguard replicates --config {input.config} --summaries {input.summaries} "
        "--table {output.table} --page {output.page} > {log} 2>&1"
