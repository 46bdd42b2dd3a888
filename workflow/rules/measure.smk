# What is measured on trained runs, one job per group of questions and run.
for group, (questions, _, _) in GROUPS.items():

    rule:
        name:
            f"measure_{group}"
        input:
            manifest=f"{RUN}/manifest.json",
            tokens=rules.tokens.output.index,
        output:
            expand(
                f"{RUN}/measures/{{question}}.parquet",
                question=questions,
                allow_missing=True,
            ),
        log:
            f"{RESULTS}/logs/measure_{group}/{{variant}}_seed{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/measure_{group}/{{variant}}_seed{{seed}}.tsv"
        retries: STUDY.config.resources.measure.retries
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.measure.threads
        resources:
            **job_resources(STUDY.config.resources.measure),
        params:
            group=group,
            settings=measure_settings(group),
            code=measure_code(group),
            run=lambda wildcards, input: folder(input),
            tokens=lambda wildcards, input: str(Path(input.tokens).parent),
        message:
            f"measure {group}: {{wildcards.variant}} seed {{wildcards.seed}}"
        shell:
            # Not an f-string: a shell command is put together when the job starts, after the loop has ended.
            "python -m spikesink.measures {params.group} --run {params.run} --tokens {params.tokens}"
            " --settings {params.settings:q} --threads {threads} --gpus {resources.gpu} 2>&1 | tee {log}"
