# The network: convolutions from the package, a pool of other people or a file, then its dense layers.


rule shipped_backbone:
    input:
        config=section_of("shipped_backbone"),
        code=PLAN.code_of("shipped_backbone"),
    output:
        backbone=PLAN.backbone_by("shipped_backbone", "backbone.safetensors"),
        metrics=PLAN.backbone_by("shipped_backbone", "metrics.json"),
        record=record("shipped_backbone"),
    log:
        log_of("shipped_backbone"),
    benchmark:
        benchmark_of("shipped_backbone")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(500),
        runtime=plan.attempted(5),
    shell:
        "glassguard shipped_backbone --config {input.config} --backbone {output.backbone} "
        "--metrics {output.metrics} --record {output.record} > {log} 2>&1"


rule import_backbone:
    input:
        config=section_of("backbone"),
        weights=download(STUDY.backbone.weights),
        given=given_to("import_backbone"),
        code=PLAN.code_of("import_backbone"),
    output:
        backbone=PLAN.backbone_by("import_backbone", "backbone.safetensors"),
        metrics=PLAN.backbone_by("import_backbone", "metrics.json"),
        record=record("import_backbone"),
    log:
        log_of("import_backbone"),
    benchmark:
        benchmark_of("import_backbone")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(4000),
        runtime=plan.attempted(10),
    params:
        weights=lambda wildcards: str(STUDY.backbone.weights),
    shell:
        "glassguard import_backbone --config {input.config} --weights {params.weights:q} "
        "--backbone {output.backbone} --metrics {output.metrics} --record {output.record} "
        "> {log} 2>&1"


rule teacher:
    input:
        config=section_of("teacher"),
        teacher=download(PLAN.teacher),
        given=given_to("teacher"),
        images=result(PLAN.pretraining_pictures["images.npy"]),
        code=PLAN.code_of("teacher"),
    output:
        embeddings=result("backbone/teacher_embeddings.npy"),
        record=record("teacher"),
    log:
        log_of("teacher"),
    benchmark:
        benchmark_of("teacher")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(60 * PLAN.pixels),
    params:
        teacher=lambda wildcards: str(PLAN.teacher),
    shell:
        "glassguard teacher --config {input.config} --teacher {params.teacher:q} "
        "--images {input.images} --embeddings {output.embeddings} --record {output.record} "
        "> {log} 2>&1"


# The checkpoint next to the backbone is not an output: Snakemake would delete it before a training
# that was killed could continue.
rule pretrain:
    input:
        config=section_of("backbone"),
        images=result(PLAN.pretraining_pictures["images.npy"]),
        manifest=result(PLAN.pretraining_pictures["manifest.csv"]),
        teacher=PLAN.embeddings,
        code=PLAN.code_of("pretrain"),
    output:
        backbone=PLAN.backbone_by("pretrain", "backbone.safetensors"),
        metrics=PLAN.backbone_by("pretrain", "metrics.json"),
        record=record("pretrain"),
    log:
        log_of("pretrain"),
    benchmark:
        benchmark_of("pretrain")
    conda:
        ENVIRONMENT
    threads: STUDY.backbone.pretraining.threads
    resources:
        mem_mb=plan.attempted(1000 + 3000 * PLAN.pixels),
        runtime=plan.attempted(PLAN.pretraining_minutes),
        gpu=PLAN.gpus,
    params:
        teacher=plan.optional("--teacher", "teacher"),
    shell:
        "glassguard pretrain --config {input.config} --images {input.images} "
        "--manifest {input.manifest} {params.teacher} --backbone {output.backbone} "
        "--metrics {output.metrics} --record {output.record} > {log} 2>&1"


rule recognizer:
    input:
        config=section_of("recognizer"),
        images=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        backbone=result("backbone/backbone.safetensors"),
        backbone_metrics=result("backbone/metrics.json"),
        code=PLAN.code_of("recognizer"),
    output:
        recognizer=result("recognizer/recognizer.safetensors"),
        metrics=result("recognizer/metrics.json"),
        predictions=result("recognizer/predictions.csv"),
        history=result("recognizer/history.csv"),
        record=record("recognizer"),
    log:
        log_of("recognizer"),
    benchmark:
        benchmark_of("recognizer")
    conda:
        ENVIRONMENT
    threads: STUDY.recognizer.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(20 * PLAN.passes),
    shell:
        "glassguard recognizer --config {input.config} --images {input.images} "
        "--manifest {input.manifest} --backbone {input.backbone} "
        "--backbone-metrics {input.backbone_metrics} --recognizer {output.recognizer} "
        "--metrics {output.metrics} --predictions {output.predictions} "
        "--history {output.history} --record {output.record} > {log} 2>&1"
