"""What a model can still do: loss by position, induction, retrieval, text beyond the context, Bigram-Backcopy.

``spikesink.measures.questions`` has a module for each, which says what was measured.
"""

from contextlib import suppress
from typing import Any

import polars as pl

from spikesink.model.perplexity import perplexity

READS = ("perplexity", "induction", "retrieval", "beyond_context", "backcopy", "backcopy_heads")
CONTEXTS = (1, 2, 4)


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The quantities of abilities that a model was asked: a test may not fit it or its text."""
    found: dict[str, Any] = {}
    for table, numbers in (
        (tables["perplexity"], by_position),
        (tables["induction"], induction),
        (tables["retrieval"], retrieval),
        (tables["beyond_context"], beyond_context),
        (tables["backcopy"], backcopy),
        (tables["backcopy_heads"], backcopy_heads),
    ):
        if not table.is_empty():
            with suppress(pl.exceptions.ColumnNotFoundError):  # measured before the column existed: not measured
                found |= numbers(table)
    return found


def mean_loss(rows: pl.DataFrame) -> float | None:
    """Nats per token; None where no token was scored."""
    tokens = rows["tokens"].sum()
    return rows["nll_nats"].sum() / tokens if tokens else None


def difference(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above - below


def by_position(table: pl.DataFrame) -> dict[str, Any]:
    """A context of fewer than four tokens has no quarters."""
    quarter = len(table) // 4
    early, late = table.filter(pl.col("position") < quarter), table.filter(pl.col("position") >= len(table) - quarter)
    return {"context_gain": difference(mean_loss(early), mean_loss(late))}


def induction(table: pl.DataFrame) -> dict[str, Any]:
    first, second = (table.filter(pl.col("copy") == copy) for copy in (1, 2))
    return {
        "induction_accuracy": 100 * second["correct"].sum() / second["tokens"].sum(),
        "induction_gain": difference(mean_loss(first), mean_loss(second)),
    }


def retrieval(table: pl.DataFrame) -> dict[str, Any]:
    """All distances weigh the same: as many sequences were asked for each."""
    share = 100 * pl.col("correct").sum() / pl.col("sequences").sum()
    by_seed = table.group_by("seed").agg(share.alias("accuracy"))["accuracy"]
    return {
        "retrieval_accuracy": by_seed.mean(),
        "retrieval_spread": by_seed.std(),
        "retrieval_choice": 100 * table["chosen"].sum() / table["sequences"].sum(),
        "retrieval_gain": (table["log_probability"] - table["others_log_probability"]).mean(),
        "retrieval_log_probability": table["log_probability"].mean(),
    }


def beyond_context(table: pl.DataFrame) -> dict[str, Any]:
    parts = {contexts: table.filter(pl.col("contexts") == contexts) for contexts in CONTEXTS}
    return {
        f"perplexity_{contexts}x": perplexity(part["nll_nats"].sum(), part["tokens"].sum())
        for contexts, part in parts.items()
    }


def backcopy(table: pl.DataFrame) -> dict[str, Any]:
    losses = {kind: mean_loss(table.filter(pl.col("kind") == kind)) for kind in ("trigger", "other")}
    tokens = table["tokens"].sum()
    excess = (table["nll_nats"].sum() - table["oracle_nats"].sum()) / tokens if tokens else None
    return {f"backcopy_loss_{kind}": loss for kind, loss in losses.items()} | {"backcopy_excess_risk": excess}


def backcopy_heads(table: pl.DataFrame) -> dict[str, Any]:
    return {"backcopy_dormancy": (table["bos_at_other"] - table["bos_at_trigger"]).max()}
