"""Whole training processes on the same random tokens: a run by our command line, and a bare loop.

``python benchmarks/peer_runs.py RUN TOKENS DEVICE`` is that loop over the same decoder, with the same data, precision,
AdamW and clipping, and nothing else.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def write_tokens(folder: Path, vocabulary: int, count: int = 400_000) -> None:
    """A packed stream of random tokens, and beside it a tokenizer in which no text is a token."""
    from spikesink.data.batches import FORMAT, INDEX
    from spikesink.runs.json_file import with_sum

    folder.mkdir(parents=True)
    splits = {}
    for name in ("train", "validation"):
        tokens = np.random.default_rng(0).integers(0, vocabulary, count, dtype=np.uint16)
        tokens.tofile(folder / f"{name}.bin")
        content = tokens.tobytes()
        entry = {"file": f"{name}.bin", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        starts = f"{name}.starts.npy"
        np.save(folder / starts, np.arange(0, count, 1000))
        splits[name] = entry | {"tokens": count, "document_starts": starts}
    index = {
        "format": FORMAT,
        "dtype": "uint16",
        "vocabulary": vocabulary,
        "bos": "none",
        "bos_id": None,
        "splits": splits,
        "tokenizer_sha256": "",
    }
    (folder / INDEX).write_text(json.dumps(with_sum(index)))
    folder.with_name("tokenizer.json").write_text(json.dumps({"model": {"vocab": {}}}))


def run_settings(scale: str, steps: int, **changes: object) -> dict:
    """run.json of the baseline of a scale, with fewer steps."""
    from peer_steps import recipes

    model, training, vocabulary = recipes(scale)["baseline"]
    schedule = replace(training.schedule, warmup_steps=min(training.schedule.warmup_steps, steps // 2))
    shorter = {"steps": steps, "schedule": schedule, "snapshots": min(training.snapshots, steps)}
    training = replace(training, **shorter | changes)
    tokenizer = {"vocabulary": vocabulary, "bos": "none"}
    names = {"study": "peers", "scale": scale, "ablation": "baseline", "variant": "baseline", "seed": 0}
    return names | {"tokenizer": tokenizer, "model": asdict(model), "training": asdict(training)}


def training_command(run: dict, tokens: Path, output: Path, *, gpus: int, threads: int = 1) -> list[str]:
    arguments = ["--run", json.dumps(run), "--tokens", str(tokens), "--output", str(output), "--gpus", str(gpus)]
    arguments += ["--checkpoints", str(output.parent / "checkpoints"), "--threads", str(threads)]
    return [sys.executable, "-m", "spikesink.training", *arguments]


def loop_command(run: dict, tokens: Path, device: str) -> list[str]:
    return [sys.executable, __file__, json.dumps(run), str(tokens), device]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def measured(command: list[str], seconds: float = 3600) -> dict:
    """CPU seconds, seconds and peak memory of a process and its children."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    deadline = start + seconds
    # wait4 gives the resources of this child alone.
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if not pid:
        process.kill()
        raise TimeoutError(f"{command[:3]} took more than {seconds} s")
    said = process.stdout.read()
    if status:
        raise RuntimeError(f"{command[:3]}: {said[-1500:]}")
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "seconds": time.monotonic() - start,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def adamw(parameters, settings):
    """Fused AdamW with a run's settings, for what is compared with our own training."""
    import torch

    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(parameters, lr=settings.lr, betas=betas, weight_decay=settings.weight_decay, fused=True)


def bare_loop(run: dict, tokens: Path, device: str) -> None:
    """Train ``run`` with nothing beside data, model, AdamW, clipping and the schedule."""
    import torch

    from spikesink.data.batches import TokenStream, batch
    from spikesink.model.decoder import Decoder
    from spikesink.model.initial import initialise
    from spikesink.study.settings import Model, Training, build
    from spikesink.training.schedule import learning_rate_share

    torch.set_num_threads(1)
    training = build(Training, run["training"])
    stream = TokenStream.open(tokens, "train", verify=False)
    vocabulary, length = run["tokenizer"]["vocabulary"], training.sequence_length
    decoder = Decoder(build(Model, run["model"]), vocabulary=vocabulary, positions=length)
    initialise(decoder, run["seed"])
    decoder.to(device)
    if training.compile:
        decoder.compile()
    settings = training.optimiser
    optimiser = adamw(decoder.parameters(), settings)
    parameters = list(decoder.parameters())
    for step in range(training.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * learning_rate_share(training.schedule, step, training.steps)
        numbers = batch(stream, seed=run["seed"], step=step, batch_size=training.batch_size, sequence_length=length)
        rows = torch.from_numpy(numbers).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = decoder(rows[:, :-1], targets=rows[:, 1:], loss_chunk=training.loss_chunk)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm, foreach=True)
        optimiser.step()
        optimiser.zero_grad()
        if step % training.log_every == 0:
            print(step, loss.item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("run", "tokens", "device"):
        parser.add_argument(name)
    options = parser.parse_args()
    bare_loop(json.loads(options.run), Path(options.tokens), options.device)
