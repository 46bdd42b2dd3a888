# Figures, from the parts alone: `snakemake figures` needs no model and no GPU.
for family in FAMILIES:

    rule:
        name:
            f"figure_{family}"
        input:
            expand(
                f"{PARTS}/{{ablation}}/{{part}}.parquet",
                part=PART_NAMES,
                allow_missing=True,
            ),
        output:
            pdf=f"{RESULTS}/figures/{{ablation}}_{family}.pdf",
            png=report(
                f"{RESULTS}/figures/{{ablation}}_{family}.png",
                caption=f"../report/{family}.rst",
                category="{ablation}",
                labels={"what": family.replace("_", " "), "ablation": "{ablation}"},
            ),
        log:
            f"{RESULTS}/logs/figures/{{ablation}}_{family}.log",
        retries: STUDY.config.resources.draw.retries
        group:
            drawn_together
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.draw.threads
        resources:
            **job_resources(STUDY.config.resources.draw),
        params:
            family=family,
            code=code_digest(f"spikesink.figures.{family}"),
            style=sha256((SOURCE / "spikesink/figures/style.mplstyle").read_bytes()).hexdigest(),
            parts=lambda wildcards, input: folder(input),
            stem=lambda wildcards, output: str(Path(output.pdf).with_suffix("")),
        message:
            f"figure {family} of {{wildcards.ablation}}"
        shell:
            # Not an f-string: a shell command is put together when the job starts, after the loop has ended.
            "python -m spikesink.figures.{params.family} --parts {params.parts} --ablation {wildcards.ablation}"
            " --output {params.stem} 2>&1 | tee {log}"
