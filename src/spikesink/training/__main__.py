"""Train one run: resolved run and packed tokens in; run.json, model.safetensors, metrics.csv and manifest.json out."""

import argparse
import json
import logging
import os
import signal
import sys
import time
import warnings
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

import lightning as L
import torch
from safetensors.torch import save_file

from spikesink.data.batches import TokenError, TokenStream, read_index
from spikesink.model.decoder import Decoder
from spikesink.model.initial import initialise
from spikesink.runs.atomic import clear, remove
from spikesink.study.micro_batch import micro_batch
from spikesink.study.settings import Model, Training, build
from spikesink.training import manifest
from spikesink.training.data_module import TokenDataModule
from spikesink.training.devices import (
    Devices,
    announce_launcher,
    cluster_environment,
    end_with_launcher,
    launched_by_lightning,
    stay_on_this_machine,
)
from spikesink.training.module import LanguageModel
from spikesink.training.parallel import whole_weights
from spikesink.training.progress import ProgressLines
from spikesink.training.record import Diverged, MetricsRecord, live_mirror
from spikesink.training.snapshots import Snapshots, snapshot_steps
from spikesink.training.storage.checkpoint import Checkpointing, StraightToFile, run_digest, step_of
from spikesink.training.storage.disk_errors import DiskError, disk_errors
from spikesink.training.storage.folder import write
from spikesink.training.storage.intact import STATE
from spikesink.training.storage.interruption import Interrupted, end_at_once, install
from spikesink.training.storage.lock import InUse, sole_use
from spikesink.training.storage.resume import checkpoint_to_resume


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.training", description=__doc__)
    parser.add_argument("--run", required=True, help="the resolved run: a JSON file, or the JSON text itself")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--output", type=Path, required=True, help="the run's folder")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the folders to resume from")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs per node; 0, or a machine without: train on the CPU")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    parser.add_argument("--processes", type=int, default=1, help="CPU processes per node where no GPU is used")
    return parser.parse_args()


