# Training: one rule per ablation, and one for the baseline. With the ablations norm and ffn the loop below makes the rules
# train_baseline, train_norm and train_ffn, which differ in the variants that they train and in nothing else.
job = Job("spikesink.training", RESOURCES.train)
trained = RunFolder("results/{study}/runs/{variant}/seed{seed}")


for ablation in (BASELINE, *STUDY.ablations):

    rule:
        name:
            f"train_{ablation}"
        input:
            rules.tokens.output.index,
        output:
            run=str(trained.run),
            weights=str(trained.weights),
            metrics=str(trained.metrics),
            snapshots=directory(str(trained.snapshots)),
            manifest=str(trained.manifest),
        log:
            "results/{study}/logs/train/{variant}_seed{seed}.log",
        benchmark:
            "results/{study}/benchmarks/train/{variant}_seed{seed}.tsv"
        wildcard_constraints:
            variant="|".join(sorted({re.escape(run.variant) for run in STUDY.of(ablation)})),
        retries: job.retries
        conda:
            job.environment
        threads: job.threads
        resources:
            **job.resources,
        params:
            command=job.command,
            run=resolved_run,
            origin=lambda wildcards: text_origin(),
            tokens=lambda wildcards, input: folder(input),
            output=lambda wildcards, output: folder(output),
            devices=job.devices,
        message:
            f"train {ablation}/{{wildcards.variant}} seed {{wildcards.seed}}"
        shell:
            # The trap lets shell and tee outlive a SIGTERM until training has written its checkpoint.
            "trap '' TERM; {params.command:q} --run {params.run:q} --tokens {params.tokens:q}"
            " --output {params.output:q} --checkpoints results/{wildcards.study:q}/checkpoints --threads {threads:q}"
            " {params.devices:q} 2>&1 | tee -a -i {log:q}"
