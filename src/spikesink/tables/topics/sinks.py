"""Which heads have sinks, by which queries and keys, and how far they look (2603.05498 Sec 3, Eq 26, Fig 6)."""

from typing import Any

import polars as pl

READS = ("sink_geometry", "attention_distance")


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Sink heads and the others. A sink head has a mean attention on position 0 above measures.sink_epsilon.

    Behind a BOS all keys at position 0 are one vector, so ranks are of text without it; None where that has no sink
    heads.
    """
    table, distance = tables["sink_geometry"], tables["attention_distance"]
    # Behind a BOS the text after it is measured too: the first start is how the model was trained.
    geometry = table.filter(pl.col("start") == table["start"][0])
    distance = distance.join(geometry.select("block", "head", "is_sink_head"), on=["block", "head"])
    gap, away = by_kind(geometry, "logit_gap"), by_kind(distance, "distance_without_sink")
    text = table.filter(pl.col("start") == "text")
    return {
        "sink_head_pct": 100 * geometry["is_sink_head"].mean(),
        "logit_gap_sink_heads": gap.get(True),
        "logit_gap_other_heads": gap.get(False),
        "query_cosine_sink": by_kind(geometry, "cosine_sink").get(True),
        "query_cosine_others": by_kind(geometry, "cosine_others").get(True),
        "sink_key_rank": by_kind(text, "sink_rank").get(True),
        "other_key_rank": by_kind(text, "other_rank").get(True),
        "distance": distance["distance"].mean(),
        "distance_without_sink": distance["distance_without_sink"].mean(),
        "distance_sink_heads": away.get(True),
        "distance_other_heads": away.get(False),
    }


def by_kind(heads: pl.DataFrame, column: str) -> dict[bool, float]:
    """Mean of a column over sink heads and over the others."""
    return dict(heads.group_by("is_sink_head").agg(pl.col(column).mean()).iter_rows())
