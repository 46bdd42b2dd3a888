"""Command line: ``python -m spikesink.pretrained {check,fetch,export}``. A failure prints one line and exits with 1."""

import argparse
import json
import sys
from pathlib import Path

from spikesink.data.batches import file_sha256
from spikesink.pretrained.formats import PretrainedError
from spikesink.pretrained.load import checked
from spikesink.pretrained.vocabulary import TOKENIZER
from spikesink.runs.atomic import whole


def main() -> int:
    options = arguments()
    try:
        if options.step == "check":
            print(summary(options.source, options.revision))
        elif options.step == "fetch":
            fetch(options.source, options.revision, options.context, options.bos, options.output)
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
    fetch = steps.add_parser(
        "fetch", help="check a checkpoint, from the hub if need be, and describe it for later jobs"
    )
    fetch.add_argument("source", help="as for check")
    fetch.add_argument("--revision", help="commit of a hub id")
    fetch.add_argument("--context", type=int, default=2048, help="sequence length to measure it with, in tokens")
    fetch.add_argument("--bos", choices=("sequence", "none"), required=True, help="whether a BOS starts sequences")
    fetch.add_argument("--output", type=Path, required=True, help="JSON file to write")
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


def fetch(source: str, revision: str | None, context: int, bos: str, output: Path) -> None:
    """Write what measuring jobs need to know of a checkpoint, and what identifies its files. Raises PretrainedError."""
    revision = revision or None
    if revision is None and not Path(source).is_dir():
        raise PretrainedError(f"{source} has no revision: pin a commit of the hub model, or name a local folder")
    found = checked(source, revision)
    folder = found.folder.absolute()
    if not (folder / TOKENIZER).is_file():
        raise PretrainedError(f"{folder} has no {TOKENIZER}: a model is measured on text, which needs its tokenizer")
    described = {
        "source": source,
        "revision": revision,
        "folder": str(folder),
        "architecture": found.described.architecture,
        "parameters": sum(parameter.numel() for parameter in found.decoder.parameters()),
        "vocabulary": found.described.vocabulary,
        "positions": found.described.positions,
        "context": min(context, found.described.positions),
        "tokenizer": str(folder / TOKENIZER),
        "bos": bos,
        "files": {path.name: file_identity(path) for path in sorted(folder.iterdir()) if path.is_file()},
    }
    with whole(output) as part:
        part.write_text(json.dumps(described, indent=1) + "\n")


def file_identity(path: Path) -> dict:
    """Size, and the hub's own digest where its cache knows it or else the SHA-256 of the content."""
    resolved = path.resolve().name
    digest = resolved if resolved != path.name else file_sha256(path)
    return {"bytes": path.stat().st_size, "digest": digest}


if __name__ == "__main__":
    sys.exit(main())
