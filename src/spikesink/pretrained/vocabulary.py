"""Whether a tokenizer's ids fit a model."""

import json
from pathlib import Path

from spikesink.pretrained.formats import PretrainedError, refuse_pointer

TOKENIZER = "tokenizer.json"


def largest_id(tokenizer_json: Path) -> int:
    """The largest token id of a tokenizer.json, added tokens included. Raises PretrainedError."""
    refuse_pointer(tokenizer_json)
    try:
        content = json.loads(tokenizer_json.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]  # Unigram has a list, all other kinds a mapping to ids
        ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        return max((*ids, *(token["id"] for token in content.get("added_tokens") or ())))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PretrainedError(f"{tokenizer_json} is not a tokenizer.json that can be read: {error}") from None


def check_vocabulary(tokenizer_json: Path, vocabulary: int) -> None:
    """Raise PretrainedError when a tokenizer has ids that the model lacks."""
    largest = largest_id(tokenizer_json)
    if largest >= vocabulary:
        raise PretrainedError(
            f"{tokenizer_json}: the largest token id is {largest}, but the model's vocabulary is {vocabulary}: "
            "use the tokenizer that belongs to the model"
        )
