"""The model card of an exported run: what it is, how it was trained, how well it predicts."""

import json
from pathlib import Path
from typing import Any

from spikesink.quantities.perplexity import perplexity
from spikesink.runs.folder import RunFolder
from spikesink.study.settings import Training


def model_card(run: dict[str, Any], training: Training, folder: Path, architecture: str, parameters: int) -> str:
    """README.md for an exported run, from its resolved settings and, where there are any, its measures."""
    name = run.get("label") or run["variant"]
    measured = held_out_perplexity(folder)
    tokens = training.steps * training.batch_size * training.sequence_length
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [spikesink]",
        "---",
        "",
        f"# {name} ({run['study']}, seed {run['seed']})",
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
        "Licence: the code of spikesink is under the MIT licence, which does not extend to weights. They were learned "
        "from the study's corpus; before you publish them, name its terms here.",
        "",
        "All settings:",
        "",
        "```json",
        json.dumps(run, indent=2, sort_keys=True),
        "```",
        "",
    ]
    return "\n".join(lines)


def held_out_perplexity(folder: Path) -> float | None:
    """The run's perplexity over all positions, None if it was not measured."""
    path = RunFolder(folder).measure("perplexity")
    if not path.is_file():
        return None
    import polars

    positions = polars.read_parquet(path, glob=False)
    return perplexity(positions["nll_nats"].sum(), positions["tokens"].sum())
