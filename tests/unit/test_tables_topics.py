"""Every column of mechanism.csv on planted measures, whose numbers are known."""

import inspect
import math
import re
from pathlib import Path

import polars as pl
import pytest
from fake_study import fake_run

from spikesink.quantities import QUANTITIES, Taken, names_of
from spikesink.study.errors import InputError
from spikesink.tables.collecting.mechanism import TOPICS, mechanism_table, numbers_of
from spikesink.tables.collecting.questions import mechanism_questions
from spikesink.tables.collecting.reductions import REDUCTIONS, take
from spikesink.tables.topics import abilities

NOTHING = pl.DataFrame()


def table(columns: str, *rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns.split(), orient="row", infer_schema_length=None)


LIFE = table(
    "block role share output_maximum after",
    (1, "before", 0.0, 0.5, 1.0),
    (2, "step_up", 0.6, 60.0, 60.0),
    (3, "plateau", 0.0, 0.3, 60.0),
    (4, "step_up", 0.4, 40.0, 100.0),
    (5, "plateau", 0.0, 2.0, 100.0),
    (6, "step_down", -0.9, 90.0, 10.0),
)
NO_LIFE = LIFE.with_columns(role=pl.lit("no_spike"))


def spike_tables(**changes) -> dict[str, pl.DataFrame]:
    return {
        "lifecycle": LIFE,
        "spike_channels": table("channel", (21,), (11,)),
        "vocabulary_probe": table("is_spike", (True,), (False,), (False,), (False,)),
        "delimiter_probe": table(
            "block spikes occurrences self_attention",
            (1, True, 9, 0.9),  # not the last block before the step-up block
            (3, True, 1, 0.6),
            (3, True, 3, 0.8),
            (3, False, 2, 0.1),
        ),
    } | changes


def test_the_spikes_life():
    assert numbers_of(spike_tables()) == pytest.approx(
        {
            "blocks": 6,
            "step_up_blocks": "2, 4",
            "step_up_share": 1.0,
            "step_down_blocks": "6",
            "step_down_share": -0.9,
            "plateau_output": 0.02,
            "spike_channels": "21, 11",
            "vocabulary_spike_pct": 25.0,
            "self_attention_spike": 0.75,
            "self_attention_other": 0.1,
        }
    )


def test_a_model_without_spikes_has_no_step_blocks():
    found = numbers_of(spike_tables(lifecycle=NO_LIFE, spike_channels=NOTHING, delimiter_probe=NOTHING))
    assert (found["step_up_blocks"], found["step_down_blocks"], found["spike_channels"]) == ("", "", "")
    for name in ("step_up_share", "step_down_share", "plateau_output", "self_attention_spike", "self_attention_other"):
        assert found.get(name) is None


def amplifier_tables(**changes) -> dict[str, pl.DataFrame]:
    return {
        "amplifier_alignment": table(
            "block role channel group eigenvalue second cosine error_quadratic error_rank_one",
            (1, "step_down", 7, "spike", 8.0, 4.0, 0.0, 0.0, 0.0),  # not the first step-up block
            (2, "step_up", 7, "spike", -4.0, 1.0, 0.9, 0.1, 0.2),
            (2, "step_up", 7, "other", -4.0, 1.0, -0.1, 5.0, 6.0),
            (2, "step_up", 7, "all", -4.0, 1.0, 0.0, 3.0, 4.0),
            (4, "step_up", 7, "spike", 2.0, 1.0, 0.5, 0.5, 0.5),
        ),
        "amplifier_spectrum": table(
            "block channel group eigenvalue",
            (2, 7, "spike", -4.0),
            (2, 7, "spike", 1.0),
            *(
                (2, channel, "ordinary", value)
                for channel, values in ((0, (-3.0, 0.5, 2.0)), (1, (1.0, 1.0, -2.5)))
                for value in values
            ),
            (4, 0, "ordinary", 9.0),
            (4, 0, "ordinary", 1.0),
        ),
        "amplifier_norms": table("block channel norm", (2, 0, 1.0), (2, 7, 9.0), (4, 0, 2.0), (4, 7, 3.0), (4, 8, 3.0)),
        "silu_identity": table(
            "block group cosine norm_ratio",
            (2, "spike", 1.0, 0.9),
            (2, "spike", 0.9, 1.0),
            (2, "other", 0.6, 0.5),
            (4, "spike", 0.0, 0.0),
        ),
        "first_token_value_output": table(
            "block group cosine_output", (1, "all", 0.1), (1, "spike", 0.2), (3, "all", 0.3), (3, "spike", 0.7)
        ),
    } | changes


