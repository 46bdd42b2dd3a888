"""Command line of the data rules: ``python -m spikesink.data {corpus,tokenizer,tokens}``.

corpus is the only step that may open a connection; with a hub corpus it runs where there is internet. An expected
failure prints one line to stderr and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from spikesink.data.batches import TokenError, file_sha256
from spikesink.runs.atomic import whole
from spikesink.study.settings import Corpus, Tokenizer, build


class SettingsError(ValueError):
    """Settings on the command line that cannot be used."""


def main(arguments: list[str] | None = None) -> int:
    """Run one step; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        corpus, tokenizer_settings = _settings(options.settings, of_pretrained=options.pretrained is not None)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # Imported late: a typo in the settings should be reported without waiting for the libraries.
    os.environ.setdefault("USE_TORCH", "0")  # or datasets imports torch, which takes seconds and serves nothing here
    from spikesink.data import corpora, packing, tokenizer

    try:
        if options.step == "corpus":
            description = corpora.describe(corpus, download=True)
            source = tokenizer.source_file(tokenizer_settings, download=True)
            if source is not None and source.is_file():
                description["tokenizer"] = {"name": tokenizer_settings.name, "digest": file_sha256(source)}
            _write_json(description, options.output)
            return 0
        corpora.check_unchanged(corpus, _read_json(options.corpus, "run the corpus step again"))
        if options.step == "tokenizer":
            documents = (
                text
                for texts, held_out in corpora.split_batches(corpus)
                for text, is_held_out in zip(texts, held_out, strict=True)
                if not is_held_out
            )
            loaded = tokenizer.build(tokenizer_settings, documents, options.output)
            print(f"{options.output}: {loaded.size} ids, bos {loaded.bos_id}, eos {loaded.eos_id}", file=sys.stderr)
        else:
            if options.pretrained:
                tokenizer_settings, splits = _of_pretrained(options.pretrained), ("validation",)
                options.tokenizer = tokenizer_settings.name
            else:
                splits = packing.SPLITS
            index = packing.pack(corpus, tokenizer_settings, options.tokenizer, options.output, splits)
            for name, split in index["splits"].items():
                print(f"{name}: {split['tokens']:,} tokens, {split['documents']:,} documents", file=sys.stderr)
    except (corpora.CorpusError, tokenizer.TokenizerError, TokenError, SettingsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spikesink.data", description=__doc__.splitlines()[0])
    parser.set_defaults(pretrained=None)
    steps = parser.add_subparsers(dest="step", required=True)
    corpus = steps.add_parser("corpus", help="fetch the corpus (and a hub tokenizer) and describe its files")
    tokenizer = steps.add_parser("tokenizer", help="train or copy the tokenizer")
    tokens = steps.add_parser("tokens", help="encode the corpus into flat files")
    for step in (corpus, tokenizer, tokens):
        step.add_argument("--settings", required=True, help='JSON object {"corpus": {...}, "tokenizer": {...}}')
        step.add_argument("--output", required=True, type=Path, help="file to write; a folder for tokens")
    for step in (tokenizer, tokens):
        step.add_argument("--corpus", required=True, type=Path, help="the file written by the corpus step")
    source = tokens.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokenizer", type=Path, help="the file written by the tokenizer step")
    source.add_argument(
        "--pretrained",
        type=Path,
        help="the file that `python -m spikesink.pretrained fetch` wrote: encode the held-out documents with the "
        "tokenizer of that model",
    )
    return parser


def _settings(text: str, of_pretrained: bool) -> tuple[Corpus, Tokenizer | None]:
    """Corpus and tokenizer; the text of a pretrained model needs no tokenizer of its own."""
    try:
        value = json.loads(text)
        return build(Corpus, value["corpus"]), None if of_pretrained else build(Tokenizer, value["tokenizer"])
    except (ValueError, TypeError) as error:
        raise SettingsError(f"--settings: {error}") from None
    except KeyError as error:
        raise SettingsError(f"--settings: the key {error} is missing") from None


def _of_pretrained(path: Path) -> Tokenizer:
    described = _read_json(path, "fetch the model again")
    try:
        name, vocabulary, bos = (described[key] for key in ("tokenizer", "vocabulary", "bos"))
        return Tokenizer(kind="file", name=name, vocabulary=vocabulary, bos=bos)
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{path} does not describe a model ({error}): fetch the model again") from None


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise SettingsError(f"{path} is not valid JSON ({error}): {remedy}") from None


def _write_json(value: dict[str, Any], path: Path) -> None:
    with whole(path) as part:
        part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
