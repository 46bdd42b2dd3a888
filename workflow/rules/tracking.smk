# MLflow mirrors the study: runs log while they train, and this makes the store complete, without duplicates.
# It runs where Snakemake runs: one process writes, whatever the number of nodes.
localrules:
    track,


job = Job("spikesink.tracking", RESOURCES.draw)


rule track:
    input:
        lambda wildcards: drawn.drawn_files(drawn_of(wildcards.study)),
    output:
        "results/{study}/tracking.txt",
    log:
        "results/{study}/logs/tracking.log",
    conda:
        job.environment
    params:
        command=job.command,
        uri=tracking_uri(STUDY),
        results=lambda wildcards, output: folder(output),
    message:
        "complete the study in MLflow at {params.uri}"
    shell:
        "{params.command:q} sync --study {wildcards.study:q} --results {params.results:q} --uri {params.uri:q}"
        " 2>&1 | tee {log:q} && cp {log:q} {output:q}"
