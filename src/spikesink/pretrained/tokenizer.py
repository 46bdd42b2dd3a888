"""A study's tokenizer as transformers reads it, giving the token ids that the study's own data step gives."""

import json
from pathlib import Path
from typing import Any

from tokenizers import processors

from spikesink.data.tokenizer import load
from spikesink.pretrained.vocabulary import TOKENIZER, check_vocabulary


def tokenizer_files(
    tokenizer_json: Path, vocabulary: int, positions: int, bos: str, bos_token: str | None = None
) -> tuple[dict[str, str], dict]:
    """The content of each file by its name, and the ids of BOS and EOS for config.json (None: there is no such token).

    With ``bos`` sequence or document, transformers starts every text with BOS, as sequences or documents started in
    training; with none it adds no BOS. ``bos_token`` is the BOS, if not the one that is declared. Raises
    TokenizerError, PretrainedError.
    """
    loaded = load(tokenizer_json, bos_token)
    check_vocabulary(tokenizer_json, vocabulary)
    tokenizer = loaded.tokenizer
    bos_id = loaded.bos.id if bos != "none" else None
    ids = {"bos_token_id": bos_id, "eos_token_id": loaded.eos.id}
    tokenizer.post_processor = None
    if bos_id is not None:
        name = tokenizer.id_to_token(bos_id)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{name} $A", pair=f"{name} $A {name}:1 $B:1", special_tokens=[(name, bos_id)]
        )
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # reads tokenizer.json as it is
        "model_max_length": positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # a text that spells a special token is text, as it was in training
    }
    for key, number in (("bos_token", bos_id), ("eos_token", loaded.eos.id)):
        if number is not None:
            config[key] = tokenizer.id_to_token(number)
    return {TOKENIZER: tokenizer.to_str(pretty=True), "tokenizer_config.json": json.dumps(config, indent=2) + "\n"}, ids
