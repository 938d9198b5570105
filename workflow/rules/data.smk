# Pictures and people: aligned faces, their splits, and what was rejected.


rule data:
    input:
        config=slice_of("data"),
        detector=getattr(STUDY.data, "detector", None) or [],
        sources=sources("data"),
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
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=2000,
    params:
        pictures=inventory(getattr(STUDY.data, "root", None)),
    shell:
        "glassguard data --config {input.config} --images {output.images} "
        "--manifest {output.manifest} --rejected {output.rejected} --record {output.record} "
        "> {log} 2>&1"


rule pool:
    input:
        config=slice_of("pool"),
        study=STUDY_PICTURES,
        detector=getattr(STUDY.data, "detector", None) or [],
        sources=sources("pool"),
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
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=2000,
    params:
        pictures=inventory(STUDY.backbone.pool),
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
