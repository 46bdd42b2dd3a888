"""A trained run as a checkpoint that transformers loads."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from torch import Tensor

from spikesink.model.decoder import Decoder
from spikesink.model.trained import load_run
from spikesink.pretrained.architectures import ARCHITECTURES
from spikesink.pretrained.card import model_card, text_licence
from spikesink.pretrained.formats import CONFIG, PretrainedError, to_config
from spikesink.pretrained.names import hub_name, output_bias
from spikesink.pretrained.own_code import own_code
from spikesink.pretrained.own_format import PREFIX, own_config
from spikesink.pretrained.tokenizer import tokenizer_files
from spikesink.runs.atomic import whole
from spikesink.runs.folder import TRAIN_AGAIN, RunFolder
from spikesink.study.settings import Model, Training, build


def export(folder: Path, tokenizer_json: Path, output: Path, max_shard_size: str = "5GB") -> None:
    """Write the run in ``folder`` to ``output``, which must be new or empty, whole or not at all.

    A variant that Llama's or Qwen3's format can hold has that format. Any other has the decoder's own code beside its
    weights. Raises PretrainedError, InputError, TokenizerError.
    """
    run, _, training = read_run(folder)
    if RunFolder(folder).manifest.exists() and RunFolder(folder).has_diverged():
        raise PretrainedError(f"{folder} diverged, so that it has no weights: name the folder of a finished run")
    vocabulary, bos = run["tokenizer"]["vocabulary"], run["tokenizer"]["bos"]
    files, ids = tokenizer_files(tokenizer_json, vocabulary, training.sequence_length, bos)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PretrainedError(f"{output} exists and is not an empty folder: name another one")

    decoder = load_run(folder, "cpu")[0]
    config, weights = checkpoint(decoder, vocabulary, training.sequence_length)
    if "auto_map" in config:
        files |= own_code()
    parameters = sum(parameter.numel() for parameter in decoder.parameters())
    facts = {"architecture": config["architectures"][0], "parameters": parameters}
    facts["text"] = text_licence(tokenizer_json.parent / "corpus.json")
    files |= {
        CONFIG: json.dumps(config | ids | {"pad_token_id": None}, indent=2) + "\n",
        "generation_config.json": json.dumps(ids, indent=2) + "\n",
        "README.md": model_card(run, training, folder, **facts),
    }

    with whole(output) as part:
        part.mkdir()
        for name, content in files.items():
            (part / name).write_text(content, encoding="utf-8")
        huggingface_hub.save_torch_state_dict(weights, part, max_shard_size=max_shard_size)


def checkpoint(decoder: Decoder, vocabulary: int, positions: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of config.json and the weights by their names there, in a format of transformers or in our own."""
    settings = decoder.settings
    try:
        config = to_config(settings, vocabulary, positions)
    except PretrainedError:
        own = {f"{PREFIX}{name}": tensor for name, tensor in decoder.state_dict().items()}
        return own_config(settings, vocabulary, positions), own
    architecture = ARCHITECTURES[config["architectures"][0]]
    weights = {hub_name(name, architecture): tensor for name, tensor in decoder.state_dict().items()}
    if config["attention_bias"]:
        zeros = torch.zeros(settings.d_model)
        weights |= {output_bias(layer, architecture): zeros.clone() for layer in range(settings.layers)}
    return config, weights


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
