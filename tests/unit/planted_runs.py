"""Planted tables of runs and of the mechanism, for the tests of claims."""

from collections.abc import Sequence

import polars as pl

from spikesink.claims.observations import MECHANISM_COLUMNS, RUN_COLUMNS, Observations, observe

Values = dict[str, Sequence[float | str | None]]


def planted_runs(values: Values, quantity: str = "spike", stands_for: dict[str, str] | None = None) -> pl.DataFrame:
    """One run per variant and seed (from 0) with the quantity's value; a string is the status of a run without one."""
    rows = [
        dict.fromkeys(RUN_COLUMNS)
        | {"scale": "tiny", "ablation": "a", "variant": variant, "label": variant, "seed": seed}
        | {"stands_for": (stands_for or {}).get(variant)}
        | ({"status": value} if isinstance(value, str) else {"status": "finished", quantity: value})
        for variant, members in values.items()
        for seed, value in enumerate(members)
    ]
    return pl.DataFrame(rows, schema=RUN_COLUMNS)


def planted_mechanism(models: dict[str, dict]) -> pl.DataFrame:
    """One row per model with the given columns; the other columns are empty."""
    empty = dict.fromkeys(MECHANISM_COLUMNS) | {"measured": True}
    return pl.DataFrame([empty | {"model": model} | row for model, row in models.items()], schema=MECHANISM_COLUMNS)


def observations(values: Values, quantity: str = "spike", stands_for: dict[str, str] | None = None) -> Observations:
    return observe(planted_runs(values, quantity, stands_for))
