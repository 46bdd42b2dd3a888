# What a file was made from, down to settings, code and text, as one digest. Snakemake compares a job's own parameters
# with those of the last time, and its inputs by time and content. When a job fails, its files are gone, and what was made
# from them before would seem up to date. So a job that reads what others have made has the parameter origin,
# the digest of all that its inputs are made from. The record of an old file then says that it is old, whatever has failed,
# was killed or was changed back in between.
EMBEDDED = Path(workflow.basedir) / "src/spikesink/data/embedded/english.parquet"


@cache
def origin(*parts):
    """The digest of texts; each is a parameter of a job, or the origin of another file."""
    return sha256(canonical(parts).encode()).hexdigest()[:32]


@cache
def source_sums(names):
    """The sums of files from outside, as one text."""
    return canonical(sources.sums(names, f"results/{NAME}"))


def sample_sum(corpus):
    """The sum of the sample in the repository, where the corpus or the tokenizer is made from it."""
    tokenizer = STUDY.config.tokenizer
    from_sample = corpus.kind in ("embedded", "bigram_backcopy") or (tokenizer and tokenizer.kind == "characters")
    return sha256(EMBEDDED.read_bytes()).hexdigest() if from_sample else ""


@cache
def corpus_origin():
    """The documents."""
    config = STUDY.config
    files = source_sums(tuple(sources.of_text(config)))
    return origin(text_settings(None), files, sample_sum(config.corpus), corpus_job.code)


@cache
def evaluation_origin():
    """The documents whose held-out part is measured: those of the corpus, where the config names no others."""
    corpus = STUDY.config.evaluation
    if corpus is None:
        return corpus_origin()
    files = source_sums(tuple(sources.of_corpus(corpus)))
    return origin(evaluation_settings(None), files, sample_sum(corpus), corpus_job.code)


@cache
def evaluation_text_origin():
    """The packed tokens that runs are measured on."""
    return origin(evaluation_origin(), tokenizer_origin(), tokens_job.code)


@cache
def tokenizer_origin():
    """The study's tokenizer."""
    return origin(corpus_origin(), tokenizer_job.code)


@cache
def text_origin():
    """The packed tokens that runs are trained on."""
    return origin(corpus_origin(), tokenizer_job.code, tokens_job.code)


@cache
def model_origin(place):
    """A run or a published model, by its folder in the study."""
    kind, name, *seed = place.split("/")
    if kind == "runs":
        return origin(run_text(name, seed[0].removeprefix("seed")), text_origin())
    files = source_sums(tuple(sources.of_model(PRETRAINED[name], f"results/{NAME}")))
    return origin(model_settings(name), files, pretrained_job.code, evaluation_origin(), tokens_job.code)


@cache
def measured_origin(place):
    """A run or a published model, and the text that it is measured on."""
    if STUDY.config.evaluation and place.startswith("runs/"):
        return origin(model_origin(place), evaluation_text_origin())
    return model_origin(place)


@cache
def answers_origin(place, group):
    """The answers to a group of questions about a model."""
    if group == drawn.CAPABILITIES:
        return origin(capabilities_job.code, tasks_origin(), measured_origin(place))
    about = SimpleNamespace(study=NAME, subject=place)
    return origin(measures_code(group)(about), measures_settings(group)(about), measured_origin(place))


@cache
def tasks_origin():
    """The tasks that models are given, and the files of those that are the user's own."""
    folder = STUDY.config.capabilities.include_path
    files = sorted(map(str, Path(folder).rglob("*"))) if folder else []
    return origin(capabilities_settings(None), source_sums(tuple(file for file in files if Path(file).is_file())))


def measured_runs_origin(runs):
    """What ablations are made of, as ``measured`` lists it."""
    found = []
    for place in map(drawn.folder_of, runs):
        found.append(model_origin(place))
        found += [answers_origin(place, group) for group in ASKED_OF_ALL]
    return origin(*found)


@cache
def answer_origin(file):
    """The answer to a question about a model, by its path."""
    path = Path(file)
    group = next((name for name, group in GROUPS.items() if path.stem in group.questions), path.stem)
    return answers_origin(path.parent.parent.relative_to(f"results/{NAME}").as_posix(), group)


@cache
def published_origin(study):
    """A published study, by the list of its files' sums."""
    return sha256(Path(f"results/{study}/manifest.json").read_bytes()).hexdigest()[:32]


@cache
def part_origin(study, ablation):
    """The collected measures of an ablation."""
    if study != NAME:
        return published_origin(study)
    about = SimpleNamespace(study=study, ablation=ablation)
    return origin(measured_runs_origin(ablation_runs(about)), variant_names(about), collect_job.code)


@cache
def runs_origin(study):
    """The table of all runs."""
    return origin(*(part_origin(study, ablation) for ablation in drawn.parts(drawn_of(study))), runs_job.code)


@cache
def mechanism_files_origin(study, files):
    """What the table or a figure of the mechanism is made from."""
    return origin(*map(answer_origin, files)) if study == NAME else published_origin(study)


@cache
def mechanism_origin(study):
    """The table of the mechanism."""
    files = tuple(drawn.table_files(drawn_of(study)))
    models = canonical(list(drawn_of(study).in_depth.items()))
    return origin(mechanism_files_origin(study, files), models, mechanism_job.code)


@cache
def published_models_origin(study):
    """The table of a study's published models."""
    if study != NAME:
        return published_origin(study)
    return origin(*(model_origin(drawn.model_folder(model)) for model in PRETRAINED), published_models_job.code)


@cache
def provenance_origin(study):
    """The table of where every run is from."""
    if study != NAME:
        return published_origin(study)
    return origin(*(model_origin(drawn.folder_of(run)) for run in STUDY.runs), provenance_job.code)
