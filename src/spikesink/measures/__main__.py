"""Answer one group of questions about a trained run or a pretrained model: one tidy table per question."""

import argparse
import csv
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import torch

from spikesink.data.batches import TokenError, TokenStream
from spikesink.measures.groups import GROUPS
from spikesink.measures.subject import Subject
from spikesink.model.trained import RunError, has_diverged, load_run
from spikesink.study.settings import Measures, build


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.measures", description=__doc__)
    parser.add_argument(
        "group", choices=GROUPS, help="; ".join(f"{name}: {', '.join(GROUPS[name][0])}" for name in GROUPS)
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="the trained run's folder")
    model.add_argument("--pretrained", type=Path, help="the file that `python -m spikesink.pretrained fetch` wrote")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of a run's tokens, if not beside them")
    parser.add_argument("--settings", required=True, help="the measures section of the config, as JSON")
    parser.add_argument("--output", type=Path, help="folder for the tables; by default measures/ of the model's folder")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--gpus", type=int, default=1, help="0 measures on the CPU, as does a machine without a GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


def load_subject(options: argparse.Namespace) -> Subject:
    """The model that the command line names, with the held-out text. Raises RunError, TokenError, PretrainedError."""
    device = "cuda" if options.gpus and torch.cuda.is_available() else "cpu"
    stream = TokenStream.open(options.tokens, "validation")
    if options.run:
        tokenizer = options.tokenizer or options.tokens.with_name("tokenizer.json")
        model, training = load_run(options.run, device)
        context, window, snapshots = training.sequence_length, training.loss_window, options.run / "snapshots"
    else:
        from spikesink.pretrained.load import load_pretrained  # a trained run needs none of it

        described = json.loads(options.pretrained.read_text())
        model = load_pretrained(described["folder"], device=device).decoder
        tokenizer = Path(described["tokenizer"])
        context, window, snapshots = described["context"], None, options.pretrained.with_name("snapshots")
    if model.embedding.num_embeddings < stream.vocabulary:
        raise TokenError(
            f"{options.tokens} was packed with a vocabulary of {stream.vocabulary}, the model has "
            f"{model.embedding.num_embeddings}: pack the text with the model's tokenizer"
        )
    return Subject(model, context, window, stream, tokenizer, snapshots)


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows as parquet or, where polars is not installed (a bare GPU machine), as CSV; atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        import polars

        polars.DataFrame(rows, infer_schema_length=None).write_parquet(temporary)
    os.replace(temporary, path)


def main() -> int:
    options = arguments()
    torch.set_num_threads(options.threads)
    output = options.output or (options.run or options.pretrained.parent) / "measures"
    answers = import_module(f"spikesink.measures.answers.{options.group}").answers
    try:
        if options.run and has_diverged(options.run):
            print(f"{options.run} diverged: there is nothing to measure, its tables stay empty", file=sys.stderr)
            for question in GROUPS[options.group].questions:
                write_table(output / f"{question}.{options.format}", [])
            return 0
        settings = build(Measures, json.loads(options.settings))
        for question, rows in answers(load_subject(options), settings):
            write_table(output / f"{question}.{options.format}", rows)
    except (RunError, TokenError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