def test_the_amplifier_of_the_first_step_up_block():
    assert numbers_of(amplifier_tables()) == pytest.approx(
        {
            "eigenvalue": -4.0,
            "second": 1.0,
            "cosine_spike": 0.9,
            "cosine_other": -0.1,
            "quadratic_error_spike": 0.1,
            "rank_one_error_spike": 0.2,
            "eigenvalue_ratio_ordinary": 2.0,  # of 3 / 2 and 2.5 / 1
            "amplifier_norm_over_median": 3.0,
            "silu_cosine_spike": 0.95,
            "silu_cosine_other": 0.6,
            "silu_norm_ratio_spike": 0.95,
            "first_token_cosine": 0.7,
        }
    )


def test_where_nothing_spikes_the_tokens_that_come_closest_stand_for_spike_tokens():
    leading = {
        name: frame.with_columns(pl.col("group").replace("spike", "leading"))
        for name, frame in amplifier_tables().items()
        if "group" in frame.columns
    }
    assert numbers_of(amplifier_tables(**leading)) == numbers_of(amplifier_tables())


def test_an_amplifier_needs_swiglu_and_a_linear_map_before_it():
    removed = amplifier_tables()["amplifier_alignment"].filter(pl.col("role") == "step_down")
    for alignment in (NOTHING, removed):
        assert numbers_of(amplifier_tables(amplifier_alignment=alignment)) == {}
    for maps in (NOTHING, table("block group cosine_output", (3, "all", 0.3))):
        assert numbers_of(amplifier_tables(first_token_value_output=maps))["first_token_cosine"] is None


def plateau_tables(**changes) -> dict[str, pl.DataFrame]:
    rows = [
        (start, block, group, block / 10, 0.9 if group == "spike" else 0.2, cosine)
        for start, alike in (("bos", 0.0), ("text", 1.0))
        for block in range(1, 8)
        for group, cosine in (("spike", alike * block / 10), ("others", 0.1))
    ]
    spread = [
        (start, block, rank, -2.0, 0.1 * block, -0.5, 0.01 * block)
        for start in ("bos", "text")
        for block in range(1, 8)
        for rank in (1, 2)
    ]
    return {
        "lifecycle": LIFE,
        "normalisation": table("start block group share_of_bound energy_top cosine", *rows),
        "normalised_channels": table("start block rank mean std ratio ratio_std", *spread),
    } | changes


def test_the_plateau_behind_the_norm():
    """Its norms are those of blocks 5 and 6: after the last step-up block, up to the step-down block."""
    assert numbers_of(plateau_tables()) == pytest.approx(
        {
            "blocks": 6,
            "normalised_share_of_bound": 0.6,
            "normalised_energy_spike": 0.9,
            "normalised_energy_other": 0.2,
            "spike_cosine_before": 0.2,
            "spike_cosine_after": 0.5,
            "spike_channel_variation": 0.275,
            "spike_channel_ratio_variation": 0.11,
        }
    )


def test_a_plateau_without_an_end_lasts_to_the_final_norm_and_one_without_a_beginning_is_none():
    forever = LIFE.with_columns(pl.col("role").replace("step_down", "plateau"))
    assert numbers_of(plateau_tables(lifecycle=forever))["normalised_share_of_bound"] == 0.7
    assert numbers_of(plateau_tables(lifecycle=NO_LIFE)) == {"blocks": 6}


