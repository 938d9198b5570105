# The resolved configuration, cut into what each stage reads.


localrules:
    write_config,


rule write_config:
    output:
        slice_of("{slice}"),
    log:
        log_of("config_{slice}"),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=200,
    params:
        values=lambda wildcards: json.dumps(SLICES[wildcards.study][wildcards.slice]),
    shell:
        "glassguard write-config --values {params.values:q} --output {output} > {log} 2>&1"
