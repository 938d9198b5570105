# Adversarial eyeglasses on held-out pictures, and honest wearers of the same frames.


rule attack_shard:
    input:
        config=section_of("attack_{attack}"),
        images=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("attack_shard"),
    output:
        results=result("attacks/{attack}/shards/{scatteritem}.npz"),
        record=record("attack_{attack}_{scatteritem}"),
    log:
        log_of("attack_{attack}_{scatteritem}"),
    benchmark:
        benchmark_of("attack_{attack}_{scatteritem}")
    conda:
        ENVIRONMENT
    threads: lambda wildcards: STUDY.attacks[wildcards.attack].threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(PLAN.attack_minutes),
    params:
        shard=lambda wildcards: plan.position(wildcards.scatteritem),
        shards=PLAN.attack_shards,
    shell:
        "glassguard attack_shard --config {input.config} --images {input.images} "
        "--manifest {input.manifest} --recognizer {input.recognizer} --shard {params.shard} "
        "--shards {params.shards} --results {output.results} --record {output.record} "
        "> {log} 2>&1"


rule attack:
    input:
        config=section_of("attack_{attack}"),
        shards=PLAN.gathered(
            "attack", result("attacks/{attack}/shards/{scatteritem}.npz")
        ),
        code=PLAN.code_of("attack"),
    output:
        examples=result("attacks/{attack}/examples.csv"),
        images=result("attacks/{attack}/images.npy"),
        frames=result("attacks/{attack}/frames.npy"),
        record=record("attack_{attack}"),
    log:
        log_of("attack_{attack}"),
    benchmark:
        benchmark_of("attack_{attack}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(1000 + 500 * PLAN.pixels),
        runtime=plan.attempted(5),
    shell:
        "glassguard attack --config {input.config} --shards {input.shards} "
        "--examples {output.examples} --images {output.images} --frames {output.frames} "
        "--record {output.record} > {log} 2>&1"


rule robustness:
    input:
        config=section_of("robustness_{attack}"),
        faces=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        examples=result("attacks/{attack}/examples.csv"),
        images=result("attacks/{attack}/images.npy"),
        frames=result("attacks/{attack}/frames.npy"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("robustness"),
    output:
        table=result("attacks/{attack}/robustness.csv"),
        record=record("robustness_{attack}"),
    log:
        log_of("robustness_{attack}"),
    benchmark:
        benchmark_of("robustness_{attack}")
    conda:
        ENVIRONMENT
    threads: STUDY.robustness.threads
    resources:
        mem_mb=plan.attempted(1000 + 1000 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    shell:
        "glassguard robustness --config {input.config} --faces {input.faces} "
        "--manifest {input.manifest} --examples {input.examples} --images {input.images} "
        "--frames {input.frames} --recognizer {input.recognizer} --table {output.table} "
        "--record {output.record} > {log} 2>&1"


# Only where the recognizer has an embedding.
rule open_set:
    input:
        config=section_of("open_set"),
        benign=layout.files_of_set("benign"),
        attacks=[
            file for attack in PLAN.attacks for file in layout.files_of_set(attack)
        ],
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("open_set"),
    output:
        table=result(layout.OPEN_SET),
        record=record("open_set"),
    log:
        log_of("open_set"),
    benchmark:
        benchmark_of("open_set")
    conda:
        ENVIRONMENT
    threads: STUDY.recognizer.threads
    resources:
        mem_mb=plan.attempted(1000 + 1000 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    shell:
        "glassguard open_set --config {input.config} --benign {input.benign} "
        "--attacks {input.attacks} --recognizer {input.recognizer} --table {output.table} "
        "--record {output.record} > {log} 2>&1"


rule controls:
    input:
        config=section_of("controls"),
        images=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("controls"),
    output:
        examples=result("controls/{control}/examples.csv"),
        images=result("controls/{control}/images.npy"),
        frames=result("controls/{control}/frames.npy"),
        record=record("controls_{control}"),
    log:
        log_of("controls_{control}"),
    benchmark:
        benchmark_of("controls_{control}")
    conda:
        ENVIRONMENT
    threads: STUDY.controls.threads
    resources:
        mem_mb=plan.attempted(1000 + 1000 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    params:
        kind=lambda wildcards: layout.CONTROLS[wildcards.control],
    shell:
        "glassguard controls --config {input.config} --kind {params.kind} "
        "--images {input.images} --manifest {input.manifest} --recognizer {input.recognizer} "
        "--examples {output.examples} --control-images {output.images} "
        "--frames {output.frames} --record {output.record} > {log} 2>&1"
