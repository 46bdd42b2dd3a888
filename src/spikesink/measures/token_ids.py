"""Ids of pieces of text in a tokenizer.json, read without the tokenizers library."""

import json
from pathlib import Path


def token_ids(tokenizer: Path, texts: tuple[str, ...]) -> list[int]:
    """Ids of the tokens that are exactly one of ``texts``, in that order; a text that is no token has none.

    A text is looked up as it stands and in the two ways that vocabularies spell a character: byte-level, where a line
    break is a printable character, and SentencePiece's <0x0A>. Raises OSError, ValueError for another kind of file.
    """
    content = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pairs of piece and score, numbered by place
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    found = (next((vocabulary[name] for name in spellings(text) if name in vocabulary), None) for text in texts)
    return [number for number in found if number is not None]


def spellings(text: str) -> list[str]:
    """The text, in byte-level BPE's alphabet, and as SentencePiece's byte."""
    return [text, "".join(map(byte_level, text.encode())), "".join(f"<0x{byte:02X}>" for byte in text.encode())]


def byte_level(byte: int) -> str:
    """GPT-2's printable character for a byte: itself where printable, else shifted up by what precedes it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [other for other in range(256) if other not in printable].index(byte))