def sink_tables() -> dict[str, pl.DataFrame]:
    return {
        "sink_geometry": table(
            "start block head is_sink_head logit_gap cosine_sink cosine_others sink_rank other_rank",
            ("bos", 1, 0, True, 4.0, 0.8, 0.1, 1, 9),
            ("bos", 1, 1, True, 2.0, 0.4, 0.3, 1, 9),
            ("bos", 3, 0, False, -1.0, 0.0, 0.0, 1, 9),
            ("text", 1, 0, True, 9.0, 0.9, 0.9, 2, 8),
            ("text", 1, 1, False, 9.0, 0.9, 0.9, 7, 7),
        ),
        "attention_distance": table(
            "block head distance distance_without_sink", (1, 0, 20.0, 8.0), (1, 1, 30.0, 4.0), (3, 0, 10.0, 9.0)
        ),
    }


def test_sink_heads_and_the_others():
    assert numbers_of(sink_tables()) == pytest.approx(
        {
            "sink_head_pct": 200 / 3,
            "logit_gap_sink_heads": 3.0,
            "logit_gap_other_heads": -1.0,
            "query_cosine_sink": 0.6,
            "query_cosine_others": 0.2,
            "sink_key_rank": 2.0,
            "other_key_rank": 8.0,
            "distance": 20.0,
            "distance_without_sink": 7.0,
            "distance_sink_heads": 6.0,
            "distance_other_heads": 9.0,
        }
    )


def test_without_sink_heads_nothing_is_said_of_them():
    tables = sink_tables()
    tables["sink_geometry"] = tables["sink_geometry"].with_columns(is_sink_head=pl.lit(False))
    found = numbers_of(tables)
    assert found["sink_head_pct"] == 0
    assert {name for name, value in found.items() if value is None} == {
        "logit_gap_sink_heads",
        "query_cosine_sink",
        "query_cosine_others",
        "sink_key_rank",
        "other_key_rank",
        "distance_sink_heads",
    }


def test_gradients_gather_through_values():
    found = numbers_of(
        {
            "gradient_sink_ratio": table(
                "ratio ratio_uniform over_uniform", (2.0, 2.0, 1.0), (4.0, 4.0, 2.0), (10.0, 5.0, 2.0)
            ),
            "gradients": table(
                "position query key value value_uniform",
                (0, 0.0, 6.0, 20.0, 9.0),
                (0, 0.0, 2.0, 20.0, 9.0),
                (1, 1.0, 1.0, 1.0, 2.0),
                (2, 3.0, 3.0, 4.0, 4.0),
            ),
            "value_gradient_bounds": table(
                "block mass lower actual upper",
                (1, 3.0, 1.0, 2.0, 3.0),  # over both blocks the ranks of mass and gradient are opposed
                (1, 4.0, 1.0, 3.0, 3.0),
                (3, 1.0, 1.0, 4.0, 3.0),
                (3, 2.0, 9.0, 8.0, 10.0),
                (5, 1.0, 0.0, 1.0, 1.0),  # a single head has no correlation
            ),
        }
    )
    assert found == pytest.approx(
        {
            "gradient_sink_ratio": 4.0,
            "gradient_sink_ratio_quartile1": 3.0,
            "gradient_sink_ratio_quartile3": 7.0,
            "gradient_sink_ratio_uniform": 4.0,
            "gradient_sink_over_uniform": 2.0,
            "value_gradient_token0_uniform": 3.0,
            "query_gradient_token0": 0.0,
            "key_gradient_token0": 2.0,
            "value_gradient_token0": 8.0,
            "value_over_key_token0": 5.0,
            "theorem_1_lower_pct": 80.0,
            "theorem_1_upper_pct": 80.0,
            "mass_gradient_correlation": 1.0,
        }
    )


