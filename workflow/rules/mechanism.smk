# How spikes, sinks and gradient sinks come about, in the models that are compared and in every pretrained one.
COMPARED = [
    run for run in STUDY.runs if run.variant in STUDY.config.mechanism.compare and run.seed == STUDY.config.seeds[0]
]
LABELS = [run.label for run in COMPARED]
# Drawn together: a name for files, and for every model its label and the folder of its measures.
DRAWN = {
    "compared": {
        run.label if run.label and LABELS.count(run.label) == 1 else run.variant.replace("_", " "): run.folder
        for run in COMPARED
    },
    **{name: {name: f"{RESULTS}/pretrained/{name}"} for name in PRETRAINED},
}
IN_DEPTH_MODELS = {
    f"{run.variant}/seed{run.seed}": run.folder
    for run in (STUDY.runs if STUDY.config.mechanism.variants == "all" else COMPARED)
} | {name: f"{RESULTS}/pretrained/{name}" for name in PRETRAINED}


MECHANISM_FILES = (
    expand(
        f"{RESULTS}/figures/mechanism/{{models}}_{{figure}}.{{format}}",
        models=DRAWN,
        figure=FIGURES,
        format=FIGURE_FORMATS,
    )
    + expand(
        "{folder}/measures/{question}.parquet",
        folder=IN_DEPTH_MODELS.values(),
        question=[question for group in IN_DEPTH for question in GROUPS[group].questions],
    )
    + [f"{RESULTS}/tables/mechanism.csv"]
)


localrules:
    mechanism,


rule mechanism:
    input:
        MECHANISM_FILES,


rule table_mechanism:
    input:
        expand(
            "{folder}/measures/{question}.parquet",
            folder=IN_DEPTH_MODELS.values(),
            question=constant("spikesink.tables.mechanism", "READ"),
        ),
    output:
        report(
            f"{RESULTS}/tables/mechanism.csv",
            caption="../report/mechanism_table.rst",
            category="mechanism",
            labels={"what": "table", "models": "all"},
        ),
    log:
        f"{RESULTS}/logs/tables/mechanism.log",
    retries: STUDY.config.resources.draw.retries
    conda:
        "../../envs/spikesink.yaml"
    threads: STUDY.config.resources.draw.threads
    resources:
        **job_resources(STUDY.config.resources.draw),
    params:
        code=code_digest("spikesink.tables.mechanism"),
        models=[f"{label}={folder}" for label, folder in IN_DEPTH_MODELS.items()],
    message:
        "table of the mechanism"
    shell:
        "python -m spikesink.tables.mechanism --models {params.models:q} --output {output} 2>&1 | tee {log}"


for figure in FIGURES:

    rule:
        name:
            f"figure_{figure}"
        input:
            lambda wildcards, questions=constant(f"spikesink.figures.{figure}", "QUESTIONS"): [
                f"{folder}/measures/{question}.parquet"
                for folder in DRAWN[wildcards.models].values()
                for question in questions
            ],
        output:
            pdf=f"{RESULTS}/figures/mechanism/{{models}}_{figure}.pdf",
            png=report(
                f"{RESULTS}/figures/mechanism/{{models}}_{figure}.png",
                caption="../report/mechanism.rst",
                category="mechanism",
                labels={"what": figure.replace("_", " "), "models": "{models}"},
            ),
        log:
            f"{RESULTS}/logs/figures/mechanism/{{models}}_{figure}.log",
        wildcard_constraints:
            models="|".join(map(re.escape, DRAWN)),
        retries: STUDY.config.resources.draw.retries
        group:
            drawn_together
        conda:
            "../../envs/spikesink.yaml"
        threads: STUDY.config.resources.draw.threads
        resources:
            **job_resources(STUDY.config.resources.draw),
        params:
            figure=figure,
            # The report reads captions as reStructuredText, where bars mean a substitution.
            caption=constant(f"spikesink.figures.{figure}", "CAPTION").replace("|", r"\|"),
            code=drawing_code(figure),
            style=sha256((SOURCE / "spikesink/figures/style.mplstyle").read_bytes()).hexdigest(),
            models=lambda wildcards: [f"{label}={folder}" for label, folder in DRAWN[wildcards.models].items()],
            stem=lambda wildcards, output: str(Path(output.pdf).with_suffix("")),
        message:
            f"figure {figure} of {{wildcards.models}}"
        shell:
            "python -m spikesink.figures.mechanism {params.figure} --models {params.models:q} --output {params.stem}"
            " 2>&1 | tee {log}"
