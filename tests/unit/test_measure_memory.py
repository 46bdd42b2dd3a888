"""What a measuring job takes at a time follows from the memory at hand; running out of it is one line."""

import pytest
import torch
from models import VOCABULARY, decoder
from peak_memory import peak_bytes

from spikesink.measures import fitting
from spikesink.measures.fitting import fitted, short_of_memory
from spikesink.measures.matched import key_masses
from spikesink.measures.probes import observe
from spikesink.measures.probes.once import kept
from spikesink.measures.probes.spikes import SpikeRule, anatomy, median_without
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.attention_distance import attention_distance
from spikesink.measures.questions.perplexity import losses
from spikesink.measures.questions.sink_and_spike_tokens import sink_and_spike_tokens
from spikesink.measures.subject import Subject
from spikesink.runs.free_memory import of_group, of_machine
from spikesink.study.errors import InputError
from spikesink.study.measure_cost import MOST_SEQUENCES, sequence_bytes, sequences_together
from spikesink.study.settings import Attention, FeedForward, Measures, Model

GIB = 2**30
SMALL = Model(
    layers=30, d_model=576, attention=Attention(heads=9, head_dim=64, kv_heads=3), feed_forward=FeedForward(width=1536)
)
LARGE = Model(
    layers=32,
    d_model=4096,
    attention=Attention(heads=32, head_dim=128, kv_heads=8),
    feed_forward=FeedForward(width=14336),
)
RULE = SpikeRule(0.0, 1.0, 0.1)
GROUPS = ("forward", "spikes", "geometry", "gradients", "consequences", "dynamics")


@pytest.mark.parametrize("group", GROUPS)
def test_the_defaults_fit_135_million_parameters_into_24_gib_and_8_billion_onto_80_gib(group):
    for model, free in ((SMALL, 3 * GIB), (LARGE, 0.8 * (79 - 30) * GIB)):
        sequences = sequences_together(model, group, Measures(), 2048, free)
        assert 1 <= sequences <= MOST_SEQUENCES
        assert sequences * sequence_bytes(model, group, Measures(), 2048) <= free or sequences == 1
    if group in ("spikes", "geometry"):
        assert sequences_together(SMALL, group, Measures(), 2048, 3 * GIB) == MOST_SEQUENCES


def subject() -> Subject:
    return Subject(decoder(), 16, None, None, None, None, None)


def test_what_the_settings_leave_open_is_filled_in_and_what_they_say_stays(monkeypatch):
    found = fitted(Measures(), subject(), "gradients")
    assert (found.batch_size, found.chunk, found.loss_chunk) == (32, 512, None)
    said = Measures(batch_size=3, chunk=5, loss_chunk=7)
    assert fitted(said, subject(), "gradients") == said
    monkeypatch.setattr(fitting, "free_memory", lambda: 2e5)
    assert fitted(Measures(), subject(), "gradients").batch_size < 32


MAPS = {
    "attention": lambda model, tokens, chunk: attention_sinks(model, tokens, epsilon=0.3, batch_size=1, chunk=chunk),
    "distance": lambda model, tokens, chunk: attention_distance(model, tokens, batch_size=1, query_chunk=chunk),
    "sink_and_spike_tokens": lambda model, tokens, chunk: sink_and_spike_tokens(
        model, tokens, rule=RULE, epsilon=0.3, batch_size=1, chunk=chunk
    ),
    "key_masses": lambda model, tokens, chunk: key_masses(model, tokens, 1, chunk),
}
"""Measures that read attention maps."""


@pytest.mark.parametrize("name", MAPS)
def test_no_map_is_held_and_memory_grows_with_the_length_alone(name):
    """A map held whole, or put together of its rows, would need four times the memory at twice the length."""
    model = decoder().eval()
    peaks = {}
    for length in (512, 1024):
        tokens = torch.randint(VOCABULARY, (1, length))
        for chunk in (32, length):
            peaks[length, chunk] = peak_bytes(lambda: MAPS[name](model, tokens, chunk))  # noqa: B023
        assert peaks[length, 32] < whole_map(length) / 2 < whole_map(length) < peaks[length, length]
    assert peaks[1024, 32] < 2.3 * peaks[512, 32]
    assert peaks[1024, 1024] > 3.5 * peaks[512, 512], "what is counted here would not show a map"


def whole_map(length: int) -> int:
    """Bytes of the attention map of four heads."""
    return 4 * 4 * length**2


def test_logits_in_pieces_give_the_same_losses(monkeypatch):
    model, rows = decoder().eval(), torch.randint(VOCABULARY, (3, 17))
    whole = losses(model, rows, 2)
    monkeypatch.setattr(observe, "LOGITS_ON_CPU", 4 * VOCABULARY * 5)  # 5 positions, no divisor of a sequence
    torch.testing.assert_close(losses(model, rows, 2), whole)
    with torch.no_grad():
        expected = -model(rows[:, :-1]).log_softmax(dim=-1).gather(2, rows[:, 1:, None])[..., 0]
    torch.testing.assert_close(whole, expected.double())


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory: 9")]
)
def test_running_out_of_memory_names_the_key_to_lower(error):
    with pytest.raises(InputError, match="batch_size below 8"), short_of_memory(settings(8), "forward"):
        raise error
    with pytest.raises(InputError, match="set measures"), short_of_memory(settings(1), "forward"):
        raise error
    with pytest.raises(RuntimeError, match="another fault"), short_of_memory(settings(8), "forward"):
        raise RuntimeError("another fault")


def settings(batch_size: int) -> Measures:
    return Measures(batch_size=batch_size, chunk=1, loss_chunk=1)


def test_the_median_of_the_tokens_that_are_not_judged():
    magnitude = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]])
    judged = torch.tensor([[True, False, False], [True, True, True]])
    assert median_without(magnitude, judged).tolist() == [2.0, 7.0]


def test_questions_of_one_job_share_what_they_all_need(monkeypatch):
    model, tokens, calls = decoder().eval(), torch.randint(VOCABULARY, (2, 8)), []
    monkeypatch.setattr(observe.Decoder, "context", count(observe.Decoder.context, calls))
    first = anatomy(model, tokens, rule=RULE, batch_size=2)
    alone = len(calls)
    with kept():
        one = anatomy(model, tokens, rule=RULE, batch_size=2)
        assert anatomy(model, tokens.clone(), rule=RULE, batch_size=2) is one
        assert len(calls) == 2 * alone
        assert anatomy(model, 1 - tokens.clamp(max=1), rule=RULE, batch_size=2) is not one, "other text"
    assert anatomy(model, tokens, rule=RULE, batch_size=2) is not one, "nothing is kept outside"
    assert first.shares == one.shares


def count(function, calls):
    def counted(*arguments, **options):
        calls.append(1)
        return function(*arguments, **options)

    return counted


def test_free_memory_is_the_least_of_machine_and_control_groups(tmp_path):
    meminfo, own = tmp_path / "meminfo", tmp_path / "cgroup"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    3 kB\n")
    assert of_machine(meminfo) == 3072
    assert of_machine(tmp_path / "absent") == float("inf")
    own.write_text("0::/job/step\n")
    for place, limit, used in (("job", "5000", 1000), ("job/step", "max", 10)):
        (tmp_path / "root" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / place / "memory.max").write_text(limit)
        (tmp_path / "root" / place / "memory.current").write_text(str(used))
    assert of_group(tmp_path / "root", own) == 4000
    assert of_group(tmp_path / "root", tmp_path / "absent") == float("inf")
