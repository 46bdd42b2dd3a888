# Corpus, tokenizer and packed tokens: one token stream, shared by every run of the study.
EMBEDDED = Path(workflow.basedir) / "src/spikesink/data/embedded/english.parquet"


# The only rule of a study's data that may need a network. It runs where Snakemake runs: on a cluster, the login node.
localrules:
    corpus,


job = corpus_job = Job("spikesink.data", RESOURCES.data, code=["spikesink.data.corpora"])


rule corpus:
    output:
        "results/{study}/data/corpus.json",
    log:
        "results/{study}/logs/corpus.log",
    conda:
        job.environment
    params:
        **job.params,
        settings=text_settings,
        origin=lambda wildcards: corpus_origin(),
    message:
        "corpus: locate and check the text"
    shell:
        "{params.command:q} corpus --settings {params.settings:q} --output {output:q} 2>&1 | tee {log:q}"


job = tokenizer_job = Job("spikesink.data", RESOURCES.data, code=["spikesink.data.tokenizer"])


rule tokenizer:
    input:
        rules.corpus.output,
    output:
        tokenizer="results/{study}/data/tokenizer.json",
        names="results/{study}/data/tokenizer_config.json",
    log:
        "results/{study}/logs/tokenizer.log",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        settings=text_settings,
        origin=lambda wildcards: corpus_origin(),
    message:
        "tokenizer"
    shell:
        "{params.command:q} tokenizer --settings {params.settings:q} --corpus {input:q}"
        " --output {output.tokenizer:q} 2>&1 | tee {log:q}"


job = tokens_job = Job("spikesink.data", RESOURCES.data, code=["spikesink.data.packing"])


# tokens.json holds the checksums of the files beside it, so it alone stands for them as an input of later rules: it is
# small, and Snakemake compares small inputs by content instead of time.
rule tokens:
    input:
        corpus=rules.corpus.output,
        tokenizer=rules.tokenizer.output.tokenizer,
        names=rules.tokenizer.output.names,
    output:
        index="results/{study}/data/tokens/tokens.json",
        train="results/{study}/data/tokens/train.bin",
        validation="results/{study}/data/tokens/validation.bin",
    log:
        "results/{study}/logs/tokens.log",
    benchmark:
        "results/{study}/benchmarks/tokens.tsv"
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        settings=text_settings,
        origin=lambda wildcards: text_origin(),
        folder=lambda wildcards, output: folder(output),
    message:
        "tokens: encode and pack the corpus"
    shell:
        "{params.command:q} tokens --settings {params.settings:q} --corpus {input.corpus:q}"
        " --tokenizer {input.tokenizer:q} --output {params.folder:q} 2>&1 | tee {log:q}"
