"""The text that models learn from, and its tokens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from spikesink.study.settings.checks import SPECIFICATION, at_least, at_most, positive

AFFECTS_RESULTS = False


CHARACTERS = 65
"""Characters of the synthetic language."""
TRAINING_NAMES = {"train", "training"}
HELD_OUT_NAMES = {"valid", "validation", "val", "dev", "test", "testing", "eval", "evaluation", "heldout"}


def check_names(files: tuple[str, ...], validation_files: tuple[str, ...] | None) -> None:
    """Raise ValueError where training would read files that are held out, or seem to be by their names.

    Only what differs between the files counts, and only where some are named for training and others for validation.
    """
    for name in validation_files or ():
        if name in files:
            raise ValueError(f"validation_files = [{name!r}] is among files too: name it once")
    if validation_files is not None or not files:
        return
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(name)) for name in files])
    words = {name: set(re.split(r"[^a-z]+", os.path.relpath(name, shared).lower())) for name in files}
    held_out = [name for name, of in words.items() if of & HELD_OUT_NAMES and not of & TRAINING_NAMES]
    if held_out and any(of & TRAINING_NAMES for of in words.values()):
        raise ValueError(
            f"files names {held_out[0]!r} beside files for training, which would be trained on: name it under "
            "validation_files, or set validation_files: [] to train on it"
        )


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Where the text comes from."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["embedded", "hub", "files", "bigram_backcopy"]
    """embedded: the public-domain sample in the repository; hub: a Hugging Face dataset; files: local txt, jsonl or
    parquet, also .gz, .zst, .bz2 or .xz; bigram_backcopy: the synthetic stream of Guo et al. (2410.13835)."""
    dataset: str | None = None
    """Hub id of the dataset (kind: hub), for example allenai/c4."""
    revision: str | None = None
    """Commit of the hub dataset, pinned so that the study can be repeated (kind: hub)."""
    files: tuple[str, ...] = ()
    """Files to read, in this order: paths inside the hub dataset, or local paths (kinds: hub, files). A range in braces
    stands for one file per number: part-{00000..00063}.json.gz."""
    text_field: str = "text"
    """Column or JSON key that holds the text of a document."""
    document_separator: str | None = None
    """What stands between the documents of a txt file, for example <|endoftext|>, or a blank line as "\\n\\n" (kinds:
    hub, files). null: a file is cut at the first blank line after every 2,000 characters, or at the first line end
    after 8,000; an empty text: every file is one document."""
    documents: int | None = None
    """Use only this many documents; null uses all."""
    validation_share: float = 0.05
    """Share of the text that is held out: measures use it, training never does. For kinds embedded and bigram_backcopy
    it is a share of the documents, spread evenly over the corpus. For kinds hub and files it is a share of the bytes:
    documents are drawn from all over the corpus with a fixed seed."""
    validation_files: tuple[str, ...] | None = None
    """Files that are held out, instead of a share of the others (kinds: hub, files). null: there are none, and a file
    with a name such as valid.txt beside train.txt is refused; []: there are none, and every file is trained on."""
    synthetic_tokens: int = 4_000_000
    """Length of the synthetic stream (kind: bigram_backcopy)."""
    synthetic_triggers: int = 3
    """How many of the most frequent characters copy the token before them (kind: bigram_backcopy)."""
    synthetic_length: int = 256
    """Tokens of one synthetic document, its BOS included (kind: bigram_backcopy)."""

    def __post_init__(self) -> None:
        positive(self, "documents", "synthetic_tokens", "synthetic_triggers", "synthetic_length")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share = {self.validation_share} must lie between 0 and 1, for example 0.05")
        if self.kind == "hub":
            for name in ("dataset", "revision", "files"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing: kind 'hub' needs dataset, revision and files")
        if self.kind == "files" and not self.files:
            raise ValueError("files is empty: kind 'files' needs at least one path")
        if self.kind != "hub" and (self.dataset or self.revision):
            raise ValueError(f"dataset and revision belong to kind 'hub', not to kind {self.kind!r}: set them to null")
        if self.kind not in ("hub", "files"):
            for name, unset in (("files", "[]"), ("validation_files", "null"), ("document_separator", "null")):
                if value := getattr(self, name):
                    value = list(value) if isinstance(value, tuple) else value
                    raise ValueError(f"{name} = {value!r} is not read by kind {self.kind!r}: set it to {unset}")
        check_names(self.files, self.validation_files)
        if self.kind == "bigram_backcopy":
            at_least(self, 2, "synthetic_length")
            at_most(self, CHARACTERS - 1, "synthetic_triggers")


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """How text becomes tokens, and which boundary tokens the stream has."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["trained", "hub", "file", "characters"]
    """trained: byte-level BPE trained on the corpus; hub: a Hugging Face tokenizer; file: a local tokenizer.json;
    characters: the 67 symbols of the synthetic corpus."""
    vocabulary: int
    """Number of token ids, the model's vocabulary. A tokenizer that needs more is refused."""
    documents: int | None = None
    """The tokenizer is trained on this many training documents, the first ones (kind: trained); null: on all."""
    name: str | None = None
    """Hub id (kind: hub) or path of a tokenizer.json (kind: file)."""
    revision: str | None = None
    """Commit of the hub tokenizer (kind: hub)."""
    bos: Literal["sequence", "document", "none"]
    """sequence: every sequence that a model sees starts with the BOS token; document: the stream has one BOS before
    every document, at whatever position of a sequence; none: no BOS."""
    eos: bool = False
    """Whether the stream has an EOS token after every document."""
    bos_token: str | None = None
    """The special token that is the BOS (kinds: hub, file), for example <|endoftext|>. null: the one that the
    tokenizer's files declare; where they declare none and bos wants one, the tokenizer is refused."""
    eos_token: str | None = None
    """The special token that is the EOS, as for bos_token."""

    def __post_init__(self) -> None:
        positive(self, "vocabulary", "documents")
        if self.kind == "trained" and self.vocabulary < 258:
            raise ValueError(f"vocabulary = {self.vocabulary} is too small: 256 bytes and two boundary tokens need 258")
        if self.kind in ("hub", "file") and not self.name:
            raise ValueError(f"name is missing: kind {self.kind!r} needs a hub id or a path")
        if self.kind == "hub" and not self.revision:
            raise ValueError("revision is missing: kind 'hub' needs a pinned commit")
        if self.kind in ("trained", "characters"):
            if self.name or self.revision:
                raise ValueError(f"name and revision are not read by kind {self.kind!r}: set them to null")
            if self.bos_token or self.eos_token:
                raise ValueError(f"bos_token and eos_token are not read by kind {self.kind!r}: set them to null")
