# What a study says about the papers' claims, from its tables, the heads of its runs and the files in workflow/claims:
# `snakemake claims`.
# The paths from where results are, the same in every copy of a checkout.
CLAIMS = sorted(os.path.relpath(path) for path in Path(workflow.basedir).glob("workflow/claims/*.yaml"))

job = Job("spikesink.claims", RESOURCES.draw)


rule judge_claims:
    input:
        claims=CLAIMS,
        runs=lambda wildcards: expand(
            "results/{study}/tables/runs.csv", study=[wildcards.study] if drawn_of(wildcards.study).has_runs else []
        ),
        mechanism="results/{study}/tables/mechanism.csv",
        heads=lambda wildcards: expand(
            "results/{study}/tables/parts/{ablation}/heads.parquet",
            study=wildcards.study,
            ablation=drawn.parts(drawn_of(wildcards.study)),
        ),
    output:
        csv="results/{study}/claims.csv",
        markdown="results/{study}/claims.md",
        html=report(
            "results/{study}/claims.html",
            caption="../report/claims.rst",
            category=CLAIMED,
            labels={"what": "page"},
        ),
    log:
        "results/{study}/logs/claims.log",
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
        ledger=sha256(b"".join(Path(path).read_bytes() for path in CLAIMS)).hexdigest(),
        origin=lambda wildcards: origin(runs_origin(wildcards.study), mechanism_origin(wildcards.study)),
        runs=lambda wildcards, input: ["--runs", input.runs[0]] if input.runs else [],
        parts=lambda wildcards, input: [str(Path(heads).parent) for heads in input.heads],
        study=lambda wildcards: drawn_of(wildcards.study).study,
        controls=lambda wildcards: drawn_of(wildcards.study).controls,
        stem=lambda wildcards, output: stem(output),
    message:
        "judge the papers' claims"
    shell:
        "{params.command:q} --claims {input.claims:q} {params.runs:q} --mechanism {input.mechanism:q}"
        " --controls {params.controls:q} --parts {params.parts:q} --study {params.study:q} --output {params.stem:q}"
        " 2>&1 | tee {log:q}"
