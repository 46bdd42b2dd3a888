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
        "{results}/tables/parts/{ablation}/runs.parquet",
    output:
        report(
            "{results}/tables/{ablation}.html",
            caption="../report/ablation_table.rst",
            category=ABLATIONS,
            subcategory="{ablation}",
            labels={"what": "table"},
        ),
        expand(
            "{results}/tables/{ablation}.{format}",
            format=TABLE_FORMATS[1:],
            allow_missing=True,
        ),
    log:
        "{results}/logs/tables/{ablation}.log",
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
        lambda wildcards: [
            f"{wildcards.results}/tables/parts/{ablation}/runs.parquet"
            for ablation in DRAWN[wildcards.results].ablations or [BASELINE]
        ],
    output:
        "{results}/tables/runs.csv",
        report(
            "{results}/tables/runs.html",
            caption="../report/runs.rst",
            category=OVERVIEW,
            labels={"what": "all runs"},
        ),
        report(
            "{results}/tables/variants.html",
            caption="../report/variants.rst",
            category=OVERVIEW,
            labels={"what": "all variants"},
        ),
        "{results}/tables/variants.md",
        "{results}/tables/long.parquet",
        "{results}/tables/statistics.csv",
    log:
        "{results}/logs/tables/runs.log",
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
