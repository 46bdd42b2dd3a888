"""Variants on equal terms: at equal loss, and each at its own best learning rate."""

import json

import polars as pl
import pytest
from fake_study import fake_study

from spikesink.tables.collecting.equal_loss import at_equal_loss, at_loss, with_equal_loss
from spikesink.tables.collecting.parts import collect
from spikesink.tables.render.equal_terms import BEST, EQUAL, equal_terms


def course(losses: list[float], sinks: list[float], spikes: list[float]) -> pl.DataFrame:
    steps = [100 * 2**place for place in range(len(losses))]
    columns = {"step": steps, "loss": losses, "sink_share": sinks, "sink_mass": sinks, "spike_over_median": spikes}
    return pl.DataFrame(columns)


SLOW = course([4.0, 3.5, 3.0], [0.0, 0.1, 0.2], [2.0, 4.0, 8.0])
FAST = course([3.5, 2.5, 2.0], [0.0, 0.4, 0.6], [4.0, 16.0, 32.0])


def test_the_worse_is_taken_at_its_end_and_the_better_where_it_passes_that_loss():
    """At the last step FAST has three times the sinks of SLOW; as good as SLOW, it has as many."""
    found = at_equal_loss(SLOW, FAST)
    assert found["equal_loss"] == 3.0
    assert (found["equal_loss_step"], found["equal_loss_step_baseline"]) == (400, pytest.approx(150))
    assert found["equal_loss_sink_ratio"] == found["equal_loss_sink_ratio_baseline"] == pytest.approx(20)
    assert found["equal_loss_spike_over_median_baseline"] == pytest.approx(8), "half way, in factors"
    swapped = at_equal_loss(FAST, SLOW)
    assert (swapped["equal_loss_step"], swapped["equal_loss_step_baseline"]) == (pytest.approx(150), 400)


def test_a_loss_counts_when_it_is_passed_for_good():
    """A lucky snapshot is not the step at which a model has got so far."""
    wobbling = course([3.5, 2.9, 3.4, 2.8], [0.1, 0.2, 0.3, 0.4], [1.0, 1.0, 1.0, 1.0])
    assert at_loss(wobbling, 3.1)["step"] == pytest.approx(600)
    assert at_loss(wobbling, 2.8)["sink_ratio"] == pytest.approx(40), "the last step itself"
    assert at_loss(wobbling, 5.0) is None


def test_without_a_common_loss_nothing_is_said():
    assert at_equal_loss(course([2.0, 1.5], [0, 0], [1, 1]), SLOW) == {}


@pytest.mark.parametrize(
    "other", [{}, {"sequence_length": 16}, {"bos": "none"}, {"loss_window_first": 4}, {"loss_window_last": 8}]
)
def test_losses_of_other_positions_are_not_equal(other):
    """Behind a BOS a sequence's first token is scored with nothing before it, without one it is not scored."""
    same = {"seed": 0, "sequence_length": 8, "bos": "sequence", "loss_window_first": None, "loss_window_last": None}
    rows = [same | {"variant": "baseline"}, same | {"variant": "mine"} | other]
    with_equal_loss(rows, {("baseline", 0): FAST, ("mine", 0): SLOW})
    assert ("equal_loss" in rows[1]) == (not other)


def written(tmp_path, variants: dict, courses: dict, lrs: dict) -> pl.DataFrame:
    """The runs of a fake study of two seeds; ``courses`` and ``lrs`` are by variant."""
    folders, name, names = fake_study(tmp_path, {"norm": variants}, (0, 1))["norm"]
    for folder in folders:
        run = json.loads((folder / "run.json").read_text())
        run["training"] |= {"optimiser": {"lr": lrs[run["variant"]], "beta2": 0.9}}
        run["model"] |= {"kind": run["variant"].partition("_lr")[0]}
        (folder / "run.json").write_text(json.dumps(run))
        if run["variant"] in courses:
            courses[run["variant"]].write_parquet(folder / "measures/course.parquet")
    return collect(folders, name, names)["runs"]


