# How spikes, sinks and gradient sinks come about, in the models that are compared and in every pretrained one.
localrules:
    mechanism,


rule mechanism:
    input:
        mechanism_of(RESULTS),
        # Every question is answered, also those that no figure and no table asks.
        expand(
            f"{RESULTS}/{{folder}}/measures/{{question}}.parquet",
            folder=DRAWN[RESULTS].in_depth.values(),
            question=[question for group in IN_DEPTH for question in GROUPS[group].questions],
        ),


rule table_mechanism:
    input:
        lambda wildcards: measures_of(
            wildcards.results,
            DRAWN[wildcards.results].in_depth,
            mechanism_questions(),
        ),
    output:
        csv="{results}/tables/mechanism.csv",
        page=report(
            "{results}/tables/mechanism.html",
            caption="../report/mechanism_table.rst",
            category=MECHANISM,
            labels={"what": "table", "models": "all"},
        ),
    log:
        "{results}/logs/tables/mechanism.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.mechanism"),
        models=lambda wildcards: named(wildcards.results, DRAWN[wildcards.results].in_depth),
    message:
        "table of the mechanism"
    shell:
        "python -m spikesink.tables.mechanism --models {params.models:q} --output {output.csv} 2>&1 | tee {log}"


for figure in FIGURES:

    rule:
        name:
            f"figure_{figure}"
        input:
            lambda wildcards, questions=constant(f"spikesink.figures.mechanism.{figure}", "QUESTIONS"): measures_of(
                wildcards.results,
                DRAWN[wildcards.results].compared[wildcards.models],
                questions,
            ),
        output:
            pdf=f"{{results}}/figures/mechanism/{{models}}_{figure}.pdf",
            data=f"{{results}}/figures/mechanism/{{models}}_{figure}.csv",
            png=report(
                f"{{results}}/figures/mechanism/{{models}}_{figure}.png",
                caption="../report/mechanism.rst",
                category=MECHANISM,
                labels={"what": figure.replace("_", " "), "models": "{models}"},
            ),
        log:
            f"{{results}}/logs/figures/mechanism/{{models}}_{figure}.log",
        wildcard_constraints:
            models="|".join(sorted({re.escape(name) for drawing in DRAWN.values() for name in drawing.compared})),
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
            figure=figure,
            # The report reads captions as reStructuredText, where bars mean a substitution.
            caption=constant(f"spikesink.figures.mechanism.{figure}", "CAPTION").replace("|", r"\|"),
            code=drawing_code(figure),
            models=lambda wildcards: named(wildcards.results, DRAWN[wildcards.results].compared[wildcards.models]),
            places=lambda wildcards: DRAWN[wildcards.results].places[wildcards.models],
        message:
            f"figure {figure} of {{wildcards.models}}"
        shell:
            "python -m spikesink.figures.mechanism {params.figure} --models {params.models:q}"
            " --places {params.places} --width {params.width} --output {params.stem} 2>&1 | tee {log}"
