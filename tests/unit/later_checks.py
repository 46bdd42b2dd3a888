"""What later jobs ask of a study that was accepted: each may refuse it here, without training anything."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from spikesink.data.enough import needs
from spikesink.figures.drawing.literal import literal
from spikesink.measures.groups import GROUPS
from spikesink.model.decoder import Decoder
from spikesink.runs.folder import RunFolder
from spikesink.study.micro_batch import micro_batch
from spikesink.study.plan import costs, same_settings, table
from spikesink.study.resolve import resolve
from spikesink.study.run import Run, Study, canonical
from spikesink.study.settings import Corpus, Measures, Model, Tokenizer, Training, build
from spikesink.study.whole import whole_config
from spikesink.training.optimiser import build_optimiser
from spikesink.training.schedule import learning_rate_share
from spikesink.training.snapshots import snapshot_steps
from spikesink.workflow.cluster import job_resources, launcher
from spikesink.workflow.drawn import of_study

LARGEST_BUILT = 400
"""Layers of a model that is built here; larger ones differ in nothing else."""


def check_later(study: Study, workflow: Path) -> None:
    """Whatever a later job would raise for this study is raised here."""
    plan = costs(study)
    assert (not plan or table(plan)) and isinstance(same_settings(study), list)
    drawn = of_study(study)
    assert all(len(drawn.compared[name]) == len(places) for name, places in drawn.places.items())
    assert json.loads(json.dumps(needs(study)))
    check_settings(study)
    for stage in ("data", "train", "measure", "draw"):
        resources = job_resources(getattr(study.config.resources, stage))
        assert resources["mem_mb"](None, 3) > 0 and launcher(getattr(study.config.resources, stage)) is not None
    for run in some(study.runs):
        check_run(run, study)
    again = resolve(json.loads(json.dumps(whole_config(study))), workflow)
    assert [run.resolved() for run in again.runs] == [run.resolved() for run in study.runs]


def some(runs: tuple[Run, ...]) -> list[Run]:
    """The first, a middle and the last run; none of a study of published models alone."""
    return list({run.variant: run for run in (*runs[:1], *runs[len(runs) // 2 :][:1], *runs[-1:])}.values())


def check_settings(study: Study) -> None:
    """Jobs build their settings from JSON again, and read the numbers in them."""
    config = study.config
    for kind, settings in ((Corpus, config.corpus), (Tokenizer, config.tokenizer), (Measures, config.measures)):
        assert settings is None or build(kind, json.loads(canonical(asdict(settings)))) == settings
    assert all(hasattr(config.measures, key) for group in GROUPS.values() for key in group.reads)


def check_run(run: Run, study: Study) -> None:
    model, training = (
        build(kind, json.loads(canonical(asdict(settings))))
        for kind, settings in ((Model, run.model), (Training, run.training))
    )
    assert (model, training) == (run.model, run.training)
    devices = study.config.resources.train.nodes * max(1, study.config.resources.train.gpus_per_node)
    assert training.batch_size % (devices * micro_batch(training, devices)) == 0
    assert len(str(RunFolder(run.folder).manifest.name)) < 255 > len(f"{run.variant}_seed{run.seed}.log")
    assert len(snapshot_steps(min(training.snapshots, 1000), training.steps)) <= training.steps
    if run.label:
        picture = Figure()
        picture.text(0, 0, literal(run.label))
        picture.draw_without_rendering()
    with torch.device("meta"):
        small = replace(model, layers=min(model.layers, LARGEST_BUILT)) if fits(model) else model
        decoder = Decoder(small, vocabulary=run.vocabulary, positions=training.sequence_length)
        assert build_optimiser(decoder, training.optimiser).param_groups
    shares = [learning_rate_share(training.schedule, step, training.steps) for step in (0, training.steps - 1)]
    assert all(0 <= share <= 1 for share in shares)


def fits(model: Model) -> bool:
    """Whether no valve names a layer that a model of fewer layers lacks."""
    return model.value_valve.layers is None and model.key_valve.layers is None
