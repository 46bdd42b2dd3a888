"""What an ablation's table shows to a reader: columns, rounded cells and notes, the same in every format."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.paper.rows import paper_of
from spikesink.tables.render.best import NONE, best_paper_perplexity, best_perplexity
from spikesink.tables.render.numbers import ABSENT, as_published, bracketed, writer, written

OURS, PAPER = "this study", "paper"
TEXTS = frozenset({"ablation", "variant", "row", "quantity", "status", "digest", "unit", "meaning", "source"})
"""Headings of columns of words, which are aligned to the left."""


SINK_MASSES, TRAINED = ("sink_mass_mean", "sink_mass_max"), ("sink_ratio_trained", "sink_mass_mean_trained")
LATER = "sink_ratio_later_layers"
SPIKES = ("spike_over_median", "spike_over_elsewhere", "spike")


class Column(NamedTuple):
    """A column: which group it belongs to, its heading with the unit, its cells, whether a narrow table keeps it.

    ``best`` are the places of cells to be set in bold.
    """

    group: str
    heading: str
    cells: list[str]
    essential: bool = True
    best: frozenset[int] = NONE


def columns(variants: pl.DataFrame) -> list[Column]:
    """The columns of an ablation's table, rounded for reading; ``variants`` is ``comparison.compare``'s table."""
    rows = variants.to_dicts()
    best = best_perplexity(variants)
    shown = [
        Column("", "variant", labels(rows)),
        ours("perplexity", [with_interval(row, "perplexity") for row in rows], best),
    ]
    differs = [row["perplexity_loss_window"] != row["perplexity"] for row in rows]
    if any(differs):
        window = [
            with_interval(row, "perplexity_loss_window") if there else ABSENT
            for row, there in zip(rows, differs, strict=True)
        ]
        shown.append(ours("perplexity_loss_window", window))
    write = writer(QUANTITIES["parameters"].format)
    shown += [
        *(ours(name, [with_interval(row, name) for row in rows]) for name in ("sink_ratio", *SINK_MASSES)),
        ours(LATER, [with_interval(row, LATER) for row in rows])._replace(essential=False),
        *inside_trained(rows),
        *(ours(name, [with_interval(row, name) for row in rows]) for name in SPIKES),
        ours("spike_position", [row["spike_positions"] or ABSENT for row in rows])._replace(essential=False),
        ours("parameters", [write(row["parameters"]) if row["parameters"] else ABSENT for row in rows])._replace(
            essential=False
        ),
    ]
    return shown + (papers(rows, best_paper_perplexity(variants)) if any(row["paper_row"] for row in rows) else [])


def labels(rows: list[dict]) -> list[str]:
    """What every variant is called, with what became of its runs where some did not finish."""
    return [row["label"] + ("" if row["status"] == FINISHED else f" ({row['status']})") for row in rows]


def inside_trained(rows: list[dict]) -> list[Column]:
    """Sinks inside the positions that a variant was trained on, where one of them was not trained on just those."""
    if not any(trained_elsewhere(row) for row in rows):
        return []
    return [ours(name, [written(row[name], writer(QUANTITIES[name].format)) for row in rows]) for name in TRAINED]


def trained_elsewhere(row: dict) -> bool:
    """Whether the sinks of a variant at the common length are not those inside its trained positions."""
    return row["sink_ratio_trained"] is not None and any(
        row[inside] != row[common] for inside, common in zip(TRAINED, ("sink_ratio", "sink_mass_mean"), strict=True)
    )


def ours(name: str, cells: list[str], best: frozenset[int] = NONE) -> Column:
    """A column of this study's values of a quantity."""
    return Column(OURS, QUANTITIES[name].heading, cells, best=best)


def papers(rows: list[dict], best: frozenset[int]) -> list[Column]:
    """The columns of the papers' values; the spike's only where a row has one."""

    def numbers(name: str, write: Callable[[float], str]) -> Column:
        cells = [written(row[f"paper_{name}"], write) for row in rows]
        own = [
            row[f"paper_baseline_{name}"] if apart else None for row, apart in zip(rows, elsewhere(rows), strict=True)
        ]
        shown = [cell if base is None else f"{cell} (of {write(base)})" for cell, base in zip(cells, own, strict=True)]
        return Column(PAPER, QUANTITIES[name].heading, shown)

    found = [
        Column(PAPER, "row", [row["paper_row"] or ABSENT for row in rows]),
        numbers("perplexity", as_published)._replace(best=best),
        numbers("sink_ratio", writer(QUANTITIES["sink_ratio"].format)),
    ]
    if any(row["paper_spike"] is not None for row in rows):
        found.append(numbers("spike", writer(",.0f")))
    return found


