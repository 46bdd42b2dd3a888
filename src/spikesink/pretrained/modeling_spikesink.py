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

        Sequences may be padded on either side, as ``attention_mask`` says for all positions, those in the cache too.
        Each gets the logits that it gets alone; those of padding mean nothing. Sequences with the same padding on the
        left pass through the decoder together. Raises ValueError for padding between two tokens.
        """
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        first = 0 if past_key_values is None else past_key_values.get_seq_length()
        length = input_ids.shape[1]
        kept = (max(0, length - logits_to_keep), length) if logits_to_keep else None
        padding = padded_before(attention_mask, first + length)
        if any(padding):
            states = unpadded_states(self.decoder, input_ids, padding, first, past_key_values)
            states = states if kept is None else states[:, kept[0] :]
        else:
            states = self.decoder.final_states(input_ids, kept, first=first, cache=past_key_values)
        logits = F.linear(states, self.decoder.head_weight)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)


def padded_before(attention_mask: Tensor | None, positions: int) -> list[int]:
    """How many positions every sequence is padded with on the left. Raises ValueError."""
    if attention_mask is None:
        return []
    if attention_mask.dim() != 2 or attention_mask.shape[1] != positions:
        raise ValueError(
            f"attention_mask has the shape {list(attention_mask.shape)} for {positions} positions, those in the cache "
            "included: give it one column for each"
        )
    seen = attention_mask.bool()
    starts = (seen[:, 1:] & ~seen[:, :-1]).sum(dim=1) + seen[:, 0]
    if bool((starts > 1).any()):
        raise ValueError("attention_mask has 0 between two tokens: pad before the first or after the last")
    return (seen.cumsum(dim=1) == 0).sum(dim=1).tolist()


class Part:
    """The cache of some sequences of a batch, without the padding before them."""

    def __init__(self, cache: Any, rows: list[int], padding: int) -> None:
        self.cache, self.rows, self.padding = cache, rows, padding
        self.added: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, k_BKTH: Tensor, v_BKTH: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """All keys and values of these sequences. The new ones are kept in ``added`` until the batch is whole."""
        self.added[number] = k_BKTH, v_BKTH
        if self.cache is None or self.cache.get_seq_length() == 0:
            return k_BKTH, v_BKTH
        layer = self.cache.layers[number]
        before = (stored[self.rows, :, self.padding :] for stored in (layer.keys, layer.values))
        return tuple(torch.cat(pair, dim=2) for pair in zip(before, (k_BKTH, v_BKTH), strict=True))


def unpadded_states(decoder: Decoder, tokens_BT: Tensor, padding: list[int], first: int, cache: Any) -> Tensor:
    """The states before the head [B, T, D], of sequences padded on the left; 0 where there is padding.

    ``padding`` counts from the start of the text, of which the cache holds ``first`` positions.
    """
    batch, length = tokens_BT.shape
    states = decoder.embedding.weight.new_zeros(batch, length, decoder.settings.d_model)
    parts = []
    for pad in sorted(set(padding)):
        rows = [row for row, own in enumerate(padding) if own == pad]
        start = max(0, pad - first)
        if start < length:
            parts.append((Part(cache, rows, pad), start))
            found = decoder.final_states(tokens_BT[rows, start:], first=max(0, first - pad), cache=parts[-1][0])
            states = states.index_put((torch.tensor(rows),), F.pad(found, (0, 0, start, 0)))
    if cache is not None:
        for number in parts[0][0].added:
            shape = parts[0][0].added[number][0].shape
            whole = [states.new_zeros(batch, shape[1], length, shape[3]) for _ in range(2)]
            for part, start in parts:
                for target, new in zip(whole, part.added[number], strict=True):
                    target[part.rows, :, start:] = new
            cache.update(*whole, number)
    return states
