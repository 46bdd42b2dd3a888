# Measures: one rule per group of questions, measure_forward, measure_spikes, ..., each made by the loop below. A rule's
# {subject} is the folder of a run, runs/<variant>/seed<k>, or of a published model, pretrained/<model>.
job = Job("spikesink.measures", RESOURCES.measure)

for group in GROUPS:

    rule:
        name:
            f"measure_{group}"
        input:
            model=subject_file,
            tokens=subject_tokens,
        output:
            expand(
                str(RunFolder("results/{study}/{subject}").measure("{question}")),
                question=GROUPS[group].questions,
                allow_missing=True,
            ),
        log:
            f"results/{{study}}/logs/measure_{group}/{{subject}}.log",
        benchmark:
            f"results/{{study}}/benchmarks/measure_{group}/{{subject}}.tsv"
        wildcard_constraints:
            subject="runs/[^/]+/seed[0-9]+|pretrained/[^/]+",
        retries: job.retries
        conda:
            job.environment
        threads: job.threads
        resources:
            **job.resources,
        params:
            command=job.command,
            code=measures_code(group),
            group=group,
            settings=measures_settings(group),
            origin=lambda wildcards: measured_origin(wildcards.subject),
            model=model_option,
            tokens=lambda wildcards, input: str(Path(input.tokens).parent),
        message:
            f"measure {group} of {{wildcards.subject}}"
        shell:
            "{params.command:q} {params.group:q} {params.model:q} --tokens {params.tokens:q}"
            " --settings {params.settings:q} --threads {threads:q} --gpus {resources.gpu:q} 2>&1 | tee {log:q}"
