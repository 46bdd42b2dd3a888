"""Which keys of a config.json may stand in it: whatever could change what the model computes is known or refused.

The lists were made from what the modelling files of transformers 5 and the code under them (masks, rotary embeddings,
attention) read from a config. What only one architecture reads is in spikesink.pretrained.architectures. A key that is
in no list may mean anything to whoever trained the model, so it is refused by its name.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from spikesink.pretrained.architectures import Architecture

READ = {
    *("architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "attention_bias", "rms_norm_eps", "layer_types"),
    *("rope_theta", "rope_scaling", "rope_parameters", "max_position_embeddings", "tie_word_embeddings"),
}
"""Keys that spikesink.pretrained.formats reads."""

FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),  # two names of one function
    "is_causal": (True,),
    "mlp_bias": (False, None),
    "use_sliding_window": (False, None),
    "use_mrope": (False, None),
    "partial_rotary_factor": (1.0, None),
    "rope_interleaved": (False, None),
    "original_max_position_embeddings": (None,),
    "attn_logit_softcapping": (None,),
    "final_logit_softcapping": (None,),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "pruned_heads": ({}, None),
    "per_layer_config": ({}, None),
    "quantization_config": (None,),
    "auto_map": (None,),  # code of its own
}
"""Keys that change what a model computes, with the values that our decoder computes."""

HARMLESS = {
    # Where the file is from, and how it is loaded.
    *(
        "_name_or_path",
        "name_or_path",
        "_model_name_or_path",
        "_commit_hash",
        "transformers_version",
        "torch_dtype",
        "dtype",
        "torchscript",
    ),
    *("use_bfloat16", "_attn_implementation", "attn_implementation", "_attn_implementation_autoset"),
    *("_attn_implementation_internal", "_flash_attn_2_enabled", "tokenizer_class", "transformers.js_config"),
    *("unsloth_fixed", "unsloth_version", "is_llama_config"),
    # For training alone.
    *("initializer_range", "attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
    *("gradient_checkpointing",),
    # The same products in another order, what a call returns, and generation.
    *("pretraining_tp", "chunk_size_feed_forward", "use_cache", "output_attentions", "output_hidden_states"),
    *(
        "cache_implementation",
        "return_dict",
        "is_decoder",
        "tie_encoder_decoder",
        "tie_last_hidden_states",
        "cross_attention_hidden_size",
    ),
    *("decoder_start_token_id", "tf_legacy_loss", "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"),
    *("sep_token_id", "mask_token_id", "prefix", "task_specific_params", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample"),
    *("early_stopping", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff"),
    *("exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "length_penalty"),
    *("max_length", "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_assistant_tokens"),
    *("num_assistant_tokens_schedule", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores"),
    *("remove_invalid_values", "repetition_penalty", "return_dict_in_generate", "suppress_tokens"),
    *("target_lookbehind", "temperature", "top_k", "top_p", "typical_p"),
    # Classifiers.
    *("id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "classifier_dropout"),
}
"""Keys that change no logits of a whole sequence."""


def check_keys(config: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise ValueError that names the first key, or its value, that our decoder may not follow.

    A key that is not known may stand there with null, which sets nothing.
    """
    fixed = FIXED | architecture.fixed
    known = (READ | HARMLESS | architecture.reads | architecture.ignores) - set(fixed)
    if architecture.rotary_share is not None:
        del fixed["partial_rotary_factor"]
        known |= {"partial_rotary_factor"}
    for key, value in config.items():
        if key in fixed:
            if value not in fixed[key]:
                raise unsupported(key, value, json.dumps(fixed[key][0]))
        elif value is not None and key not in known:
            raise ValueError(
                f"{key} = {shortened(value)} is not known, and may change what the model computes: choose a checkpoint "
                "without it, or delete the key if you know that it changes nothing"
            )


def field(config: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """The field ``name``. Raises ValueError where it is missing, not of type ``kind``, or a number below or at 0."""
    value = config.get(name)
    value = default if value is None else value
    if value is None:
        raise ValueError(f"{name} is missing: use the config.json that belongs to the weights")
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} = {json.dumps(value)} is not of type {kind.__name__}")
    if kind is not bool and not 0 < value < math.inf:
        raise ValueError(f"{name} = {value} must be a number greater than 0")
    return value


def unsupported(name: str, value: Any, only: str) -> ValueError:
    return ValueError(f"{name} = {shortened(value)} is not supported, only {only}: choose a checkpoint without it")


def shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
