"""Measure one trained run: its folder and the packed tokens in, one tidy table per question out."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path

import torch

from spikesink.data.batches import TokenError, TokenStream, chunks
from spikesink.measures.activations import activations
from spikesink.measures.attention import attention_sinks
from spikesink.measures.checkpoint import RunError, load_run
from spikesink.measures.perplexity import perplexity
from spikesink.settings import Measures, build

QUESTIONS = ("perplexity", "attention", "activations")


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows as parquet or, where polars is not installed (a bare GPU machine), as CSV; atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        import polars

        polars.DataFrame(rows, infer_schema_length=None).write_parquet(temporary)
    os.replace(temporary, path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.measures", description=__doc__)
    parser.add_argument("questions", nargs="+", choices=QUESTIONS)
    parser.add_argument("--run", type=Path, required=True, help="the trained run's folder")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--settings", required=True, help="the measures section of the config, as JSON")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--gpus", type=int, default=1, help="0 measures on the CPU, as does a machine without a GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    device = "cuda" if options.gpus and torch.cuda.is_available() else "cpu"
    try:
        settings = build(Measures, json.loads(options.settings))
        model, training = load_run(options.run, device)
        stream = TokenStream.open(options.tokens, "validation")
        for question in options.questions:
            if question == "perplexity":
                rows = torch.from_numpy(chunks(stream, training.sequence_length, settings.perplexity_tokens))
                table = perplexity(model, rows, settings.batch_size)
            else:
                # T is the same for every model, whatever its context; only a positional gate's table bounds it.
                length = settings.sink_tokens
                if model.settings.gate.kind == "positional":
                    length = min(length, training.sequence_length)
                rows = torch.from_numpy(chunks(stream, length, settings.sequences * length))[:, :-1]
                if question == "attention":
                    table = attention_sinks(model, rows, epsilon=settings.sink_epsilon, batch_size=settings.batch_size)
                else:
                    table = activations(model, rows, batch_size=settings.batch_size)
            write_table(options.run / "measures" / f"{question}.{options.format}", table)
    except (RunError, TokenError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
