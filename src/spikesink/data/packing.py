"""Write a corpus as flat files of token ids, with an index.

A folder holds ``train.bin`` and ``validation.bin`` (little-endian unsigned integers, nothing else), for each the
position at which every document starts (``.npy``), and the index ``tokens.json``, which describes these files. The
index is written last and removed first: a folder without it is incomplete.
"""

import hashlib
import json
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from tokenizers import models, pre_tokenizers
from tqdm import tqdm

from spikesink.data import corpora, tokenizer
from spikesink.data.batches import FORMAT, INDEX
from spikesink.data.enough import check_packed
from spikesink.data.errors import CorpusError
from spikesink.data.kinds.bigram_backcopy import sample_language
from spikesink.data.special_tokens import Boundary
from spikesink.runs.atomic import whole
from spikesink.runs.json_file import with_sum
from spikesink.runs.sums import file_sum
from spikesink.study.errors import first_line
from spikesink.study.settings import Corpus, Tokenizer

SPLITS = ("train", "validation")


def pack(
    corpus: Corpus,
    settings: Tokenizer,
    tokenizer_path: str | Path,
    folder: str | Path,
    splits: tuple[str, ...] = SPLITS,
    sources: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    """Encode every document of ``splits`` into its split under ``folder``; returns the index, which lists ``sources``.

    Memory does not grow with the corpus, apart from 8 bytes per document. Raises CorpusError, TokenizerError, and
    TokenError where the text is too short for the study.
    """
    loaded = tokenizer.load(tokenizer_path, settings.bos_token, settings.eos_token)
    tokenizer.check(loaded, settings)
    folder = Path(folder)
    (folder / INDEX).unlink(missing_ok=True)
    dtype = np.dtype("<u2" if settings.vocabulary <= 2**16 else "<u4")
    with ExitStack() as files:  # the files of all splits appear, or none
        parts = {name: files.enter_context(whole(folder / tokens_file(name))) for name in splits}
        written = {name: Split(files.enter_context(open(part, "wb")), dtype) for name, part in parts.items()}
        add_documents(written, corpus, settings, loaded)
        for name, split in written.items():
            if not split.tokens:
                raise CorpusError(f"the {name} split is empty: {corpora.two_documents(corpus)}")
        check_shares(corpus, {name: split.text_bytes for name, split in written.items()})
        for name, split in written.items():
            with whole(folder / starts_file(name)) as part:
                np.save(part, np.frombuffer(split.starts, dtype=np.uint64))
                split.starts_digest = file_sum(part)
    index = {
        "format": FORMAT,
        "dtype": dtype.str,
        "vocabulary": settings.vocabulary,
        "bos": settings.bos,
        "eos": settings.eos,
        **boundary_entries("bos", loaded.bos if settings.bos != "none" else None),
        **boundary_entries("eos", loaded.eos if settings.eos else None),
        "tokenizer_sha256": file_sum(tokenizer_path),
        "sources": list(sources),
        "splits": {name: split.entry(name) for name, split in written.items()},
    }
    if corpus.kind == "bigram_backcopy":
        counts = sample_language()
        triggers = counts.triggers(corpus.synthetic_triggers).tolist()
        index["language"] = {"triggers": triggers, "bigrams": counts.bigrams.tolist()}
    check_packed(folder, index)
    index = with_sum(index)
    with whole(folder / INDEX) as part:
        part.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return index


def check_shares(corpus: Corpus, text_bytes: dict[str, int]) -> None:
    """Raise CorpusError where most of the text is held out, although the settings ask for less than half of it.

    So it is where the one long document of a corpus is the one that must be held out.
    """
    held_out, trained_on = (text_bytes.get(name, 0) for name in ("validation", "train"))
    if corpus.validation_files or corpus.validation_share > 0.5 or not 0 < trained_on < held_out:
        return
    raise CorpusError(
        f"{held_out:,} of {held_out + trained_on:,} bytes of text are held out, with validation_share = "
        f"{corpus.validation_share}: the documents of {corpora.short_name(corpus)} are too few or too unequal; cut txt "
        "files with corpus.document_separator, or name corpus.validation_files"
    )


def boundary_entries(side: str, found: Boundary | None) -> dict[str, Any]:
    """What the index says of the BOS or EOS that the stream has: its id, its text, and where it is declared."""
    entries = (None, None, None) if found is None else found
    return dict(zip((f"{side}_id", f"{side}_token", f"{side}_source"), entries, strict=True))


def add_documents(splits: dict[str, "Split"], corpus: Corpus, settings: Tokenizer, loaded: tokenizer.Loaded) -> None:
    """Encode the documents of the corpus and add each to its split; those of other splits are skipped."""
    first = not_held_out = 0  # of the documents before the batch
    known = letters_of(loaded)
    with tqdm(unit=" tokens", unit_scale=True, desc="packing", mininterval=1) as progress:
        for texts, held_out in corpora.split_batches(corpus):
            split_of = ["validation" if is_held_out else "train" for is_held_out in held_out]
            numbers = [number for number, name in enumerate(split_of) if name in splits]
            encoded = encode(loaded, settings, [texts[number] for number in numbers])
            for number, ids in zip(numbers, encoded, strict=True):
                is_too_large = ids is not None and max(ids, default=0) >= settings.vocabulary
                if ids is None or is_too_large or left_out(loaded, known, texts[number]):
                    before = not_held_out + held_out[:number].count(False)
                    refuse(loaded, settings, texts[number], place(corpus, first + number, held_out[number], before))
                splits[split_of[number]].add(ids, len(texts[number].encode()))
                progress.update(len(ids))
            first += len(texts)
            not_held_out += held_out.count(False)


def place(corpus: Corpus, number: int, is_held_out: bool, not_held_out: int) -> str:
    """What messages call a document: its number in its files.

    ``number`` counts all documents from 0. Those of corpus.validation_files come after the others, ``not_held_out``.
    """
    if corpus.validation_files and is_held_out:
        corpus, number = corpora.of_validation_files(corpus), number - not_held_out
    return f"document {number} of {corpora.short_name(corpus)}"


def encode(loaded: tokenizer.Loaded, settings: Tokenizer, texts: list[str]) -> list[list[int] | None]:
    """The token ids of every text, with the boundary tokens that the settings ask for; None where it has none."""
    before = [loaded.bos.id] if settings.bos == "document" else []
    after = [loaded.eos.id] if settings.eos else []
    try:
        encodings = loaded.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    except Exception:  # the library raises nothing more specific, and does not say which text it was
        return [None] if len(texts) == 1 else [encode(loaded, settings, [text])[0] for text in texts]
    return [before + encoding.ids + after for encoding in encodings]


def letters_of(loaded: tokenizer.Loaded) -> set[str] | None:
    """The letters that a tokenizer has tokens for, where it leaves out all others; None for one that leaves out none.

    A BPE does so that has neither a token for unknown letters nor tokens for all bytes.
    """
    model = loaded.tokenizer.model
    if not isinstance(model, models.BPE) or model.unk_token is not None or model.byte_fallback:
        return None
    ends = model.continuing_subword_prefix or "", model.end_of_word_suffix or ""
    letters = {token.removeprefix(ends[0]).removesuffix(ends[1]) for token in loaded.tokenizer.get_vocab()}
    splitter = loaded.tokenizer.pre_tokenizer
    is_of_bytes = splitter is not None and b"ByteLevel" in splitter.__getstate__()
    return None if is_of_bytes and letters.issuperset(pre_tokenizers.ByteLevel.alphabet()) else letters


def left_out(loaded: tokenizer.Loaded, letters: set[str] | None, text: str) -> str | None:
    """The first letter of a text that the tokenizer would leave out, given ``letters_of`` it; None: no letter."""
    if letters is None:
        return None
    prepared, splitter = loaded.tokenizer.normalizer, loaded.tokenizer.pre_tokenizer
    text = prepared.normalize_str(text) if prepared else text
    pieces = [piece for piece, _ in splitter.pre_tokenize_str(text)] if splitter else [text]
    return next((letter for piece in pieces for letter in piece if letter not in letters), None)


def refuse(loaded: tokenizer.Loaded, settings: Tokenizer, text: str, place: str) -> None:
    """Raise TokenizerError that says why the text at ``place`` cannot be encoded."""
    if lost := left_out(loaded, letters_of(loaded), text):
        raise tokenizer.TokenizerError(
            f"the tokenizer would leave {lost!r} out of {place}: it has no token for it, none for unknown letters and "
            "not one for every byte; use a tokenizer that has, or kind 'trained', which reads any text"
        )
    try:
        largest = max(loaded.tokenizer.encode(text, add_special_tokens=False).ids)
    except Exception as error:
        raise tokenizer.TokenizerError(
            f"the tokenizer cannot encode {place} ({first_line(error)}): tokenizer.kind 'characters' reads only the "
            "synthetic corpus, and a tokenizer without an unknown token only what it knows; 'trained' reads any text"
        ) from None
    raise tokenizer.TokenizerError(
        f"vocabulary = {settings.vocabulary} is too small: {place} has the token id {largest} "
        f"({loaded.tokenizer.id_to_token(largest)!r}); use the tokenizer that belongs to the model, or raise vocabulary"
    )


class Split:
    """One split: writes its tokens to ``file`` as they are added, and counts what the index will say."""

    def __init__(self, file: IO[bytes], dtype: np.dtype) -> None:
        self.file, self.dtype = file, dtype
        self.tokens = 0
        self.bytes = 0
        self.text_bytes = 0
        self.starts = array("Q")
        self.digest = hashlib.sha256()
        self.starts_digest = ""

    def add(self, ids: list[int], text_bytes: int) -> None:
        """Append the tokens of one document; its text has ``text_bytes`` bytes."""
        content = np.asarray(ids, dtype=self.dtype).tobytes()
        self.file.write(content)
        self.digest.update(content)
        self.starts.append(self.tokens)
        self.tokens += len(ids)
        self.bytes += len(content)
        self.text_bytes += text_bytes

    def entry(self, name: str) -> dict[str, Any]:
        """The entry of the split ``name`` in the index."""
        return {
            "file": tokens_file(name),
            "bytes": self.bytes,
            "sha256": self.digest.hexdigest(),
            "tokens": self.tokens,
            "documents": len(self.starts),
            "document_starts": starts_file(name),
            "document_starts_sha256": self.starts_digest,
            "text_bytes": self.text_bytes,
        }


def tokens_file(split: str) -> str:
    return f"{split}.bin"


def starts_file(split: str) -> str:
    return f"{split}_documents.npy"
