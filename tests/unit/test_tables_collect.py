"""Collected numbers are the planted ones, by the papers' definitions."""

import json
import sys

import polars as pl
import pytest
from test_tables_fake_study import fake_study

from spikesink.tables import collect as entry
from spikesink.tables.collect import collect
from spikesink.tables.inputs import InputError
from spikesink.tables.measured import perplexity, spike

NORM = {"norm": {"dyt": {"perplexity": 30.0, "sink": 0.25, "spike": 40.0}}, "ffn": {"gelu": {}}}


def test_runs_carry_the_planted_perplexity_sinks_and_spike(tmp_path):
    runs = collect(fake_study(tmp_path, NORM), "norm")["runs"]
    assert runs["variant"].to_list() == ["baseline", "dyt"], "baseline first, no run of another ablation"
    dyt = runs.row(1, named=True)
    assert dyt["perplexity"] == pytest.approx(30.0)
    assert dyt["sink_ratio_pct"] == pytest.approx(25.0)
    assert dyt["sink_ratio_gu_pct"] == pytest.approx(12.5)
    assert (dyt["spike"], dyt["spike_position"], dyt["spike_channel"]) == (40.0, 7, 11)
    assert dyt["spike_over_median"] == pytest.approx(80.0)
    assert dyt["token0_over_early"] == pytest.approx(8.0)
    assert (dyt["parameters"], dyt["status"], dyt["label"]) == (1_000_000, "finished", "dyt")


def test_every_other_table_names_the_run_of_each_row(tmp_path):
    tables = collect(fake_study(tmp_path, NORM, seeds=(0, 1), layers=3, heads=2), "norm")
    sizes = {"states": 7, "heads": 6, "curves": 40}
    for name, rows in sizes.items():
        counts = tables[name].group_by("variant", "seed").len()
        assert counts["len"].to_list() == [rows] * 4


def test_attention_mass_is_the_mean_and_the_largest_head_on_position_0(tmp_path):
    study = fake_study(tmp_path, NORM)
    heads = pl.read_parquet(tmp_path / "runs/dyt/seed0/measures/attention.parquet")
    dyt = collect(study, "norm")["runs"].row(1, named=True)
    assert dyt["sink_mass_mean"] == pytest.approx(heads["mass_0"].mean())
    assert dyt["sink_mass_max"] == heads["mass_0"].max()


def test_a_loss_window_scores_its_own_positions_alone(tmp_path):
    context = {"context": {"loss_1_4": {"perplexity": 9.0, "loss_window": [0, 4]}, "loss_4_8": {"loss_window": [4, 8]}}}
    runs = collect(fake_study(tmp_path, context), "context")["runs"]
    assert runs["perplexity_loss_window"].to_list() == pytest.approx([20.0, 81.0, 1.0])
    assert runs["perplexity"].to_list() == pytest.approx([20.0, 9.0, 20.0])


def test_perplexity_weighs_tokens_not_positions():
    table = pl.DataFrame({"position": [0, 1], "tokens": [3, 1], "nll_nats": [3.0, 5.0]})
    assert perplexity(table) == pytest.approx(2.718281828459045**2)
    assert perplexity(table, (2, 3)) is None


def test_the_spike_is_the_largest_maximum_not_the_largest_mean():
    state = {"top1": 9.0, "median": 1.0, "norm_token0": 4.0, "norm_early": 2.0}
    states = pl.DataFrame(
        [
            {**state, "maximum": 10.0, "maximum_position": 1, "maximum_channel": 5},
            {**state, "top1": 8.0, "maximum": 12.0, "maximum_position": 0, "maximum_channel": 6},
        ]
    )
    found = spike(states)
    assert (found["spike"], found["spike_position"], found["spike_channel"]) == (12.0, 0, 6)
    assert (found["spike_over_median"], found["token0_over_early"]) == (8.0, 2.0)


def test_a_diverged_run_keeps_its_status_and_has_no_measures(tmp_path):
    study = fake_study(tmp_path, {"norm": {"dyt": {"status": "diverged"}}})
    tables = collect(study, "norm")
    dyt = tables["runs"].row(1, named=True)
    assert (dyt["status"], dyt["perplexity"], dyt["spike"], dyt["sink_ratio_pct"]) == ("diverged", None, None, None)
    assert tables["heads"]["variant"].unique().to_list() == ["baseline"]


def test_a_missing_measure_is_one_line_naming_the_file_and_the_remedy(tmp_path, monkeypatch, capsys):
    study = fake_study(tmp_path, NORM)
    (tmp_path / "runs/dyt/seed0/measures/attention.parquet").unlink()
    arguments = ["collect", "--study-file", str(study), "--ablation", "norm", "--output", str(tmp_path / "parts")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert entry.main() == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "dyt/seed0/measures/attention.parquet" in message and "measure dyt with seed 0 again" in message
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("fault", ["column", "nan", "truncated"])
def test_a_broken_measure_is_refused(tmp_path, fault):
    study = fake_study(tmp_path, NORM)
    path = tmp_path / "runs/dyt/seed0/measures/activations.parquet"
    table = pl.read_parquet(path)
    if fault == "column":
        table.drop("maximum").write_parquet(path)
    elif fault == "nan":
        table.with_columns(maximum=pl.lit(float("nan"))).write_parquet(path)
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"activations\.parquet") as error:
        collect(study, "norm")
    assert "\n" not in str(error.value)


def test_an_unknown_ablation_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"nrom.*norm, ffn"):
        collect(fake_study(tmp_path, NORM), "nrom")


def test_a_study_file_without_a_key_is_refused(tmp_path):
    path = fake_study(tmp_path, NORM)
    study = json.loads(path.read_text())
    del study["runs"][0]["folder"]
    path.write_text(json.dumps(study))
    with pytest.raises(InputError, match="folder"):
        collect(path, "norm")
