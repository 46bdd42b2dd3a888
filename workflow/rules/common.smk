# What several rules need: which runs there are, what decides a job's identity, and which questions a measuring job answers.
PRETRAINED = STUDY.config.pretrained
RUNS = {(run.variant, str(run.seed)): run for run in STUDY.runs}

# What every run is measured for, and what only the models that are analysed in depth are.
ALWAYS = ("quality", "forward")
IN_DEPTH = [group for group in GROUPS if group not in ALWAYS]
ALL_QUESTIONS = [question for group in ALWAYS for question in GROUPS[group].questions]


def folder(files):
    """The folder of the first of a job's inputs or outputs."""
    return str(Path(files[0]).parent)


def resolved_run(wildcards):
    """The run as one canonical JSON text: its settings and the digest of the code that trains it."""
    return canonical(identity(RUNS[wildcards.variant, wildcards.seed]))


def answering_code(group, without=frozenset(), without_parts=frozenset()):
    """Digests of the code that answers a group's questions."""
    modules = ("spikesink.measures.__main__", *GROUPS[group].modules)
    return canonical([code_digest(name, without, without_parts) for name in modules])


def measure_code(group):
    """For a job's wildcards, the code that answers the group's questions about a run."""

    def digest(wildcards):
        run = RUNS[wildcards.variant, wildcards.seed]
        return answering_code(group, frozenset({"spikesink.pretrained.load"}), unused_parts(run))

    return digest


# Settings are functions of the wildcards although they do not depend on them: braces in them are not wildcards then.
def text_settings(wildcards):
    """Corpus and tokenizer, as one canonical JSON text."""
    return canonical({"corpus": asdict(STUDY.config.corpus), "tokenizer": asdict(STUDY.config.tokenizer)})


def measure_settings(group):
    """For a job's wildcards, the part of the config's measures that a group reads, as one canonical JSON text."""
    text = canonical({key: getattr(STUDY.config.measures, key) for key in GROUPS[group].reads})
    return lambda wildcards: text


def run_folders(wildcards):
    """Folders of the runs that the parts of an ablation are made of: the baseline's, then its own."""
    runs = dict.fromkeys((*STUDY.of(BASELINE), *STUDY.of(wildcards.ablation)))
    return [run.folder for run in runs]


def variant_names(wildcards):
    """Label and ``stands_for`` of the ablation's variants that have either, as one canonical JSON text."""
    return canonical(
        {
            run.variant: {"label": run.label, "stands_for": run.stands_for}
            for run in STUDY.of(wildcards.ablation)
            if run.label or run.stands_for
        }
    )


def measured(wildcards):
    """Every file that the parts of an ablation are made of."""
    names = [
        "manifest.json",
        *(f"measures/{question}.parquet" for question in ALL_QUESTIONS),
    ]
    return [f"{run}/{name}" for run in run_folders(wildcards) for name in names]


def local_files(wildcards):
    """The files of a model that is a folder here, so that other weights in it are measured anew."""
    return sorted(str(path) for path in Path(PRETRAINED[wildcards.model].source).glob("*") if path.is_file())


def drawn_together(wildcards):
    """The tables and figures of an ablation, or of models, share one job of a cluster; on one machine nothing does."""
    return f"draw_{wildcards[-1]}" if workflow.non_local_exec else None


def drawing_code(figure):
    """Digests of the code that draws a figure; which other figures there are is no part of it."""
    modules = (f"spikesink.figures.mechanism.{figure}", "spikesink.figures.mechanism.__main__")
    return canonical([code_digest(name, frozenset({"spikesink.figures.catalogue"})) for name in modules])


def drawing():
    """What all figures are drawn with: the style file's digest, the width, and the path without its ending."""
    return {
        "style": sha256((SOURCE / "spikesink/figures/drawing/style.mplstyle").read_bytes()).hexdigest(),
        "width": STUDY.config.figures.width,
        "stem": lambda wildcards, output: str(Path(output.pdf).with_suffix("")),
    }


# The pages of the report, which sorts them by name.
OVERVIEW, ABLATIONS, MECHANISM, CLAIMED, PROVENANCE = (
    "1. Overview",
    "2. Ablations",
    "3. Mechanism",
    "4. Claims",
    "5. Provenance",
)


def tables_of(results):
    """The tables of the study in this folder. In git some are without others that the same job makes: all are named."""
    whole = ("runs.csv", "runs.html", "variants.html", "variants.md", "long.parquet", "statistics.csv")
    return [f"{results}/tables/{name}" for name in whole] + expand(
        f"{results}/tables/{{ablation}}.{{format}}",
        ablation=DRAWN[results].ablations,
        format=TABLE_FORMATS,
    )


def figures_of(results):
    """The figures that are drawn from tables."""
    return expand(f"{results}/figures/overview.{{format}}", format=FIGURE_FORMATS) + expand(
        f"{results}/figures/{{ablation}}_{{family}}.{{format}}",
        ablation=DRAWN[results].ablations,
        family=FAMILIES,
        format=FIGURE_FORMATS,
    )


def mechanism_of(results):
    """The table and the figures that are drawn from measures in depth."""
    return [f"{results}/tables/mechanism.csv", f"{results}/tables/mechanism.html"] + expand(
        f"{results}/figures/mechanism/{{models}}_{{figure}}.{{format}}",
        models=DRAWN[results].compared,
        figure=FIGURES,
        format=FIGURE_FORMATS,
    )


def drawn_files(results):
    """All that is drawn of the study in this folder."""
    return [
        *tables_of(results),
        *figures_of(results),
        *mechanism_of(results),
        *(f"{results}/claims.{format}" for format in ("csv", "md", "html")),
        f"{results}/provenance.html",
    ]


def measures_of(results, models, questions):
    """Files with the answers to questions about models, which are given by label and folder."""
    return [f"{results}/{folder}/measures/{question}.parquet" for folder in models.values() for question in questions]


def named(results, models):
    """The models as arguments LABEL=FOLDER."""
    return [f"{label}={results}/{folder}" for label, folder in models.items()]


def published_files():
    """What the study at hand is drawn from, by paths in its folder."""
    drawing = DRAWN[RESULTS]
    compared = {folder for models in drawing.compared.values() for folder in models.values()}
    answers = {
        question for figure in FIGURES for question in constant(f"spikesink.figures.mechanism.{figure}", "QUESTIONS")
    }
    tabulated = mechanism_questions()
    files = [
        f"tables/parts/{ablation}/{part}.parquet" for ablation in drawing.ablations or [BASELINE] for part in PART_NAMES
    ]
    for folder in drawing.in_depth.values():
        questions = answers.union(tabulated) if folder in compared else tabulated
        files += [f"{folder}/measures/{question}.parquet" for question in sorted(questions)]
        if folder.startswith("runs/"):
            files += [f"{folder}/run.json", f"{folder}/manifest.json"]
    return [*files, "provenance.csv"]


def publish_study(target, log):
    """Publish the study at hand; the manifest says beside its files what is drawn of it, and by which code."""
    digests = {
        "training": code_digest("spikesink.training.__main__"),
        **{f"measures of {group}": answering_code(group) for group in GROUPS},
        "tables": code_digest("spikesink.tables.collect"),
    }
    facts = {"drawn": DRAWN[RESULTS]._asdict(), "code": digests}
    said = publish(Path(RESULTS), Path(target), published_files(), WRITTEN, facts)
    Path(log).write_text(f"{said}\n")
