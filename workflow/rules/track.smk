# MLflow, brought up to date with the records of the stages.


localrules:
    track,


rule track:
    input:
        config=section_of("track"),
        report_config=section_of("report"),
        records=[*PLAN.records, record("figures"), record("report")],
        artifacts=PLAN.tracked,
        # Pictures and model that MLflow shows.
        shown=[
            result("data/images.npy"),
            result("recognizer/recognizer.safetensors"),
            result("saliency/masks.npz"),
            *PLAN.of_attacks("attacks/{attack}/images.npy"),
        ],
        code=PLAN.code_of("track"),
    output:
        done=result("tracking/done.json"),
    log:
        log_of("track"),
    benchmark:
        benchmark_of("track")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        results=lambda wildcards, output: Path(output.done).parents[1],
    shell:
        "glassguard track --config {input.config} --records {input.records} "
        "--results {params.results} --done {output.done} > {log} 2>&1"