def test_reshaping_of_both_branches():
    points = [
        (branch, position, bloat, compress, bound, change)
        for branch, first in (("attention", 8.0), ("feed_forward", 3.0))
        for position, bloat, compress, bound, change in (
            (0, first, 1.0, 1.0, 2.0),
            (1, 2.0, 3.0, 2.0, 1.0),
            (2, 2.0, 1.0, 2.0, 1.0),
            (3, 4.0, 1.0, 2.0, 0.5),
        )
    ]
    slopes = [
        (branch, block, group, name, slope)
        for branch in ("attention", "feed_forward")
        for block, group, sign in ((None, None, 1), (1, None, 9), (None, "0", 9))
        for name, slope in (("bloat", sign * 0.5), ("compress", sign * -1.0), ("change", sign * 0.1))
    ]
    tables = {
        "reshaping": table("branch position bloat compress compress_bound change", *points),
        "reshaping_slopes": table("branch block group quantity slope_within", *slopes),
    }
    expected = {
        f"{name}_{branch}": value
        for branch, at_0 in (("attention", 4.0), ("feed_forward", 1.5))
        for name, value in {
            "bloat_slope": 0.5,
            "compress_slope": -1.0,
            "change_slope": 0.1,
            "bloat_token0": at_0,
            "change_median": 1.0,
        }.items()
    }
    assert numbers_of(tables) == pytest.approx(expected | {"theorem_2_pct": 75.0})
    tables["reshaping"] = tables["reshaping"].with_columns(compress_bound=None)
    assert numbers_of(tables)["theorem_2_pct"] is None, "a norm that is no RMSNorm has no such bound"


def test_token_0_by_layer_and_learned_valves():
    layers = table(
        "sink_rate stream_token0 stream_early_mean attention_token0 feed_forward_token0 value_raw_token0 "
        "value_raw_early_mean",
        (0.5, 10.0, 10.0, 1.0, 8.0, 1.0, 1.0),
        (1.0, 30.0, 5.0, 3.0, 2.0, 1.0, 4.0),
        (0.0, 20.0, 10.0, 2.0, 2.0, 1.0, 10.0),
    )
    valves = table(
        "layer head path theta",
        *((layer, head, "value", theta + head) for layer, theta in enumerate((2.0, 0.0, -3.0)) for head in (0, 1)),
        (0, 0, "key", 99.0),
    )
    expected = {
        "sink_rate_pct": 50.0,
        "token0_over_early": 3.0,  # the mean of the layers' ratios, not the ratio of means
        "token0_stream": 20.0,
        "token0_attention": 2.0,
        "token0_feed_forward": 4.0,
        "value_norm_token0": 0.25,
        "theta_early": 2.5,
        "theta_late": -2.5,
    }
    assert numbers_of({"layers": layers, "valve_strength": valves}) == pytest.approx(expected)
    fixed = valves.with_columns(theta=pl.lit(None, pl.Float64))
    for without in (NOTHING, fixed):
        found = numbers_of({"layers": layers, "valve_strength": without})
        assert (found.get("theta_early"), found.get("theta_late")) == (None, None)


def test_the_course_of_training():
    """The model's row, not a block's; and controlled for the step."""
    sink, gradient, spike = "sink_mass", "gradient_sink_over_uniform", "token0_over_early"
    onsets = table(
        "block quantity after by",
        (1, sink, 1, 2),
        (None, sink, 90, 100),
        (None, gradient, 100, 150),
        (None, spike, None, None),
    )
    orders = table(
        "block earlier later order undecided",
        (1, sink, gradient, 0, True),
        (None, sink, gradient, 1, False),
        (None, sink, spike, None, None),
        (None, gradient, spike, None, None),
    )
    independence = table(
        "x y step_controlled correlation partial_correlation partial_low partial_high partial_effective",
        ("sink", "activation", False, 0.1, 0.2, 0.1, 0.3, 5.0),
        ("sink", "activation", True, 0.7, -0.1, -0.5, 0.3, 12.5),
        ("sink", "value_gradient", True, 0.3, 0.4, 0.3, 0.5, 6.0),
    )
    found = numbers_of({"onsets": onsets, "onset_orders": orders, "independence": independence})
    assert found == {
        "onset_sink": 100,
        "onset_sink_after": 90,
        "onset_gradient_sink": 150,
        "onset_gradient_sink_after": 100,
        "onset_spike": None,
        "onset_spike_after": None,
        "order_sink_gradient_sink": 1,
        "order_sink_spike": None,
        "order_gradient_sink_spike": None,
        "onsets_undecided_pct": 0.0,
        "sink_activation_correlation": 0.7,
        "sink_activation_partial": -0.1,
        "sink_activation_partial_low": -0.5,
        "sink_activation_partial_high": 0.3,
        "sink_activation_effective": 12.5,
    }
    empty = dict.fromkeys(("onsets", "onset_orders", "independence"), NOTHING)
    assert set(numbers_of(empty).values()) == {None}


