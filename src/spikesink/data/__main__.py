"""Command line of the data rules: ``python -m spikesink.data {corpus,tokenizer,tokens}``.

Only the step corpus may open a connection; with a hub corpus it must run where there is internet. An expected failure
prints one line to stderr and exits with 1.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from spikesink.runs.command import one_line_errors, stay_offline
from spikesink.runs.described_files import check_unchanged, files_of_model
from spikesink.runs.json_file import read_intact_json
from spikesink.runs.json_kinds import CORPUS, MEASURED_MODEL
from spikesink.runs.sums import delete_and_run, file_sum, noted
from spikesink.study.errors import InputError
from spikesink.study.settings import Corpus, Tokenizer, build
from spikesink.study.tokenizer_files import BESIDE


@one_line_errors(ValueError)
def main(arguments: list[str] | None = None) -> None:
    """Run one step."""
    options = parser().parse_args(arguments)
    may_lack_tokenizer = options.step == "corpus" or options.pretrained is not None
    corpus, tokenizer = read_settings(options.settings, may_lack_tokenizer)
    # The libraries are imported below, so that a typo in the settings is reported without waiting for them.
    os.environ.setdefault("USE_TORCH", "0")  # else datasets imports torch: seconds for nothing
    if options.step == "corpus":
        describe_corpus(corpus, tokenizer, options.output)
        return
    stay_offline()
    from spikesink.data.corpora import described_files, local_sources

    description = read_intact_json(options.corpus, delete_and_run(options.corpus), CORPUS)
    check_unchanged(described_files(corpus, description), options.corpus)
    if options.step == "tokenizer":
        build_tokenizer(corpus, tokenizer, options, description.get("tokenizer"))
    else:
        pack_tokens(corpus, tokenizer, options, local_sources(description))


def describe_corpus(corpus: Corpus, settings: Tokenizer | None, output: Path) -> None:
    """Fetch the corpus, and the tokenizer if it is from the hub; write a description that identifies their files.

    A study that trains nothing may have no tokenizer.
    """
    from spikesink.data import corpora, tokenizer

    description = corpora.describe(corpus)
    corpora.check_two_documents(corpus)
    source = tokenizer.source_file(settings, download=True) if settings is not None else None
    if source is not None and source.is_file():
        description["tokenizer"] = {"name": settings.name, "kind": settings.kind, "digest": file_sum(source)}
        beside = [path for name in BESIDE if (path := source.with_name(name)).is_file()]
        description["tokenizer"]["beside"] = {path.name: file_sum(path) for path in beside}
    with noted(output) as part:
        part.write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def build_tokenizer(
    corpus: Corpus, settings: Tokenizer, options: argparse.Namespace, described: dict[str, Any] | None
) -> None:
    """Write the tokenizer: trained on the documents that are not held out, or copied.

    ``described`` is what the corpus step said of the files that it is copied from.
    """
    from spikesink.data import corpora, tokenizer

    if described:
        check_unchanged(tokenizer.described_files(settings, described), options.corpus)

    documents = (
        text
        for texts, held_out in corpora.split_batches(corpus)
        for text, is_held_out in zip(texts, held_out, strict=True)
        if not is_held_out
    )
    loaded = tokenizer.build(settings, documents, options.output)
    sides = {"bos": loaded.bos, "eos": loaded.eos}
    said = "; ".join(f"{side} {found.id} {found.token!r} ({found.source})" for side, found in sides.items())
    print(f"{options.output}: {loaded.size} ids; {said}", file=sys.stderr)


def pack_tokens(
    corpus: Corpus, settings: Tokenizer | None, options: argparse.Namespace, sources: list[dict[str, str]]
) -> None:
    """Encode the corpus with the study's tokenizer, or the held-out documents with that of a published model.

    Of a corpus for evaluation the held-out documents alone are encoded.
    """
    from spikesink.data import packing

    tokenizer_path, splits = options.tokenizer, ("validation",) if options.held_out else packing.SPLITS
    if options.pretrained:
        settings, splits = tokenizer_of_pretrained(options.pretrained), ("validation",)
        tokenizer_path = settings.name
    index = packing.pack(corpus, settings, tokenizer_path, options.output, splits, sources)
    for name, split in index["splits"].items():
        print(f"{name}: {split['tokens']:,} tokens, {split['documents']:,} documents", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
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
    tokens.add_argument("--held-out", action="store_true", help="encode the held-out documents alone")
    source = tokens.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokenizer", type=Path, help="the file written by the tokenizer step")
    source.add_argument(
        "--pretrained",
        type=Path,
        help="the file that `python -m spikesink.pretrained fetch` wrote: encode the held-out documents with the "
        "tokenizer of that model",
    )
    return parser


def read_settings(text: str, may_lack_tokenizer: bool) -> tuple[Corpus, Tokenizer | None]:
    """Corpus and tokenizer; the text of a published model needs no tokenizer of the study's. Raises InputError."""
    try:
        value: dict[str, Any] = json.loads(text)
        needs_none = may_lack_tokenizer and value.get("tokenizer") is None
        return build(Corpus, value["corpus"]), None if needs_none else build(Tokenizer, value["tokenizer"] or {})
    except (ValueError, TypeError) as error:
        raise InputError(f"--settings: {error}") from None
    except KeyError as error:
        raise InputError(f"--settings: the key {error} is missing") from None


def tokenizer_of_pretrained(path: Path) -> Tokenizer:
    """The tokenizer of a published model, as settings. Raises InputError."""
    described = read_intact_json(path, delete_and_run(path), MEASURED_MODEL)
    name, vocabulary, bos = (described[key] for key in ("tokenizer", "vocabulary", "bos"))
    check_unchanged(files_of_model(described, (Path(name).name, *BESIDE)), path)
    return Tokenizer(kind="file", name=name, vocabulary=vocabulary, bos=bos, bos_token=described.get("bos_token"))


if __name__ == "__main__":
    sys.exit(main())
