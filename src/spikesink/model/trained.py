"""A trained run's model from its folder: after the last step, or at the snapshots before."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spikesink.model.decoder import Decoder
from spikesink.runs.folder import TRAIN_AGAIN, RunFolder, snapshots
from spikesink.runs.sums import check_complete, intact
from spikesink.study.errors import InputError
from spikesink.study.settings import Model, Training, build


def load_run(folder: Path, device: str) -> tuple[Decoder, Training]:
    """Decoder in float32 and evaluation mode, and the training settings of the run. Raises InputError."""
    files = RunFolder(folder)
    run = files.settings()
    try:
        training, settings = build(Training, run["training"]), build(Model, run["model"])
        model = Decoder(settings, vocabulary=run["tokenizer"]["vocabulary"], positions=training.sequence_length)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{files.run} cannot be read ({error}): {TRAIN_AGAIN}") from error
    files.check_weights()
    weights = load_weights(files.weights)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{files.weights} does not fit {files.run}: {one_line(error)}: {TRAIN_AGAIN}") from error
    return model.to(device=device, dtype=torch.float32).eval(), training


def load_snapshots(folder: Path, model: Decoder, first: float = 0) -> Iterator[tuple[int, Decoder]]:
    """Yield the step of every snapshot in ``folder`` from step ``first`` on, and ``model`` with its weights.

    It is the same model each time. Yields nothing where the run kept no snapshots. Raises InputError.
    """
    check_complete(folder.parent, folder.name)
    for step, path in snapshots(folder).items():
        if step < first:
            continue
        try:
            model.load_state_dict(load_weights(path))
        except RuntimeError as error:
            raise InputError(f"{path} is no snapshot of this run ({one_line(error)}): {TRAIN_AGAIN}") from error
        yield step, model


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file by name. Raises InputError."""
    try:
        return load_file(intact(path, TRAIN_AGAIN))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}): {TRAIN_AGAIN}") from error


def one_line(error: Exception) -> str:
    """The first of the faults that torch lists under a heading, and how many more there are."""
    first, *others = [" ".join(line.split()) for line in str(error).splitlines()[1:]] or [str(error)]
    return f"{first} (and {len(others)} more)" if others else first
