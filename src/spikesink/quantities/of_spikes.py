"""Columns of mechanism.csv on spikes, their amplifier, the norms behind them and the sinks (arXiv 2603.05498)."""

from spikesink.quantities.quantity import Taken, column, columns

PAPER = "arXiv 2603.05498"

OF_SPIKES = (
    column(
        "blocks",
        Taken("lifecycle", "block", "max"),
        unit="blocks",
        source=PAPER,
        meaning="number of blocks; attention and feed-forward blocks alternate",
    ),
    *columns(
        unit="blocks, from 1",
        source=f"{PAPER} Sec 3",
        form="list",
        step_up_blocks="blocks that write the spike; none without a spike",
    ),
    *columns(
        unit="share of the spike",
        source=f"{PAPER} Sec 3",
        step_up_share="sum of the step-up blocks' shares, 1 for all of it",
    ),
    *columns(
        unit="blocks, from 1", source=f"{PAPER} Sec 3", form="list", step_down_blocks="blocks that remove the spike"
    ),
    *columns(
        unit="share of the spike",
        source=f"{PAPER} Sec 3",
        step_down_share="sum of the step-down blocks' shares, -1 for all of it",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Sec 3",
        scale="log",
        plateau_output="largest output of a plateau block on a spike token and channel, over the spike's magnitude",
    ),
    *columns(
        unit="channels, from 0",
        source=f"{PAPER} Sec 3",
        form="list",
        spike_channels="channels that carry massive activations, the leading one first",
    ),
    column(
        "vocabulary_spike_pct",
        Taken("vocabulary_probe", "is_spike", "percent"),
        unit="% of the token ids that were tried",
        source=f"{PAPER} Table 2",
        meaning="token ids that spike when they stand alone at position 0, of all ids or of measures.vocabulary_tokens "
        "evenly spaced ones",
    ),
    *columns(
        unit="share of attention",
        source=f"{PAPER} Sec 3",
        self_attention_spike="attention of spike tokens after position 0 to themselves, in the last attention block "
        "before the step-up block, mean over heads",
        self_attention_other="attention of the other tokens after position 0 to themselves, in that block",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Eq 19-21, Figs 3, 4",
        eigenvalue="eigenvalue of S_k that is largest in magnitude, with eigenvector s*; k is the channel to which the "
        "first step-up block adds most",
        second="eigenvalue of S_k that is second largest in magnitude",
        cosine_spike="mean cosine of the block's normalised input h with s*, over spike tokens",
        cosine_other="mean cosine of the block's normalised input h with s*, over the other tokens",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Eq 15-21",
        scale="log",
        quadratic_error_spike="sum |h^T S_k h - F_k| / sum |F_k| over spike tokens; F_k is the output in channel k",
        rank_one_error_spike="sum |eigenvalue (s*.h)^2 - F_k| / sum |F_k| over spike tokens",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Figs 3, 4, 8",
        scale="log",
        eigenvalue_ratio_ordinary="|first| / |second| eigenvalue of the block's ordinary channels, median",
        amplifier_norm_over_median="norm |U_k|_F of channel k's quadratic form, over the median of the channels of all "
        "SwiGLU blocks",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 2",
        silu_cosine_spike="cosine of silu(Wg h) with Wg h, mean over spike tokens",
        silu_cosine_other="cosine of silu(Wg h) with Wg h, mean over the other tokens",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 2",
        scale="log",
        silu_norm_ratio_spike="|silu(Wg h)| / |Wg h|, mean over spike tokens",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Eq 22",
        first_token_cosine="cosine with s* of the mean of what the last attention block before adds to spike tokens "
        "at position 0; none where no such token spikes",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Eq 23-25, Fig 5",
        normalised_share_of_bound="largest entry of token 0 behind the norms of the plateau, over the norm's bound, "
        "which is sqrt(D) for RMSNorm",
        normalised_energy_spike="share of token 0's squared norm, behind the norms of the plateau, that lies in its "
        "measures.spike_channels largest channels, mean over sequences and blocks",
        normalised_energy_other="that share for the tokens at all other positions",
        spike_cosine_before="mean cosine between tokens 0 of different sequences, behind the norm before the first "
        "step-up block, in text without BOS",
        spike_cosine_after="mean cosine between tokens 0 of different sequences, behind the norm after the last "
        "step-up block, in text without BOS",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Eq 25",
        scale="log",
        spike_channel_variation="standard deviation over mean of token 0's leading channel, behind the norms of the "
        "plateau, mean over blocks, in text without BOS",
        spike_channel_ratio_variation="standard deviation over mean of the ratio of token 0's second channel to its "
        "leading one, behind the norms of the plateau, mean over blocks, in text without BOS",
    ),
    *columns(
        unit="% of heads",
        source=PAPER,
        sink_head_pct="sink heads: heads whose mean attention on position 0 is above measures.sink_epsilon",
    ),
    *columns(
        unit="logits",
        source=f"{PAPER} Fig 6",
        logit_gap_sink_heads="score of key 0 minus the mean score of the other visible keys, over sink heads",
        logit_gap_other_heads="score of key 0 minus the mean score of the other visible keys, over the other heads",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 6",
        query_cosine_sink="cosine of sink heads' queries with key 0",
        query_cosine_others="cosine of sink heads' queries with the other visible keys",
    ),
    *columns(
        unit="directions",
        source=f"{PAPER} Eq 26",
        sink_key_rank="directions that hold 95 % of the squared norm of sink heads' keys at position 0, before the "
        "rotation, in text without BOS; none without sink heads",
        other_key_rank="directions that hold 95 % of the squared norm of sink heads' other keys",
    ),
    *columns(
        unit="% of tokens",
        source=f"{PAPER} Sec 3",
        sink_tokens_that_spike="sink tokens, which receive more than measures.sink_epsilon of attention in some head, "
        "that carry a massive activation, in the first half of sequences",
        spike_tokens_that_sink="tokens with a massive activation that are sink tokens",
        same_tokens="tokens that are both, of those that are sink tokens or spike tokens",
        same_tokens_later="the same of tokens after position 0; none without such tokens",
        sink_tokens_later="sink tokens that stand after position 0",
        spike_tokens_later="spike tokens that stand after position 0",
    ),
    *columns(
        unit="tokens",
        source=PAPER,
        scale="log",
        distance="mean distance that attention looks back",
        distance_without_sink="mean distance that attention looks back, without the attention on position 0",
        distance_sink_heads="mean distance that sink heads look back, without the attention on position 0",
        distance_other_heads="mean distance that the other heads look back, without the attention on position 0",
    ),
)
