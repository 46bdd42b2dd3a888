"""Where the spike is written and removed, in which channels and tokens (2603.05498 Sec 3, Fig 1, Tables 1 and 2)."""

from typing import Any

import polars as pl


def spikes(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The spike's life; without a spike the lists are empty and what is said of step blocks is None.

    step_up_blocks, step_down_blocks   blocks from 1 that write and remove it, as text; blocks: how many there are
    step_up_share, step_down_share     sum of these blocks' shares in the spike, 1 and -1 for all of it
    plateau_output                     largest output of a plateau block on a spike token and channel, over the spike's
                                       largest magnitude
    spike_channels                     the channels that carry massive activations, as text, the leading one first
    vocabulary_spike_pct               token ids that spike alone at position 0, in % of the vocabulary (Table 2)
    self_attention_spike, _other       attention on themselves of tokens from position 1 on that spike, and of the
                                       others, in the last attention block before the step-up block, mean over heads
    """
    lifecycle, channels = tables["lifecycle"], tables["spike_channels"]
    found: dict[str, Any] = {"blocks": lifecycle["block"].max()}
    for role in ("step_up", "step_down"):
        members = lifecycle.filter(pl.col("role") == role)
        found[f"{role}_blocks"] = listed(members["block"])
        found[f"{role}_share"] = members["share"].sum() if len(members) else None
    plateau = lifecycle.filter(pl.col("role") == "plateau")["output_maximum"].max()
    return found | {
        "plateau_output": None if plateau is None else plateau / lifecycle["after"].max(),
        "spike_channels": listed(channels["channel"]) if "channel" in channels.columns else "",
        "vocabulary_spike_pct": 100 * tables["vocabulary_probe"]["is_spike"].mean(),
        **self_attention(tables["delimiter_probe"]),
    }


def listed(values: pl.Series) -> str:
    return ", ".join(map(str, values))


def self_attention(probe: pl.DataFrame) -> dict[str, float | None]:
    names = {True: "self_attention_spike", False: "self_attention_other"}
    if "self_attention" not in probe.columns:  # the step-up block has no attention before it
        return dict.fromkeys(names.values())
    last = probe.filter(pl.col("block") == probe["block"].max())
    weighted = (pl.col("self_attention") * pl.col("occurrences")).sum() / pl.col("occurrences").sum()
    means = dict(last.group_by("spikes").agg(weighted).iter_rows())
    return {name: means.get(spikes) for spikes, name in names.items()}
