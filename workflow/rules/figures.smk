# Figures that are drawn from tables alone: `snakemake figures` needs no model and no GPU.
STYLE = Path(workflow.basedir) / "src/spikesink/figures/drawing/style.mplstyle"
# What all figures are drawn with: the style file, the width, and the path without its ending.
LOOK = {
    "style": sha256(STYLE.read_bytes()).hexdigest(),
    "width": STUDY.config.figures.width,
    "stem": lambda wildcards, output: stem(output),
}

job = Job("spikesink.figures", RESOURCES.draw)


rule figure_overview:
    input:
        "results/{study}/tables/runs.csv",
    output:
        pdf="results/{study}/figures/overview.pdf",
        data="results/{study}/figures/overview.csv",
        png=report(
            "results/{study}/figures/overview.png",
            caption="../report/overview.rst",
            category=OVERVIEW,
            labels={"what": "figure"},
        ),
    log:
        "results/{study}/logs/figures/overview.log",
    wildcard_constraints:
        study=LIVE_OR_PUBLISHED,
    retries: job.retries
    conda:
        job.environment
    threads: job.threads
    resources:
        **job.resources,
    params:
        **job.params,
        **LOOK,
        origin=lambda wildcards: runs_origin(wildcards.study),
    message:
        "figure overview of all ablations"
    shell:
        "{params.command:q} --runs {input:q} --width {params.width:q} --output {params.stem:q} 2>&1 | tee {log:q}"


# One rule per kind of figure that every ablation has: figure_ablation, figure_abilities and so on.
for family in drawn.ABLATION_FIGURES:
    job = Job(
        "spikesink.figures.ablations",
        RESOURCES.draw,
        code=[f"spikesink.figures.ablations.{family}", "spikesink.figures.ablations.__main__"],
    )

    rule:
        name:
            f"figure_{family}"
        input:
            expand(
                "results/{study}/tables/parts/{ablation}/{part}.parquet",
                part=drawn.PARTS,
                allow_missing=True,
            ),
        output:
            pdf=f"results/{{study}}/figures/{{ablation}}_{family}.pdf",
            data=f"results/{{study}}/figures/{{ablation}}_{family}.csv",
            png=report(
                f"results/{{study}}/figures/{{ablation}}_{family}.png",
                caption="../report/ablation_figure.rst",
                category=ABLATIONS,
                subcategory="{ablation}",
                labels={"what": family.replace("_", " ")},
            ),
        log:
            f"results/{{study}}/logs/figures/{{ablation}}_{family}.log",
        wildcard_constraints:
            study=LIVE_OR_PUBLISHED,
        retries: job.retries
        group:
            drawn_together
        conda:
            job.environment
        threads: job.threads
        resources:
            **job.resources,
        params:
            **job.params,
            **LOOK,
            family=family,
            origin=lambda wildcards: part_origin(wildcards.study, wildcards.ablation),
            caption=drawn.caption(family),
            parts=lambda wildcards, input: folder(input),
        message:
            f"figure {family} of {{wildcards.ablation}}"
        shell:
            "{params.command:q} {params.family:q} --parts {params.parts:q} --ablation {wildcards.ablation:q}"
            " --width {params.width:q} --output {params.stem:q} 2>&1 | tee {log:q}"
