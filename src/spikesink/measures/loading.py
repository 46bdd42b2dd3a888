"""The subject of a measuring job, loaded from the files that its command line names."""

import argparse
from pathlib import Path

import numpy as np
import torch

from spikesink.data.batches import TokenError, TokenStream
from spikesink.data.boundaries import open_with_bos
from spikesink.data.drawn_rows import document_starts
from spikesink.measures.subject import Subject
from spikesink.model.decoder import Decoder
from spikesink.model.trained import load_run
from spikesink.runs.described_files import check_unchanged, files_of_model
from spikesink.runs.folder import RunFolder
from spikesink.runs.free_memory import free_memory
from spikesink.runs.json_file import read_intact_json
from spikesink.runs.json_kinds import MEASURED_MODEL
from spikesink.runs.sums import delete_and_run
from spikesink.study.errors import InputError

BEGINNING = 16
"""So many tokens show whether a published model computes numbers."""


def subject_of(options: argparse.Namespace) -> Subject:
    """The subject of the run or the published model that a command line names. Raises as the two functions below do."""
    if options.run:
        return trained_subject(options.run, options.tokens, options.tokenizer, device_of(options))
    return pretrained_subject(options.pretrained, options.tokens, device_of(options))


def device_of(options: argparse.Namespace) -> str:
    return "cuda" if options.gpus and torch.cuda.is_available() else "cpu"


def trained_subject(run: Path, tokens: Path, tokenizer: Path | None, device: str) -> Subject:
    """A trained run's subject; ``tokenizer`` is by default the tokenizer.json beside the packed tokens' folder.

    Raises InputError or TokenError.
    """
    model, training = load_run(run, device)
    stream, starts = open_with_bos(tokens, "validation", training.bos)
    check_vocabulary(model, stream, tokens)
    tokenizer = tokenizer or tokens.with_name("tokenizer.json")
    context, window, warmup = training.sequence_length, training.loss_window, training.schedule.warmup_steps
    return Subject(model, context, window, stream, tokenizer, RunFolder(run).snapshots, starts, warmup)


def pretrained_subject(description: Path, tokens: Path, device: str) -> Subject:
    """The subject of a published model that `python -m spikesink.pretrained fetch` described in a file.

    Raises InputError, PretrainedError or TokenError.
    """
    from spikesink.pretrained.load import load_pretrained  # late: measuring a trained run needs none of it

    stream = TokenStream.open(tokens, "validation")
    described = read_intact_json(description, delete_and_run(description), MEASURED_MODEL)
    check_unchanged(files_of_model(described), description)
    check_room(described, description, device)
    model = load_pretrained(described["folder"], device=device).decoder
    check_vocabulary(model, stream, tokens)
    check_finite(model, stream, described["folder"])
    tokenizer, snapshots = Path(described["tokenizer"]), RunFolder(description.parent).snapshots
    starts = document_starts(tokens, "validation")
    return Subject(model, described["context"], None, stream, tokenizer, snapshots, starts)


def check_room(described: dict, description: Path, device: str) -> None:
    """Raise InputError when the weights in float32 do not fit into the memory that is free.

    On a CPU, weights that are stored in float32 are mapped from their file.
    """
    is_mapped = device == "cpu" and (described.get("dequantised") or described.get("stored_as") == "float32")
    needed = 0 if is_mapped else 4 * described["parameters"]
    free = free_memory() if device == "cpu" else torch.cuda.mem_get_info()[0]
    if needed > free:
        raise InputError(
            f"{description}: the weights take {needed / 2**30:.1f} GiB in float32, and {free / 2**30:.1f} GiB are "
            "free: measure this model on a machine, or with a GPU, that has more memory"
        )


def check_finite(model: Decoder, stream: TokenStream, folder: str) -> None:
    """Raise InputError where the first few tokens of the text already give logits that are no finite numbers."""
    beginning = torch.from_numpy(stream.tokens[:BEGINNING].astype(np.int64))[None]
    with torch.no_grad():
        is_finite = model(beginning.to(model.embedding.weight.device)).isfinite().all()
    if not is_finite:
        raise InputError(
            f"{folder}: the model's logits are no finite numbers, so its weights are damaged or overflow: download the "
            "checkpoint again, or choose another"
        )


def check_vocabulary(model: Decoder, stream: TokenStream, tokens: Path) -> None:
    """Raise TokenError when the text has token ids that the model lacks."""
    if model.embedding.num_embeddings < stream.vocabulary:
        raise TokenError(
            f"{tokens} was packed with a vocabulary of {stream.vocabulary}, the model has "
            f"{model.embedding.num_embeddings}: pack the text with the model's tokenizer"
        )
