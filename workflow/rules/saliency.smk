# Study S: the search for the best mask, and its evaluation.


rule mask_grid_shard:
    input:
        config=section_of("mask_grid"),
        benign=layout.files_of_set("benign", "maps"),
        attack=layout.files_of_set(HEADLINE, "maps"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("mask_grid_shard"),
    output:
        results=result("saliency/shards/{scatteritem}.npz"),
        record=record("mask_grid_{scatteritem}"),
    log:
        log_of("mask_grid_{scatteritem}"),
    benchmark:
        benchmark_of("mask_grid_{scatteritem}")
    conda:
        ENVIRONMENT
    threads: STUDY.saliency.threads
    resources:
        mem_mb=plan.attempted(1000 + 1000 * PLAN.pixels),
        runtime=plan.attempted(PLAN.grid_minutes),
    params:
        shard=lambda wildcards: plan.position(wildcards.scatteritem),
        shards=PLAN.grid_shards,
    shell:
        "glassguard mask_grid_shard --config {input.config} --benign {input.benign} "
        "--attack {input.attack} --recognizer {input.recognizer} "
        "--shard {params.shard} --shards {params.shards} --results {output.results} "
        "--record {output.record} > {log} 2>&1"


rule mask_grid:
    input:
        config=section_of("mask_grid"),
        shards=PLAN.gathered("mask_grid", result("saliency/shards/{scatteritem}.npz")),
        examples=result(f"attacks/{HEADLINE}/examples.csv"),
        code=PLAN.code_of("mask_grid"),
    output:
        grid=result("saliency/grid.csv"),
        best=result("saliency/best.json"),
        record=record("mask_grid"),
    log:
        log_of("mask_grid"),
    benchmark:
        benchmark_of("mask_grid")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(1500),
        runtime=plan.attempted(5),
    shell:
        "glassguard mask_grid --config {input.config} --shards {input.shards} "
        "--examples {input.examples} --grid {output.grid} --best {output.best} "
        "--record {output.record} > {log} 2>&1"


rule mask_evaluation:
    input:
        config=section_of("mask_evaluation"),
        benign=layout.files_of_set("benign", "maps"),
        attack=layout.files_of_set(HEADLINE, "frames", "maps"),
        recognizer=result("recognizer/recognizer.safetensors"),
        best=result("saliency/best.json"),
        grid=result("saliency/grid.csv"),
        predictions=result("recognizer/predictions.csv"),
        code=PLAN.code_of("mask_evaluation"),
    output:
        evaluation=result("saliency/evaluation.csv"),
        curve=result("saliency/threshold_curve.csv"),
        working_point=result("saliency/working_point.json"),
        masks=result("saliency/masks.npz"),
        record=record("mask_evaluation"),
    log:
        log_of("mask_evaluation"),
    benchmark:
        benchmark_of("mask_evaluation")
    conda:
        ENVIRONMENT
    threads: STUDY.saliency.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(6 * PLAN.passes),
    shell:
        "glassguard mask_evaluation --config {input.config} --benign {input.benign} "
        "--attack {input.attack} --recognizer {input.recognizer} "
        "--best {input.best} --grid {input.grid} --predictions {input.predictions} "
        "--evaluation {output.evaluation} --curve {output.curve} "
        "--working-point {output.working_point} "
        "--masks {output.masks} --record {output.record} > {log} 2>&1"


# Grids of the other attacks: masks tuned on one accessory are tried on all of them.
use rule mask_grid_shard as accessory_mask_grid_shard with:
    input:
        config=section_of("mask_grid"),
        benign=layout.files_of_set("benign", "maps"),
        attack=layout.files_of_set("{attack}", "maps"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("mask_grid_shard"),
    output:
        results=result("saliency/tuned_on/{attack}/shards/{scatteritem}.npz"),
        record=record("mask_grid_{attack}_{scatteritem}"),
    log:
        log_of("mask_grid_{attack}_{scatteritem}"),
    benchmark:
        benchmark_of("mask_grid_{attack}_{scatteritem}")


use rule mask_grid as accessory_mask_grid with:
    input:
        config=section_of("mask_grid"),
        shards=PLAN.gathered(
            "mask_grid",
            result("saliency/tuned_on/{attack}/shards/{scatteritem}.npz"),
        ),
        examples=result("attacks/{attack}/examples.csv"),
        code=PLAN.code_of("mask_grid"),
    output:
        grid=result("saliency/tuned_on/{attack}/grid.csv"),
        best=result("saliency/tuned_on/{attack}/best.json"),
        record=record("mask_grid_{attack}"),
    log:
        log_of("mask_grid_{attack}"),
    benchmark:
        benchmark_of("mask_grid_{attack}")


rule mask_transfer:
    input:
        config=section_of("mask_evaluation"),
        benign=layout.files_of_set("benign", "maps"),
        attacks=[
            file
            for attack in PLAN.attacks
            for file in layout.files_of_set(attack, "frames", "maps")
        ],
        best=PLAN.best_masks,
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("mask_transfer"),
    output:
        transfer=result("saliency/generality.csv"),
        record=record("mask_transfer"),
    log:
        log_of("mask_transfer"),
    benchmark:
        benchmark_of("mask_transfer")
    conda:
        ENVIRONMENT
    threads: STUDY.saliency.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(30 * PLAN.passes),
    shell:
        "glassguard mask_transfer --config {input.config} --benign {input.benign} "
        "--attacks {input.attacks} --best {input.best} "
        "--recognizer {input.recognizer} --transfer {output.transfer} "
        "--record {output.record} > {log} 2>&1"
