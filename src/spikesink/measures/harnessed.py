"""Models as lm-evaluation-harness takes them: a run by its export, a published model by its files, quantised ones."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikesink.measures.loading import device_of, subject_of
from spikesink.measures.questions.quantisation import settings_of
from spikesink.runs.described_files import check_unchanged, files_of_model
from spikesink.runs.json_file import read_intact_json
from spikesink.runs.json_kinds import MEASURED_MODEL
from spikesink.runs.sums import delete_and_run
from spikesink.study.settings import Capabilities


@dataclass(frozen=True)
class Asked:
    """A model that is given tasks, as files."""

    folder: Path
    """The model, as transformers loads it."""
    texts: Path
    """Its tokenizer, which starts texts as the study does."""
    context: int
    """Tokens that it takes at a time."""
    is_ours: bool
    """Whether the model is an export of ours. Only then may the code run that comes with it."""


def exported(options: argparse.Namespace, work: Path) -> Asked:
    """A run, which is exported into the folder ``work``."""
    from spikesink.pretrained.export import export, read_run

    export(options.run, options.tokenizer, work / "model")
    return Asked(work / "model", work / "model", read_run(options.run)[2].sequence_length, is_ours=True)


def published(options: argparse.Namespace, work: Path) -> Asked:
    """A published model, whose tokenizer is written into the folder ``work``."""
    from spikesink.pretrained.tokenizer import tokenizer_files
    from spikesink.pretrained.vocabulary import largest_id

    described = read_intact_json(options.pretrained, delete_and_run(options.pretrained), MEASURED_MODEL)
    check_unchanged(files_of_model(described), options.pretrained)
    source, context = Path(described["tokenizer"]), described["positions"]
    size = max(described["vocabulary"], largest_id(source) + 1)
    files, _ = tokenizer_files(source, size, context, described["bos"], described["bos_token"])
    (work / "texts").mkdir()
    for name, content in files.items():
        (work / "texts" / name).write_text(content, encoding="utf-8")
    return Asked(Path(described["folder"]), work / "texts", context, is_ours=False)


def harness(asked: Asked, options: argparse.Namespace, settings: Capabilities, model: Any = None) -> Any:
    """The model as the harness takes it, in float32; ``model`` instead of the one in the folder, if there is one."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    class Scored(HFLM):
        """The harness puts a BOS before every window that it scores, so the tokenizer must not give another."""

        def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list[float]:
            kept, self.add_bos_token = self.add_bos_token, False
            try:
                return super().loglikelihood_rolling(requests, disable_tqdm)
            finally:
                self.add_bos_token = kept

    tokenizer = AutoTokenizer.from_pretrained(asked.texts, trust_remote_code=asked.is_ours)
    # Padding is masked, so that any token will do; the harness would add one that the model lacks.
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    torch.set_num_threads(options.threads)
    return Scored(
        pretrained=str(asked.folder) if model is None else model,
        tokenizer=tokenizer,
        device=device_of(options),
        dtype="float32",
        batch_size=settings.batch_size,
        max_length=asked.context,
        trust_remote_code=asked.is_ours,
    )


def in_every_setting(asked: Asked, options: argparse.Namespace, settings: Capabilities) -> Iterator[tuple[str, Any]]:
    """Yields the settings that are asked for, one open at a time, with the model quantised as the harness takes it.

    All are simulated in floats, as in the measure ``quantisation``, which says what each is. Raises InputError.
    """
    subject = subject_of(options)
    rows = subject.rows(settings.calibration_sequences)[:, :-1]
    model = in_transformers(subject.model, asked.context)
    left = set(settings.quantisation)
    for name, _, changed in settings_of(subject.model, rows, settings.batch_size):
        if name in left:
            left.remove(name)
            print(f"quantised: {name}", file=sys.stderr)
            with changed():
                yield name, harness(asked, options, settings, model)
    for name in sorted(left):
        print(f"quantised: not {name}, which this architecture has no matrices for", file=sys.stderr)


def in_transformers(decoder: Any, positions: int) -> Any:
    """The decoder in the class that exports have, with its own weights."""
    from spikesink.pretrained.modeling_spikesink import SpikesinkConfig, SpikesinkForCausalLM
    from spikesink.pretrained.own_format import own_config

    vocabulary = decoder.embedding.num_embeddings
    config = SpikesinkConfig(**own_config(decoder.settings, vocabulary, positions))
    with torch.device("meta"):
        model = SpikesinkForCausalLM(config)
    model.decoder = decoder
    return model.eval()
