"""A model of spikesink in transformers: its own decoder, with settings, in the classes that transformers loads.

An exported folder has this file and the decoder's modules, so that ``AutoModelForCausalLM`` needs nothing else.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from spikesink.model.decoder import Decoder
from spikesink.study.settings import Model, build


class SpikesinkConfig(PretrainedConfig):
    """The architecture: ``settings`` is the section model of a run's settings."""

    model_type = "spikesink"

    def __init__(self, settings: dict[str, Any] | None = None, **others: Any) -> None:
        self.settings = settings
        super().__init__(**others)


class SpikesinkForCausalLM(GenerationMixin, PreTrainedModel):
    """The decoder with transformers' interface."""

    config_class = SpikesinkConfig
    base_model_prefix = "decoder"

    def __init__(self, config: SpikesinkConfig) -> None:
        super().__init__(config)
        settings = build(Model, config.settings)
        self.decoder = Decoder(settings, vocabulary=config.vocab_size, positions=config.max_position_embeddings)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Nothing: weights are loaded."""

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.decoder.embedding

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, V], or of the last ``logits_to_keep`` positions; the loss where there are ``labels``.

        Raises ValueError for sequences that are padded on the left, whose first token would not be at position 0.
        """
        if attention_mask is not None and bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
            raise ValueError("attention_mask has 0 before 1: pad on the right, or give sequences of one length")
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        first = 0 if past_key_values is None else past_key_values.get_seq_length()
        length = input_ids.shape[1]
        window = (max(0, length - logits_to_keep), length) if logits_to_keep else None
        states = self.decoder.final_states(input_ids, window, first=first, cache=past_key_values)
        logits = F.linear(states, self.decoder.head_weight)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)
