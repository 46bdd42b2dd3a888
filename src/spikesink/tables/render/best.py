"""Which values of an ablation's table are the best of their column.

Only perplexity has a best value, the lowest. Sink ratio and spike are what the papers explain, not what they minimise:
a variant without sinks is not better for it, and bold would read as advice. Nothing is best where values cannot be
compared: perplexities of unequal contexts or BOS, the mean of a variant of which seeds are missing or have no finite
value, rows of two papers.
"""

import math
from collections.abc import Callable, Sequence

import polars as pl

from spikesink.runs.folder import FINISHED
from spikesink.tables.paper.rows import paper_of
from spikesink.tables.render.numbers import as_published, decimals

NONE: frozenset[int] = frozenset()


def best_perplexity(variants: pl.DataFrame) -> frozenset[int]:
    """The rows of ``comparison.compare``'s table with our lowest perplexity."""
    if not same_positions(variants):
        return NONE
    complete = (variants["status"] == FINISHED) & variants["perplexity"].is_finite()
    means = variants["perplexity_geometric_mean"]
    values = [value if whole else None for value, whole in zip(means, complete, strict=True)]
    return lowest(values, decimals(2))


def best_paper_perplexity(variants: pl.DataFrame) -> frozenset[int]:
    """The rows of ``comparison.compare``'s table that stand beside the paper's lowest perplexity."""
    papers = set(map(paper_of, variants["paper_source"].drop_nulls()))
    if len(papers) > 1 or not same_positions(variants):
        return NONE
    return lowest(variants["paper_perplexity"].to_list(), as_published)


def same_positions(variants: pl.DataFrame) -> bool:
    """Perplexity is scored in chunks of each run's own context, behind a BOS from their first token on."""
    return all(variants[name].drop_nulls().n_unique() <= 1 for name in ("sequence_length", "bos"))


def lowest(values: Sequence[float | None], write: Callable[[float], str]) -> frozenset[int]:
    """The places of the lowest value and of all that are written like it: a reader sees no difference.

    Without at least two different values nothing stands out, and none is best.
    """
    compared = {place: value for place, value in enumerate(values) if value is not None and math.isfinite(value)}
    if len({write(value) for value in compared.values()}) < 2:
        return NONE
    least = write(min(compared.values()))
    return frozenset(place for place, value in compared.items() if write(value) == least)
