"""A padded sequence gets the logits that it gets alone, in every variant: its first token is at position 0, not the
padding, on which a sink would stand otherwise."""

import pytest
import torch
from models import VARIANTS, model_settings, shaken
from torch import Tensor

from spikesink.model.initial import initialise
from spikesink.pretrained.card import how_to_load
from spikesink.pretrained.own_format import ARCHITECTURE, own_config

POSITIONS, LENGTHS = 12, (3, 12, 7, 10, 7)
"""The longest text is as long as the table of a positional gate."""


@pytest.fixture(scope="module")
def own():
    """The classes that an exported folder holds."""
    from spikesink.pretrained import modeling_spikesink

    return modeling_spikesink


@pytest.fixture
def model(own, request):
    config = own.SpikesinkConfig(**own_config(model_settings(**VARIANTS[request.param]), 31, POSITIONS))
    model = own.SpikesinkForCausalLM(config).eval()
    initialise(model.decoder, 0)
    shaken(model.decoder)
    return model


def drawn(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 31, (length,), generator=generator) for length in lengths]


def padded(rows: list[Tensor], length: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [B, length] with the padding on the left."""
    ids = torch.stack([torch.cat((torch.zeros(length - len(row), dtype=torch.long), row)) for row in rows])
    return ids, torch.stack([torch.arange(length) >= length - len(row) for row in rows]).long()


def same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())


@pytest.mark.parametrize("model", VARIANTS, indirect=True)
@torch.no_grad()
def test_padding_on_the_left_changes_no_logits_with_a_cache_and_without(model):
    rows = drawn(*LENGTHS)
    begun = [row[: max(1, len(row) - 2)] for row in rows]
    ids, mask = padded(begun, POSITIONS + 3)  # more places than positions
    first = model(ids, attention_mask=mask, use_cache=True)
    for row, logits, alone in zip(begun, first.logits, (model(row[None]).logits[0] for row in begun), strict=True):
        assert same(logits[-len(row) :], alone)
    rest = torch.stack([row[-2:] for row in rows])
    mask = torch.cat((mask, torch.ones_like(rest)), dim=1)
    then = model(rest, attention_mask=mask, past_key_values=first.past_key_values, logits_to_keep=1)
    for row, begin, last, logits in zip(rows, begun, rest, then.logits, strict=True):
        assert same(logits, model(torch.cat((begin, last))[None]).logits[0, -1:]), len(row)


@pytest.mark.parametrize("model", ["baseline", "crossed_all", "positional_head", "windows"], indirect=True)
def test_a_padded_batch_generates_what_its_prompts_generate_alone(model):
    rows = drawn(2, 5, 3)
    ids, mask = padded(rows, 5)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    together = model.generate(ids, attention_mask=mask, **options)
    for row, found in zip(rows, together, strict=True):
        alone = model.generate(row[None], attention_mask=torch.ones_like(row[None]), **options)
        assert found[-6:].tolist() == alone[0, -6:].tolist()


@pytest.mark.parametrize("model", ["baseline"], indirect=True)
@torch.no_grad()
def test_padding_on_the_right_stays_harmless_and_padding_between_tokens_is_refused(model):
    (row,) = drawn(6)
    ids, mask = torch.cat((row, torch.zeros(3, dtype=torch.long)))[None], torch.tensor([[1] * 6 + [0] * 3])
    assert same(model(ids, attention_mask=mask).logits[0, :6], model(row[None]).logits[0])
    with pytest.raises(ValueError, match="0 between two tokens"):
        model.generate(ids, attention_mask=mask, max_new_tokens=2, min_new_tokens=2, pad_token_id=0)
    assert "Pad prompts on the left and" in "\n".join(how_to_load(ARCHITECTURE))
    with pytest.raises(ValueError, match="0 between two tokens"):
        model(ids, attention_mask=torch.tensor([[0, 1, 1, 0, 1, 1, 1, 1, 1]]))
    with pytest.raises(ValueError, match=r"the shape \[1, 6\] for 9 positions"):
        model(ids, attention_mask=mask[:, :6])
