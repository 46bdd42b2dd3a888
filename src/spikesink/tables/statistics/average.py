"""From runs to variants: means and standard deviations over seeds."""

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED

AVERAGED = tuple(name for name, quantity in QUANTITIES.items() if quantity.averaged)
SPREAD = tuple(name for name, quantity in QUANTITIES.items() if quantity.spread)


def means_over_seeds(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant in the order of ``runs``: means over the seeds that finished.

    ``<quantity>_sd`` is the standard deviation over seeds (n - 1 in the denominator), null with one seed. ``seeds``
    counts all runs of the variant, ``seeds_finished`` those in the means; ``status`` says what became of the others.
    ``spike_positions`` lists the different positions of the spike.
    """
    done = pl.col("status") == FINISHED
    failed = pl.col("status").filter(~done)
    grouped = runs.group_by("ablation", "variant", maintain_order=True).agg(
        pl.col("label").first(),
        pl.col("stands_for").first(),
        pl.len().alias("seeds"),
        done.sum().alias("seeds_finished"),
        failed.sort().unique(maintain_order=True).str.join(", ").alias("failure"),
        *(pl.col(name).filter(done).mean() for name in AVERAGED),
        *(pl.col(name).filter(done).std(ddof=1).alias(f"{name}_sd") for name in SPREAD),
        pl.col("spike_position").filter(done).drop_nulls().cast(pl.String).unique(maintain_order=True).str.join(", "),
        pl.col("parameters", "heads", "head_dim", "sequence_length", "bos").drop_nulls().first(),
    )
    several = pl.format("{}: {} of {} seeds", "failure", pl.col("seeds") - pl.col("seeds_finished"), "seeds")
    status = (
        pl.when(pl.col("failure") == "")
        .then(pl.lit(FINISHED))
        .when(pl.col("seeds") == 1)
        .then(pl.col("failure"))
        .otherwise(several)
    )
    return grouped.with_columns(status.alias("status")).rename({"spike_position": "spike_positions"}).drop("failure")
