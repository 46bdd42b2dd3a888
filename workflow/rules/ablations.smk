# One training rule and one target per ablation; `snakemake norm` makes that ablation's runs, table and figures.
for ablation in (BASELINE, *STUDY.ablations):

    rule:
        name:
            f"train_{ablation}"
        input:
            rules.tokens.output.index,
        output:
            run=f"{RUN}/run.json",
            weights=f"{RUN}/model.safetensors",
            metrics=f"{RUN}/metrics.csv",
            snapshots=directory(f"{RUN}/snapshots"),
            manifest=f"{RUN}/manifest.json",
        log:
            f"{RESULTS}/logs/train/{{variant}}_seed{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train/{{variant}}_seed{{seed}}.tsv"
        wildcard_constraints:
            variant="|".join(sorted({re.escape(run.variant) for run in STUDY.of(ablation)})),
        retries: STUDY.config.resources.train.retries
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.train.threads
        resources:
            **job_resources(STUDY.config.resources.train),
        params:
            run=resolved_run,
            tokens=lambda wildcards, input: folder(input),
            output=lambda wildcards, output: folder(output),
        message:
            f"train {ablation}/{{wildcards.variant}} seed {{wildcards.seed}}"
        shell:
            # The trap lets shell and tee outlive a SIGTERM until training has written its checkpoint.
            "trap '' TERM; {resources.launcher} python -m spikesink.training --run {params.run:q} --tokens {params.tokens}"
            " --output {params.output}"
            f" --checkpoints {RESULTS}/checkpoints --threads {{threads}}"
            " {resources.devices} 2>&1 | tee -a -i {log}"


for ablation in STUDY.ablations:

    rule:
        name:
            ablation
        input:
            expand(f"{RESULTS}/tables/{ablation}.{{format}}", format=TABLE_FORMATS),
            expand(
                f"{RESULTS}/figures/{ablation}_{{family}}.{{format}}",
                family=FAMILIES,
                format=FIGURE_FORMATS,
            ),
        localrule: True
