"""Columns of the files that tables and figures read; spikesink.quantities says what the numbers are."""

import polars as pl

from spikesink.quantities.of_abilities import OF_ABILITIES
from spikesink.quantities.of_capabilities import EVERY_CAPABILITY
from spikesink.quantities.of_equal_loss import OF_EQUAL_LOSS
from spikesink.quantities.of_quantisation import OF_QUANTISATION

WHOLE, REAL, TEXT = pl.Int64(), pl.Float64(), pl.String()

PERPLEXITY = {"position": WHOLE, "tokens": WHOLE, "nll_nats": REAL, "draw_seed": WHOLE}
"""measures/perplexity.parquet: one row per position of the chunk, the negative log-likelihood summed in nats."""

DOCUMENT_PERPLEXITY = {"document": WHOLE, "tokens": WHOLE, "nll_nats": REAL}
"""measures/document_perplexity.parquet: the same with one row per held-out document."""

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
    "sink_share_trained": REAL,
    "sink_mass_trained": REAL,
    "trained_first": WHOLE,
    "trained_last": WHOLE,
}
"""measures/attention.parquet: one row per attention block and head; shares and masses lie between 0 and 1."""

ACTIVATIONS = {
    "state": WHOLE,
    "kind": TEXT,
    **{name: REAL for name in ("top1", "top2", "top3", "output_top1", "output_top2", "output_top3")},
    "median": REAL,
    "ordinary_median": REAL,
    "maximum": REAL,
    "maximum_position": WHOLE,
    "maximum_channel": WHOLE,
    "maximum_token0": REAL,
    "maximum_later": REAL,
    "norm_token0": REAL,
    "norm_early": REAL,
    "sequences": WHOLE,
    "tokens": WHOLE,
}
"""measures/activations.parquet: one row per hidden state; magnitudes in the units of the residual stream."""

COURSE = {"step": WHOLE, "loss": REAL, "sink_share": REAL, "sink_mass": REAL, "spike_over_median": REAL}
"""measures/course.parquet: one row per later snapshot of a run; it has more columns."""

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
    "perplexity_spread": REAL,
    "sink_ratio": REAL,
    "sink_ratio_later_layers": REAL,
    "sink_ratio_gu": REAL,
    "sink_mass_mean": REAL,
    "sink_mass_max": REAL,
    "sink_ratio_trained": REAL,
    "sink_mass_mean_trained": REAL,
    "spike": REAL,
    "spike_position": WHOLE,
    "spike_channel": WHOLE,
    "spike_over_median": REAL,
    "spike_over_elsewhere": REAL,
    **{quantity.name: REAL for quantity in (*OF_EQUAL_LOSS, *OF_ABILITIES, *OF_QUANTISATION, *EVERY_CAPABILITY)},
    "parameters": WHOLE,
    "tokens": WHOLE,
    "tokens_per_second": REAL,
    "wall_seconds": REAL,
    "heads": WHOLE,
    "head_dim": WHOLE,
    "sequence_length": WHOLE,
    "bos": TEXT,
    "loss_window_first": WHOLE,
    "loss_window_last": WHOLE,
    "sink_epsilon": REAL,
    "sink_tokens": WHOLE,
    "sink_sequences": WHOLE,
    "trained_first": WHOLE,
    "trained_last": WHOLE,
    "documents": WHOLE,
    "draw_seed": WHOLE,
    "lr": REAL,
    "without_lr": TEXT,
    "digest": TEXT,
}
"""runs.parquet of a collected ablation: one row per run; see ``spikesink.quantities`` for the numbers.

Sinks are measured at ``sink_tokens`` for every run, and those called trained from the queries ``trained_first`` to
``trained_last`` - 1. Runs with the same ``without_lr`` differ in their learning rate ``lr`` and in nothing else.
Perplexity is of ``documents`` held-out documents, drawn with ``draw_seed``.
"""

HEADS = {**IDENTITY, **ATTENTION}
STATES = {**IDENTITY, **ACTIVATIONS}
CURVES = {**IDENTITY, **METRICS}

PUBLISHED_MODELS = {
    "model": TEXT,
    "source": TEXT,
    "packages": TEXT,
    "revision": TEXT,
    "sha256": TEXT,
    "architecture": TEXT,
    "parameters": WHOLE,
    "vocabulary": WHOLE,
    "positions": WHOLE,
    "context": WHOLE,
    "bos": TEXT,
    "bos_token": TEXT,
    "stored_as": TEXT,
    "dequantised": pl.Boolean(),
    "converted_by": TEXT,
    "files": TEXT,
}
"""published_models.csv: one row per published model. ``stored_as`` are the kinds of numbers that its weights were
stored in; ``sha256`` is of a GGUF file, and ``files`` the JSON text of every file's digest."""

SOFTWARE = ("python", "spikesink", "torch", "lightning", "numpy", "safetensors")
PROVENANCE = {
    "study": TEXT,
    "scale": TEXT,
    "ablation": TEXT,
    "variant": TEXT,
    "seed": WHOLE,
    "status": TEXT,
    "steps": WHOLE,
    "digest": TEXT,
    "code": TEXT,
    "commit": TEXT,
    "dirty": pl.Boolean(),
    "reason": TEXT,
    "tokens_sha256": TEXT,
    "tokenizer_sha256": TEXT,
    **dict.fromkeys(SOFTWARE, TEXT),
    "device": TEXT,
    "machine": TEXT,
    "system": TEXT,
    "precision": TEXT,
    "strategy": TEXT,
    "devices": WHOLE,
    "nodes": WHOLE,
    "threads": WHOLE,
    "resumed_from_step": WHOLE,
    "started": TEXT,
    "finished": TEXT,
    "wall_seconds": REAL,
    "peak_memory_mb": REAL,
    "settings": TEXT,
}
"""``digest`` is of settings and code together, ``code`` of the code that trains; ``commit`` is the checkout's and
``dirty`` whether it had changes, or ``reason`` says why neither is known; times are in UTC; ``settings`` is the JSON
text of tokenizer, model and training."""


def without_unasked(table: pl.DataFrame) -> pl.DataFrame:
    """The table without those columns of standard tasks that are empty: a study asks for few of them, or for none."""
    empty = [one.name for one in EVERY_CAPABILITY if one.name in table.columns and table[one.name].is_null().all()]
    return table.drop(empty)
