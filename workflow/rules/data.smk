# Pictures and people: aligned faces, their splits, and what was rejected.


localrules:
    fetch_pictures,


# Downloaded pictures are not outputs: Snakemake would remove them before the rule runs again.
rule fetch_pictures:
    input:
        config=section_of("fetch_pictures"),
        given=given_to("fetch_pictures"),
        code=PLAN.code_of("fetch_pictures"),
    output:
        listing=result(f"data/{STUDY.data.source}.csv"),
        gone=result("data/gone.csv"),
        record=record(f"fetch_{STUDY.data.source}"),
    log:
        log_of(f"fetch_{STUDY.data.source}"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "glassguard fetch_pictures --config {input.config} --listing {output.listing} "
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
        listing=plan.optional("--listing", "listing"),
    shell:
        "glassguard data --config {input.config} {params.listing} --images {output.images} "
        "--manifest {output.manifest} --rejected {output.rejected} --record {output.record} "
        "> {log} 2>&1"


rule pool:
    input:
        config=section_of("pool"),
        # A pool of photographs must not show the study's people; drawn people never do.
        study_images=PLAN.with_pool(result("data/images.npy")),
        study_manifest=PLAN.with_pool(result("data/manifest.csv")),
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
        images=plan.optional("--study-images", "study_images"),
        manifest=plan.optional("--study-manifest", "study_manifest"),
    shell:
        "glassguard pool --config {input.config} {params.images} {params.manifest} "
        "--images {output.images} --manifest {output.manifest} --rejected {output.rejected} "
        "--record {output.record} > {log} 2>&1"
