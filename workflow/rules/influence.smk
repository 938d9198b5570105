# Study I: internal influence of every layer, and detectors that read it.


rule influence:
    input:
        config=section_of("influence"),
        images=lambda wildcards: f"results/{wildcards.study}/{layout.images_of_set(wildcards.set)}",
        ids=lambda wildcards: f"results/{wildcards.study}/{layout.table_of_set(wildcards.set)}",
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("influence"),
    output:
        profiles=result("influence/{set}/profiles.npz"),
        record=record("influence_{set}"),
    log:
        log_of("influence_{set}"),
    benchmark:
        benchmark_of("influence_{set}")
    # Before the mask grid: detection is the longest job that cannot be split.
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.influence.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    shell:
        "glassguard influence --config {input.config} --images {input.images} "
        "--ids {input.ids} --recognizer {input.recognizer} --profiles {output.profiles} "
        "--record {output.record} > {log} 2>&1"


rule experts:
    input:
        config=section_of("experts"),
        manifest=result("data/manifest.csv"),
        images=result("data/images.npy"),
        examples=result(f"attacks/{HEADLINE}/examples.csv"),
        adversarial_images=result(f"attacks/{HEADLINE}/images.npy"),
        frames=result(f"attacks/{HEADLINE}/frames.npy"),
        plain_examples=result("controls/plain_frames/examples.csv"),
        plain_images=result("controls/plain_frames/images.npy"),
        plain_frames=result("controls/plain_frames/frames.npy"),
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
        "glassguard experts --config {input.config} --manifest {input.manifest} "
        "--images {input.images} --examples {input.examples} "
        "--adversarial-images {input.adversarial_images} --frames {input.frames} "
        "--plain-examples {input.plain_examples} --plain-images {input.plain_images} "
        "--plain-frames {input.plain_frames} --recognizer {input.recognizer} "
        "--maps {output.maps} --shares {output.shares} --record {output.record} > {log} 2>&1"


rule baselines:
    input:
        config=section_of("baselines"),
        images=lambda wildcards: f"results/{wildcards.study}/{layout.images_of_set(wildcards.set)}",
        ids=lambda wildcards: f"results/{wildcards.study}/{layout.table_of_set(wildcards.set)}",
        recognizer=result("recognizer/recognizer.safetensors"),
        code=PLAN.code_of("baselines"),
    output:
        baselines=result("baselines/{set}.npz"),
        record=record("baselines_{set}"),
    log:
        log_of("baselines_{set}"),
    benchmark:
        benchmark_of("baselines_{set}")
    # Before the mask grid: detection is the longest job that cannot be split.
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.detector.threads
    resources:
        mem_mb=plan.attempted(1000 + 1500 * PLAN.pixels),
        runtime=plan.attempted(5 * PLAN.passes),
    shell:
        "glassguard baselines --config {input.config} --images {input.images} "
        "--ids {input.ids} --recognizer {input.recognizer} --baselines {output.baselines} "
        "--record {output.record} > {log} 2>&1"


rule detection:
    input:
        config=section_of("detection"),
        manifest=result("data/manifest.csv"),
        examples=PLAN.of_attacks("attacks/{attack}/examples.csv"),
        benign=result("influence/benign/profiles.npz"),
        attack=PLAN.of_attacks("influence/{attack}/profiles.npz"),
        plain=result("influence/plain_frames/profiles.npz"),
        plain_examples=result("controls/plain_frames/examples.csv"),
        random=result("influence/random_frames/profiles.npz"),
        random_examples=result("controls/random_frames/examples.csv"),
        benign_decisions=result("saliency/masked_decisions/benign.npz"),
        attack_decisions=PLAN.of_attacks("saliency/masked_decisions/{attack}.npz"),
        plain_decisions=result("saliency/masked_decisions/plain_frames.npz"),
        random_decisions=result("saliency/masked_decisions/random_frames.npz"),
        benign_baselines=result("baselines/benign.npz"),
        attack_baselines=PLAN.of_attacks("baselines/{attack}.npz"),
        plain_baselines=result("baselines/plain_frames.npz"),
        random_baselines=result("baselines/random_frames.npz"),
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
    # Before the mask grid: detection is the longest job that cannot be split.
    priority: 1
    conda:
        ENVIRONMENT
    threads: STUDY.detector.threads
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(45),
    shell:
        "glassguard detection --config {input.config} --manifest {input.manifest} "
        "--examples {input.examples} --benign {input.benign} --attack {input.attack} "
        "--plain {input.plain} --plain-examples {input.plain_examples} "
        "--random {input.random} --random-examples {input.random_examples} "
        "--benign-decisions {input.benign_decisions} "
        "--attack-decisions {input.attack_decisions} "
        "--plain-decisions {input.plain_decisions} "
        "--random-decisions {input.random_decisions} "
        "--benign-baselines {input.benign_baselines} "
        "--attack-baselines {input.attack_baselines} "
        "--plain-baselines {input.plain_baselines} "
        "--random-baselines {input.random_baselines} "
        "--layers {output.layers} --activation-layers {output.activation_layers} "
        "--classifier-sweep {output.classifier_sweep} "
        "--best-layer {output.best_layer} --choices {output.choices} --table1 {output.table1} "
        "--roc {output.roc} --points {output.points} --gain {output.gain} "
        "--controls {output.controls} --distances {output.distances} "
        "--distance-matrix {output.distance_matrix} --histograms {output.histograms} "
        "--summary {output.summary} --record {output.record} > {log} 2>&1"
