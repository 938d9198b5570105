# Published files, downloaded only where a study names one; shared by all experiments.

DOWNLOADS = {download.file: name for name, download in STUDY.downloads.files.items()}


localrules:
    fetch,


rule fetch:
    output:
        file=f"{STUDY.downloads.folder}/{{download}}",
    log:
        f"{STUDY.downloads.folder}/{{download}}.log",
    wildcard_constraints:
        download="|".join(map(re.escape, DOWNLOADS)),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        # No input: a slice below results/ would be another file for every experiment, and each
        # of them would fetch again.
        values=lambda wildcards: json.dumps(
            SLICES[next(iter(STUDIES))][f"fetch_{DOWNLOADS[wildcards.download]}"]
        ),
        config=lambda wildcards, output: f"{output.file}.yaml",
    shell:
        "(glassguard write-config --values {params.values:q} --output {params.config:q} && "
        "glassguard fetch --config {params.config:q} --file {output.file:q}) > {log:q} 2>&1"
