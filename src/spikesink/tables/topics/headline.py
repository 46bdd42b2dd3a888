"""Perplexity, sinks and spike of a model, as the table of all runs has them: published models are in no other table.

``spikesink.tables.collecting.measured`` computes them.
"""

from typing import Any

import polars as pl

from spikesink.tables.collecting.measured import perplexity_of, sinks, spike

READS = ("perplexity", "attention", "activations")
COLUMNS = ("sink_ratio", "sink_ratio_later_layers", "sink_ratio_gu", "sink_mass_mean", "sink_mass_max")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The quantities that mechanism.csv shares with runs.csv, but for abilities."""
    found = {"perplexity": perplexity_of(tables["perplexity"])} | spike(tables["activations"])
    of_sinks = sinks(tables["attention"])
    return found | {name: of_sinks[name] for name in COLUMNS}
