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


rule pretrained_model:
    input:
        local_files,
    output:
        "results/{study}/pretrained/{model}/pretrained.json",
    log:
        "results/{study}/logs/pretrained/{model}.log",
    conda:
        job.environment
    params:
        **job.params,
        model=lambda wildcards: canonical(asdict(PRETRAINED[wildcards.model])),
        origin=lambda wildcards: model_origin(f"pretrained/{wildcards.model}"),
        source=lambda wildcards: PRETRAINED[wildcards.model].source,
        revision=lambda wildcards: PRETRAINED[wildcards.model].revision or "",
        context=lambda wildcards: PRETRAINED[wildcards.model].context,
        bos=lambda wildcards: PRETRAINED[wildcards.model].bos,
        bos_token=lambda wildcards: PRETRAINED[wildcards.model].bos_token or "",
    message:
        "pretrained model {wildcards.model}"
    shell:
        "{params.command:q} fetch {params.source:q} --revision={params.revision:q} --context {params.context:q}"
        " --bos {params.bos:q} --bos-token={params.bos_token:q} --output {output:q} 2>&1 | tee {log:q}"


job = Job("spikesink.data", RESOURCES.data, code=["spikesink.data.packing"])


rule pretrained_tokens:
    input:
        corpus=evaluation_corpus_file,
        model=rules.pretrained_model.output,
    output:
        index="results/{study}/pretrained/{model}/tokens/tokens.json",
        validation="results/{study}/pretrained/{model}/tokens/validation.bin",
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
        origin=lambda wildcards: model_origin(f"pretrained/{wildcards.model}"),
        settings=evaluation_settings,
        folder=lambda wildcards, output: folder(output),
    message:
        "held-out text for {wildcards.model}"
    shell:
        "{params.command:q} tokens --settings {params.settings:q} --corpus {input.corpus:q} --pretrained {input.model:q}"
        " --output {params.folder:q} 2>&1 | tee {log:q}"
