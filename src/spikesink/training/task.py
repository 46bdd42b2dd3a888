"""What one process of a training run works on: the run, its data, its devices and its folders."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesink.data.batches import TokenError, TokenStream, read_index
from spikesink.data.boundaries import open_with_bos
from spikesink.runs.folder import RunFolder
from spikesink.runs.identity import run_digest
from spikesink.study.micro_batch import micro_batch
from spikesink.study.settings import Training, build
from spikesink.training.devices import Devices


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run to train, read and checked."""

    run: dict[str, Any]
    """The content of run.json."""
    training: Training
    devices: Devices
    tokens: Path
    """Folder of the packed tokens."""
    index: dict[str, Any]
    """Their index."""
    stream: TokenStream
    """The tokens to train on; their checksum has not been compared yet."""
    output: RunFolder
    """Where the results appear when the run has ended."""
    checkpoints: Path
    """Folder of the folders that runs resume from."""

    @property
    def name(self) -> str:
        return f"{self.run['variant']}/seed{self.run['seed']}"

    @property
    def seed(self) -> int:
        return self.run["seed"]

    @property
    def vocabulary(self) -> int:
        return self.run["tokenizer"]["vocabulary"]

    @property
    def tokens_sha256(self) -> str:
        return self.index["splits"]["train"]["sha256"]

    @property
    def digest(self) -> str:
        return run_digest(self.run, self.tokens_sha256)

    @property
    def work(self) -> RunFolder:
        """The folder that the run resumes from. Its metrics and snapshots have the names of the results."""
        return RunFolder(self.checkpoints / self.digest)

    @property
    def tokens_per_step(self) -> int:
        return self.training.batch_size * self.training.sequence_length

    @property
    def micro_batch(self) -> int:
        return micro_batch(self.training, self.devices.number)

    @property
    def precision(self) -> str:
        """The precision of matrix products: bfloat16 or float32."""
        if self.training.precision == "auto":
            return "bfloat16" if self.devices.accelerator == "gpu" else "float32"
        return self.training.precision


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the training of a task ended."""

    status: str
    """finished or diverged."""
    why: str | None
    """Why the run diverged."""
    resumed_from: int | None
    """Step of the checkpoint that it resumed from."""
    started: str
    """Time in UTC."""
    seconds: float


def stream_of(tokens: Path, training: Training) -> TokenStream:
    """The tokens to train on, with the BOS that the run has. Raises TokenError."""
    if training.bos is None:
        return TokenStream.open(tokens, "train", verify=False)
    return open_with_bos(tokens, "train", training.bos, verify=False)[0]


def read_task(run: dict[str, Any], options: argparse.Namespace) -> Task:
    """The task that the command line describes. Raises TokenError, and ValueError for devices that do not fit."""
    training = build(Training, run["training"])
    devices = Devices.available(options.gpus, options.processes, options.nodes)
    micro_batch(training, devices.number)  # refuses a number of devices that the batch cannot be shared by
    index = read_index(options.tokens)
    vocabulary = run["tokenizer"]["vocabulary"]
    if index["vocabulary"] != vocabulary:
        raise TokenError(
            f"{options.tokens} was packed with a vocabulary of {index['vocabulary']}, the run has tokenizer.vocabulary "
            f"= {vocabulary}: pack the tokens again with the run's tokenizer, or name the folder that belongs to it"
        )
    return Task(
        run=run,
        training=training,
        devices=devices,
        tokens=options.tokens,
        index=index,
        stream=stream_of(options.tokens, training),
        output=RunFolder(options.output),
        checkpoints=options.checkpoints,
    )
