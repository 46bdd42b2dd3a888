"""Names of the files beside a tokenizer.json that say what its special tokens are for."""

NAMING = ("tokenizer_config.json", "special_tokens_map.json")
"""By their text."""
NUMBERING = ("config.json", "generation_config.json")
"""By their ids."""
BESIDE = (*NAMING, *NUMBERING)