def test_perplexities_of_what_was_done_to_the_model():
    found = numbers_of(
        {
            "quantisation": table("setting perplexity", ("full_precision", 20.0), ("static_per_tensor", 30.0)),
            "streaming": table(
                "cache start nll_nats tokens",
                *((64, 0, 1.0, 1), (8, 0, 3.0, 1), (8, 1, 2.5, 1), (8, 4, 1.0, 1), (8, 4, 3.0, 1)),
            ),
            "interventions": table(
                "start intervention perplexity sink_mass spike",
                ("bos", "none", 20.0, 0.3, 50.0),
                ("bos", "zero_spike", 40.0, 0.5, 3.0),
                ("bos", "mask_other", 21.0, 0.3, 50.0),
                ("bos", "mask_other", 23.0, 0.3, 50.0),
                ("text", "none", 99.0, 0.9, 9.0),
            ),
        }
    )
    given = {name: value for name, value in found.items() if value is not None}
    assert given == pytest.approx(
        {
            "int8_full_precision": 20.0,
            "int8_static_per_tensor": 30.0,
            "streaming_window": 20.0855,
            "streaming_with_one": 12.1825,
            "streaming_with_first": 7.38906,
            "intervention_none": 20.0,
            "intervention_zero_spike": 40.0,
            "intervention_mask_other": 22.0,
            # A study that was published before the other columns existed has these.
            "intervention_sink_mass_none": 0.3,
            "intervention_sink_mass_zero_spike": 0.5,
            "intervention_spike_none": 50.0,
            "intervention_spike_zero_spike": 3.0,
        },
        rel=1e-5,
    )


def test_what_interventions_leave_of_sink_gradient_sink_and_spike():
    rows = table(
        "start intervention perplexity sink_mass spike gradient_sink_over_uniform removed_norm removed_mass",
        ("bos", "none", 20.0, 0.3, 50.0, 4.0, 0.0, None),
        ("bos", "zero_equal_norm", 22.0, 0.2, 50.0, 3.0, 49.0, None),
        ("bos", "mask_sink", 30.0, 0.1, 45.0, 0.5, None, 0.25),
        ("bos", "mask_equal_mass", 25.0, 0.4, 55.0, 5.0, None, 0.26),
    )
    heads = table(
        "start intervention attention_block head after_block sink_mass",
        *(("bos", "none", block, head, block > 2, 0.3) for block in (1, 3) for head in (0, 1)),
        *(("bos", "zero_spike", block, 0, block > 2, 0.4) for block in (1, 3)),
        *(("bos", "zero_spike", block, 1, block > 2, 0.2) for block in (1, 3)),
        *(("bos", "zero_equal_norm", block, head, block > 2, 0.3) for block in (1, 3) for head in (0, 1)),
        ("text", "none", 3, 0, True, 0.0),
    )
    found = numbers_of({"interventions": rows, "streaming": NOTHING, "intervention_heads": heads})
    assert {name: value for name, value in found.items() if value is not None} == {
        "intervention_none": 20.0,
        "intervention_zero_equal_norm": 22.0,
        "intervention_mask_sink": 30.0,
        "intervention_mask_equal_mass": 25.0,
        "intervention_sink_mass_none": 0.3,
        "intervention_sink_mass_zero_equal_norm": 0.2,
        "intervention_sink_mass_mask_sink": 0.1,
        "intervention_gradient_sink_none": 4.0,
        "intervention_gradient_sink_zero_equal_norm": 3.0,
        "intervention_gradient_sink_mask_sink": 0.5,
        "intervention_gradient_sink_mask_equal_mass": 5.0,
        "intervention_spike_none": 50.0,
        "intervention_spike_mask_sink": 45.0,
        "intervention_spike_mask_equal_mass": 55.0,
        "intervention_removed_norm_zero_equal_norm": 49.0,
        "intervention_removed_mass_mask_sink": 0.25,
        "intervention_removed_mass_mask_equal_mass": 0.26,
        "intervention_sink_raised_pct_zero_spike": 50.0,
        "intervention_sink_raised_pct_zero_equal_norm": 0.0,
    }


