# Corpus, tokenizer and packed tokens: one token stream, shared by every run of the study.
DATA = f"{RESULTS}/data"
EMBEDDED_SHA256 = sha256((SOURCE / "spikesink/data/embedded/english.parquet").read_bytes()).hexdigest()


# The only rule that may need a network; it runs where Snakemake runs, which on a cluster is the login node.
localrules:
    corpus,


rule corpus:
    output:
        f"{DATA}/corpus.json",
    log:
        f"{RESULTS}/logs/corpus.log",
    conda:
        "../../envs/spikesink.yaml"
    params:
        settings=text_settings,
        code=code_digest("spikesink.data.corpora"),
        sample=EMBEDDED_SHA256,
    message:
        "corpus: locate and check the text"
    shell:
        "python -m spikesink.data corpus --settings {params.settings:q} --output {output} 2>&1 | tee {log}"


rule tokenizer:
    input:
        rules.corpus.output,
    output:
        f"{DATA}/tokenizer.json",
    log:
        f"{RESULTS}/logs/tokenizer.log",
    retries: STUDY.config.resources.data.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.data.threads
    resources:
        **job_resources(STUDY.config.resources.data),
    params:
        settings=text_settings,
        code=code_digest("spikesink.data.tokenizer"),
    message:
        "tokenizer"
    shell:
        "python -m spikesink.data tokenizer --settings {params.settings:q} --corpus {input} --output {output} 2>&1 | tee {log}"


# tokens.json holds the checksums of the files beside it, so it alone stands for them as an input of later rules: it is
# small, and Snakemake compares small inputs by content instead of time.
rule tokens:
    input:
        corpus=rules.corpus.output,
        tokenizer=rules.tokenizer.output,
    output:
        index=f"{DATA}/tokens/tokens.json",
        train=f"{DATA}/tokens/train.bin",
        validation=f"{DATA}/tokens/validation.bin",
    log:
        f"{RESULTS}/logs/tokens.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens.tsv"
    retries: STUDY.config.resources.data.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.data.threads
    resources:
        **job_resources(STUDY.config.resources.data),
    params:
        settings=text_settings,
        code=code_digest("spikesink.data.packing"),
        folder=lambda wildcards, output: folder(output),
    message:
        "tokens: encode and pack the corpus"
    shell:
        "python -m spikesink.data tokens --settings {params.settings:q} --corpus {input.corpus}"
        " --tokenizer {input.tokenizer} --output {params.folder} 2>&1 | tee {log}"
