# What results depend on apart from each other: sections of the configuration, code, given files.


localrules:
    write_config,


rule write_config:
    input:
        lambda wildcards: STAMPS[
            f"results/{wildcards.study}/config/{wildcards.stamp}"
        ].staged,
    output:
        result("config/{stamp}"),
    log:
        log_of("config/{stamp}"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=200,
    shell:
        "cp {input} {output} > {log} 2>&1"
