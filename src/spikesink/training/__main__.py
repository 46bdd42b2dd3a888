"""Train one run: resolved run and packed tokens in; run.json, model.safetensors, metrics.csv and manifest.json out."""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import lightning as L
import torch
from safetensors.torch import save_file

from spikesink.data.batches import TokenError, TokenStream, read_index
from spikesink.model.decoder import Decoder, initialise
from spikesink.settings import Model, Training, build
from spikesink.tracking import Mirror, run_name, run_params, run_tags
from spikesink.training import manifest
from spikesink.training.checkpoint import CHECKPOINT, Checkpointing, Interrupted
from spikesink.training.data_module import TokenDataModule
from spikesink.training.module import LanguageModel
from spikesink.training.progress import ProgressLines
from spikesink.training.record import Diverged, MetricsRecord


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.training", description=__doc__)
    parser.add_argument("--run", required=True, help="the resolved run: a JSON file, or the JSON text itself")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--output", type=Path, required=True, help="the run's folder")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the folders to resume from")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--gpus", type=int, default=1, help="0 trains on the CPU, as does a machine without a GPU")
    return parser.parse_args()


def run_digest(run: dict, tokens_sha256: str) -> str:
    """Everything that the weights depend on: settings, code and data. It names the checkpoint folder."""
    relevant = {key: run.get(key) for key in ("tokenizer", "model", "training", "seed", "code")}
    relevant["tokens"] = tokens_sha256
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def live_mirror(run: dict, digest: str, folder: Path) -> Mirror | None:
    """The run in MLflow if SPIKESINK_TRACKING_URI names a store; it needs no MLflow to be installed until it writes."""
    uri = os.environ.get("SPIKESINK_TRACKING_URI")
    if not uri:
        return None
    return Mirror(
        uri=uri,
        experiment=run["study"],
        run_name=run_name(run),
        tags=run_tags(run, digest),
        params=run_params(run),
        run_id_file=folder / "mlflow_run_id",
    )


def finish(output: Path, files: dict[str, str | Path]) -> None:
    """Move finished files into the run's folder, the manifest last: a reader who sees it sees a whole run."""
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        temporary = output / f".{name}.part"
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_text(content)
        os.replace(temporary, output / name)


def train(run: dict, options: argparse.Namespace) -> None:
    """Train ``run`` to its last step, resuming where an earlier process of the same digest stopped."""
    training = build(Training, run["training"])
    stream = TokenStream.open(options.tokens, "train")
    tokens_sha256 = read_index(options.tokens)["splits"]["train"]["sha256"]
    decoder = Decoder(
        build(Model, run["model"]), vocabulary=run["tokenizer"]["vocabulary"], positions=training.sequence_length
    )
    initialise(decoder, run["seed"])

    digest = run_digest(run, tokens_sha256)
    work = options.checkpoints / digest
    work.mkdir(parents=True, exist_ok=True)
    mirror = live_mirror(run, digest, work)
    tokens_per_step = training.batch_size * training.sequence_length
    name = f"{run['variant']}/seed{run['seed']}"

    accelerator = "gpu" if options.gpus and torch.cuda.is_available() else "cpu"
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if accelerator == "gpu" else "float32"
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        max_steps=training.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[
            MetricsRecord(
                work / "metrics.csv", training.log_every, tokens_per_step, mirror.log if mirror else lambda *_: None
            ),
            Checkpointing(work, training.checkpoint_every),
            ProgressLines(name, tokens_per_step),
        ],
    )
    module = LanguageModel(decoder, training)
    data = TokenDataModule(stream, training, run["seed"], lambda: trainer.global_step)

    started, clock = datetime.now(UTC), time.monotonic()
    checkpoint = work / CHECKPOINT
    resumed_from = None
    if checkpoint.exists():
        resumed_from = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    status = "FAILED"
    try:
        trainer.fit(module, data, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
        status = "FINISHED"
    finally:
        if mirror:
            mirror.close(status)
    seconds = time.monotonic() - clock

    weights = work / "model.safetensors"
    save_file({key: value.contiguous() for key, value in decoder.state_dict().items()}, weights)
    trained_tokens = (training.steps - (resumed_from or 0)) * tokens_per_step
    facts = {
        "status": "finished",
        "digest": digest,
        "code": run.get("code"),
        "tokens_sha256": tokens_sha256,
        "git": manifest.git_state(),
        "versions": manifest.versions(),
        "hardware": manifest.hardware(trainer.strategy.root_device),
        "precision": precision,
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "tokens": training.steps * tokens_per_step,
        "resumed_from_step": resumed_from,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 2),
        "tokens_per_second": round(trained_tokens / seconds, 1),
        "peak_memory_mb": manifest.peak_memory_mb(),
    }
    finish(
        options.output,
        {
            "run.json": json.dumps(run, indent=2, sort_keys=True) + "\n",
            "model.safetensors": weights,
            "metrics.csv": work / "metrics.csv",
            "manifest.json": json.dumps(facts, indent=2) + "\n",
        },
    )
    shutil.rmtree(work)


def main() -> int:
    options = arguments()
    torch.set_num_threads(options.threads)
    # Its hints on accelerators, loggers and stopping say nothing that the progress lines do not.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    try:
        text = options.run if options.run.lstrip().startswith("{") else Path(options.run).read_text()
        train(json.loads(text), options)
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        return interruption.exit_code
    except (Diverged, TokenError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
