# Figures, from tables alone: `snakemake figures` needs no model and no GPU.
rule figure_overview:
    input:
        "{results}/tables/runs.csv",
    output:
        pdf="{results}/figures/overview.pdf",
        data="{results}/figures/overview.csv",
        png=report(
            "{results}/figures/overview.png",
            caption="../report/overview.rst",
            category=OVERVIEW,
            labels={"what": "figure"},
        ),
    log:
        "{results}/logs/figures/overview.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        **drawing(),
        code=code_digest("spikesink.figures.ablations.overview"),
    message:
        "figure overview of all ablations"
    shell:
        "python -m spikesink.figures.ablations.overview --runs {input} --width {params.width} --output {params.stem}"
        " 2>&1 | tee {log}"


for family in FAMILIES:

    rule:
        name:
            f"figure_{family}"
        input:
            expand(
                "{results}/tables/parts/{ablation}/{part}.parquet",
                part=PART_NAMES,
                allow_missing=True,
            ),
        output:
            pdf=f"{{results}}/figures/{{ablation}}_{family}.pdf",
            data=f"{{results}}/figures/{{ablation}}_{family}.csv",
            png=report(
                f"{{results}}/figures/{{ablation}}_{family}.png",
                caption=f"../report/{family}.rst",
                category=ABLATIONS,
                subcategory="{ablation}",
                labels={"what": family.replace("_", " ")},
            ),
        log:
            f"{{results}}/logs/figures/{{ablation}}_{family}.log",
        retries: STUDY.config.resources.draw.retries
        group:
            drawn_together
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.draw.threads
        resources:
            **job_resources(STUDY.config.resources.draw),
        params:
            **drawing(),
            family=family,
            code=code_digest(f"spikesink.figures.ablations.{family}"),
            parts=lambda wildcards, input: folder(input),
        message:
            f"figure {family} of {{wildcards.ablation}}"
        shell:
            # Not an f-string: a shell command is put together when the job starts, after the loop has ended.
            "python -m spikesink.figures.ablations.{params.family} --parts {params.parts} --ablation {wildcards.ablation}"
            " --width {params.width} --output {params.stem} 2>&1 | tee {log}"
