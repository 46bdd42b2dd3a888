"""Loss, sinks and spike at the snapshots of a run: each is that of the model with the weights of that step."""

from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spikesink.data.batches import TokenStream
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.course import answers
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.measures.subject import Subject
from spikesink.runs.folder import snapshot
from spikesink.study.settings import Measures

SETTINGS = Measures(sink_tokens=8, sequences=12, batch_size=4, sink_epsilon=0.2, chunk=3)


def test_every_snapshot_is_measured_and_the_model_keeps_its_last_weights(tmp_path):
    """A measure that left another step's weights behind would spoil all questions after it."""
    tokens = np.random.default_rng(0).integers(0, models.VOCABULARY, 200).astype(np.uint16)
    stream = TokenStream(tokens, "none", None, models.VOCABULARY)
    final, folder = models.decoder(seed=0), tmp_path / "snapshots"
    subject = Subject(final, 12, None, stream, tmp_path / "tokenizer.json", folder, np.zeros(1))
    assert list(answers(subject, SETTINGS)) == [("course", [])]
    folder.mkdir()
    steps = {2: models.decoder(seed=1), 5: models.decoder(seed=2), 9: models.decoder(seed=0)}
    for step, model in {1: models.decoder(seed=3), **steps}.items():  # step 1 is in the first eighth
        save_file(model.state_dict(), snapshot(folder, step))
    before = {name: value.clone() for name, value in final.state_dict().items()}
    ((question, rows),) = answers(replace(subject, model=final), SETTINGS)
    assert question == "course" and [row["step"] for row in rows] == [2, 5, 9]
    assert all(torch.equal(value, before[name]) for name, value in final.state_dict().items())
    text, short = subject.rows(6), subject.tokens(6, 8)
    for row, model in zip(rows, steps.values(), strict=True):
        heads = attention_sinks(model, short, epsilon=0.2, batch_size=4)
        states = activations(model, short, batch_size=4)
        assert row["loss"] == pytest.approx(mean_nll(model, text, 4))
        assert row["sink_share"] == pytest.approx(np.mean([head["sink_share"] for head in heads]))
        assert row["sink_mass"] == pytest.approx(np.mean([head["sink_mass"] for head in heads]))
        assert row["spike"] == max(state["maximum"] for state in states)
        assert row["spike_over_median"] > 1
    assert len({row["loss"] for row in rows}) == 3
