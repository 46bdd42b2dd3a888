# From measures to tables. The parts of an ablation hold its runs and the baseline's, so that an ablation needs no other.
PARTS = f"{RESULTS}/tables/parts"
PART_NAMES = ("runs", "states", "heads", "curves")


rule collect:
    input:
        measured,
    output:
        expand(
            f"{PARTS}/{{ablation}}/{{part}}.parquet",
            part=PART_NAMES,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/tables/collect_{{ablation}}.log",
    retries: STUDY.config.resources.draw.retries
    group:
        drawn_together
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.collect"),
        runs=run_folders,
        variants=variant_names,
        folder=lambda wildcards, output: folder(output),
    message:
        "collect the measures of {wildcards.ablation}"
    shell:
        "python -m spikesink.tables.collect --ablation {wildcards.ablation} --runs {params.runs}"
        " --variants {params.variants:q} --output {params.folder} 2>&1 | tee {log}"


rule table:
    input:
        f"{PARTS}/{{ablation}}/runs.parquet",
    output:
        report(
            f"{RESULTS}/tables/{{ablation}}.html",
            caption="../report/ablation_table.rst",
            category="{ablation}",
            labels={"what": "table", "ablation": "{ablation}"},
        ),
        expand(
            f"{RESULTS}/tables/{{ablation}}.{{format}}",
            format=TABLE_FORMATS[1:],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/tables/{{ablation}}.log",
    retries: STUDY.config.resources.draw.retries
    group:
        drawn_together
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.ablation"),
        parts=lambda wildcards, input: folder(input),
        stem=lambda wildcards, output: str(Path(output[0]).with_suffix("")),
    message:
        "table of {wildcards.ablation}"
    shell:
        "python -m spikesink.tables.ablation --parts {params.parts} --ablation {wildcards.ablation}"
        " --output {params.stem} 2>&1 | tee {log}"


rule runs:
    input:
        expand(
            f"{PARTS}/{{ablation}}/runs.parquet",
            ablation=STUDY.ablations or [BASELINE],
        ),
    output:
        report(
            f"{RESULTS}/tables/runs.csv",
            caption="../report/runs.rst",
            category="all runs",
            labels={"what": "table", "ablation": "all"},
        ),
        f"{RESULTS}/tables/long.parquet",
        f"{RESULTS}/tables/statistics.csv",
    log:
        f"{RESULTS}/logs/tables/runs.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.runs"),
        parts=lambda wildcards, input: [str(Path(part).parent) for part in input],
        tables=lambda wildcards, output: folder(output),
    message:
        "table of all runs"
    shell:
        "python -m spikesink.tables.runs --parts {params.parts} --output {params.tables} 2>&1 | tee {log}"
