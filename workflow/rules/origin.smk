# What a file was made from, down to settings, code and text, as one digest. Snakemake compares a job's own parameters
# with those of the last time, and its inputs by time and content. When a job fails, its files are gone, and what was made
# from them before would seem up to date. So every rule that reads what other rules have made has the parameter origin:
# the digest of all that its inputs are made from. The record of an old file then says that it is old, whatever has failed,
# was killed or was changed back in between.
@cache
def origin(*parts):
    """The digest of texts; each is a parameter of a job, or the origin of another file."""
    return sha256(canonical(parts).encode()).hexdigest()[:32]


@cache
def source_sums(names):
    """The sums of files from outside, as one text."""
    return canonical(sources.sums(names, f"results/{NAME}"))


@cache
def corpus_origin():
    """The documents. The sample in the repository counts where they or the tokenizer are made from it."""
    config = STUDY.config
    from_sample = config.corpus.kind in ("embedded", "bigram_backcopy") or config.tokenizer.kind == "characters"
    sample = sha256(EMBEDDED.read_bytes()).hexdigest() if from_sample else ""
    return origin(text_settings(None), source_sums(tuple(sources.of_text(config))), sample, corpus_job.code)


@cache
def text_origin():
    """The packed tokens."""
    return origin(corpus_origin(), tokenizer_job.code, tokens_job.code)


@cache
def model_origin(place):
    """A run or a published model, by its folder in the study."""
    kind, name, *seed = place.split("/")
    if kind == "runs":
        return origin(canonical(identity(RUNS[name, seed[0].removeprefix("seed")])), text_origin())
    files = source_sums(tuple(sources.of_model(PRETRAINED[name].source)))
    return origin(canonical(asdict(PRETRAINED[name])), files, pretrained_job.code, corpus_origin(), tokens_job.code)


@cache
def answer_origin(place, question):
    """The answer to a question about a model, by the job that answers it."""
    group = next(name for name, group in GROUPS.items() if question in group.questions)
    about = SimpleNamespace(study=NAME, subject=place)
    return origin(measures_code(group)(about), measures_settings(group)(about), model_origin(place))


def origins(files):
    """Manifests of runs and answers about models, by their paths."""
    found = []
    for path in map(Path, files):
        if path.parent.name == "measures":
            place = path.parent.parent.relative_to(f"results/{NAME}").as_posix()
            found.append(answer_origin(place, path.stem))
        else:
            found.append(model_origin(path.parent.relative_to(f"results/{NAME}").as_posix()))
    return origin(*found)


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
    return origin(origins(measured(ablation_runs(about))), variant_names(about), collect_job.code)


@cache
def runs_origin(study):
    """The table of all runs."""
    ablations = drawn_of(study).ablations or [BASELINE]
    return origin(*(part_origin(study, ablation) for ablation in ablations), runs_job.code)


@cache
def answers_origin(study, files):
    """What the table or a figure of the mechanism is made from."""
    return origins(files) if study == NAME else published_origin(study)


@cache
def mechanism_origin(study):
    """The table of the mechanism."""
    files = tuple(drawn.table_files(drawn_of(study)))
    models = canonical(list(drawn_of(study).in_depth.items()))
    return origin(answers_origin(study, files), models, mechanism_job.code)


@cache
def provenance_origin(study):
    """The table of where every run is from."""
    if study != NAME:
        return published_origin(study)
    return origin(*(model_origin(drawn.folder_of(run)) for run in STUDY.runs), provenance_job.code)
