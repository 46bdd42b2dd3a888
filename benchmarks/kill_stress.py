"""Kill a training run at random moments and restart it until it ends: its bits must equal an unbroken run's.

    python benchmarks/kill_stress.py --kills 200 --seed 0

Kills are SIGKILL. Every process is a real one that runs the program. It is forked from a server that has imported torch
and Lightning, so a trial takes a second. Half of the kills come after a random time. The other half are aimed at short
phases: they wait for a random phase, and then some milliseconds more. A kill is counted in the phase in which the
process died. The seed decides the aim; the moment within a phase depends on the machine. Prints the table of
kill_stress.md; exits with 1 if anything differs.
"""

import argparse
import ctypes
import hashlib
import json
import multiprocessing
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from functools import wraps
from pathlib import Path

import lightning as L
import numpy as np

from spikesink.training import __main__ as program
from spikesink.training import results, train
from spikesink.training.manifest import versions
from spikesink.training.module import LanguageModel
from spikesink.training.record import MetricsRecord
from spikesink.training.snapshots import Snapshots
from spikesink.training.storage.checkpoint import Checkpointing

VOCABULARY = 256
RUN = {
    "study": "kill_stress",
    "variant": "baseline",
    "seed": 0,
    "tokenizer": {"vocabulary": VOCABULARY},
    "model": {
        "layers": 2,
        "d_model": 32,
        "attention": {"heads": 2, "head_dim": 16},
        "feed_forward": {"kind": "swiglu", "width": 64},
    },
    "training": {
        "steps": 60,
        "sequence_length": 32,
        "batch_size": 4,
        "optimiser": {"lr": 0.01},
        "schedule": {"warmup_steps": 5},
        "log_every": 3,
        "checkpoint_every": 4,
        "snapshots": 8,
    },
}
START, LOOP = "start-up and end", "set-up, and between steps"
MARKED = (
    (train, "checkpoint_to_resume", "choosing a checkpoint"),
    (L.Trainer, "fit", LOOP),
    (LanguageModel, "training_step", "step"),
    (MetricsRecord, "on_train_start", "writing metrics.csv again"),
    (MetricsRecord, "on_train_batch_end", "writing a row"),
    (Snapshots, "on_train_batch_end", "writing a snapshot"),
    (Checkpointing, "save", "writing a checkpoint"),
    (train, "write_results", "moving outputs into the run's folder"),
    (results, "remove", "removing the checkpoints"),
)
PHASES = (START, *(phase for _, _, phase in MARKED))
PROCESSES = multiprocessing.get_context("forkserver")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    PROCESSES.set_forkserver_preload(["spikesink.training.__main__", "torch._dynamo"])
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens"
        pack_random_tokens(tokens)
        return stress(options.kills, random.Random(options.seed), tokens, Path(folder))


def stress(kills: int, chance: random.Random, tokens: Path, folder: Path) -> int:
    begun = time.monotonic()
    phase = PROCESSES.Value(ctypes.c_int)
    run_until_end(tokens, folder / "first", phase)  # not counted: the server's first child takes longer
    started = time.monotonic()
    run_until_end(tokens, folder / "unbroken", phase)
    seconds = time.monotonic() - started
    expected = contents(folder / "unbroken")

    landed, finished, different = Counter(), 0, []
    restarts, most = 0, 0  # of the chain: processes that were killed before one ended
    while sum(landed.values()) < kills or restarts:
        process = start(tokens, folder / "chain", phase)
        if sum(landed.values()) < kills:
            wait(process, phase, chance, seconds)
        else:
            process.join()
        process.kill()
        process.join()
        if process.exitcode == -9:
            landed[PHASES[phase.value]] += 1
            restarts += 1
            continue
        log, found = (folder / "chain" / "log").read_text(), contents(folder / "chain")
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        if process.exitcode or "damaged" in log or differing:
            different.append(f"{differing}\n{log}")
        finished, restarts, most = finished + 1, 0, max(most, restarts)
        shutil.rmtree(folder / "chain")
    report(landed, finished, most, different, seconds, time.monotonic() - begun)
    return bool(different)


def run_until_end(tokens: Path, folder: Path, phase: object) -> None:
    process = start(tokens, folder, phase)
    process.join()
    if process.exitcode:
        sys.exit((folder / "log").read_text())


def start(tokens: Path, folder: Path, phase: object) -> multiprocessing.Process:
    folder.mkdir(exist_ok=True)
    phase.value = PHASES.index(START)
    process = PROCESSES.Process(target=body, args=(tokens, folder, phase))
    process.start()
    return process


def body(tokens: Path, folder: Path, phase: object) -> None:
    """Run the program in its own process and mark every phase where the parent can see it."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for owner, name, label in MARKED:
        setattr(owner, name, marked(getattr(owner, name), PHASES.index(label), phase))
    paths = {"--tokens": tokens, "--output": folder / "run", "--checkpoints": folder / "checkpoints"}
    sys.argv = ["spikesink.training", "--run", json.dumps(RUN), "--gpus", "0"]
    sys.argv += [str(word) for pair in paths.items() for word in pair]
    sys.exit(program.main())


def marked(function: object, label: int, phase: object) -> object:
    @wraps(function)
    def inner(*arguments: object, **options: object) -> object:
        before, phase.value = phase.value, label
        result = function(*arguments, **options)
        phase.value = before
        return result

    return inner


def wait(process: multiprocessing.Process, phase: object, chance: random.Random, seconds: float) -> None:
    """Wait for the moment to kill the process, or for its end."""
    if chance.random() < 0.5:
        process.join(chance.uniform(0, 1.2 * seconds))
        return
    target, inside = chance.randrange(len(PHASES)), False
    while process.is_alive():
        entered, inside = not inside and phase.value == target, phase.value == target
        if entered and chance.random() < 0.5:
            break
    process.join(chance.expovariate(1 / chance.choice((0.0002, 0.002, 0.01))))


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run except its manifest, which holds times. The folder of checkpoints must be empty."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in ("run/manifest.json", "log")}


def pack_random_tokens(folder: Path) -> None:
    folder.mkdir()
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=50_000, dtype=np.uint16).tobytes()
    (folder / "train.bin").write_bytes(tokens)
    train = {"file": "train.bin", "bytes": len(tokens), "sha256": hashlib.sha256(tokens).hexdigest()}
    index = {"format": 1, "dtype": "uint16", "vocabulary": VOCABULARY, "bos": "none", "bos_id": None}
    (folder / "tokens.json").write_text(json.dumps({**index, "tokenizer_sha256": "", "splits": {"train": train}}))


def report(
    landed: Counter, finished: int, most: int, different: list[str], unbroken_seconds: float, seconds: float
) -> None:
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), processor)
    print(f"{date.today()}, {processor}, {platform.system()} {platform.release()}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"unbroken run {unbroken_seconds:.1f} s, all trials {seconds / 60:.1f} min\n")
    print("| killed while | kills |\n|---|---:|")
    for phase in PHASES:
        print(f"| {phase} | {landed[phase]} |")
    print(f"| all | {sum(landed.values())} |\n")
    print(f"runs that ended: {finished}, killed up to {most} times each")
    print(f"bits of an unbroken run: {finished - len(different)} of {finished}")
    for log in different:
        print(f"\nDIFFERENT:\n{log}")


if __name__ == "__main__":
    sys.exit(main())
