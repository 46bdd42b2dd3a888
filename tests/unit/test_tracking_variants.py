"""A variant's run in MLflow is the parent of its seeds and says of it what the tables say."""

import csv
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient
from tracked_study import content, new_store, stored_runs, write_run, write_seeds

from spikesink.tables.statistics.statistics import statistics
from spikesink.tracking import default_uri
from spikesink.tracking.sync import sync

TWO_SEEDS = {"baseline": [8.0, 12.0], "rms": [10.0, 12.0], "dyt": [2.0, 8.0]}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Where a study's results go, beside a store that does not know it."""
    new_store(tmp_path / "results")
    return tmp_path / "results" / "tiny"


def synchronised(study: Path) -> dict:
    """The parents by name, after a sync."""
    sync("tiny", study, default_uri(study.parent))
    return {run.info.run_name: run for run in of_kind(study, "variant")}


def of_kind(study: Path, kind: str) -> list:
    return [run for run in stored_runs(default_uri(study.parent)) if run.data.tags["spikesink.kind"] == kind]


def children(study: Path, parent) -> dict:
    """What MLflow itself, and so its pages, takes for the children of a run."""
    client = MlflowClient(tracking_uri=default_uri(study.parent))
    found = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    return {run.info.run_name: run for run in found}


def by_statistics_csv(study: Path, variant: str) -> dict[str, float]:
    """The metrics that a parent should have, read here by other code than the sync's."""
    wanted = {}
    with (study / "tables" / "statistics.csv").open() as file:
        for row in csv.DictReader(file):
            if row["variant"] == variant:
                wanted[row["quantity"]] = row["centre"]
                for name in ("low", "high", "change", "change_low", "change_high", "p_holm"):
                    wanted[f"{row['quantity']}_{name}"] = row[name]
    return {name: float(text) for name, text in wanted.items() if text}


def test_a_parent_has_its_seeds_as_children_and_the_statistics_as_metrics(study):
    """A number that differs from the tables', or a name that differs from the runs', could not be compared."""
    parents = synchronised(write_seeds(study, TWO_SEEDS))
    assert sorted(parents) == ["baseline", "dyt", "rms"]
    for name, parent in parents.items():
        runs = children(study, parent)
        assert sorted(runs) == [f"{name}/seed1", f"{name}/seed2"]
        assert [runs[f"{name}/seed{seed}"].data.metrics["perplexity"] for seed in (1, 2)] == TWO_SEEDS[name]
        counts = {"seeds": 2, "seeds_finished": 2}
        assert parent.data.metrics == pytest.approx(by_statistics_csv(study, name) | counts)
    rms, dyt = parents["rms"].data, parents["dyt"].data
    # t of one degree of freedom at 97.5 % is 12.7062: the interval of 10 and 12 is their geometric mean times and over
    # exp(12.7062 ln(12 / 10) / 2). The change is the ratio to the baseline's geometric mean.
    names = ("perplexity", *(f"perplexity_{name}" for name in ("low", "high", "change")))
    mean, factor = 120**0.5, 1.2 ** (12.7062 / 2)
    base = (TWO_SEEDS["baseline"][0] * TWO_SEEDS["baseline"][1]) ** 0.5
    expected = [mean, mean / factor, mean * factor, mean / base]
    assert [rms.metrics[name] for name in names] == pytest.approx(expected, rel=1e-4)
    assert dyt.metrics["spike"] == pytest.approx(16) and dyt.metrics["perplexity"] == pytest.approx(4)
    tags = {"study": "tiny", "scale": "nano", "ablation": "norm", "variant": "rms", "label": "RMS"}
    assert tags.items() <= rms.tags.items() and not {"seed", "left_out", "stands_for"} & rms.tags.keys()
    assert "ablation norm" in rms.tags["mlflow.note.content"] and "2 seeds" in rms.tags["mlflow.note.content"]
    assert {"model.layers": "2", "training.optimiser.lr": "0.004"}.items() <= rms.params.items()
    assert parents["rms"].info.status == "FINISHED"


def test_a_second_sync_changes_nothing(study):
    write_seeds(study, TWO_SEEDS)
    synchronised(study)
    first = content(default_uri(study.parent))
    assert "0 new, 0 superseded, 0 values" in sync("tiny", study, default_uri(study.parent))
    assert content(default_uri(study.parent)) == first


def test_runs_and_variants_have_their_values_at_the_same_step(study):
    """MLflow draws bars of what is at step 0 and else curves, in which a mean would stand apart from its seeds. A value
    that an older store holds at a later step must not hide a new one."""
    parents = synchronised(write_seeds(study, TWO_SEEDS))
    client = MlflowClient(tracking_uri=default_uri(study.parent))
    runs = children(study, parents["rms"])
    for run in (parents["rms"], *runs.values()):
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "perplexity")] == [0]
    client.log_metric(runs["rms/seed1"].info.run_id, "perplexity", 99.0, step=200)
    assert children(study, synchronised(study)["rms"])["rms/seed1"].data.metrics["perplexity"] == 10


def test_one_seed_has_no_interval(study):
    """An interval of one value would be an invention."""
    rms = synchronised(write_seeds(study, {"baseline": [8.0], "rms": [10.0]}))["rms"].data
    assert rms.metrics["perplexity"] == pytest.approx(10) and rms.metrics["perplexity_change"] == pytest.approx(1.25)
    assert not [name for name in rms.metrics if name.endswith(("_low", "_high", "_p_holm"))]
    assert "no interval" in rms.tags["mlflow.note.content"]


