# How spikes, sinks and gradient sinks come about, in the models that are compared and in every pretrained one.
job = mechanism_job = Job("spikesink.tables.mechanism", RESOURCES.draw)


rule table_mechanism:
    input:
        lambda wildcards: drawn.table_files(drawn_of(wildcards.study)),
    output:
        csv="results/{study}/tables/mechanism.csv",
        page=report(
            "results/{study}/tables/mechanism.html",
            caption="../report/mechanism_table.rst",
            category=MECHANISM,
            labels={"what": "table", "models": "all"},
        ),
    log:
        "results/{study}/logs/tables/mechanism.log",
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
        origin=lambda wildcards: mechanism_origin(wildcards.study),
        models=lambda wildcards: labelled(wildcards, drawn_of(wildcards.study).in_depth),
        capabilities=with_capabilities,
    message:
        "table of the mechanism"
    shell:
        "{params.command:q} --models {params.models:q} {params.capabilities:q} --output {output.csv:q} 2>&1 | tee {log:q}"


# One rule per figure of the mechanism: figure_spike_lifecycle, figure_gradient_sinks, ... {models} is the name of the models
# that a figure shows: compared, or one published model.
for figure in drawn.MECHANISM_FIGURES:
    job = Job(
        "spikesink.figures.mechanism",
        RESOURCES.draw,
        code=[f"spikesink.figures.mechanism.{figure}", "spikesink.figures.mechanism.__main__"],
    )

    rule:
        name:
            f"figure_{figure}"
        input:
            lambda wildcards, figure=figure: drawn.figure_files(drawn_of(wildcards.study), wildcards.models, figure),
        output:
            pdf=f"results/{{study}}/figures/mechanism/{{models}}_{figure}.pdf",
            data=f"results/{{study}}/figures/mechanism/{{models}}_{figure}.csv",
            png=report(
                f"results/{{study}}/figures/mechanism/{{models}}_{figure}.png",
                caption="../report/mechanism.rst",
                category=MECHANISM,
                labels={"what": figure.replace("_", " "), "models": "{models}"},
            ),
        log:
            f"results/{{study}}/logs/figures/mechanism/{{models}}_{figure}.log",
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
            figure=figure,
            origin=lambda wildcards, figure=figure: mechanism_files_origin(
                wildcards.study,
                tuple(drawn.figure_files(drawn_of(wildcards.study), wildcards.models, figure)),
            ),
            caption=drawn.caption(figure),
            models=lambda wildcards: labelled(wildcards, drawn_of(wildcards.study).compared[wildcards.models]),
            places=lambda wildcards: drawn_of(wildcards.study).places[wildcards.models],
        message:
            f"figure {figure} of {{wildcards.models}}"
        shell:
            "{params.command:q} {params.figure:q} --models {params.models:q} --places {params.places:q}"
            " --width {params.width:q} --output {params.stem:q} 2>&1 | tee {log:q}"
