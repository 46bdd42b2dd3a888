"""Command line: ``python -m spikesink.pretrained {check,export}``. A failure prints one line and exits with 1."""

import argparse
import sys
from pathlib import Path

from spikesink.pretrained.load import checked


def main() -> int:
    options = arguments()
    try:
        if options.step == "check":
            print(summary(options.source, options.revision))
        else:
            from spikesink.pretrained.export import export  # late: checking needs neither tokenizers nor the hub

            export(options.run, options.tokenizer, options.output, options.max_shard_size)
            print(f"{options.output}: AutoModelForCausalLM.from_pretrained loads it", file=sys.stderr)
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.pretrained", description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    check = steps.add_parser("check", help="say whether a checkpoint can be read; reads no weights")
    check.add_argument("source", help="a folder in the format of the Hugging Face hub, or a hub id, fetched whole")
    check.add_argument("--revision", help="commit of a hub id; without it the newest")
    export = steps.add_parser("export", help="write a trained run as a checkpoint for transformers")
    export.add_argument("--run", type=Path, required=True, help="results/<study>/runs/<variant>/seed<k>")
    export.add_argument("--tokenizer", type=Path, required=True, help="results/<study>/data/tokenizer.json")
    export.add_argument("--output", type=Path, required=True, help="folder to write, new or empty")
    export.add_argument("--max-shard-size", default="5GB", help="larger weights are split into files of this size")
    return parser.parse_args()


def summary(source: str, revision: str | None) -> str:
    """One line on a checkpoint that can be read. Raises PretrainedError."""
    found = checked(source, revision)
    parameters = sum(parameter.numel() for parameter in found.decoder.parameters())
    dtypes = " and ".join(sorted({place.dtype for place in found.places.values()}))
    return (
        f"{source} loads: {found.described.architecture}, {parameters:,} parameters in {dtypes}, "
        f"vocabulary {found.described.vocabulary:,}, {found.described.positions:,} positions"
    )


if __name__ == "__main__":
    sys.exit(main())
