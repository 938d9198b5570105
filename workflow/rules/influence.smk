# Study I: internal influence of every layer, and detectors that read it.


rule experts:
    input:
        config=section_of("experts"),
        benign=layout.files_of_set("benign"),
        attack=layout.files_of_set(HEADLINE, "frames"),
        plain=layout.files_of_set("plain_frames", "frames"),
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("experts"),
    output:
        maps=result("influence/experts.npz"),
        shares=result("influence/share_inside.csv"),
        record=record("experts"),
    log:
        log_of("experts"),
    benchmark:
        benchmark_of("experts")
    conda:
        ENVIRONMENT
    threads: STUDY.influence.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    shell:
        "glassguard experts --config {input.config} --benign {input.benign} "
        "--attack {input.attack} --plain {input.plain} --recognizer {input.recognizer} "
        "--maps {output.maps} --shares {output.shares} --record {output.record} > {log} 2>&1"


rule fit_detectors:
    input:
        config=section_of("fit_detectors"),
        benign=layout.detector_files("benign"),
        attack=layout.detector_files(HEADLINE),
        plain=layout.detector_files("plain_frames"),
        random=layout.detector_files("random_frames"),
        code=PLAN.code_of("fit_detectors"),
    output:
        detectors=result("detection/detectors.safetensors"),
        description=result("detection/detectors.json"),
        record=record("fit_detectors"),
    log:
        log_of("fit_detectors"),
    benchmark:
        benchmark_of("fit_detectors")
    # Before the mask grid: this is the longest job that cannot be split.
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.detector.threads
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(45),
    shell:
        "glassguard fit_detectors --config {input.config} --benign {input.benign} "
        "--attack {input.attack} --plain {input.plain} --random {input.random} "
        "--detectors {output.detectors} --description {output.description} "
        "--record {output.record} > {log} 2>&1"


rule detection:
    input:
        config=section_of("detection"),
        benign=layout.detector_files("benign"),
        attacks=layout.detector_files(*PLAN.attacks),
        plain=layout.detector_files("plain_frames"),
        random=layout.detector_files("random_frames"),
        detectors=result("detection/detectors.safetensors"),
        description=result("detection/detectors.json"),
        code=PLAN.code_of("detection"),
    output:
        layers=result("detection/layers.csv"),
        activation_layers=result("detection/activation_layers.csv"),
        classifier_sweep=result("detection/sweep.csv"),
        best_layer=result("detection/best_layer.json"),
        choices=result("detection/choices.csv"),
        table1=result("detection/table1.csv"),
        roc=result("detection/roc.csv"),
        points=result("detection/attacks.csv"),
        gain=result("detection/gain.csv"),
        controls=result("detection/controls.csv"),
        distances=result("detection/distances.csv"),
        distance_matrix=result("detection/distance_matrix.csv"),
        histograms=result("detection/histograms.csv"),
        summary=result("detection/summary.json"),
        record=record("detection"),
    log:
        log_of("detection"),
    benchmark:
        benchmark_of("detection")
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.detector.threads
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(20),
    params:
        tables=subpath(output.summary, parent=True),
    shell:
        "glassguard detection --config {input.config} --benign {input.benign} "
        "--attacks {input.attacks} --plain {input.plain} --random {input.random} "
        "--detectors {input.detectors} --description {input.description} "
        "--tables {params.tables} --record {output.record} > {log} 2>&1"
