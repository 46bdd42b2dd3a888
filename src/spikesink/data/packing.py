"""A corpus as flat files of token ids, with an index.

A folder holds ``train.bin`` and ``validation.bin`` (little-endian unsigned integers, nothing else), for each the
position at which every document starts (``.npy``), and ``tokens.json``, which says what they are. The index is written
last and removed first: a folder without it is incomplete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spikesink.data import corpora, tokenizer
from spikesink.data.batches import FORMAT, INDEX, file_sha256
from spikesink.data.readers import CorpusError
from spikesink.study.settings import Corpus, Tokenizer

SPLITS = ("train", "validation")


def pack(
    corpus: Corpus,
    settings: Tokenizer,
    tokenizer_path: str | Path,
    folder: str | Path,
    splits: tuple[str, ...] = SPLITS,
) -> dict[str, Any]:
    """Encode every document of ``splits`` into its split under ``folder`` and return the index.

    Memory does not grow with the corpus, apart from 8 bytes per document. Raises CorpusError, TokenizerError.
    """
    loaded = tokenizer.load(tokenizer_path)
    tokenizer.check(loaded, settings)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    dtype = np.dtype("<u2" if settings.vocabulary <= 2**16 else "<u4")
    with contextlib.ExitStack() as stack:
        writers = {split: stack.enter_context(_Writer(folder, split, dtype)) for split in splits}
        with tqdm(unit=" tokens", unit_scale=True, desc="packing", mininterval=1) as progress:
            for texts, held_out in corpora.split_batches(corpus):
                split_of = ["validation" if is_held_out else "train" for is_held_out in held_out]
                wanted = [(text, split) for text, split in zip(texts, split_of, strict=True) if split in writers]
                encoded = _encode(loaded, settings, [text for text, _ in wanted])
                for (text, split), ids in zip(wanted, encoded, strict=True):
                    writers[split].add(ids, len(text.encode()))
                    progress.update(len(ids))
        for split, writer in writers.items():
            if not writer.tokens:
                raise CorpusError(
                    f"the {split} split is empty: validation_share = {corpus.validation_share} needs at least 2 "
                    f"documents that hold text"
                )
        entries = {split: writer.publish() for split, writer in writers.items()}
    index = {
        "format": FORMAT,
        "dtype": dtype.str,
        "vocabulary": settings.vocabulary,
        "bos": settings.bos,
        "eos": settings.eos,
        "bos_id": loaded.bos_id if settings.bos != "none" else None,
        "eos_id": loaded.eos_id if settings.eos else None,
        "tokenizer_sha256": file_sha256(tokenizer_path),
        "splits": entries,
    }
    partial = folder / f"{INDEX}.partial"
    partial.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    os.replace(partial, folder / INDEX)
    return index


def _encode(loaded: tokenizer.Loaded, settings: Tokenizer, texts: list[str]) -> list[list[int]]:
    before = [loaded.bos_id] if settings.bos == "document" else []
    after = [loaded.eos_id] if settings.eos else []
    try:
        encodings = loaded.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    except Exception as error:  # the library raises nothing more specific
        raise tokenizer.TokenizerError(
            f"the tokenizer cannot encode the corpus ({error}): tokenizer.kind 'characters' reads only the synthetic "
            f"corpus, 'trained' reads any text"
        ) from None
    return [before + encoding.ids + after for encoding in encodings]


class _Writer:
    """The growing files of one split, under temporary names until they are published."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype) -> None:
        self.path = folder / f"{split}.bin"
        self.starts_path = folder / f"{split}_documents.npy"
        self.dtype = dtype
        self.tokens = 0
        self.text_bytes = 0
        self.starts = array("Q")
        self.digest = hashlib.sha256()
        self.partials = {path: path.with_name(f"{path.name}.partial") for path in (self.path, self.starts_path)}

    def __enter__(self) -> _Writer:
        self.file = open(self.partials[self.path], "wb")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        for partial in self.partials.values():
            partial.unlink(missing_ok=True)

    def add(self, ids: list[int], text_bytes: int) -> None:
        content = np.asarray(ids, dtype=self.dtype).tobytes()
        self.file.write(content)
        self.digest.update(content)
        self.starts.append(self.tokens)
        self.tokens += len(ids)
        self.text_bytes += text_bytes

    def publish(self) -> dict[str, Any]:
        """Give the files their names; the split's entry in the index."""
        self.file.close()
        with open(self.partials[self.starts_path], "wb") as file:
            np.save(file, np.frombuffer(self.starts, dtype=np.uint64))
        for path, partial in self.partials.items():
            os.replace(partial, path)
        return {
            "file": self.path.name,
            "bytes": self.path.stat().st_size,
            "sha256": self.digest.hexdigest(),
            "tokens": self.tokens,
            "documents": len(self.starts),
            "document_starts": self.starts_path.name,
            "text_bytes": self.text_bytes,
        }
