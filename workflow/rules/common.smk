# What several rules need: which runs there are, what decides a job's identity, and which questions a measuring job answers.
RUNS = {(run.variant, str(run.seed)): run for run in STUDY.runs}

# One measuring job answers several questions, because starting PyTorch costs more than answering one at small scale. A
# job's identity covers its own questions only, so editing one measure reruns only its job.
QUESTIONS = {
    "quality": ("perplexity",),
    "forward": ("attention", "activations"),
}
READ_BY = {
    "quality": ("perplexity_tokens", "batch_size"),
    "forward": ("sink_epsilon", "sink_tokens", "sequences", "batch_size"),
}
ALL_QUESTIONS = [question for questions in QUESTIONS.values() for question in questions]


def folder(files):
    """The folder of the first of a job's inputs or outputs."""
    return str(Path(files[0]).parent)


def resolved_run(wildcards):
    """The run as one canonical JSON text: its settings and the digest of the code that trains it."""
    return canonical(identity(RUNS[wildcards.variant, wildcards.seed]))


def measure_code(group):
    """For a job's wildcards, the digest of the code that answers the group's questions, without that of the others."""
    others = frozenset(f"spikesink.measures.{name}" for name in ALL_QUESTIONS if name not in QUESTIONS[group])

    def digest(wildcards):
        run = RUNS[wildcards.variant, wildcards.seed]
        return code_digest("spikesink.measures.__main__", others | unused_parts(run))

    return digest


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
