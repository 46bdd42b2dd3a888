"""Tokenizers: trained here, fetched, or given as a file. Each is a ``tokenizer.json`` of the ``tokenizers`` library."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from spikesink.data.hub import HubError, hub_file
from spikesink.data.kinds.bigram_backcopy import sample_language
from spikesink.runs.atomic import whole
from spikesink.study.settings import Tokenizer

BOS, EOS = "<bos>", "<eos>"  # in tokenizers that are made here
# The names that published tokenizers use; a tokenizer.json lists its special tokens but not what they are for.
BOS_NAMES = (BOS, "<s>", "<|begin_of_text|>", "<|startoftext|>", "[BOS]")
EOS_NAMES = (EOS, "</s>", "<|end_of_text|>", "<|endoftext|>", "[EOS]")


class TokenizerError(ValueError):
    """A tokenizer that cannot be read or does not fit the settings; the message says what to do."""


@dataclass(frozen=True)
class Loaded:
    """A tokenizer with its boundary tokens."""

    tokenizer: tokenizers.Tokenizer
    """Reads special tokens in the text as ordinary text, so that only packing places boundaries."""
    bos_id: int | None
    """Id of the BOS token; None if it has none."""
    eos_id: int | None
    """Id of the EOS token; None if it has none."""
    size: int
    """Largest token id plus one."""


def build(settings: Tokenizer, documents: Iterable[str], path: str | Path) -> Loaded:
    """Write the tokenizer of ``settings`` to ``path``, atomically, and return it.

    ``documents`` are the training documents; only kind ``trained`` reads them. Opens no connection: a hub tokenizer
    must have been fetched by :func:`source_file` before. Raises TokenizerError.
    """
    if settings.kind == "trained":
        tokenizer = train(islice(documents, settings.documents), settings.vocabulary)
    elif settings.kind == "characters":
        tokenizer = of_characters(sample_language().characters)
    else:
        tokenizer = read(source_file(settings))
    loaded = with_boundaries(tokenizer)
    check(loaded, settings)
    if loaded.size < 0.9 * settings.vocabulary:  # published models round theirs up a little
        raise TokenizerError(
            f"vocabulary = {settings.vocabulary} is too large: the tokenizer has only {loaded.size} ids; set it to that"
        )
    with whole(path) as part:
        part.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    return loaded


def load(path: str | Path) -> Loaded:
    """Read a ``tokenizer.json`` and find its boundary tokens by name. Raises TokenizerError."""
    return with_boundaries(read(Path(path)))


def source_file(settings: Tokenizer, download: bool = False) -> Path | None:
    """The file of a hub or local tokenizer; None for the other kinds. With ``download`` a hub file is fetched first."""
    if settings.kind == "file":
        return Path(settings.name)
    if settings.kind == "hub":
        try:
            return hub_file(
                settings.name, "tokenizer.json", revision=settings.revision, kind="model", download=download
            )
        except HubError as error:
            raise TokenizerError(str(error)) from None
    return None


def check(loaded: Loaded, settings: Tokenizer) -> None:
    """Raise TokenizerError if the tokenizer is larger than the vocabulary or lacks a boundary token that is wanted."""
    if loaded.size > settings.vocabulary:
        raise TokenizerError(
            f"vocabulary = {settings.vocabulary} is too small: the tokenizer has {loaded.size} ids; set it to that"
        )
    if settings.bos != "none" and loaded.bos_id is None:
        raise TokenizerError(f"bos = {settings.bos!r}: the tokenizer has none of {', '.join(BOS_NAMES)}; set bos: none")
    if settings.eos and loaded.eos_id is None:
        raise TokenizerError(f"eos = true: the tokenizer has none of {', '.join(EOS_NAMES)}; set eos: false")


def train(documents: Iterable[str], vocabulary: int) -> tokenizers.Tokenizer:
    """A byte-level BPE of ``vocabulary`` ids learned from the documents."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS],
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
    tokenizer.add_special_tokens([BOS, EOS])
    return tokenizer


def read(path: Path) -> tokenizers.Tokenizer:
    """Read a tokenizer.json. Raises TokenizerError."""
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist: give the path of a tokenizer.json")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise TokenizerError(f"{path} is not a tokenizer.json that can be read: {str(error).splitlines()[0]}") from None


def with_boundaries(tokenizer: tokenizers.Tokenizer) -> Loaded:
    """The tokenizer with the ids of its BOS and EOS, set to read special tokens in the text as ordinary text."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Loaded(
        tokenizer=tokenizer,
        bos_id=next((vocabulary[name] for name in BOS_NAMES if name in vocabulary), None),
        eos_id=next((vocabulary[name] for name in EOS_NAMES if name in vocabulary), None),
        size=max(vocabulary.values()) + 1,
    )
