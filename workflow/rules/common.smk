# What several rules need. A job's files are in results/{study}: {study} is the name of the study at hand or, in rules
# that draw published studies too, published/<name>. Targets, which have no wildcards, name the study at hand.
import json
import os
import re
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

from spikesink.measures.groups import GROUPS
from spikesink.runs.folder import RunFolder
from spikesink.runs import sources
from spikesink.runs.identity import identity
from spikesink.study.names import BASELINE
from spikesink.study.plan import costs
from spikesink.study.run import canonical
from spikesink.workflow import drawn, published
from spikesink.workflow.jobs import Job
from spikesink.workflow.measure_plan import measure_costs
from spikesink.workflow.group_identity import group_code, group_settings
from spikesink.workflow.setup import tracking_uri

NAME = STUDY.config.study
RESOURCES = STUDY.config.resources
PRETRAINED = STUDY.config.pretrained
RUNS = {(run.variant, str(run.seed)): run for run in STUDY.runs}
PUBLISHED = published.published_names()
ASKED_OF_ALL = drawn.groups_of_all(STUDY)
LIVE_OR_PUBLISHED = "|".join(map(re.escape, [NAME, *PUBLISHED]))

# The pages of the report, which sorts them by name.
OVERVIEW = "1. Overview"
ABLATIONS = "2. Ablations"
MECHANISM = "3. Mechanism"
CLAIMED = "4. Claims"
PROVENANCE = "5. Provenance"


wildcard_constraints:
    study=re.escape(NAME),
    ablation="|".join(map(re.escape, [BASELINE, *STUDY.ablations, *published.published_ablations()])),
    models="|".join(map(re.escape, [drawn.COMPARED, *PRETRAINED, *published.published_models()])),
    model="|".join(map(re.escape, PRETRAINED)),
    variant="[^/]+",  # the rules that train say which: a list of hundreds in every rule takes seconds
    seed="[0-9]+",


@cache
def drawn_of(study):
    """What is drawn of the study in results/<study>; a published one is read when it is asked for."""
    return drawn.of_study(STUDY) if study == NAME else published.read_published(study)


def folder(files):
    """The folder of the first of a job's inputs or outputs."""
    return str(Path(files[0]).parent)


def stem(files):
    """The path of the first of a job's outputs without its ending."""
    return str(Path(files[0]).with_suffix(""))


def drawn_together(wildcards):
    """On a cluster, the tables and figures of an ablation share one job, as do the figures of some models."""
    return f"draw_{wildcards[-1]}" if workflow.non_local_exec else None


# For targets.smk.
@cache
def answers_of(place, group):
    """The files of a group of questions about a model, by its folder."""
    return [str(RunFolder(place).measure(question)) for question in drawn.questions_in(group)]


def measured(runs):
    """What ablations are made of: the manifests of these runs, and what every run is measured for."""
    found = []
    for run in runs:
        found.append(str(RunFolder(run.folder).manifest))
        for group in ASKED_OF_ALL:
            found += answers_of(run.folder, group)
    return found


def rests_on(runs):
    """A missing file of every job that the tables of these runs rest on and that has not all of its files.

    A target names them, so that what a failed job has deleted, or a person, is made again. The tables are made from
    what these jobs make, but a table that is there asks for nothing that is missing.
    """
    jobs = [answers_of(run.folder, group) for run in runs for group in ASKED_OF_ALL]
    for run in runs:
        folder = RunFolder(run.folder)
        jobs.append([str(path) for path in (folder.run, folder.metrics, folder.manifest)])
    ablations = dict.fromkeys(run.ablation for run in runs if run.ablation != BASELINE) or ([BASELINE] if runs else [])
    for ablation in ablations:
        jobs.append([f"results/{NAME}/tables/parts/{ablation}/{part}.parquet" for part in drawn.PARTS])
    missing = ([file for file in files if not os.path.exists(file)] for files in jobs)
    return [files[0] for files in missing if files]


def in_depth():
    """The answers about the models that are analysed in depth, those too that no figure and no table shows."""
    here = drawn_of(NAME)
    questions = [question for question in here.questions if question not in drawn.QUESTIONS_OF_ALL]
    models = [drawn.model_folder(model) for model in PRETRAINED]  # of runs, rests_on asks for the others
    return [
        *drawn.answers(here, here.in_depth.values(), questions),
        *drawn.answers(here, models, drawn.QUESTIONS_OF_ALL),
    ]


# For data.smk. Settings are functions of the wildcards although they do not depend on them: braces in
# them are not wildcards then.
def text_settings(wildcards):
    """Corpus and tokenizer, as one canonical JSON text."""
    return canonical({"corpus": asdict(STUDY.config.corpus), "tokenizer": tokenizer_settings()})


