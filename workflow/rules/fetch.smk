# Published files, downloaded only where a study names one; shared by all experiments.


localrules:
    fetch,


rule fetch:
    input:
        # Compared with what the last download was asked for, which lies beside it: a section below
        # results/ would be another file for every experiment, and each of them would fetch again.
        lambda wildcards: DOWNLOADS[wildcards.download].staged,
    output:
        file=f"{STUDY.downloads.folder}/{{download}}",
    log:
        f"{STUDY.downloads.folder}/{{download}}.log",
    wildcard_constraints:
        download="|".join(map(re.escape, DOWNLOADS)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
    shell:
        "(cp {input:q} {output.file:q}.yaml && "
        "glassguard fetch --config {output.file:q}.yaml --file {output.file:q}) > {log:q} 2>&1"
