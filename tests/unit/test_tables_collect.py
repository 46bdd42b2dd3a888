"""Collected numbers are the planted ones, by the papers' definitions."""

import json
import math
import sys

import polars as pl
import pytest
from fake_study import fake_study

from spikesink.study.errors import InputError
from spikesink.tables import collect as entry
from spikesink.tables.collecting.measured import perplexity_of, sinks, spike
from spikesink.tables.collecting.parts import collect

NORM = {"norm": {"dyt": {"perplexity": 30.0, "sink": 0.25, "spike": 40.0}}, "ffn": {"gelu": {}}}


def test_runs_carry_the_planted_perplexity_sinks_and_spike(tmp_path):
    runs = collect(*fake_study(tmp_path, NORM)["norm"])["runs"]
    assert runs["variant"].to_list() == ["baseline", "dyt"], "baseline first, no run of another ablation"
    dyt = runs.row(1, named=True)
    assert dyt["perplexity"] == pytest.approx(30.0)
    assert dyt["sink_ratio"] == pytest.approx(25.0)
    assert dyt["sink_ratio_gu"] == pytest.approx(12.5)
    assert (dyt["spike"], dyt["spike_position"], dyt["spike_channel"]) == (40.0, 7, 11)
    assert dyt["spike_over_median"] == pytest.approx(100.0), "over the median of ordinary tokens, 0.4"
    assert dyt["spike_over_elsewhere"] == pytest.approx(0.5)
    assert (dyt["sink_ratio_trained"], dyt["trained_first"], dyt["trained_last"]) == (pytest.approx(25.0), 0, 8)
    # Two documents of equal length at 10 % above and below the mean: sqrt(2) (0.1 nll) / 2 documents, times perplexity.
    assert dyt["perplexity_spread"] == pytest.approx(30 * 2**0.5 * 0.1 * math.log(30) * 2**0.5 / 2)
    assert (dyt["documents"], dyt["draw_seed"]) == (2, 0)
    assert (dyt["parameters"], dyt["status"], dyt["label"]) == (1_000_000, "finished", "dyt")


def test_runs_carry_what_quantisation_costs_and_what_a_variant_lacks_is_absent(tmp_path):
    """A linear feed-forward has no down projection; other measures stay as they are."""
    dyt = collect(*fake_study(tmp_path, NORM)["norm"])["runs"].row(1, named=True)
    assert (dyt["int8_full_precision"], dyt["int8_static_per_tensor"]) == (30.0, 45.0)
    assert dyt["int4_gptq"] == pytest.approx(30.6) and dyt["int8_down_projection_static"] is None


def test_every_other_table_names_the_run_of_each_row(tmp_path):
    tables = collect(*fake_study(tmp_path, NORM, seeds=(0, 1), layers=3, heads=2)["norm"])
    sizes = {"states": 7, "heads": 6, "curves": 40}
    for name, rows in sizes.items():
        counts = tables[name].group_by("variant", "seed").len()
        assert counts["len"].to_list() == [rows] * 4


def test_attention_mass_is_the_mean_and_the_largest_head_on_position_0(tmp_path):
    study = fake_study(tmp_path, NORM)["norm"]
    heads = pl.read_parquet(tmp_path / "runs/dyt/seed0/measures/attention.parquet")
    dyt = collect(*study)["runs"].row(1, named=True)
    assert dyt["sink_mass_mean"] == pytest.approx(heads["sink_mass"].mean())
    assert dyt["sink_mass_max"] == heads["sink_mass"].max()


def test_the_sink_ratio_of_later_layers_leaves_the_first_out():
    """A BOS can be a sink of the first layer by its embedding alone; such sinks say nothing of what layers write."""
    head = {"sink_share_gu": 1.0, "sink_mass": 0.5, "largest_key_mass": 0.5, "sink_share_trained": 1.0}
    head |= {"sink_mass_trained": 0.5, "trained_first": 0, "trained_last": 64}
    head |= {"epsilon": 0.3, "tokens": 64, "sequences": 2}
    shares = {0: (1.0, 1.0), 1: (0.5, 0.0), 3: (0.0, 0.1)}
    heads = pl.DataFrame(
        [head | {"layer": layer, "sink_share": share} for layer, pair in shares.items() for share in pair]
    )
    assert sinks(heads)["sink_ratio"] == pytest.approx(100 * 2.6 / 6)
    assert sinks(heads)["sink_ratio_later_layers"] == pytest.approx(15.0)
    assert sinks(heads.filter(pl.col("layer") == 0))["sink_ratio_later_layers"] is None


def test_a_loss_window_scores_its_own_positions_alone(tmp_path):
    context = {"context": {"loss_1_4": {"perplexity": 9.0, "loss_window": [0, 4]}, "loss_4_8": {"loss_window": [4, 8]}}}
    runs = collect(*fake_study(tmp_path, context)["context"])["runs"]
    assert runs["perplexity_loss_window"].to_list() == pytest.approx([20.0, 81.0, 1.0])
    assert runs["perplexity"].to_list() == pytest.approx([20.0, 9.0, 20.0])


