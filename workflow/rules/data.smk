# Corpus, tokenizer and packed tokens: one token stream, shared by every run of the study.


# The rules of a study's data that may need a network. They run where Snakemake runs: on a cluster, the login node.
localrules:
    corpus,
    evaluation_corpus,


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


# Another corpus, whose held-out documents are measured instead: the config's evaluation.
rule evaluation_corpus:
    output:
        "results/{study}/data/evaluation_corpus.json",
    log:
        "results/{study}/logs/evaluation_corpus.log",
    conda:
        job.environment
    params:
        **job.params,
        settings=evaluation_settings,
        origin=lambda wildcards: evaluation_origin(),
    message:
        "evaluation corpus: locate and check the text"
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
# small, and Snakemake compares small inputs by content instead of time. A file beside it that is missing is no reason to
# train all runs again: the job that needs it says which target makes it.
rule tokens:
    input:
        corpus=rules.corpus.output,
        tokenizer=rules.tokenizer.output.tokenizer,
        names=rules.tokenizer.output.names,
    output:
        index="results/{study}/data/tokens/tokens.json",
        train="results/{study}/data/tokens/train.bin",
        train_documents="results/{study}/data/tokens/train_documents.npy",
        validation="results/{study}/data/tokens/validation.bin",
        validation_documents="results/{study}/data/tokens/validation_documents.npy",
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


# In the folder of the tokenizer, as the tokens that runs train on, and with the held-out documents alone.
rule evaluation_tokens:
    input:
        corpus=rules.evaluation_corpus.output,
        tokenizer=rules.tokenizer.output.tokenizer,
        names=rules.tokenizer.output.names,
    output:
        index="results/{study}/data/evaluation/tokens.json",
        validation="results/{study}/data/evaluation/validation.bin",
        validation_documents="results/{study}/data/evaluation/validation_documents.npy",
    log:
        "results/{study}/logs/evaluation_tokens.log",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        settings=evaluation_settings,
        origin=lambda wildcards: evaluation_text_origin(),
        folder=lambda wildcards, output: folder(output),
    message:
        "evaluation tokens: encode and pack the held-out text"
    shell:
        "{params.command:q} tokens --held-out --settings {params.settings:q} --corpus {input.corpus:q}"
        " --tokenizer {input.tokenizer:q} --output {params.folder:q} 2>&1 | tee {log:q}"
