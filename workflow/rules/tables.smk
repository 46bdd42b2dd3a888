# From measures to tables. The parts of an ablation hold its runs and the baseline's, so that an ablation needs no other.
job = collect_job = Job("spikesink.tables.collect", RESOURCES.draw)


rule collect:
    input:
        lambda wildcards: measured(ablation_runs(wildcards)),
    output:
        expand(
            "results/{study}/tables/parts/{ablation}/{part}.parquet",
            part=drawn.PARTS,
            allow_missing=True,
        ),
    log:
        "results/{study}/logs/tables/collect_{ablation}.log",
    retries: job.retries
    group:
        drawn_together
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        runs=lambda wildcards: [run.folder for run in ablation_runs(wildcards)],
        variants=variant_names,
        origin=lambda wildcards: measured_runs_origin(ablation_runs(wildcards)),
        capabilities=with_capabilities,
        folder=lambda wildcards, output: folder(output),
    message:
        "collect the measures of {wildcards.ablation}"
    shell:
        "{params.command:q} --ablation {wildcards.ablation:q} --runs {params.runs:q} --variants {params.variants:q}"
        " {params.capabilities:q} --output {params.folder:q} 2>&1 | tee {log:q}"


job = Job("spikesink.tables.ablation", RESOURCES.draw)


rule table:
    input:
        "results/{study}/tables/parts/{ablation}/runs.parquet",
    output:
        report(
            "results/{study}/tables/{ablation}.html",
            caption="../report/ablation_table.rst",
            category=ABLATIONS,
            subcategory="{ablation}",
            labels={"what": "table"},
        ),
        expand(
            "results/{study}/tables/{ablation}.{format}",
            format=drawn.TABLE_FORMATS[1:],
            allow_missing=True,
        ),
    log:
        "results/{study}/logs/tables/{ablation}.log",
    wildcard_constraints:
        study=LIVE_OR_PUBLISHED,
    retries: job.retries
    group:
        drawn_together
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        origin=lambda wildcards: part_origin(wildcards.study, wildcards.ablation),
        parts=lambda wildcards, input: folder(input),
        stem=lambda wildcards, output: stem(output),
    message:
        "table of {wildcards.ablation}"
    shell:
        "{params.command:q} --parts {params.parts:q} --ablation {wildcards.ablation:q} --output {params.stem:q}"
        " 2>&1 | tee {log:q}"


job = runs_job = Job("spikesink.tables.runs", RESOURCES.draw)


rule runs:
    input:
        lambda wildcards: expand(
            "results/{study}/tables/parts/{ablation}/runs.parquet",
            study=wildcards.study,
            ablation=drawn.parts(drawn_of(wildcards.study)),
        ),
    output:
        "results/{study}/tables/runs.csv",
        report(
            "results/{study}/tables/runs.html",
            caption="../report/runs.rst",
            category=OVERVIEW,
            labels={"what": "all runs"},
        ),
        report(
            "results/{study}/tables/variants.html",
            caption="../report/variants.rst",
            category=OVERVIEW,
            labels={"what": "all variants"},
        ),
        "results/{study}/tables/variants.md",
        "results/{study}/tables/long.parquet",
        "results/{study}/tables/statistics.csv",
    log:
        "results/{study}/logs/tables/runs.log",
    wildcard_constraints:
        study=LIVE_OR_PUBLISHED,
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        origin=lambda wildcards: runs_origin(wildcards.study),
        parts=lambda wildcards, input: [str(Path(part).parent) for part in input],
        tables=lambda wildcards, output: folder(output),
    message:
        "table of all runs"
    shell:
        "{params.command:q} --parts {params.parts:q} --output {params.tables:q} 2>&1 | tee {log:q}"
