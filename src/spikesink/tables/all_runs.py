"""All runs of a study in one table, from the collected tables of its ablations."""

import polars as pl

from spikesink.quantities import QUANTITIES, names_of
from spikesink.study.errors import InputError
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import RUNS

FIRST_COLUMNS = [
    "ablation",
    "variant",
    "seed",
    "perplexity",
    "sink_ratio",
    "sink_ratio_gu",
    "spike",
    "spike_position",
    "parameters",
    "tokens",
    "status",
]
COLUMNS = FIRST_COLUMNS + [name for name in RUNS if name not in FIRST_COLUMNS]


def all_runs(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The runs of all parts, in their order and each once; the baseline comes first.

    Raises InputError where two parts contradict each other about study, scale, the baseline or another run.
    """
    together = pl.concat(parts).unique(maintain_order=True)
    for name in ("study", "scale"):
        found = together[name].unique(maintain_order=True)
        if len(found) > 1:
            raise InputError(f"the parts differ about the {name}, {' and '.join(found)}: name parts of one in --parts")
    twice = together.filter(together.select("variant", "seed").is_duplicated())
    if not twice.is_empty():
        variant, seed = twice["variant"][0], twice["seed"][0]
        raise InputError(f"the parts differ about {variant} with seed {seed}: collect every ablation again")
    if len({frozenset(part.filter(pl.col("ablation") == BASELINE)["seed"]) for part in parts}) > 1:
        raise InputError("the parts differ about the seeds of the baseline: collect every ablation again")
    return together.select(COLUMNS)


def long_table(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run and quantity with its unit; a quantity that a run lacks has no row."""
    names = list(names_of("runs"))
    index = ["study", "scale", "ablation", "variant", "seed"]
    values = runs.select(*index, *(pl.col(name).cast(pl.Float64) for name in names))
    long = values.unpivot(names, index=index, variable_name="quantity", value_name="value")
    units = {name: QUANTITIES[name].unit for name in names}
    return long.drop_nulls("value").with_columns(pl.col("quantity").replace_strict(units).alias("unit"))
