# What the study says of the papers' claims, from its two tables and the files in workflow/claims: `snakemake claims`.
# The paths from where results are, the same in every copy of a checkout.
CLAIMS = sorted(os.path.relpath(path) for path in Path(workflow.basedir).glob("workflow/claims/*.yaml"))


localrules:
    claims,


rule claims:
    input:
        f"{RESULTS}/claims.csv",


rule judge_claims:
    input:
        claims=CLAIMS,
        runs="{results}/tables/runs.csv",
        mechanism="{results}/tables/mechanism.csv",
    output:
        csv="{results}/claims.csv",
        markdown="{results}/claims.md",
        html=report(
            "{results}/claims.html",
            caption="../report/claims.rst",
            category=CLAIMED,
            labels={"what": "page"},
        ),
    log:
        "{results}/logs/claims.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.claims.__main__"),
        ledger=sha256(b"".join(Path(path).read_bytes() for path in CLAIMS)).hexdigest(),
        study=lambda wildcards: DRAWN[wildcards.results].study,
        stem=lambda wildcards, output: str(Path(output.csv).with_suffix("")),
    message:
        "judge the papers' claims"
    shell:
        "python -m spikesink.claims --claims {input.claims} --runs {input.runs} --mechanism {input.mechanism}"
        " --study {params.study} --output {params.stem} 2>&1 | tee {log}"
