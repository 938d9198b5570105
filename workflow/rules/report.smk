# Figures, the headline and the page that shows both studies beside their sources.


rule figures:
    input:
        config=slice_of("report"),
        records=SCIENCE_RECORDS,
        sources=sources("figures"),
    output:
        svg=report(
            figures("svg"),
            category="Figures",
            caption="../report/figure.rst",
        ),
        png=figures("png"),
        record=record("figures"),
    log:
        log_of("figures"),
    benchmark:
        benchmark_of("figures")
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    shell:
        "glassguard figures --config {input.config} "
        "> {log} 2>&1"
