"""The tables that stand beside an ablation's: what variants can still do, what quantisation costs, standard tasks."""

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.quantities.of_capabilities import OF_CAPABILITIES, OF_QUANTISED_CAPABILITIES, OF_REBUTTAL, OF_TABLE_4
from spikesink.quantities.of_quantisation import OF_QUANTISATION
from spikesink.tables.render.layout import Column, labels, ours, with_interval
from spikesink.tables.render.numbers import writer, written

ABILITIES = ("context_gain", "induction_accuracy", "retrieval_choice")
BEYOND = ("perplexity_1x", "perplexity_2x", "perplexity_4x")
BACKCOPY = ("backcopy_loss_trigger", "backcopy_excess_risk", "backcopy_dormancy")
TITLES = {
    "What the variants can still do": (*ABILITIES, *BEYOND, *BACKCOPY),
    "Perplexity after quantisation": tuple(quantity.name for quantity in OF_QUANTISATION),
    "Standard tasks": tuple(quantity.name for quantity in OF_CAPABILITIES),
    **{
        f"Standard tasks, {label}": tuple(quantity.name for quantity in OF_QUANTISED_CAPABILITIES[setting])
        for setting, (label, _) in (OF_TABLE_4 | OF_REBUTTAL).items()
    },
}
NOTES = {
    "context_gain": "Loss early − late: loss in the first quarter of the context minus that in the last, in nats.",
    "induction_accuracy": "Induction: tokens of the second copy of repeated random tokens that are the first choice "
    "(arXiv 2209.11895).",
    "retrieval_choice": "Retrieval: planted values that are likelier after their key than three others; chance is 25 % "
    "(after arXiv 2603.17771).",
    "perplexity_4x": "Perplexity in parts of text of four contexts: up to one context, to two, to four.",
    "backcopy_excess_risk": "Bigram-Backcopy (arXiv 2410.13835): loss after triggers and excess risk over the oracle, "
    "in nats, and how much more a head attends to the BOS at other tokens than at triggers.",
    "int8_static_per_tensor": "INT8 weights and inputs, one range per output channel and per token, after SmoothQuant, "
    "or one for all tokens of a matrix (static); the output head stays as it is.",
    "int4_gptq": "INT4 weights alone, a grid per 128 inputs: rounded to nearest, by GPTQ, by AWQ (arXiv 2603.17771 "
    "Table 4). All score the same held-out text, apart from that which calibrates.",
}
"""What a table says below it, where the column is there."""


def tables_beside(variants: pl.DataFrame) -> dict[str, tuple[list[Column], list[str]]]:
    """Tables by title, of columns and notes, from ``comparison.compare``'s table; none of what was not measured."""
    rows = variants.to_dicts()
    found = {}
    for title, names in TITLES.items():
        there = [name for name in names if any(row[name] is not None for row in rows)]
        if there:
            columns = [Column("", "variant", labels(rows)), *(ours(name, cells(rows, name)) for name in there)]
            found[title] = columns, [NOTES[name] for name in there if name in NOTES]
    return found


def cells(rows: list[dict], name: str) -> list[str]:
    """A mean with its interval, where the quantity has one."""
    if QUANTITIES[name].tested:
        return [with_interval(row, name) for row in rows]
    return [written(row[name], writer(QUANTITIES[name].format)) for row in rows]