def test_the_tables_say_which_learning_rate_is_best_and_what_differs_at_equal_loss(tmp_path):
    """dyt is judged at 0.2, where it is best, and shown beside the baseline where that is as good as dyt."""
    variants = {"dyt": {"perplexity": 12.0, "sink": 0.1}, "dyt_lr_2x": {"perplexity": 9.0, "sink": 0.5}, "late": {}}
    lrs = {"baseline": 0.1, "dyt": 0.1, "dyt_lr_2x": 0.2, "late": 0.1}
    runs = written(tmp_path, variants, {"baseline": FAST, "dyt": SLOW}, lrs)
    assert runs.filter(pl.col("variant") == "baseline")["equal_loss"].null_count() == 2
    tables = equal_terms(runs)
    best = {column.heading: column.cells for column in tables[BEST][0]}
    assert best["variant"] == ["dyt"] and best["best"] == ["0.2 (at the edge)"] and best["tried"] == ["0.1, 0.2"]
    assert best["as listed"] == ["12.00"] and best["perplexity"] == ["9.00"]
    equal = {column.heading: column.cells for column in tables[EQUAL][0]}
    assert equal["variant"] == ["dyt", "dyt lr 2x", "late"]
    assert equal["step"] == ["400", "–", "–"] and equal["baseline's step"] == ["150", "–", "–"]
    assert equal["sink ratio (points)"][0].startswith("0.0")


def test_a_learning_rate_that_diverges_is_named_and_never_the_best():
    """Of 0.002 one run survived, with the lowest perplexity of all; of the rate as listed none did."""
    rates = {
        ("mine", 0.004): [None] * 3,
        ("mine_lr_0.5x", 0.002): [19.0, None, None],
        ("mine_lr_0.25x", 0.001): [20.0] * 3,
    }
    measured = {"sink_ratio": 50.0, "sink_mass_mean": 0.3, "spike_over_median": 10.0, "spike_over_elsewhere": 2.0}
    runs = [
        {"variant": name, "label": name, "lr": lr, "without_lr": "same", "perplexity": perplexity, "equal_loss": None}
        | {"status": "diverged" if perplexity is None else "finished"}
        | measured
        for (name, lr), perplexities in rates.items()
        for perplexity in perplexities
    ]

    def best(rows: list[dict]) -> dict[str, str]:
        columns = equal_terms(pl.DataFrame(rows, infer_schema_length=None))[BEST][0]
        return {column.heading: column.cells[0] for column in columns}

    found = best(runs)
    assert found["variant"] == "mine" and found["as listed"] == "–" and found["perplexity"] == "20.00"
    assert found["tried"] == "0.001, 0.002 (2 of 3 diverged), 0.004 (3 of 3 diverged)"
    assert found["best"] == "0.001 (at the edge)"
    none = [row | {"sink_ratio": 0.0} for row in runs]
    assert best(none)["sink ratio (%)"] == "0.0 [0.0, 70.8]", "a share's interval ends at its bounds, and is no point"
    lower = [row | {"variant": "low", "lr": 0.0005, "status": "diverged", "perplexity": None} for row in runs[-3:]]
    assert best([*runs, *lower])["best"] == "0.001", "beyond it others were tried"
    assert best(runs[:6])["best"] == best(runs[:6])["perplexity"] == "–"
    unmeasured = [row | {"status": "finished"} for row in runs if row["perplexity"] != 19.0]
    assert best(unmeasured)["best"] == "0.001 (at the edge)", "no perplexity was measured at the others"


def test_two_variants_of_one_label_each_have_a_row_at_equal_loss(tmp_path):
    runs = written(
        tmp_path, {"x": {}, "y": {}}, {"baseline": FAST, "x": SLOW}, dict.fromkeys(("baseline", "x", "y"), 0.1)
    )
    (columns, _) = equal_terms(runs.with_columns(label=pl.lit("half")))[EQUAL]
    equal = {column.heading: column.cells for column in columns}
    assert equal["variant"] == ["half", "half"] and equal["step"] == ["400", "–"]


def test_a_study_that_was_not_measured_so_has_neither_table(tmp_path):
    runs = collect(*fake_study(tmp_path, {"norm": {"dyt": {}}}, (0,))["norm"])["runs"]
    assert equal_terms(runs) == {}
