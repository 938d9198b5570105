# Pictures and people: aligned faces, their splits, and what was rejected.


localrules:
    fetch_lfw,
    fetch_pubfig,


rule fetch_lfw:
    input:
        config=section_of("fetch_pictures"),
        code=PLAN.code_of("fetch_lfw"),
    output:
        listing=result("data/lfw.csv"),
        record=record("fetch_lfw"),
    log:
        log_of("fetch_lfw"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "glassguard fetch_lfw --config {input.config} --listing {output.listing} "
        "--record {output.record} > {log} 2>&1"


# The photographs themselves are no outputs: Snakemake would remove them before the rule runs again.
rule fetch_pubfig:
    input:
        config=section_of("fetch_pictures"),
        given=given_to("fetch_pictures"),
        code=PLAN.code_of("fetch_pubfig"),
    output:
        listing=result("data/pubfig.csv"),
        gone=result("data/gone.csv"),
        record=record("fetch_pubfig"),
    log:
        log_of("fetch_pubfig"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "glassguard fetch_pubfig --config {input.config} --listing {output.listing} "
        "--gone {output.gone} --record {output.record} > {log} 2>&1"


rule data:
    input:
        config=section_of("data"),
        listing=PLAN.fetched("data/{source}.csv"),
        detector=download(getattr(STUDY.data, "detector", None)),
        given=given_to("data"),
        code=PLAN.code_of("data"),
    output:
        images=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        rejected=result("data/rejected.csv"),
        record=record("data"),
    log:
        log_of("data"),
    benchmark:
        benchmark_of("data")
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(15),
    params:
        listing=lambda wildcards, input: (
            f"--listing {input.listing}" if input.listing else ""
        ),
    shell:
        "glassguard data --config {input.config} {params.listing} --images {output.images} "
        "--manifest {output.manifest} --rejected {output.rejected} --record {output.record} "
        "> {log} 2>&1"


rule pool:
    input:
        config=section_of("pool"),
        # A pool of photographs must not show the study's people; drawn people never do.
        study=(
            [result("data/images.npy"), result("data/manifest.csv")]
            if STUDY.backbone.pool is not None
            else []
        ),
        detector=download(getattr(STUDY.data, "detector", None)),
        given=given_to("pool"),
        code=PLAN.code_of("pool"),
    output:
        images=result("backbone/pool_images.npy"),
        manifest=result("backbone/pool_manifest.csv"),
        rejected=result("backbone/pool_rejected.csv"),
        record=record("pool"),
    log:
        log_of("pool"),
    benchmark:
        benchmark_of("pool")
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(30),
    params:
        study=lambda wildcards, input: " ".join(
            f"{option} {file}"
            for option, file in zip(
                ["--study-images", "--study-manifest"], input.study
            )
        ),
    shell:
        "glassguard pool --config {input.config} {params.study} "
        "--images {output.images} --manifest {output.manifest} --rejected {output.rejected} "
        "--record {output.record} > {log} 2>&1"
