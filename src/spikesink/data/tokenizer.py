"""Tokenizers: trained here, fetched, or given as a file. Each is a ``tokenizer.json`` of the ``tokenizers`` library."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from spikesink.data.hub import HubError, hub_file, optional_hub_file
from spikesink.data.special_tokens import (
    DECLARED_IN,
    OWN,
    Boundary,
    TokenizerError,
    boundary,
    choices,
    special_tokens,
)
from spikesink.runs.lfs import PULL, is_lfs_pointer
from spikesink.runs.sums import intact, noted
from spikesink.study.errors import InputError
from spikesink.study.settings import Tokenizer
from spikesink.study.tokenizer_files import BESIDE

CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class Loaded:
    """A tokenizer with its boundary tokens."""

    tokenizer: tokenizers.Tokenizer
    """Reads special tokens in the text as ordinary text, so that only packing places boundaries."""
    bos: Boundary
    eos: Boundary
    size: int
    """Largest token id plus one."""


def build(settings: Tokenizer, documents: Iterable[str], path: str | Path) -> Loaded:
    """Write the tokenizer of ``settings`` to ``path``, atomically, and return it. Beside it tokenizer_config.json names
    its BOS and EOS, and where they were declared.

    ``documents`` are the training documents; only kind ``trained`` reads them. Opens no connection: a hub tokenizer
    must have been fetched by :func:`source_file` before. Raises TokenizerError.
    """
    folder = None  # of files that declare something; tokenizers that are made here have none
    if settings.kind == "trained":
        tokenizer = train(islice(documents, settings.documents), settings.vocabulary)
    elif settings.kind == "characters":
        from spikesink.data.kinds.bigram_backcopy import (
            sample_language,  # late: it imports datasets, which takes seconds
        )

        tokenizer = of_characters(sample_language().characters)
    else:
        source = source_file(settings)
        tokenizer, folder = read(source), source.parent
    loaded = with_boundaries(tokenizer, folder, settings.bos_token, settings.eos_token)
    check(loaded, settings)
    if loaded.size > settings.vocabulary:
        raise TokenizerError(
            f"vocabulary = {settings.vocabulary} is too small: the tokenizer has {loaded.size} ids; set it to that"
        )
    if loaded.size < 0.9 * settings.vocabulary:  # published models round theirs up a little
        raise TokenizerError(
            f"vocabulary = {settings.vocabulary} is too large: the tokenizer has only {loaded.size} ids; set it to that"
        )
    with noted(path) as part:
        part.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    names = {"bos_token": loaded.bos, "eos_token": loaded.eos}
    config = {key: of.token for key, of in names.items()} | {DECLARED_IN: {key: of.source for key, of in names.items()}}
    with noted(Path(path).with_name(CONFIG)) as part:
        part.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return loaded


def load(path: str | Path, bos_token: str | None = None, eos_token: str | None = None) -> Loaded:
    """Read a ``tokenizer.json``; the files beside it, or the settings, name its BOS and EOS. Raises TokenizerError."""
    return with_boundaries(read(Path(path)), Path(path).parent, bos_token, eos_token)


def source_file(settings: Tokenizer, download: bool = False) -> Path | None:
    """The file of a hub or local tokenizer; None for the other kinds. With ``download`` a hub file is fetched first."""
    if settings.kind == "file":
        return Path(settings.name)
    if settings.kind == "hub":
        where = {"revision": settings.revision, "kind": "model"}
        try:
            if download:
                for name in BESIDE:
                    optional_hub_file(settings.name, name, **where)
            return hub_file(settings.name, "tokenizer.json", **where, download=download)
        except HubError as error:
            raise TokenizerError(str(error)) from None
    return None


def described_files(settings: Tokenizer, described: dict[str, Any]) -> dict[Path, str]:
    """The files that the tokenizer is copied from, with the digests that the corpus step has ``described``."""
    source = source_file(settings)
    beside = {source.with_name(name): digest for name, digest in described["beside"].items()}
    return {source: described["digest"]} | beside


def check(loaded: Loaded, settings: Tokenizer) -> None:
    """Raise TokenizerError if the tokenizer lacks a boundary token that is wanted, or the vocabulary lacks its id."""
    wanted = []
    if settings.bos != "none":
        wanted.append((loaded.bos, "bos", f"bos = {settings.bos!r}", "bos: none"))
    if settings.eos:
        wanted.append((loaded.eos, "eos", "eos = true", "eos: false"))
    for found, side, setting, remedy in wanted:
        if found.id is None:
            special = choices(special_tokens(loaded.tokenizer))
            raise TokenizerError(
                f"{setting}: the tokenizer declares no {side.upper()} ({found.source}): set {remedy}, or name a "
                f"special token as {side}_token: {special}"
            )
        if found.id >= settings.vocabulary:
            raise TokenizerError(
                f"{setting}: {found.token!r} has the id {found.id}, beyond vocabulary = {settings.vocabulary}: {remedy}"
            )


def train(documents: Iterable[str], vocabulary: int) -> tokenizers.Tokenizer:
    """A byte-level BPE of ``vocabulary`` ids learned from the documents."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(OWN.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def of_characters(characters: str) -> tokenizers.Tokenizer:
    """A tokenizer with one id per character, which refuses other characters."""
    # Not a BPE without merges: that drops unknown characters instead of refusing them.
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({character: number for number, character in enumerate(characters)}, unk_token="<unknown>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(OWN.values()))
    return tokenizer


def read(path: Path) -> tokenizers.Tokenizer:
    """Read a tokenizer.json. Raises TokenizerError."""
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist: give the path of a tokenizer.json")
    if is_lfs_pointer(path):
        raise TokenizerError(f"{path} {PULL}")
    try:
        return tokenizers.Tokenizer.from_file(str(intact(path, "make or fetch it again")))
    except InputError as error:
        raise TokenizerError(str(error)) from None
    except Exception as error:  # the library raises nothing more specific
        raise TokenizerError(f"{path} is not a tokenizer.json that can be read: {str(error).splitlines()[0]}") from None


def with_boundaries(
    tokenizer: tokenizers.Tokenizer, folder: Path | None, bos_token: str | None, eos_token: str | None
) -> Loaded:
    """The tokenizer with its BOS and EOS, set to read special tokens in the text as ordinary text."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Loaded(
        tokenizer=tokenizer,
        bos=boundary("bos", tokenizer, folder, bos_token),
        eos=boundary("eos", tokenizer, folder, eos_token),
        size=max(vocabulary.values(), default=-1) + 1,
    )