@pytest.mark.parametrize(("spread", "expected"), [(0.001, None), (5.0, 21.0), (None, None)])
def test_a_spike_that_is_its_mean_cannot_be_set_to_it(spread, expected):
    """Behind a BOS nothing would change: a perplexity like that of the model left alone says nothing."""
    rows = table(
        "start intervention perplexity sink_mass spike removed_norm",
        ("bos", "none", 20.0, 0.3, 50.0, 0.0),
        ("bos", "zero_spike", 40.0, 0.5, 3.0, 50.0),
        ("bos", "mean_spike", 21.0, 0.3, 50.0, spread),
    )
    found = numbers_of({"streaming": NOTHING, "interventions": rows})
    assert (found["intervention_none"], found["intervention_mean_spike"]) == (20.0, expected)


def test_a_perplexity_too_large_for_a_number_is_infinite():
    """A cache without the sink, or a spike set to 0, may cost more than 700 nats a token."""
    rows = table("cache start nll_nats tokens", (8, 0, 3000.0, 2), (8, 4, 2.0, 2))
    edited = table("start intervention perplexity sink_mass spike", ("text", "none", 20.0, 0.3, 50.0))
    found = numbers_of({"streaming": rows, "interventions": edited})
    assert found["streaming_window"] == float("inf") and found["streaming_with_first"] == pytest.approx(2.718282)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("first", 4.0),
        ("max", 8.0),
        ("mean", 5.0),
        ("median", 4.5),
        ("min", 3.0),
        ("percent", 500.0),
        ("quartile 1", 3.75),
        ("quartile 2", 4.5),
        ("quartile 3", 5.75),
    ],
)
def test_a_declared_column_is_one_number_of_the_rows_that_it_chooses(reduction, expected):
    tables = {
        "q": table(
            "value kind block",
            *((value, "a", None) for value in (4.0, 8.0, 3.0, 5.0)),
            (99.0, "b", None),
            (99.0, "a", 1),
        )
    }
    assert take(tables, Taken("q", "value", reduction, {"kind": "a", "block": None})) == expected
    assert take({"q": NOTHING}, Taken("q", "value", reduction)) is None
    assert take(tables, Taken("q", "other", reduction)) is None, "an answer from before the column existed"


def test_every_column_comes_from_one_place():
    """A column that nothing computes would stay empty, and one that two places compute could mean either."""
    declared = {name for name in names_of("mechanism") if QUANTITIES[name].taken}
    assert {QUANTITIES[name].taken.reduction for name in declared} <= REDUCTIONS.keys()
    source = "".join(inspect.getsource(topic) for topic in TOPICS)
    assert not [name for name in declared if f'"{name}"' in source]
    files = {path.stem for path in Path(inspect.getfile(TOPICS[0])).parent.glob("*.py")} - {"__init__"}
    assert {topic.__name__.rpartition(".")[2] for topic in TOPICS} == files, "a topic that is not called adds no column"


def test_the_workflow_asks_for_every_measure_that_the_table_reads():
    """A topic that reads a measure without declaring it would fail on a cluster, where the file is not there yet."""
    declared = {quantity.taken.question for quantity in QUANTITIES.values() if quantity.taken}
    assert set(mechanism_questions()) == declared.union(*(topic.READS for topic in TOPICS))
    for topic in TOPICS:
        assert set(re.findall(r'tables\["(\w+)"\]', inspect.getsource(topic))) == set(topic.READS)


