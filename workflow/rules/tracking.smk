# MLflow mirrors the study: runs log while they train, and this makes the store complete, without duplicates.
# It runs where Snakemake runs: one process writes, whatever the number of nodes.
localrules:
    track,


rule track:
    input:
        drawn_files(RESULTS),
    output:
        f"{RESULTS}/tracking.txt",
    log:
        f"{RESULTS}/logs/tracking.log",
    conda:
        "../../envs/spikesink.yaml"
    params:
        uri=TRACKING_URI,
        results=lambda wildcards, output: folder(output),
        study=STUDY.config.study,
    message:
        "complete the study in MLflow at {params.uri}"
    shell:
        "python -m spikesink.tracking sync --study {params.study} --results {params.results} --uri {params.uri:q}"
        " 2>&1 | tee {log} && cp {log} {output}"
