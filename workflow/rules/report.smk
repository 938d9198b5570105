# Figures, the headline numbers, and the page that compares both studies with the original figures.


# Snakemake's report needs a text file for every caption.
CAPTIONS = PLAN.captions
if workflow.is_main_process:
    stamps.stage(CAPTIONS)


rule figures:
    input:
        config=section_of("report"),
        tables=PLAN.drawn,
        code=PLAN.code_of("figures"),
    output:
        svg=[
            report(path, category="Figures", caption=str(caption.staged.resolve()))
            for caption, path in zip(CAPTIONS, layout.figures(PLAN.figures, "svg"))
        ],
        png=layout.figures(PLAN.figures, "png"),
        captions=result("figures/captions.json"),
        record=record("figures"),
    log:
        log_of("figures"),
    benchmark:
        benchmark_of("figures")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(2000),
        runtime=plan.attempted(10),
    params:
        results=lambda wildcards, output: Path(output.captions).parents[1],
        figures=lambda wildcards, output: Path(output.captions).parent,
        captions=lambda wildcards, output: plan.Captions(output.captions),
    shell:
        "glassguard figures --config {input.config} --results {params.results} "
        "--figures {params.figures} --record {output.record} > {log} 2>&1"


rule report:
    input:
        config=section_of("report"),
        records=[*PLAN.records, record("figures")],
        benchmarks=PLAN.benchmarks,
        tables=PLAN.reported,
        figures=layout.figures(PLAN.figures, "svg"),
        captions=result("figures/captions.json"),
        code=PLAN.code_of("report"),
    output:
        summary=result("summary.json"),
        page=report(
            result("report.html"), category="Report", caption="../report/report.rst"
        ),
        timings=result("timings.csv"),
        machine=result("machine.json"),
        record=record("report"),
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plan.attempted(1500),
        runtime=plan.attempted(5),
    params:
        results=lambda wildcards, output: Path(output.summary).parent,
    shell:
        "glassguard report --config {input.config} --results {params.results} "
        "--records {input.records} "
        "--summary {output.summary} --page {output.page} --timings {output.timings} "
        "--machine {output.machine} "
        "--record {output.record} > {log} 2>&1"
