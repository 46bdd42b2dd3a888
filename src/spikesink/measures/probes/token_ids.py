"""Ids of pieces of text in a tokenizer.json, read without the tokenizers library."""

import json
from pathlib import Path

from spikesink.runs.sums import intact


def token_ids(tokenizer: Path, texts: tuple[str, ...]) -> list[int]:
    """Ids of the tokens that are exactly one of ``texts``, in that order; a text that is no token has none.

    A byte-level vocabulary spells a text in printable characters for its bytes; others have it as it stands or, of a
    single byte, under SentencePiece's name, such as <0x0A>. Raises OSError, ValueError for another kind of file.
    """
    try:
        content = json.loads(tokenizer.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        if isinstance(vocabulary, list):  # Unigram: pairs of piece and score, numbered by place
            vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
        is_byte_level = '"ByteLevel"' in json.dumps([content.get("pre_tokenizer"), content.get("decoder")])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{tokenizer} is not a tokenizer.json that can be read: {error}") from None
    intact(tokenizer, "make the tokenizer again")
    found = (
        next((vocabulary[name] for name in spellings(text, is_byte_level) if name in vocabulary), None)
        for text in texts
    )
    return [number for number in found if number is not None]


def spellings(text: str, is_byte_level: bool) -> tuple[str, ...]:
    """How a vocabulary may spell a text. A byte-level one spells é as Ã©, its two bytes; é there is the byte 0xE9."""
    if is_byte_level:
        return ("".join(map(byte_level, text.encode())),)
    return text, "".join(f"<0x{byte:02X}>" for byte in text.encode())


def byte_level(byte: int) -> str:
    """GPT-2's printable character for a byte: itself where printable, else shifted up by what precedes it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [other for other in range(256) if other not in printable].index(byte))
