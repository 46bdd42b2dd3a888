"""The model card of an exported run: what it is, how it was trained, how well it predicts."""

import json
from pathlib import Path
from typing import Any

from spikesink import __version__
from spikesink.model.perplexity import perplexity
from spikesink.pretrained.own_format import ARCHITECTURE
from spikesink.runs.folder import RunFolder
from spikesink.runs.json_file import read_json
from spikesink.runs.json_kinds import CORPUS
from spikesink.runs.sums import intact
from spikesink.study.errors import InputError, first_line
from spikesink.study.settings import Training


def model_card(
    run: dict[str, Any], training: Training, folder: Path, *, architecture: str, parameters: int, text: str
) -> str:
    """README.md for an exported run, from its resolved settings and, where there are any, its measures.

    ``text``: the terms of the text that it learned from.
    """
    measured = held_out_perplexity(folder)
    tokens = training.steps * training.batch_size * training.sequence_length
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [spikesink]",
        "---",
        "",
        f"# {run['variant']} ({run['study']}, seed {run['seed']})",
        "",
        "A language model trained with spikesink, a workflow that trains Llama-style Transformers with one "
        "architectural choice changed at a time and measures massive activations and attention sinks in them. It is "
        "meant for study, not for use.",
        "",
        f"* study `{run['study']}`, variant `{run['variant']}`, seed {run['seed']}, scale {run['scale']}",
        f"* {architecture}, {parameters:,} parameters in float32, context {training.sequence_length} tokens",
        f"* {tokens:,} training tokens in {training.steps:,} steps",
        f"* held-out perplexity: {'not measured' if measured is None else f'{measured:.2f} per token'}",
        f"* BOS: {run['tokenizer']['bos']}",
        "",
        *how_to_load(architecture),
        f"Licence: the code of spikesink is under the MIT licence, which does not extend to weights. {text}",
        "",
        "All settings:",
        "",
        "```json",
        json.dumps(run, indent=2, sort_keys=True),
        "```",
        "",
    ]
    return "\n".join(lines)


def how_to_load(architecture: str) -> list[str]:
    """Lines on a format of our own; none for one that transformers has."""
    if architecture != ARCHITECTURE:
        return []
    return [
        f"No architecture of transformers has this variant. The folder holds the decoder of spikesink {__version__}, "
        "which runs only if you allow it:",
        "",
        "```python",
        'AutoModelForCausalLM.from_pretrained("this folder", trust_remote_code=True)',
        'AutoTokenizer.from_pretrained("this folder", trust_remote_code=True)',
        "```",
        "",
        "It generates with a key-value cache. Pad prompts on the left and give the attention_mask.",
        "",
    ]


def text_licence(corpus_json: Path) -> str:
    """A sentence on the terms of the text that a study trains on, from its corpus.json, or what to do without it."""
    unknown = "They were learned from the study's corpus; before you publish them, name its terms here."
    if not corpus_json.is_file():
        return unknown
    corpus = read_json(corpus_json, "run the study again", CORPUS)
    if corpus.get("kind") in ("embedded", "bigram_backcopy"):
        return "They were learned from the text in spikesink's repository, all of it in the public domain."
    names = [corpus["dataset"]] if corpus.get("dataset") else [file["name"] for file in corpus.get("files", [])]
    if not names:
        return unknown
    revision = f" at {corpus['revision']}" if corpus.get("revision") else ""
    return f"They were learned from {', '.join(names)}{revision}; before you publish them, name its terms here."


def held_out_perplexity(folder: Path) -> float | None:
    """The run's perplexity over all positions, None if it was not measured."""
    path = RunFolder(folder).measure("perplexity")
    if not path.is_file():
        return None
    import polars

    again = "measure this run again"
    try:
        positions = polars.read_parquet(intact(path, again), columns=["nll_nats", "tokens"], glob=False)
    except polars.exceptions.PolarsError as error:
        raise InputError(f"{path}: has no perplexity that can be read ({first_line(error)}): {again}") from error
    return perplexity(positions["nll_nats"].sum(), positions["tokens"].sum())
