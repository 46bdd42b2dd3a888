# Standard tasks for every run and published model, by lm-evaluation-harness: `snakemake capabilities`.
# The tasks' data may come from the hub, so they are fetched where Snakemake runs: on a cluster, the login node.
localrules:
    capability_tasks,


job = capabilities_job = Job("spikesink.measures.capabilities", RESOURCES.measure)


rule capabilities:
    input:
        lambda wildcards: drawn.capabilities(STUDY),
        f"results/{NAME}/tables/mechanism.csv",
        f"results/{NAME}/claims.csv",


rule capability_tasks:
    output:
        "results/{study}/data/capabilities.json",
    log:
        "results/{study}/logs/capability_tasks.log",
    conda:
        job.environment
    params:
        **job.params,
        settings=capabilities_settings,
        origin=lambda wildcards: tasks_origin(),
    message:
        "capabilities: check the tasks and fetch their data"
    shell:
        "{params.command:q} tasks --settings {params.settings:q} --output {output:q} 2>&1 | tee {log:q}"


rule give_tasks:
    input:
        model=subject_file,
        tasks=rules.capability_tasks.output,
        tokenizer=subject_tokenizer,
        tokens=calibration_tokens,
    output:
        "results/{study}/{subject}/measures/capabilities.parquet",
    log:
        "results/{study}/logs/capabilities/{subject}.log",
    benchmark:
        "results/{study}/benchmarks/capabilities/{subject}.tsv"
    wildcard_constraints:
        subject="runs/[^/]+/seed[0-9]+|pretrained/[^/]+",
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        settings=capabilities_settings,
        origin=lambda wildcards: origin(measured_origin(wildcards.subject), tasks_origin()),
        model=model_option,
        tokenizer=lambda wildcards, input: ["--tokenizer", input.tokenizer] if is_run(wildcards) else [],
        tokens=lambda wildcards, input: ["--tokens", folder([input.tokens])] if input.tokens else [],
    message:
        "tasks for {wildcards.subject}"
    shell:
        "{params.command:q} answer {params.model:q} {params.tokenizer:q} {params.tokens:q} --settings {params.settings:q}"
        " --threads {threads:q} --gpus {resources.gpu:q} --output {output:q} 2>&1 | tee {log:q}"
