# Published models, measured like runs without training.
MODEL = f"{RESULTS}/pretrained/{{model}}"


wildcard_constraints:
    model="|".join(map(re.escape, PRETRAINED)),


# Fetches from the hub, so it runs where there is internet.
localrules:
    pretrained,


rule pretrained:
    input:
        local_files,
    output:
        f"{MODEL}/pretrained.json",
    log:
        f"{RESULTS}/logs/pretrained/{{model}}.log",
    conda:
        "../../envs/spikesink.yaml"
    params:
        model=lambda wildcards: canonical(asdict(PRETRAINED[wildcards.model])),
        code=code_digest("spikesink.pretrained.__main__", frozenset({"spikesink.pretrained.export"})),
        source=lambda wildcards: PRETRAINED[wildcards.model].source,
        revision=lambda wildcards: PRETRAINED[wildcards.model].revision or "",
        context=lambda wildcards: PRETRAINED[wildcards.model].context,
        bos=lambda wildcards: PRETRAINED[wildcards.model].bos,
    message:
        "pretrained model {wildcards.model}"
    shell:
        "python -m spikesink.pretrained fetch {params.source:q} --revision={params.revision:q}"
        " --context {params.context} --bos {params.bos} --output {output} 2>&1 | tee {log}"


rule pretrained_tokens:
    input:
        corpus=rules.corpus.output,
        model=rules.pretrained.output,
    output:
        index=f"{MODEL}/tokens/tokens.json",
        validation=f"{MODEL}/tokens/validation.bin",
    log:
        f"{RESULTS}/logs/pretrained_tokens/{{model}}.log",
    retries: STUDY.config.resources.data.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.data.threads
    resources:
        **job_resources(STUDY.config.resources.data),
    params:
        settings=lambda wildcards: canonical({"corpus": asdict(STUDY.config.corpus)}),
        code=code_digest("spikesink.data.packing"),
        folder=lambda wildcards, output: folder(output),
    message:
        "held-out text for {wildcards.model}"
    shell:
        "python -m spikesink.data tokens --settings {params.settings:q} --corpus {input.corpus}"
        " --pretrained {input.model} --output {params.folder} 2>&1 | tee {log}"


for group, (questions, _, _) in GROUPS.items():

    rule:
        name:
            f"measure_{group}_pretrained"
        input:
            model=rules.pretrained.output,
            tokens=rules.pretrained_tokens.output.index,
        output:
            expand(
                f"{MODEL}/measures/{{question}}.parquet",
                question=questions,
                allow_missing=True,
            ),
        log:
            f"{RESULTS}/logs/measure_{group}/{{model}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/measure_{group}/{{model}}.tsv"
        retries: STUDY.config.resources.measure.retries
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.measure.threads
        resources:
            **job_resources(STUDY.config.resources.measure),
        params:
            group=group,
            settings=measure_settings(group),
            code=lambda wildcards, group=group: answering_code(group),
            tokens=lambda wildcards, input: str(Path(input.tokens).parent),
        message:
            f"measure {group}: {{wildcards.model}}"
        shell:
            "python -m spikesink.measures {params.group} --pretrained {input.model} --tokens {params.tokens}"
            " --settings {params.settings:q} --threads {threads} --gpus {resources.gpu} 2>&1 | tee {log}"
