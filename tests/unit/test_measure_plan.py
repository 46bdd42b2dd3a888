"""What `plan` says of measures: operations that can be counted by hand, and models that are not here yet."""

import json

import pytest
from study_config import SCALES, study

from spikesink.study.measure_cost import Work, flops, work
from spikesink.study.plan import GPUS
from spikesink.study.resolve import load
from spikesink.study.settings import Attention, FeedForward, Measures, Model, Plan
from spikesink.workflow import measure_plan
from spikesink.workflow.measure_plan import measure_costs, measure_table

MEASURES = Measures(
    sequences=10, sink_tokens=8, perplexity_tokens=64, ability_sequences=2, consequence_tokens=32, gradient_sequences=4
)
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "vocab_size": 100,
    "rms_norm_eps": 1e-5,
}


def test_operations_of_a_token_are_counted_by_hand():
    model = Model(layers=3, d_model=8, attention=Attention(heads=2, head_dim=4), feed_forward=FeedForward(width=12))
    weights = 3 * (4 * 8 * 8 + 3 * 8 * 12)
    scores = 3 * 4 * 8 * 16 / 2  # scores and mixing: 4 N H per visible key, half of the context
    assert flops(model, Work(1), 16, 50) == pytest.approx(2 * weights + scores)
    assert flops(model, Work(1, 1), 16, 50) == pytest.approx(2 * weights + scores + 2 * 50 * 8)
    assert flops(model, Work(1, 1, 1), 16, 50) == pytest.approx(2 * (2 * weights + scores + 2 * 50 * 8))


def test_work_follows_from_the_settings():
    assert work("gradients", MEASURES, 16, 100) == Work(4 * 64, 3 * 64, 3 * 64)
    assert work("spikes", MEASURES, 16, 1000).blocks - work("spikes", MEASURES, 16, 0).blocks == 1000
    assert work("dynamics", MEASURES, 16, 100) == Work(0, 0, 0), "a published model has no snapshots"
    without, with_bos = (work("consequences", MEASURES, 16, 100, bos=bos) for bos in ("none", "sequence"))
    assert with_bos.backward == 2 * without.backward == 2 * 11 * 32, "interventions with the BOS and without it"
    assert with_bos.blocks - without.blocks == 11 * (32 + 32)


def test_a_published_model_is_planned_once_it_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_plan, "matrix_speed", lambda: 1e9)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    models = {
        "here": {"source": str(tmp_path), "bos": "none"},
        "elsewhere": {"source": "org/model", "revision": "a" * 40, "bos": "none"},
    }
    found = study({"ablations": [], "pretrained": models})
    planned = list(measure_costs(found))
    assert {cost.model for cost in planned} == {"here"}
    assert all(cost.memory_gib > 0 for cost in planned)
    text = measure_table(found, planned)
    assert "fetches them: elsewhere." in text and "vocabulary" not in text


def test_runs_outside_the_comparison_are_planned_for_what_every_run_is_asked(monkeypatch):
    monkeypatch.setattr(measure_plan, "matrix_speed", lambda: 1e9)
    planned = list(measure_costs(study({"ablations": ["norm"], "seeds": [0, 1]})))
    assert {cost.group for cost in planned if cost.model == "sandwich"} == {"forward"}
    assert "gradients" in {cost.group for cost in planned if cost.model == "baseline"}
    assert {cost.jobs for cost in planned} == {2}


def test_another_gpu_than_the_configs_is_planned_with_its_own_speed(monkeypatch):
    monkeypatch.setattr(measure_plan, "matrix_speed", lambda: 1e9)
    found = study({"ablations": []})
    ours, other = (list(measure_costs(found, plan)) for plan in (None, Plan(gpu="V100")))
    assert found.config.plan.gpu == "H100"
    for one, cost in zip(ours, other, strict=True):
        assert cost.gpu_hours == pytest.approx(one.gpu_hours * 67 / 15.7), "both in float32"
    heading = measure_table(found, other, Plan(gpu="V100")).splitlines()[0]
    assert "V100-hours" in heading and "H100" not in heading


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_a_batch_that_a_scale_fixes_for_its_measures_fits_into_the_gpu_of_its_plan(path, monkeypatch):
    """Otherwise the study ends out of memory after weeks of training; without a number each job takes what fits."""
    monkeypatch.setattr(measure_plan, "matrix_speed", lambda: 1e9)
    found = load([path])
    if found.config.measures.batch_size is not None:
        largest = max(measure_costs(found), key=lambda cost: cost.memory_gib)
        assert largest.memory_gib < GPUS[found.config.plan.gpu].memory_gib, largest
