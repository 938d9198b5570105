# Several studies of one experiment, over seeds and variants: one table of all their headlines.

REPLICATES_TABLE = f"results/{EXPERIMENT}/replicates.csv"


rule replicates:
    input:
        config=expand(section_of("replicates"), study=EXPERIMENT),
        summaries=expand(result("summary.json"), study=STUDIES),
        code=code_of("replicates"),
    output:
        REPLICATES_TABLE,
    log:
        f"results/{EXPERIMENT}/logs/replicates.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(5),
    shell:
        "glassguard replicates --config {input.config} --summaries {input.summaries} "
        "--table {output} > {log} 2>&1"
