# Where every number is from: each run's settings, code, text, machine and time, in one table and one page.
job = provenance_job = Job("spikesink.tables.provenance", RESOURCES.draw)


rule provenance:
    input:
        lambda wildcards: [
            str(path) for run in STUDY.runs for path in (RunFolder(run.folder).run, RunFolder(run.folder).manifest)
        ],
    output:
        "results/{study}/provenance.csv",
    log:
        "results/{study}/logs/provenance.log",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        results=lambda wildcards, output: folder(output),
        origin=lambda wildcards: provenance_origin(wildcards.study),
        variants=list(dict.fromkeys(run.variant for run in STUDY.runs)),
        seeds=STUDY.config.seeds,
    message:
        "provenance of all runs"
    shell:
        # Variants and seeds name the runs: thousands of folders would be too long for a command line.
        "{params.command:q} --results {params.results:q} --variants {params.variants:q} --seeds {params.seeds:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


job = Job("spikesink.tables.provenance_page", RESOURCES.draw)


rule provenance_page:
    input:
        "results/{study}/provenance.csv",
    output:
        report(
            "results/{study}/provenance.html",
            caption="../report/provenance.rst",
            category=PROVENANCE,
            labels={"what": "page"},
        ),
    log:
        "results/{study}/logs/provenance_page.log",
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
        origin=lambda wildcards: provenance_origin(wildcards.study),
        study=lambda wildcards: drawn_of(wildcards.study).study,
    message:
        "page of provenance"
    shell:
        "{params.command:q} --provenance {input:q} --study {params.study:q} --output {output:q} 2>&1 | tee {log:q}"