def test_a_question_that_no_model_was_asked_leaves_its_columns_empty(tmp_path):
    """Then a published study stays drawable when a new measure has a column; one lacking model is an error."""
    for model in ("a", "b"):
        (tmp_path / model / "measures").mkdir(parents=True)
        for name, rows in spike_tables().items():
            rows.write_parquet(tmp_path / model / "measures" / f"{name}.parquet")
    models = {model: tmp_path / model for model in ("a", "b")}
    found = mechanism_table(models)
    assert found.columns == ["model", "measured", *names_of("mechanism")]
    assert found["blocks"].to_list() == [6, 6] and found["onset_sink"].to_list() == [None, None]
    (tmp_path / "b/measures/vocabulary_probe.parquet").unlink()
    with pytest.raises(InputError, match=r"b/measures/vocabulary_probe\.parquet: cannot be read"):
        mechanism_table(models)
    (tmp_path / "a/measures/lifecycle.parquet").unlink()
    (tmp_path / "b/measures/lifecycle.parquet").unlink()
    with pytest.raises(InputError, match=r"has no measures/lifecycle\.parquet"):
        mechanism_table(models)


def test_what_runs_csv_has_of_every_run_may_be_kept_of_some(tmp_path):
    """A published study keeps such answers of the runs that figures show."""
    fake_run(tmp_path / "a", seed=0)
    for model in ("a", "b"):
        (tmp_path / model / "measures").mkdir(parents=True, exist_ok=True)
        for name, rows in spike_tables().items():
            rows.write_parquet(tmp_path / model / "measures" / f"{name}.parquet")
    for name in ("induction", "retrieval", "beyond_context", "backcopy", "backcopy_heads", "quantisation"):
        (tmp_path / f"a/measures/{name}.parquet").unlink()
    found = mechanism_table({model: tmp_path / model for model in ("a", "b")})
    assert found["sink_ratio"].to_list() == [50.0, None] and found["blocks"].to_list() == [6, 6]


def test_what_a_model_can_do_in_numbers():
    """Planted: half of the first copy's loss is gone in the second, two of three seeds agree, and text beyond the
    context loses more."""
    needles = [(0, 8, 4), (0, 16, 4), (1, 8, 6), (1, 16, 2), (2, 8, 8), (2, 16, 6)]
    found = abilities.columns(
        {
            "perplexity": table("position tokens nll_nats", *((place, 10, 40.0 - 3 * place) for place in range(8))),
            "induction": table(
                "copy place tokens correct nll_nats",
                (1, 1, 4, 0, 16.0),
                (1, 2, 4, 0, 16.0),
                (2, 1, 4, 3, 8.0),
                (2, 2, 4, 4, 8.0),
            ),
            "retrieval": table(
                "seed distance correct chosen sequences log_probability others_log_probability",
                *((seed, distance, correct, 8, 10, -2.0, -3.5) for seed, distance, correct in needles),
            ),
            "beyond_context": table(
                "contexts tokens nll_nats", (1, 10, 10.0), (2, 10, 20.0), (4, 10, 20.0), (4, 10, 40.0)
            ),
            "backcopy": table("kind tokens nll_nats oracle_nats", ("trigger", 10, 5.0, 0.0), ("other", 30, 60.0, 45.0)),
            "backcopy_heads": table("block head bos_at_trigger bos_at_other", (1, 0, 0.2, 0.9), (3, 0, 0.9, 0.95)),
        }
    )
    assert found == pytest.approx(
        {
            "context_gain": 1.8,  # positions 0 and 1 against 6 and 7
            "induction_accuracy": 100 * 7 / 8,
            "induction_gain": 2.0,
            "retrieval_accuracy": 50.0,
            "retrieval_spread": math.sqrt(300),  # seeds of 40, 40 and 70 %
            "retrieval_choice": 80.0,
            "retrieval_gain": 1.5,
            "retrieval_log_probability": -2.0,
            "perplexity_1x": math.e,
            "perplexity_2x": math.exp(2),
            "perplexity_4x": math.exp(3),
            "backcopy_loss_trigger": 0.5,
            "backcopy_loss_other": 2.0,
            "backcopy_excess_risk": 0.5,  # (5 + 15) / 40
            "backcopy_dormancy": 0.7,
        }
    )


def test_what_a_model_was_not_asked_is_not_said():
    """An ordinary corpus, a context too short for pairs, a table over positions: no number, and no error."""
    assert abilities.columns(dict.fromkeys(abilities.READS, NOTHING)) == {}
