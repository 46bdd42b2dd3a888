"""The positive control, trained for real: where a sink is known to come, the measures find it.

The bounds have a margin with this seed: the head that rests most differs by 0.95 between other tokens and triggers, and
by 0.97 after 240 steps. Seeds 1 and 2 have 0.83 and 0.94. Seed 0 has less than 0.5 or more, by the processor's
rounding, and 0.13 after 240 steps. In all four the loss after triggers is 0.03 to 0.04 nats, and the sink's mass is
0.56 to 0.91.
"""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from ranks import train_alone
from study_config import WORKFLOW

from spikesink.measures.loading import trained_subject
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.backcopy import answers
from spikesink.study.resolve import resolve
from spikesink.study.settings import Measures
from spikesink.study.strict_yaml import read_yaml


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The scale bigram_backcopy, 160 steps of seed 3 at a constant learning rate, and its held-out text."""
    folder = tmp_path_factory.mktemp("control")
    study = resolve(read_yaml(WORKFLOW / "scales/bigram_backcopy.yaml") | {"ablations": [], "seeds": [3]}, WORKFLOW)
    corpus = replace(study.config.corpus, synthetic_tokens=360_000)
    settings = json.dumps({"corpus": asdict(corpus), "tokenizer": asdict(study.config.tokenizer)})
    run = study.runs[0].resolved()
    run["training"] |= {"steps": 160, "snapshots": 0, "schedule": {"warmup_steps": 100, "warmup": "linear"}}
    run["training"]["schedule"]["min_lr_ratio"] = 1.0
    data = [sys.executable, "-m", "spikesink.data"]
    described, tokenizer, tokens = (str(folder / name) for name in ("corpus.json", "tokenizer.json", "tokens"))
    given = ["--settings", settings]
    for command in (
        [*data, "corpus", *given, "--output", described],
        [*data, "tokenizer", *given, "--corpus", described, "--output", tokenizer],
        [*data, "tokens", *given, "--corpus", described, "--tokenizer", tokenizer, "--output", tokens],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    training = ["--run", json.dumps(run), "--tokens", tokens, "--output", str(folder / "run")]
    train_alone([*training, "--checkpoints", str(folder / "checkpoints")], folder / "training.log")
    return trained_subject(folder / "run", folder / "tokens", None, "cpu")


def test_a_head_rests_on_the_bos_where_it_has_nothing_to_copy_and_is_found(trained):
    """If the instrument cannot see a sink here, it is broken (Guo et al. 2410.13835)."""
    settings = Measures(perplexity_tokens=8192, sequences=60, batch_size=32, chunk=64)
    found = dict(answers(trained, settings))
    trigger, other = found["backcopy"]
    assert trigger["nll_nats"] / trigger["tokens"] < 0.3, "the task is learned"
    assert (other["nll_nats"] - other["oracle_nats"]) / other["tokens"] < 0.3
    dormant = max(found["backcopy_heads"], key=lambda row: row["bos_at_other"] - row["bos_at_trigger"])
    assert dormant["bos_at_other"] - dormant["bos_at_trigger"] > 0.5
    heads = attention_sinks(trained.model, trained.tokens(60, 64), epsilon=0.3, batch_size=32)
    sink = max(heads, key=lambda row: row["sink_mass"])
    assert sink["sink_mass"] > 0.3 and sink["sink_position"] == 0
    assert sink["sink_share"] > 0.5
