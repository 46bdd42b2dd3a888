"""Which special token begins a sequence and which ends a document, as the files of a tokenizer declare it.

A name proves nothing: a byte-level vocabulary may hold <s> as an ordinary entry and begin sequences with another token.
The first of these that says something decides:

1. the setting ``bos_token`` or ``eos_token``;
2. tokenizer_config.json, then special_tokens_map.json, which may also say that there is none (null);
3. the post-processor in tokenizer.json, by what it puts before and after a text;
4. config.json, then generation_config.json, by the token's id;
5. the names <bos> and <eos> of tokenizers that are made here.

Only special added tokens count: text never becomes one, so that packing alone places them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers

from spikesink.runs.lfs import PULL, is_lfs_pointer
from spikesink.runs.sums import intact, note_of
from spikesink.study.errors import InputError
from spikesink.study.tokenizer_files import NAMING, NUMBERING

OWN = {"bos": "<bos>", "eos": "<eos>"}
"""Names in tokenizers that are made here."""
DECLARED_IN = "declared_in"
"""Key of the tokenizer_config.json that is written here: where each token was declared."""


class TokenizerError(ValueError):
    """A tokenizer that cannot be read or does not fit the settings; the message says what to do."""


class Boundary(NamedTuple):
    """A token that begins or ends."""

    id: int | None
    """None: there is none."""
    token: str | None
    source: str
    """Where it is declared; where there is none, why."""


def boundary(side: str, tokenizer: tokenizers.Tokenizer, folder: Path | None, named: str | None = None) -> Boundary:
    """The BOS or EOS (``side``: bos or eos) of a tokenizer with files in ``folder``, if any; ``named``: in settings.

    Raises TokenizerError for a name that is no special token, and for a file that cannot be read.
    """
    key = f"{side}_token"
    special = special_tokens(tokenizer)
    if named is not None:
        if named not in special:
            raise TokenizerError(f"{key} = {named!r} is not a special token of the tokenizer: {choices(special)}")
        return Boundary(special[named], named, f"{key} of the settings")
    for token, source in declarations(side, tokenizer, folder):
        if token is None:
            return Boundary(None, None, source)
        if token not in special:
            entry = "an ordinary entry of" if tokenizer.token_to_id(token) is not None else "not in"
            return Boundary(None, None, f"{source} declares {token!r}, which is {entry} its vocabulary")
        return Boundary(special[token], token, source)
    return Boundary(None, None, f"none of its files declares a {key}")


def declarations(side: str, tokenizer: tokenizers.Tokenizer, folder: Path | None) -> Iterator[tuple[str | None, str]]:
    """What is declared, the first word first: a token, or None where a file says that there is none; and where."""
    key = f"{side}_token"
    special = special_tokens(tokenizer)
    for name in NAMING:
        content = read_beside(folder, name)
        if key in content:
            origin = content.get(DECLARED_IN, {}).get(key, name)
            token = content[key]
            if isinstance(token, dict):
                token = token.get("content", token)
            if token is not None and not isinstance(token, str):
                raise TokenizerError(f"{folder / name}: {key} = {json.dumps(token)[:60]} is no token: write its text")
            yield token, origin if token is not None or DECLARED_IN in content else f"{name} says {key}: null"
    if tokenizer.post_processor is not None:
        before, after = around(json.loads(tokenizer.post_processor.__getstate__()))
        for token in before[:1] if side == "bos" else after[-1:]:
            yield token, "the post-processor in tokenizer.json"
    for name in NUMBERING:
        ids = read_beside(folder, name).get(f"{key}_id")
        tokens = {number: token for token, number in special.items()}
        for number in ids if isinstance(ids, list) else [ids]:
            if type(number) is int and number in tokens:
                yield tokens[number], f"{key}_id in {name}"
    if OWN[side] in special:
        yield OWN[side], "its name"


def around(processor: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The tokens that a post-processor puts before a single text, and those after it."""
    kind = processor["type"]
    if kind == "Sequence":
        parts = [around(part) for part in processor["processors"]]
        return [token for before, _ in parts for token in before], [token for _, after in parts for token in after]
    if kind in ("BertProcessing", "RobertaProcessing"):
        return [processor["cls"][0]], [processor["sep"][0]]
    if kind != "TemplateProcessing":
        return [], []
    sides: tuple[list[str], list[str]] = [], []
    is_after = False
    for piece in processor["single"]:
        if "Sequence" in piece:
            is_after = True
        else:
            sides[is_after].extend(processor["special_tokens"][piece["SpecialToken"]["id"]]["tokens"])
    return sides


def special_tokens(tokenizer: tokenizers.Tokenizer) -> dict[str, int]:
    """Ids of the special added tokens by their text."""
    return {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def choices(special: dict[str, int]) -> str:
    shown = ", ".join(list(special)[:8]) + (", ..." if len(special) > 8 else "")
    return f"choose one of {shown}" if special else "it has no special tokens"


def read_beside(folder: Path | None, name: str) -> dict[str, Any]:
    """The object in a JSON file of the folder, empty where there is no such file. Raises TokenizerError."""
    if folder is None or not ((path := folder / name).is_file() or note_of(path).is_file()):
        return {}
    if path.is_file() and is_lfs_pointer(path):
        raise TokenizerError(f"{path} {PULL}")
    try:
        content = json.loads(intact(path, "make the tokenizer again").read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except InputError as error:
        raise TokenizerError(str(error)) from None
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{path} cannot be read ({error}): fetch it again, or remove it") from None
    return content