def train(run: dict, options: argparse.Namespace) -> None:
    """Train ``run`` to its last step, resuming where an earlier process of the same digest stopped.

    Every process of a run on several devices comes through here; rank zero alone writes.
    """
    training, vocabulary = build(Training, run["training"]), run["tokenizer"]["vocabulary"]
    devices = Devices.available(options.gpus, options.processes, options.nodes)
    rows_at_once = micro_batch(training, devices.number)
    index = read_index(options.tokens)
    if index["vocabulary"] != vocabulary:
        raise TokenError(
            f"{options.tokens} was packed with a vocabulary of {index['vocabulary']}, the run has tokenizer.vocabulary "
            f"= {vocabulary}: pack the tokens again with the run's tokenizer, or name the folder that belongs to it"
        )
    stream = TokenStream.open(options.tokens, "train", verify=False)  # rank zero will
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if devices.accelerator == "gpu" else "float32"

    # With fsdp the model never exists whole: it has no memory until it has been sharded.
    with torch.device("meta") if training.strategy == "fsdp" else nullcontext():
        decoder = Decoder(build(Model, run["model"]), vocabulary=vocabulary, positions=training.sequence_length)
    if training.strategy != "fsdp":
        initialise(decoder, run["seed"])
    module = LanguageModel(
        decoder, training, micro_batch=rows_at_once, dtype=getattr(torch, precision), seed=run["seed"]
    )

    digest = run_digest(run, index["splits"]["train"]["sha256"])
    work = options.checkpoints / digest
    tokens_per_step = training.batch_size * training.sequence_length
    record = MetricsRecord(work / "metrics.csv", training.log_every, tokens_per_step)
    announce_launcher()
    strategy = devices.strategy(training.strategy)
    _meeting_place = stay_on_this_machine() if devices.nodes == 1 and strategy != "auto" else None
    trainer = L.Trainer(
        accelerator=devices.accelerator,
        devices=devices.per_node,
        num_nodes=devices.nodes,
        strategy=strategy,
        plugins=[plugin for plugin in (cluster_environment(), StraightToFile()) if plugin],
        precision="32-true",
        max_steps=training.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[
            record,
            Snapshots(work / "snapshots", snapshot_steps(training.snapshots, training.steps)),
            Checkpointing(work, training.checkpoint_every),
            ProgressLines(f"{run['variant']}/seed{run['seed']}", tokens_per_step, work / "progress.json"),
        ],
    )
    with ExitStack() as locks:

        def prepare() -> None:
            TokenStream.open(options.tokens, "train", verify=True)
            for folder in (work, options.output):
                locks.enter_context(sole_use(folder))
            with disk_errors(options.checkpoints):
                clear(work)
                work.mkdir(exist_ok=True)

        checkpoint = checkpoint_to_resume(trainer, module, work, prepare)
        mirror = live_mirror(run, digest, work) if trainer.is_global_zero else None
        if mirror:
            record.mirror = mirror.log

        started, clock = manifest.now(), time.monotonic()
        status, why = "failed", None
        try:
            data = TokenDataModule(stream, training, run["seed"])
            trainer.fit(module, data, ckpt_path=checkpoint and checkpoint / STATE, weights_only=True)
            status = "finished"
        except Diverged as end:
            # A result like any other: the study goes on, tables name this run and average it nowhere.
            status, why = "diverged", str(end)
            if trainer.is_global_zero:
                print(end, file=sys.stderr)
        finally:
            if mirror:
                mirror.close("FINISHED" if status == "finished" else "FAILED")
        seconds = time.monotonic() - clock

        # Weights of a run that diverged are of no use to anyone.
        weights = whole_weights(decoder, keep=trainer.is_global_zero) if status == "finished" else {}
        if not trainer.is_global_zero:
            return
        resumed_from = step_of(checkpoint) if checkpoint else None
        trained_tokens = (trainer.global_step - (resumed_from or 0)) * tokens_per_step
        tokens = trainer.global_step * tokens_per_step
        facts = {
            "status": status,
            "why": why,
            "steps": trainer.global_step,
            "digest": digest,
            "code": run.get("code"),
            "modules": manifest.modules(),
            "tokens_sha256": index["splits"]["train"]["sha256"],
            "tokenizer_sha256": index["tokenizer_sha256"],
            "git": manifest.git_state(),
            "versions": manifest.versions(),
            "hardware": manifest.hardware(trainer.strategy.root_device),
            "precision": precision,
            "strategy": training.strategy,
            "devices": devices.number,
            "nodes": devices.nodes,
            "micro_batch": rows_at_once,
            "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
            "tokens": tokens,
            "epochs": round(tokens / len(stream.tokens), 3),
            "resumed_from_step": resumed_from,
            "started": started,
            "finished": manifest.now(),
            "wall_seconds": round(seconds, 2),
            "tokens_per_second": round(trained_tokens / seconds, 1),
            **manifest.peak_memory_mb(trainer.strategy.root_device),
        }
        write(
            options.output,
            {
                "run.json": json.dumps(run, indent=2, sort_keys=True) + "\n",
                "model.safetensors": partial(save_file, weights),
                "metrics.csv": work / "metrics.csv",
                "snapshots": work / "snapshots",
                "manifest.json": json.dumps(facts, indent=2) + "\n",
            },
        )
        install(signal.SIG_IGN)  # everything is there, and what is left takes no time
        with disk_errors(options.checkpoints):
            remove(work)


def main() -> int:
    options = arguments()
    launched = launched_by_lightning()
    if launched:
        end_with_launcher()
    else:
        install(end_at_once)
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # or Lightning's launcher sets a number of its own
    # Its hints on accelerators, loggers and stopping say nothing that the progress lines do not.
    for name in ("lightning.pytorch", "lightning.fabric.utilities.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    try:
        text = options.run if options.run.lstrip().startswith("{") else Path(options.run).read_text()
        train(json.loads(text), options)
    except Interrupted as ending:
        # All ranks end here together. The first speaks for those it launched, whose failure would have it killed.
        if launched:
            return 0
        print(ending, file=sys.stderr)
        return ending.exit_code
    except torch.OutOfMemoryError as error:
        remedies = "training.micro_batch_size, training.loss_chunk, training.activation_checkpointing or strategy: fsdp"
        print(f"error: out of GPU memory: use {remedies} ({str(error).splitlines()[0]})", file=sys.stderr)
        return 1
    except (DiskError, InUse, TokenError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
