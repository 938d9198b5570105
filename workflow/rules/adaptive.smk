# Attackers who know the defences.


rule adaptive_shard:
    input:
        config=section_of("adaptive"),
        manifest=result("data/manifest.csv"),
        images=result("data/images.npy"),
        examples=result(f"attacks/{HEADLINE}/examples.csv"),
        adversarial_images=result(f"attacks/{HEADLINE}/images.npy"),
        frames=result(f"attacks/{HEADLINE}/frames.npy"),
        recognizer=result("recognizer/recognizer.safetensors"),
        detectors=result("detection/detectors.safetensors"),
        description=result("detection/detectors.json"),
        best=result("saliency/best.json"),
        banded_recognizer=result("guard/banded_recognizer.safetensors"),
        band=result("guard/band.json"),
        thresholds=result("guard/thresholds.json"),
        code=PLAN.code_of("adaptive_shard"),
    output:
        results=result("adaptive/shards/{scatteritem}.npz"),
        record=record("adaptive_{scatteritem}"),
    log:
        log_of("adaptive_{scatteritem}"),
    benchmark:
        benchmark_of("adaptive_{scatteritem}")
    conda:
        ENVIRONMENT
    threads: STUDY.adaptive.threads
    resources:
        mem_mb=plan.attempted(1000 + 2000 * PLAN.pixels),
        runtime=plan.attempted(60 * PLAN.passes),
    params:
        shard=lambda wildcards: plan.position(wildcards.scatteritem),
        shards=STUDY.adaptive.shards,
    shell:
        "glassguard adaptive_shard --config {input.config} --manifest {input.manifest} "
        "--images {input.images} --examples {input.examples} "
        "--adversarial-images {input.adversarial_images} --frames {input.frames} "
        "--recognizer {input.recognizer} --detectors {input.detectors} "
        "--description {input.description} --best {input.best} "
        "--banded-recognizer {input.banded_recognizer} --band {input.band} "
        "--thresholds {input.thresholds} --shard {params.shard} --shards {params.shards} --results {output.results} --record {output.record} "
        "> {log} 2>&1"


rule adaptive:
    input:
        config=section_of("adaptive"),
        shards=PLAN.gathered("adaptive", result("adaptive/shards/{scatteritem}.npz")),
        code=PLAN.code_of("adaptive"),
    output:
        table=result("adaptive/table.csv"),
        guard=result("adaptive/guard.csv"),
        record=record("adaptive"),
    log:
        log_of("adaptive"),
    benchmark:
        benchmark_of("adaptive")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(1000),
        runtime=plan.attempted(5),
    shell:
        "glassguard adaptive --config {input.config} --shards {input.shards} "
        "--table {output.table} --guard {output.guard} --record {output.record} > {log} 2>&1"