def test_perplexity_weighs_tokens_not_positions():
    table = pl.DataFrame({"position": [0, 1], "tokens": [3, 1], "nll_nats": [3.0, 5.0]})
    assert perplexity_of(table) == pytest.approx(2.718281828459045**2)
    assert perplexity_of(table, (2, 3)) is None


def test_the_spike_is_the_largest_maximum_not_the_largest_mean():
    state = {"ordinary_median": 2.0, "norm_token0": 4.0, "norm_early": 2.0, "maximum_later": 10.0}
    states = pl.DataFrame(
        [
            {**state, "maximum": 10.0, "maximum_position": 1, "maximum_channel": 5, "maximum_token0": 9.0},
            {**state, "maximum": 12.0, "maximum_position": 0, "maximum_channel": 6, "maximum_token0": 12.0},
        ]
    )
    found = spike(states)
    assert (found["spike"], found["spike_position"], found["spike_channel"]) == (12.0, 0, 6)
    assert found["spike_over_median"] == 6.0
    assert found["spike_over_elsewhere"] == 1.2, "of all states, not of the spike's"


def test_a_diverged_run_keeps_its_status_and_has_no_measures(tmp_path):
    tables = collect(*fake_study(tmp_path, {"norm": {"dyt": {"status": "diverged"}}})["norm"])
    dyt = tables["runs"].row(1, named=True)
    assert (dyt["status"], dyt["perplexity"], dyt["spike"], dyt["sink_ratio"]) == ("diverged", None, None, None)
    assert tables["heads"]["variant"].unique().to_list() == ["baseline"]


def test_a_missing_measure_is_one_line_naming_the_file_and_the_remedy(tmp_path, monkeypatch, capsys):
    folders, *_ = fake_study(tmp_path, NORM)["norm"]
    (tmp_path / "runs/dyt/seed0/measures/attention.parquet").unlink()
    arguments = ["--ablation", "norm", "--runs", *map(str, folders), "--output", str(tmp_path / "parts")]
    monkeypatch.setattr(sys, "argv", ["collect", *arguments])
    assert entry.main() == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "dyt/seed0/measures/attention.parquet" in message and "measure dyt with seed 0 again" in message
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("fault", ["column", "nan", "truncated"])
def test_a_broken_measure_is_refused(tmp_path, fault):
    study = fake_study(tmp_path, NORM)["norm"]
    path = tmp_path / "runs/dyt/seed0/measures/activations.parquet"
    table = pl.read_parquet(path)
    if fault == "column":
        table.drop("maximum").write_parquet(path)
    elif fault == "nan":
        table.with_columns(maximum=pl.lit(float("nan"))).write_parquet(path)
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"activations\.parquet") as error:
        collect(*study)
    assert "\n" not in str(error.value)


def test_labels_and_stands_for_come_from_the_variants_that_have_them(tmp_path, monkeypatch):
    folders, *_ = fake_study(tmp_path, {"norm": {"my_own": {}, "dyt": {}}})["norm"]
    variants = json.dumps({"dyt": {"label": "DyT's", "stands_for": "dyt"}})
    arguments = ["--ablation", "norm", "--runs", *map(str, folders), "--variants", variants]
    monkeypatch.setattr(sys, "argv", ["collect", *arguments, "--output", str(tmp_path / "parts")])
    assert entry.main() == 0
    runs = pl.read_parquet(tmp_path / "parts/runs.parquet")
    assert runs["label"].to_list() == ["baseline", "my own", "DyT's"]
    assert runs["stands_for"].to_list() == [None, None, "dyt"]


def test_a_run_of_another_ablation_is_refused(tmp_path):
    study = fake_study(tmp_path, NORM)
    with pytest.raises(InputError, match=r"gelu/seed0/run\.json: is a run of ffn, not of norm"):
        collect(study["ffn"][0], "norm", {})


def test_a_missing_run_file_is_named(tmp_path):
    study = fake_study(tmp_path, NORM)["norm"]
    (tmp_path / "runs/dyt/seed0/run.json").unlink()
    with pytest.raises(InputError, match=r"dyt/seed0/run\.json: cannot be read"):
        collect(*study)


@pytest.mark.parametrize(("section", "key"), [((), "study"), (("model", "attention"), "heads"), ((), "training")])
def test_a_run_file_without_a_key_is_refused(tmp_path, section, key):
    study = fake_study(tmp_path, NORM)["norm"]
    path = tmp_path / "runs/dyt/seed0/run.json"
    run = json.loads(path.read_text())
    holder = run
    for name in section:
        holder = holder[name]
    del holder[key]
    path.write_text(json.dumps(run))
    with pytest.raises(InputError, match=f"has no key '{key}'"):
        collect(*study)
