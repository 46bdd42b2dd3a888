"""Columns of the files that tables and figures read, and the units of what they hold."""

import polars as pl

WHOLE, REAL, TEXT = pl.Int64(), pl.Float64(), pl.String()

PERPLEXITY = {"position": WHOLE, "tokens": WHOLE, "nll_nats": REAL}
"""measures/perplexity.parquet: one row per position of the chunk, the negative log-likelihood summed in nats."""

ATTENTION = {
    "block": WHOLE,
    "layer": WHOLE,
    "head": WHOLE,
    "sink_share": REAL,
    "sink_share_gu": REAL,
    "sink_mass": REAL,
    "largest_key_mass": REAL,
    "sink_position": WHOLE,
    "tokens": WHOLE,
    "epsilon": REAL,
    "sequences": WHOLE,
}
"""measures/attention.parquet: one row per attention block and head; shares and masses lie between 0 and 1."""

ACTIVATIONS = {
    "state": WHOLE,
    "kind": TEXT,
    **{name: REAL for name in ("top1", "top2", "top3", "output_top1", "output_top2", "output_top3")},
    "median": REAL,
    "maximum": REAL,
    "maximum_position": WHOLE,
    "maximum_channel": WHOLE,
    "norm_token0": REAL,
    "norm_early": REAL,
    "sequences": WHOLE,
    "tokens": WHOLE,
}
"""measures/activations.parquet: one row per hidden state; magnitudes in the units of the residual stream."""

METRICS = {"step": WHOLE, "tokens": WHOLE, "loss": REAL, "learning_rate": REAL, "gradient_norm": REAL}
"""metrics.csv: one row per logged step; loss in nats per token."""

IDENTITY = {"ablation": TEXT, "variant": TEXT, "seed": WHOLE, "label": TEXT, "status": TEXT}
"""Which run a row belongs to, in every collected table; label is what figures and tables call the variant."""

RUNS = {
    "study": TEXT,
    "scale": TEXT,
    **IDENTITY,
    "stands_for": TEXT,
    "perplexity": REAL,
    "perplexity_loss_window": REAL,
    "sink_ratio": REAL,
    "sink_ratio_gu": REAL,
    "sink_mass_mean": REAL,
    "sink_mass_max": REAL,
    "spike": REAL,
    "spike_position": WHOLE,
    "spike_channel": WHOLE,
    "spike_over_median": REAL,
    "token0_over_early": REAL,
    "parameters": WHOLE,
    "tokens": WHOLE,
    "tokens_per_second": REAL,
    "wall_seconds": REAL,
    "heads": WHOLE,
    "head_dim": WHOLE,
    "sequence_length": WHOLE,
    "loss_window_first": WHOLE,
    "loss_window_last": WHOLE,
    "sink_epsilon": REAL,
    "sink_tokens": WHOLE,
    "sink_sequences": WHOLE,
    "digest": TEXT,
}
"""runs.parquet of a collected ablation: one row per run; see ``spikesink.tables.measured`` for the quantities."""

HEADS = {**IDENTITY, **ATTENTION}
STATES = {**IDENTITY, **ACTIVATIONS}
CURVES = {**IDENTITY, **METRICS}

UNITS = {
    "perplexity": "1",
    "perplexity_loss_window": "1",
    "sink_ratio": "% of heads",
    "sink_ratio_gu": "% of heads",
    "sink_mass_mean": "share of attention",
    "sink_mass_max": "share of attention",
    "spike": "residual stream magnitude",
    "spike_position": "position, from 0",
    "spike_channel": "channel, from 0",
    "spike_over_median": "1",
    "token0_over_early": "1",
    "parameters": "parameters",
    "tokens": "tokens",
    "tokens_per_second": "tokens/s",
    "wall_seconds": "s",
}
"""Quantities of a run that go into the long table, with their units."""
