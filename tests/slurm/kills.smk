# Jobs that die in every way that a cluster knows, under the project's own profile. The names of
# the shards are those of the study, so that they are submitted as it submits them.


rule all:
    input:
        expand("out/shard_{number}.txt", number=range(3)),
        "out/time.txt",
        "out/memory.txt",
        "out/cancelled.txt",
        "out/once.txt",
        "out/always.txt",


rule mask_grid_shard:
    output:
        "out/shard_{number}.txt",
    resources:
        mem_mb=1000,
        runtime=5,
    shell:
        "echo {wildcards.number} $SLURM_ARRAY_JOB_ID > {output}"


# A minute is the shortest limit that SLURM knows.
rule out_of_time:
    output:
        "out/time.txt",
    resources:
        mem_mb=1000,
        runtime=lambda wildcards, attempt: attempt,
    shell:
        "echo started >> time.attempts; "
        "[ $(wc -l < time.attempts) -gt 1 ] || sleep 600; echo done > {output}"


rule out_of_memory:
    output:
        "out/memory.txt",
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 1100,
        runtime=5,
    shell:
        "echo started >> memory.attempts; "
        "python3 -c 'import time; block = bytearray(b\"x\") * 1_000_000_000; time.sleep(6)'; "
        "echo done > {output}"


rule cancelled:
    output:
        "out/cancelled.txt",
    resources:
        mem_mb=1000,
        runtime=5,
    shell:
        "echo $SLURM_JOB_ID >> cancelled.attempts; "
        "[ $(wc -l < cancelled.attempts) -gt 1 ] || sleep 600; echo done > {output}"


rule fails_once:
    output:
        "out/once.txt",
    resources:
        mem_mb=1000,
        runtime=5,
    shell:
        "echo half > {output}; echo started >> once.attempts; "
        "[ $(wc -l < once.attempts) -gt 1 ]; echo done > {output}"


rule fails_always:
    output:
        "out/always.txt",
    log:
        "logs/always.log",
    resources:
        mem_mb=1000,
        runtime=5,
    shell:
        "echo started >> always.attempts; echo the reason why > {log}; exit 3"


rule slow:
    output:
        "out/slow.txt",
    resources:
        mem_mb=1000,
        runtime=5,
    shell:
        "for tick in $(seq 20); do echo $SLURM_JOB_ID >> ticks; sleep 0.5; done; echo done > {output}"
