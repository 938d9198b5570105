# The guard: a recognizer that never sees the band of the eyes, and what that certifies.


rule banded_recognizer:
    input:
        config=section_of("banded_recognizer"),
        images=result("data/images.npy"),
        manifest=result("data/manifest.csv"),
        backbone=result("backbone/backbone.safetensors"),
        code=PLAN.code_of("banded_recognizer"),
    output:
        recognizer=result("guard/banded_recognizer.safetensors"),
        metrics=result("guard/banded_metrics.json"),
        history=result("guard/banded_history.csv"),
        record=record("banded_recognizer"),
    log:
        log_of("banded_recognizer"),
    benchmark:
        benchmark_of("banded_recognizer")
    conda:
        ENVIRONMENT
    threads: STUDY.recognizer.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(20 * PLAN.passes),
    shell:
        "glassguard banded_recognizer --config {input.config} --images {input.images} "
        "--manifest {input.manifest} --backbone {input.backbone} "
        "--recognizer {output.recognizer} --metrics {output.metrics} "
        "--history {output.history} --record {output.record} > {log} 2>&1"


rule landmarks:
    input:
        tables=layout.guard_files(PLAN.attacks)["tables"],
        images=layout.guard_files(PLAN.attacks)["images"],
        config=section_of("landmarks"),
        detector=getattr(STUDY.data, "detector", None) or [],
        code=PLAN.code_of("landmarks"),
    output:
        landmarks=result("guard/landmarks.csv"),
        record=record("landmarks"),
    log:
        log_of("landmarks"),
    benchmark:
        benchmark_of("landmarks")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(20),
    shell:
        "glassguard landmarks --config {input.config} --tables {input.tables} "
        "--images {input.images} --detector {input.detector:q} "
        "--landmarks {output.landmarks} --record {output.record} > {log} 2>&1"


rule guard:
    input:
        **layout.guard_files(PLAN.attacks),
        config=section_of("guard"),
        recognizer=result("recognizer/recognizer.safetensors"),
        banded_recognizer=result("guard/banded_recognizer.safetensors"),
        best=result("saliency/best.json"),
        landmarks=PLAN.landmarks,
        code=PLAN.code_of("guard"),
    output:
        band=result("guard/band.json"),
        decisions=result("guard/decisions.csv"),
        thresholds=result("guard/thresholds.json"),
        record=record("guard"),
    log:
        log_of("guard"),
    benchmark:
        benchmark_of("guard")
    conda:
        ENVIRONMENT
    threads: STUDY.saliency.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(6 * PLAN.passes),
    params:
        landmarks=plan.optional("--landmarks", "landmarks"),
    shell:
        "glassguard guard --config {input.config} --tables {input.tables} "
        "--images {input.images} --maps {input.maps} --recognizer {input.recognizer} "
        "--banded-recognizer {input.banded_recognizer} --best {input.best} "
        "{params.landmarks} --band {output.band} "
        "--decisions {output.decisions} --thresholds {output.thresholds} "
        "--record {output.record} > {log} 2>&1"


rule certify:
    input:
        config=section_of("certify"),
        decisions=result("guard/decisions.csv"),
        thresholds=result("guard/thresholds.json"),
        benign=layout.detector_files("benign"),
        attack=layout.detector_files(HEADLINE),
        plain=layout.detector_files("plain_frames"),
        random=layout.detector_files("random_frames"),
        detectors=result("detection/detectors.safetensors"),
        description=result("detection/detectors.json"),
        code=PLAN.code_of("certify"),
    output:
        certificate=result("guard/certificate.csv"),
        targets=result("guard/targets.csv"),
        curve=result("guard/operating_curve.csv"),
        summary=result("guard/summary.json"),
        record=record("certify"),
    log:
        log_of("certify"),
    benchmark:
        benchmark_of("certify")
    conda:
        ENVIRONMENT
    threads: STUDY.detector.threads
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(20),
    shell:
        "glassguard certify --config {input.config} --decisions {input.decisions} "
        "--thresholds {input.thresholds} --benign {input.benign} --attack {input.attack} "
        "--plain {input.plain} --random {input.random} --detectors {input.detectors} "
        "--description {input.description} --certificate {output.certificate} "
        "--targets {output.targets} --curve {output.curve} --summary {output.summary} "
        "--record {output.record} > {log} 2>&1"