def evaluation_settings(wildcards):
    """The corpus whose held-out documents are measured, and the tokenizer, as one canonical JSON text."""
    corpus = STUDY.config.evaluation or STUDY.config.corpus
    return canonical({"corpus": asdict(corpus), "tokenizer": tokenizer_settings()})


def tokenizer_settings():
    """The settings of the study's tokenizer; none where nothing is trained."""
    return asdict(STUDY.config.tokenizer) if STUDY.config.tokenizer else None


def evaluation_corpus_file(wildcards):
    """The description of the corpus whose held-out documents are measured."""
    name = "evaluation_corpus" if STUDY.config.evaluation else "corpus"
    return f"results/{wildcards.study}/data/{name}.json"


# For pretrained.smk.
def model_settings(name):
    """A published model's settings, as one canonical JSON text. Whether it is a control matters to claims alone."""
    settings = asdict(PRETRAINED[name])
    del settings["control"]
    return canonical(settings)


# For train.smk.
def resolved_run(wildcards):
    """The run as one canonical JSON text: its settings and the digest of the code that trains it."""
    return run_text(wildcards.variant, wildcards.seed)


@cache
def run_text(variant, seed):
    return canonical(identity(RUNS[variant, seed]))


# For measure.smk.
def is_run(wildcards):
    """Whether a run is measured, not a published model."""
    return wildcards.subject.startswith("runs/")


def subject_file(wildcards):
    """The file that stands for the model: a run's manifest, or the description of a published model."""
    place = f"results/{wildcards.study}/{wildcards.subject}"
    return str(RunFolder(place).manifest) if is_run(wildcards) else f"{place}/pretrained.json"


def subject_tokens(wildcards):
    """The index of the model's held-out tokens: the study's for a run, its own for a published model.

    The study's are those of the corpus for evaluation, where the config names one.
    """
    own = f"results/{wildcards.study}/{wildcards.subject}/tokens"
    return f"{STUDY.token_folders['measure'] if is_run(wildcards) else own}/tokens.json"


def subject_tokenizer(wildcards):
    """The study's tokenizer for a run; a published model's own is among its files."""
    return f"results/{wildcards.study}/data/tokenizer.json" if is_run(wildcards) else []


def model_option(wildcards, input):
    """The option of spikesink.measures that names the model, and its value."""
    return ["--run", folder([input.model])] if is_run(wildcards) else ["--pretrained", str(input.model)]


def measures_settings(group):
    """For a job's wildcards, the part of the config's measures that a group reads, as one canonical JSON text."""
    text = group_settings(group, STUDY.config.measures)
    return lambda wildcards: text


def measures_code(group):
    """For a job's wildcards, the digest of the code that answers the group's questions about that model."""

    def code(wildcards):
        if not is_run(wildcards):
            return group_code(group)
        variant, seed = wildcards.subject.removeprefix("runs/").split("/")
        return group_code(group, RUNS[variant, seed.removeprefix("seed")])

    return code


# For tables.smk.
def ablation_runs(wildcards):
    """The runs that the parts of an ablation are made of: the baseline's, then its own."""
    return dict.fromkeys((*STUDY.of(BASELINE), *STUDY.of(wildcards.ablation)))


def variant_names(wildcards):
    """Label and ``stands_for`` of the ablation's variants that have either, as one canonical JSON text."""
    return canonical(
        {
            run.variant: {"label": run.label, "stands_for": run.stands_for}
            for run in STUDY.of(wildcards.ablation)
            if run.label or run.stands_for
        }
    )


# For capabilities.smk.
def capabilities_settings(wildcards):
    """The config's capabilities, as one canonical JSON text."""
    return canonical(asdict(STUDY.config.capabilities))


def calibration_tokens(wildcards):
    """The index of the model's held-out tokens, where they calibrate quantised models that are asked too."""
    return subject_tokens(wildcards) if STUDY.config.capabilities.quantisation else []


def with_capabilities(wildcards):
    """The option of the programs that collect measures, where models were given tasks."""
    return ["--capabilities"] if drawn.CAPABILITIES in drawn_of(wildcards.study).questions else []


# For mechanism.smk.
def labelled(wildcards, models):
    """Models, given as label and folder in the study, as arguments LABEL=FOLDER."""
    return [f"{label}=results/{wildcards.study}/{place}" for label, place in models.items()]


# For publish.smk.
def written_config(wildcards):
    """The config of the study, as it was written, as JSON, its keys in the order of the config: ablations keep theirs."""
    return json.dumps(CONFIG)


def costs_digest(wildcards):
    """A digest of what every run and measure will cost: a change of the config that costs nothing makes no new plan."""
    config = STUDY.config
    measured = [(cost.model, cost.group, cost.jobs, cost.flops) for cost in measure_costs(STUDY)]
    parts = (
        [asdict(cost) for cost in costs(STUDY)],
        measured,
        asdict(config.measures),
        asdict(config.plan),
        *PRETRAINED,
    )
    return sha256(canonical(parts).encode()).hexdigest()