def elsewhere(rows: list[dict]) -> list[bool]:
    """For every row, whether its paper's baseline is another than the one that this table shows."""
    shown = next((row["paper_source"] for row in rows if row["variant"] == BASELINE), None)
    return [paper_of(row["paper_source"]) not in (None, paper_of(shown)) for row in rows]


def notes(variants: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """Scale, seeds and definitions, one sentence or two each."""
    seeds = variants["seeds"].max()
    spread = (
        f"{seeds} seeds; mean [low, high] of its 95 % t interval, or of Gaffke's, which is wide, where half of the "
        "shares are 0 or 100 %; a value alone is one seed without any"
        if seeds > 1
        else "1 seed, no interval"
    )
    epsilon, tokens = runs["sink_epsilon"].drop_nulls(), runs["sink_tokens"].drop_nulls()
    threshold = f"{epsilon[0]:g} mean attention at T = {tokens.max()}" if len(epsilon) else "the threshold"
    lines = [
        f"Scale: {runs['scale'][0]}; {spread}.",
        f"Sink ratio: heads in which a key of the first half receives more than {threshold} "
        "(arXiv 2603.05498 Eq 27-28). Mean and largest head: mean attention on position 0.",
        "× median: the spike over the median magnitude of the ordinary tokens in its hidden state. × elsewhere: the "
        "largest magnitude at position 0 over that at later positions. Spike: largest magnitude in the residual stream "
        "over all hidden states, at that position (from 0); it grows with the scale of the stream.",
    ]
    lines += trained_note(variants, runs)
    if best_perplexity(variants) | best_paper_perplexity(variants):
        aside = (
            "" if (variants["status"] == FINISHED).all() else "; variants with runs that did not finish are left aside"
        )
        lines.append(f"Bold: the lowest perplexity of its column and all written like it, untested{aside}.")
    if runs["sequence_length"].n_unique() > 1:
        lines.append(
            "Perplexity is scored in chunks of each run's own context: compare it only between equal contexts."
        )
    if runs["bos"].drop_nulls().n_unique() > 1:
        lines.append(
            "Where sequences start with a BOS, their first token is scored too, with nothing before it: compare "
            "perplexities, and what context gives, only where the BOS is the same."
        )
    if seeds > 1:
        lines.append(
            "Perplexities and spikes are geometric means with intervals on the logarithmic scale; intervals of shares "
            "end at 0 and 100 %."
        )
    absent = [f"{row['label']} {row['left_out']}" for row in variants.iter_rows(named=True) if row["left_out"]]
    if absent:
        lines.append(f"Left out of means: {'; '.join(absent)}.")
    return lines + paper_notes(variants)


def paper_notes(variants: pl.DataFrame) -> list[str]:
    """Where the papers' values are from and how they were measured; nothing where no paper has a row."""
    sources = variants["paper_source"].drop_nulls().unique(maintain_order=True).to_list()
    if not sources:
        return []
    named = ", ".join(sources[:1] + [source.removeprefix("arXiv 2603.05498 ") for source in sources[1:]])
    lines = [
        f"Paper: {named}; one run per row. "
        "Its scale, corpus and tokenizer differ from ours: compare directions, not values."
    ]
    if any(elsewhere(variants.to_dicts())):
        lines.append("(of ...): the baseline of that row's own paper, where it is not the one in the first row.")
    papers = set(map(paper_of, sources))
    if "2603.05498" in papers:
        lines.append("arXiv 2603.05498 trains 7B models on DCLM and scores C4.")
    if "2603.17771" in papers:
        lines.append(
            "arXiv 2603.17771 trains on C4 and reports a validation loss in nats per token, shown as exp(loss), and a "
            "sink rate of position 0 alone, here its mean over layers; it reports no spike of this definition."
        )
    return lines


def trained_note(variants: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """Which queries the columns of trained positions are from, by variant; nothing where there are none."""
    elsewhere = [row["variant"] for row in variants.iter_rows(named=True) if trained_elsewhere(row)]
    if not elsewhere:
        return []
    known = runs.filter(pl.col("variant").is_in(elsewhere)).drop_nulls(["trained_first", "trained_last"])
    spans = known.unique("variant", maintain_order=True).iter_rows(named=True)
    found = [f"{row['label']} {row['trained_first']} to {row['trained_last'] - 1}" for row in spans]
    return [
        f"Trained positions: from queries inside a variant's own context and loss window ({'; '.join(found)}), beside "
        f"the common T, which may lie outside."
    ]


def with_interval(row: dict, name: str) -> str:
    """A mean with its interval, which need not be symmetric. On the logarithmic scale the mean is geometric."""
    write = writer(QUANTITIES[name].format)
    return bracketed(row.get(f"{name}_geometric_mean", row[name]), row[f"{name}_low"], row[f"{name}_high"], write)
