"""A trained run as a checkpoint that transformers loads."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import torch

from spikesink.model.trained import load_run
from spikesink.pretrained.architectures import ARCHITECTURES
from spikesink.pretrained.card import model_card
from spikesink.pretrained.formats import CONFIG, PretrainedError, to_config
from spikesink.pretrained.names import hub_name, output_bias
from spikesink.pretrained.tokenizer import tokenizer_files
from spikesink.runs.atomic import whole
from spikesink.runs.folder import TRAIN_AGAIN, RunFolder
from spikesink.study.settings import Model, Training, build


def export(folder: Path, tokenizer_json: Path, output: Path, max_shard_size: str = "5GB") -> None:
    """Write the run in ``folder`` to ``output``, which must be new or empty, whole or not at all.

    Raises PretrainedError naming the settings when the run's architecture is none that transformers has, InputError,
    TokenizerError.
    """
    run, settings, training = read_run(folder)
    vocabulary, bos = run["tokenizer"]["vocabulary"], run["tokenizer"]["bos"]
    try:
        config = to_config(settings, vocabulary, training.sequence_length)
    except PretrainedError as error:
        raise PretrainedError(f"{RunFolder(folder).run}: {error}") from None
    files, ids = tokenizer_files(tokenizer_json, vocabulary, training.sequence_length, bos)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PretrainedError(f"{output} exists and is not an empty folder: name another one")

    decoder = load_run(folder, "cpu")[0]
    architecture = ARCHITECTURES[config["architectures"][0]]
    weights = {hub_name(name, architecture): tensor for name, tensor in decoder.state_dict().items()}
    if config["attention_bias"]:
        weights |= {output_bias(layer, architecture): torch.zeros(settings.d_model) for layer in range(settings.layers)}
    parameters = sum(parameter.numel() for parameter in decoder.parameters())
    files |= {
        CONFIG: json.dumps(config | ids | {"pad_token_id": None}, indent=2) + "\n",
        "generation_config.json": json.dumps(ids, indent=2) + "\n",
        "README.md": model_card(run, training, folder, config["architectures"][0], parameters),
    }

    with whole(output) as part:
        part.mkdir()
        for name, content in files.items():
            (part / name).write_text(content, encoding="utf-8")
        huggingface_hub.save_torch_state_dict(weights, part, max_shard_size=max_shard_size)


def read_run(folder: Path) -> tuple[dict[str, Any], Model, Training]:
    """The content of run.json, and the settings in it. Raises PretrainedError, InputError."""
    path = RunFolder(folder).run
    if not path.exists():
        raise PretrainedError(f"{path} is missing: name the folder of a finished run, ending in seed<k>")
    run = RunFolder(folder).settings()
    try:
        missing = {"study", "scale", "variant", "seed", "tokenizer", "model", "training"} - set(run)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        return run, build(Model, run["model"]), build(Training, run["training"])
    except (ValueError, TypeError) as error:
        raise PretrainedError(f"{path} cannot be read ({error}): {TRAIN_AGAIN}") from None
