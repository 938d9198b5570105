# Published files: downloaded only if a study names them, and shared by all experiments.


localrules:
    fetch,


rule fetch:
    input:
        # Compared with the request of the last download, which is stored next to the file. A section
        # below results/ would be a new file for every experiment, and each would download again.
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
