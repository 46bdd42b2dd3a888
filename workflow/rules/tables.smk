# From measures to tables. The parts of an ablation hold its runs and the baseline's, so that an ablation needs no other.
PARTS = f"{RESULTS}/tables/parts"
PART_NAMES = ("runs", "states", "heads", "curves")


localrules:
    listing,
    study_listing,


rule listing:
    output:
        f"{PARTS}/{{ablation}}/study.json",
    log:
        f"{RESULTS}/logs/tables/listing_{{ablation}}.log",
    params:
        listing=lambda wildcards: canonical(STUDY.listing([wildcards.ablation])),
    message:
        "list the runs of {wildcards.ablation}"
    run:
        Path(output[0]).write_text(f"{params.listing}\n")


rule study_listing:
    output:
        f"{RESULTS}/study.json",
    log:
        f"{RESULTS}/logs/tables/listing.log",
    params:
        listing=canonical(STUDY.listing(STUDY.ablations)),
    message:
        "list all runs"
    run:
        Path(output[0]).write_text(f"{params.listing}\n")


rule collect:
    input:
        measured=measured,
        study=rules.listing.output,
    output:
        expand(
            f"{PARTS}/{{ablation}}/{{part}}.parquet",
            part=PART_NAMES,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/tables/collect_{{ablation}}.log",
    conda:
        "../../envs/spikesink.yaml"
    params:
        code=code_digest("spikesink.tables.collect"),
        folder=lambda wildcards, output: folder(output),
    message:
        "collect the measures of {wildcards.ablation}"
    shell:
        "python -m spikesink.tables.collect --study-file {input.study} --ablation {wildcards.ablation}"
        " --output {params.folder} 2>&1 | tee {log}"


rule table:
    input:
        f"{PARTS}/{{ablation}}/runs.parquet",
    output:
        report(
            f"{RESULTS}/tables/{{ablation}}.csv",
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
    conda:
        "../../envs/spikesink.yaml"
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
        study=rules.study_listing.output,
        parts=expand(
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
    log:
        f"{RESULTS}/logs/tables/runs.log",
    conda:
        "../../envs/spikesink.yaml"
    params:
        code=code_digest("spikesink.tables.runs"),
        parts=lambda wildcards, input: [str(Path(part).parent) for part in input.parts],
        tables=lambda wildcards, output: folder(output),
    message:
        "table of all runs"
    shell:
        "python -m spikesink.tables.runs --study-file {input.study} --parts {params.parts} --output {params.tables} 2>&1 | tee {log}"
