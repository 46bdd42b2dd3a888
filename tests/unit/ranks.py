"""Training runs of one or two ranks for the unit tests: real processes that talk over gloo.

They are forked from a server that has imported torch and Lightning, and start the program as srun or torchrun would.
A ``prelude`` is called with the rank in every process before the program.
"""

import csv
import json
import multiprocessing
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from spikesink.training import __main__ as program
from spikesink.training.module import LanguageModel

RUN = {
    "study": "test",
    "scale": "test",
    "ablation": "baseline",
    "variant": "baseline",
    "seed": 0,
    "code": "abc",
    "tokenizer": {"vocabulary": 300, "bos": "sequence"},
    "model": {
        "layers": 2,
        "d_model": 16,
        "attention": {"heads": 2, "head_dim": 8},
        "feed_forward": {"kind": "swiglu", "width": 20},
        "norm": {"kind": "sandwich"},
        "initialisation": {"head_std": 0.02},
    },
    "training": {
        "steps": 24,
        "sequence_length": 16,
        "batch_size": 4,
        "optimiser": {"lr": 0.01},
        "schedule": {"warmup_steps": 5},
        "log_every": 4,
        "checkpoint_every": 6,
    },
}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["spikesink.training.__main__", "torch._dynamo", "torch._inductor.pattern_matcher"])


def changed(**training) -> dict:
    return RUN | {"training": RUN["training"] | training}


def command_line(run: dict, tokens: Path, folder: Path, processes: int) -> list[str]:
    paths = ["--tokens", tokens, "--output", folder / "run", "--checkpoints", folder / "checkpoints"]
    return ["--run", json.dumps(run), *map(str, paths), "--processes", str(processes)]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def as_program(log: Path, arguments: list[str], prelude=None) -> None:
    """The body of a forked process: the program, as a shell starts it."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["spikesink.training", *arguments]
    if prelude is not None:
        prelude()
    sys.exit(program.main())


def as_rank(rank: int, port: int, log: Path, arguments: list[str], prelude) -> None:
    """The body of a forked process: the program, started the way a scheduler starts one rank."""
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ["SPIKESINK_LAUNCHER"] = "this test"
    as_program(log, arguments, prelude and partial(prelude, rank))


def ends(processes: list) -> list[int]:
    """Start processes and wait for them; their exit codes."""
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def train_alone(arguments: list[str], log: Path) -> None:
    """Train as the program with these arguments does, to the end."""
    process = PROCESSES.Process(target=as_program, args=(log, arguments))
    process.start()
    process.join(600)
    process.kill()
    assert process.exitcode == 0, log.read_text()


def train(run: dict, tokens: Path, folder: Path, ranks: int = 1, prelude=None) -> tuple[list[int], str]:
    """Train with this many ranks; returns their exit codes and all that they printed."""
    folder.mkdir(exist_ok=True)
    port, logs = free_port(), [folder / f"rank{rank}.log" for rank in range(ranks)]
    arguments = command_line(run, tokens, folder, ranks)
    targets = [(rank, port, log, arguments, prelude) for rank, log in enumerate(logs)]
    codes = ends([PROCESSES.Process(target=as_rank, args=target) for target in targets])
    return codes, "".join(log.read_text() for log in logs)


def finished(run: dict, tokens: Path, folder: Path, ranks: int = 1, prelude=None) -> Path:
    codes, text = train(run, tokens, folder, ranks, prelude)
    assert codes == [0] * ranks, text
    return folder / "run"


def metrics(run: Path) -> list[dict[str, float]]:
    with open(run / "metrics.csv") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def difference(first: Path, second: Path) -> float:
    """Largest relative difference between two runs' losses, gradient norms and weights; other numbers must be equal."""
    largest = 0.0
    assert len(metrics(first)) == len(metrics(second))
    for one, other in zip(metrics(first), metrics(second), strict=True):
        assert all(one[name] == other[name] for name in ("step", "tokens", "learning_rate"))
        largest = max([largest] + [abs(one[name] / other[name] - 1) for name in ("loss", "gradient_norm")])
    weights, others = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert weights.keys() == others.keys()
    for name in weights:
        largest = max(largest, float((weights[name] - others[name]).norm() / others[name].norm()))
    print(f"largest relative difference {largest:.1e}")
    return largest


def signal_at_step(step: int, number: int, to: int, rank: int) -> None:
    """Rank ``to`` alone receives a signal, in the middle of the optimiser step after ``step``."""
    training_step = LanguageModel.training_step

    def interrupted(self: LanguageModel, rows: torch.Tensor, index: int) -> None:
        if rank == to and self.global_step == step:
            os.kill(os.getpid(), number)
        training_step(self, rows, index)

    LanguageModel.training_step = interrupted


SLURM_STEP = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_NODELIST": "localhost",
    "SLURM_NNODES": "1",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SPIKESINK_LAUNCHER": "srun",
}


def as_srun_task(rank: int) -> None:
    """Set the environment of one task of an srun step, in place of the other launcher's."""
    for name in ("LOCAL_RANK", "NODE_RANK"):
        del os.environ[name]
    os.environ.update(SLURM_STEP, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank))


def compile_without_code(rank: int) -> None:
    """Use torch.compile without its C++ compiler, which takes a minute here."""
    torch.compile = partial(torch.compile, backend="aot_eager", fullgraph=True)


def out_of_memory(rank: int) -> None:
    """Make the first step run out of memory."""

    def too_large(self: LanguageModel, rows: torch.Tensor, index: int) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 80 GiB.\nAnd a page of advice.")

    LanguageModel.training_step = too_large


def three_devices(rank: int) -> None:
    sys.argv += ["--processes", "3"]


def wait_until(condition, seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
