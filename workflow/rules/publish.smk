# The whole study at once: `snakemake plan` says what it will cost; `snakemake publish` keeps in git what a finished study
# is drawn from. A published study is drawn anew, on a fresh clone, by `snakemake published`.
localrules:
    estimate,
    publish_study,


# The folder that has the scales and ablations which the config names.
WORKFLOW = Path(workflow.basedir) / "workflow"

job = Job("spikesink.workflow", RESOURCES.draw, code=["spikesink.workflow.measure_plan"])


rule plan:
    input:
        f"results/{NAME}/plan.csv",


rule publish:
    input:
        f"results/published/{NAME}/manifest.json",


rule estimate:
    output:
        plan="results/{study}/plan.csv",
        measures="results/{study}/plan_measures.csv",
    log:
        "results/{study}/logs/plan.log",
    conda:
        job.environment
    params:
        **job.params,
        costs=costs_digest,
        config=lambda wildcards, output: written_config(wildcards),
        workflow=lambda wildcards, output: os.path.relpath(WORKFLOW),
    message:
        "plan: what the study will cost"
    shell:
        "{params.command:q} plan --config {params.config:q} --workflow {params.workflow:q}"
        " --output {output.plan:q} 2>&1 | tee {log:q}"


rule publish_study:
    input:
        lambda wildcards: expand(
            "results/{study}/{file}",
            study=wildcards.study,
            file=drawn.sources(drawn_of(wildcards.study)),
        ),
        lambda wildcards: drawn.drawn_files(drawn_of(wildcards.study)),
    output:
        "results/published/{study}/manifest.json",
    log:
        "results/{study}/logs/publish.log",
    conda:
        job.environment
    params:
        command=job.command,
        config=written_config,
        workflow=lambda wildcards, output: os.path.relpath(WORKFLOW),
    message:
        "publish the study {wildcards.study}"
    shell:
        "{params.command:q} publish --config {params.config:q} --workflow {params.workflow:q}"
        " --output {output:q} 2>&1 | tee {log:q}"
