# What the recognizer makes of a set of pictures, for both studies: the network is read once.


rule responses:
    input:
        unpack(layout.picture_set),
        config=section_of("responses"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("responses"),
    output:
        profiles=result("influence/{set}/profiles.npz"),
        baselines=result("baselines/{set}.npz"),
        maps=result("saliency/maps/{set}.npz"),
        decisions=result("saliency/masked_decisions/{set}.npz"),
        record=record("responses_{set}"),
    log:
        log_of("responses_{set}"),
    benchmark:
        benchmark_of("responses_{set}")
    # Before the mask grid: detection is the longest job that cannot be split.
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.influence.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(15 * PLAN.passes),
    shell:
        "glassguard responses --config {input.config} --images {input.images} "
        "--ids {input.ids} --recognizer {input.recognizer} --profiles {output.profiles} "
        "--baselines {output.baselines} --maps {output.maps} --decisions {output.decisions} "
        "--record {output.record} > {log} 2>&1"
