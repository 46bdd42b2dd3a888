"""Train one run to its last step: data and devices, model, trainer, fit, results."""

import argparse
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import torch

from spikesink.data.batches import TokenStream
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.runs.atomic import clear
from spikesink.study.settings import Model, build
from spikesink.training.data_module import TokenDataModule
from spikesink.training.devices import announce_launcher, cluster_environment, stay_on_this_machine
from spikesink.training.manifest import facts, now
from spikesink.training.module import LanguageModel
from spikesink.training.parallel import whole_weights
from spikesink.training.progress import ProgressLines
from spikesink.training.record import Diverged, MetricsRecord, live_mirror
from spikesink.training.results import write_results
from spikesink.training.snapshots import Snapshots, snapshot_steps
from spikesink.training.storage.checkpoint import Checkpointing, StraightToFile, step_of
from spikesink.training.storage.disk_errors import disk_errors
from spikesink.training.storage.intact import STATE
from spikesink.training.storage.lock import sole_use
from spikesink.training.storage.resume import checkpoint_to_resume
from spikesink.training.task import Outcome, Task, read_task


def train(run: dict[str, Any], options: argparse.Namespace) -> None:
    """Train ``run``, or resume it where an earlier process of the same digest stopped.

    Every process of a run on several devices comes through here; rank zero alone writes.
    """
    task = read_task(run, options)
    module = build_module(task)
    announce_launcher()
    _meeting_place = meeting_place(task)
    record = MetricsRecord(task.work.metrics, task.training.log_every, task.tokens_per_step)
    trainer = build_trainer(task, record)
    with ExitStack() as locks:
        checkpoint = checkpoint_to_resume(trainer, module, Path(task.work.path), lambda: prepare(task, locks))
        outcome = fit(task, trainer, module, record, checkpoint)
        # Weights of a run that diverged are of no use to anyone.
        finished = outcome.status == "finished"
        weights = whole_weights(module.decoder, keep=trainer.is_global_zero) if finished else {}
        if trainer.is_global_zero:
            write_results(task, weights, facts(task, outcome, trainer, module.decoder))


def build_module(task: Task) -> LanguageModel:
    """The model with its initial weights, ready to train.

    With strategy fsdp it has no memory before it has been sharded, because it never exists whole.
    """
    settings, training = build(Model, task.run["model"]), task.training
    with torch.device("meta") if training.strategy == "fsdp" else nullcontext():
        decoder = Decoder(settings, vocabulary=task.vocabulary, positions=training.sequence_length)
    if training.strategy != "fsdp":
        initialise(decoder, task.seed)
    dtype = getattr(torch, task.precision)
    return LanguageModel(decoder, training, micro_batch=task.micro_batch, dtype=dtype, seed=task.seed)


def meeting_place(task: Task) -> object:
    """Where the ranks of a run on one machine meet; the caller keeps it while it trains. None where none is needed."""
    communicate = task.devices.communicate(task.training.strategy)
    return stay_on_this_machine() if communicate and task.devices.nodes == 1 else None


def build_trainer(task: Task, record: MetricsRecord) -> L.Trainer:
    """Lightning's trainer, with the callbacks that record, save and report."""
    training, devices, work = task.training, task.devices, task.work
    return L.Trainer(
        accelerator=devices.accelerator,
        devices=devices.per_node,
        num_nodes=devices.nodes,
        strategy=devices.strategy(training.strategy),
        plugins=[cluster_environment(), StraightToFile()],
        precision="32-true",
        max_steps=training.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[
            record,
            Snapshots(work.snapshots, snapshot_steps(training.snapshots, training.steps)),
            Checkpointing(Path(work.path), training.checkpoint_every),
            ProgressLines(task.name, task.tokens_per_step, Path(work.path) / "progress.json"),
        ],
    )


def prepare(task: Task, locks: ExitStack) -> None:
    """What rank zero does before the run begins: compare the tokens' checksum, lock and clear the folders."""
    TokenStream.open(task.tokens, "train", verify=True)
    work = Path(task.work.path)
    for folder in (work, Path(task.output.path)):
        locks.enter_context(sole_use(folder))
    with disk_errors(task.checkpoints):
        clear(work)
        work.mkdir(exist_ok=True)


def fit(
    task: Task, trainer: L.Trainer, module: LanguageModel, record: MetricsRecord, checkpoint: Path | None
) -> Outcome:
    """Train from ``checkpoint``, or from the initial weights, to the last step or until the run diverges.

    A run that diverges is a result like any other: the study goes on, and the tables name it and average it nowhere.
    """
    mirror = live_mirror(task.run, task.digest, Path(task.work.path)) if trainer.is_global_zero else None
    if mirror:
        record.mirror = mirror.log
    started, clock = now(), time.monotonic()
    status, why = "failed", None
    try:
        data = TokenDataModule(task.stream, task.training, task.seed)
        trainer.fit(module, data, ckpt_path=checkpoint and checkpoint / STATE, weights_only=True)
        status = "finished"
    except Diverged as end:
        status, why = "diverged", str(end)
        if trainer.is_global_zero:
            print(end, file=sys.stderr)
    finally:
        if mirror:
            mirror.close("FINISHED" if status == "finished" else "FAILED")
    return Outcome(
        status=status,
        why=why,
        resumed_from=step_of(checkpoint) if checkpoint else None,
        started=started,
        seconds=time.monotonic() - clock,
    )