def test_a_seed_that_diverged_is_named_and_in_no_mean(study):
    """A failure that is hidden, or averaged in, would make a variant look better or worse than it is."""
    write_seeds(study, {"baseline": [8.0, 12.0, 9.0], "rms": [10.0, None, 12.0], "dyt": [None, None, None]})
    parents = synchronised(study)
    rms = parents["rms"].data
    assert rms.metrics["perplexity"] == pytest.approx(120**0.5), "the geometric mean of 10 and 12"
    assert (rms.metrics["seeds"], rms.metrics["seeds_finished"]) == (3, 2)
    assert rms.tags["left_out"] == "seed 2: diverged" and "seed 2: diverged" in rms.tags["mlflow.note.content"]
    runs = children(study, parents["rms"])
    assert [runs[f"rms/seed{seed}"].info.status for seed in (1, 2, 3)] == ["FINISHED", "FAILED", "FINISHED"]
    assert runs["rms/seed2"].data.tags["status"] == "diverged" and "perplexity" not in runs["rms/seed2"].data.metrics
    assert parents["dyt"].info.status == "FAILED" and parents["dyt"].data.metrics == {"seeds": 3, "seeds_finished": 0}


def test_a_seed_without_one_value_is_named_and_is_in_other_means(study):
    """Else a mean over fewer seeds than the others would not be seen."""
    write_seeds(study, {"baseline": [8.0, 12.0, 9.0], "rms": [10.0, 11.0, None]})
    table = study / "tables" / "runs.csv"
    runs = pl.read_csv(table).with_columns(
        spike=pl.when(variant="rms", seed=1).then(pl.lit(float("inf"))).otherwise("spike")
    )
    runs.write_csv(table)
    statistics(runs).write_csv(study / "tables" / "statistics.csv")
    rms = synchronised(study)["rms"].data
    assert rms.tags["left_out"] == "seed 3: diverged, seed 1: spike is infinite"
    assert "Left out of means: seed 3: diverged, seed 1: spike is infinite." in rms.tags["mlflow.note.content"]
    assert rms.metrics["perplexity"] == pytest.approx(110**0.5) and rms.metrics["spike"] == pytest.approx(121)


def test_a_variant_that_is_called_like_its_ablation_is_not_the_baseline(study):
    """Two parents would say that all others are compared with them."""
    parents = synchronised(write_seeds(study, {"baseline": [8.0, 12.0], "norm": [10.0, 12.0]}))
    said = {name: parent.data.tags["mlflow.note.content"] for name, parent in parents.items()}
    assert said["norm"].startswith("A variant of the ablation norm: ")
    assert said["baseline"].startswith("What all variants are compared with: ")


def test_statistics_that_changed_update_the_parent(study):
    before = synchronised(write_seeds(study, TWO_SEEDS))
    after = synchronised(write_seeds(study, TWO_SEEDS | {"rms": [10.0, 16.0]}))
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert after["rms"].data.metrics["perplexity"] == pytest.approx(160**0.5)
    third = synchronised(write_seeds(study, TWO_SEEDS | {"rms": [10.0, 16.0, 14.0]}))
    assert third["rms"].info.run_id == after["rms"].info.run_id and len(children(study, third["rms"])) == 3


@pytest.mark.parametrize("change", ["an interval", "a param"])
def test_what_cannot_be_taken_back_makes_a_new_parent(study, change):
    """MLflow keeps params and metrics for ever: an old one would stand beside the new as if it held still."""
    before = synchronised(write_seeds(study, TWO_SEEDS))["rms"]
    if change == "an interval":
        write_seeds(study, TWO_SEEDS | {"rms": [10.0, None]})
    else:
        for path in study.glob("runs/rms/*/run.json"):
            path.write_text(path.read_text().replace("0.004", "0.008"))
    parents = synchronised(study)
    assert sorted(parents) == ["baseline", "dyt", "rms", "rms (superseded)"]
    old, new = parents["rms (superseded)"], parents["rms"]
    assert old.info.run_id == before.info.run_id and old.data.tags["spikesink.superseded"] == "true"
    assert children(study, old) == {} and sorted(children(study, new)) == ["rms/seed1", "rms/seed2"]


def test_a_variant_that_left_the_study_is_no_parent(study):
    """Its numbers would otherwise look as fresh as the others'; should it come back, so does its parent."""
    before = synchronised(write_seeds(study, TWO_SEEDS))
    parents = synchronised(write_seeds(study, {name: TWO_SEEDS[name] for name in ("baseline", "rms")}))
    assert sorted(parents) == ["baseline", "dyt (superseded)", "rms"]
    assert children(study, parents["dyt (superseded)"]) == {}
    parents = synchronised(write_seeds(study, TWO_SEEDS))
    assert parents["dyt"].info.run_id == before["dyt"].info.run_id and len(children(study, parents["dyt"])) == 2
    assert "spikesink.superseded" not in parents["dyt"].data.tags


def test_a_superseded_run_is_no_child(study):
    """The parent's mean is over the others."""
    synchronised(write_seeds(study, TWO_SEEDS))
    write_run(study, "rms", "digest-edited", seed=2)
    parents = synchronised(study)
    assert sorted(children(study, parents["rms"])) == ["rms/seed1", "rms/seed2"]
    (old,) = [run for run in of_kind(study, "run") if run.data.tags.get("spikesink.superseded")]
    assert old.info.run_name == "rms/seed2 (superseded)" and "mlflow.parentRunId" not in old.data.tags


def test_a_run_that_the_tables_do_not_list_has_no_parent(study):
    """A parent's children are what its means are over; before the tables are made there are no means."""
    write_seeds(study, TWO_SEEDS)
    write_run(study, "rms", "digest-rms-3", seed=3)
    write_run(study, "new", "digest-new-1")
    parents = synchronised(study)
    assert sorted(parents) == ["baseline", "dyt", "rms"] and len(children(study, parents["rms"])) == 2
