"""The papers' own numbers, to stand beside ours.

``paper_rows.csv``: Tables 3 to 8 of "The Spike, the Sparse and the Sink" (arXiv 2603.05498), 7B parameters and 100B
tokens unless a row says otherwise; perplexity on C4, sink ratio in percent of heads, spike as a magnitude; one run per
row. ``paper_v_scale.csv``: "Attention Sinks Induce Gradient Sinks" (arXiv 2603.17771) and its rebuttal. Of these the
0.3B validation losses (nats per token on C4) and sink rates (heads of a layer that are sinks on position 0) are used.
"""

import csv
import math
from functools import cache
from pathlib import Path

from spikesink.study.errors import InputError
from spikesink.study.names import BASELINE

NUMBERS = ("perplexity", "sink_ratio", "spike")
COLUMNS = (
    "paper_row",
    "paper_source",
    *(f"paper_{name}" for name in NUMBERS),
    *(f"paper_baseline_{name}" for name in NUMBERS),
)
"""``paper_baseline_*`` are of the baseline of the row's own paper: a row means nothing beside another paper's."""


@cache
def rows_of(file: str) -> list[dict[str, str]]:
    """The rows of one of the two files. Read without polars: a command that a user waits for asks for their names."""
    with open(Path(__file__).with_name(file), encoding="utf-8", newline="") as content:
        return list(csv.DictReader(content))


@cache
def spike_rows() -> dict[str, dict]:
    """Rows of 2603.05498 by variant name."""
    return {
        row["variant"]: {
            "paper_row": row["variant"],
            "paper_source": f"arXiv 2603.05498 Table {row['table'].removeprefix('T')}",
            **{f"paper_{name}": float(row[name]) for name in NUMBERS},
        }
        for row in rows_of("paper_rows.csv")
    }


@cache
def v_scale_rows() -> dict[str, dict]:
    """The 0.3B rows of 2603.17771's rebuttal by model name; the perplexity is exp(validation loss)."""
    rows = [row for row in rows_of("paper_v_scale.csv") if (row["source"], row["scale"]) == ("rebuttal", "0.3b")]
    values = {(row["model"], row["quantity"]): float(row["value"]) for row in rows}
    return {
        model: {
            "paper_row": model,
            "paper_source": "arXiv 2603.17771 rebuttal, 0.3B",
            "paper_perplexity": math.exp(values[model, "validation_loss"]),
            "paper_sink_ratio": 100 * values[model, "sink_rate_layer_mean"],
            "paper_spike": None,
        }
        for model in dict.fromkeys(row["model"] for row in rows)
    }


@cache
def paper_rows() -> dict[str, dict]:
    """What ``stands_for`` may name: the rows of 2603.05498, then those of 2603.17771's rebuttal at 0.3B."""
    return spike_rows() | v_scale_rows()


def paper_of(source: str | None) -> str | None:
    """The paper of a source: "2603.05498" of "arXiv 2603.05498 Table 3"."""
    return source.split()[1] if source else None


def beside(variants: list[tuple[str, str | None]]) -> list[dict]:
    """The papers' row of every (variant, stands_for) with its own paper's baseline, all None where there is none.

    ``stands_for`` has precedence over the variant's name. ``baseline`` is a row of both papers; it is the row of
    2603.17771 where the rows of all other variants are of that paper. A ``stands_for`` without a row raises InputError.
    """
    names = [stands_for or variant for variant, stands_for in variants]
    for (variant, stands_for), name in zip(variants, names, strict=True):
        if stands_for and name not in paper_rows():
            raise InputError(
                f"ablations: variant {variant!r} has stands_for {name!r}, which is no row of the papers: use one of "
                f"{', '.join(paper_rows())}, or null"
            )
    others = [name for name in names if name != BASELINE and name in paper_rows()]
    only_v_scale = bool(others) and all(name in v_scale_rows() for name in others)
    rows = v_scale_rows() | spike_rows() | (v_scale_rows() if only_v_scale else {})
    return [with_baseline(rows[name]) if name in rows else dict.fromkeys(COLUMNS) for name in names]


def with_baseline(row: dict) -> dict:
    """A row of a paper with the numbers of that paper's baseline."""
    baseline = next(rows[BASELINE] for rows in (v_scale_rows(), spike_rows()) if row in rows.values())
    return row | {f"paper_baseline_{name}": baseline[f"paper_{name}"] for name in NUMBERS}
