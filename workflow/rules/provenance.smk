# Where every number is from: each run's settings, code, text, machine and time, in one table and one page.
rule provenance:
    input:
        [f"{run.folder}/{name}" for run in STUDY.runs for name in ("run.json", "manifest.json")],
    output:
        f"{RESULTS}/provenance.csv",
    log:
        f"{RESULTS}/logs/provenance.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.provenance"),
        results=lambda wildcards, output: folder(output),
        variants=list(dict.fromkeys(run.variant for run in STUDY.runs)),
        seeds=STUDY.config.seeds,
    message:
        "provenance of all runs"
    shell:
        # Thousands of folders would be too long for a command line.
        "python -m spikesink.tables.provenance --results {params.results} --variants {params.variants:q}"
        " --seeds {params.seeds} --output {output} 2>&1 | tee {log}"


rule provenance_page:
    input:
        "{results}/provenance.csv",
    output:
        report(
            "{results}/provenance.html",
            caption="../report/provenance.rst",
            category=PROVENANCE,
            labels={"what": "page"},
        ),
    log:
        "{results}/logs/provenance_page.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.provenance_page"),
        study=lambda wildcards: DRAWN[wildcards.results].study,
    message:
        "page of provenance"
    shell:
        "python -m spikesink.tables.provenance_page --provenance {input} --study {params.study} --output {output}"
        " 2>&1 | tee {log}"
