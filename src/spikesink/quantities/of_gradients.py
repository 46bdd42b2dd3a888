"""Columns of mechanism.csv on gradients, and on token 0 layer by layer (arXiv 2603.17771)."""

from spikesink.quantities.quantity import Taken, column, columns

PAPER = "arXiv 2603.17771"
BRANCHES = ("attention", "feed_forward")


def slope(quantity: str, branch: str) -> Taken:
    return Taken(
        "reshaping_slopes",
        "slope_within",
        "first",
        {"branch": branch, "quantity": quantity, "block": None, "group": None},
    )


SLOPES = [
    column(
        f"{name}_slope_{branch}",
        slope(name, branch),
        unit="1",
        source=f"{PAPER} Theorem 2, Figs 3, 10, 11",
        meaning=f"slope of log {name.capitalize()} over the logarithm of the input norm, within {branch} blocks",
    )
    for name in ("bloat", "compress", "change")
    for branch in BRANCHES
]
RESHAPED = [
    quantity
    for branch in BRANCHES
    for quantity in (
        *columns(
            unit="1",
            source=f"{PAPER} Theorem 2, Fig 3",
            scale="log",
            **{f"bloat_token0_{branch}": f"median Bloat of {branch} blocks at token 0 over that at later positions"},
        ),
        column(
            f"change_median_{branch}",
            Taken("reshaping", "change", "median", {"branch": branch}),
            unit="1",
            source=f"{PAPER} Theorem 2, Fig 3",
            meaning=f"median Change of {branch} blocks, over points (sequence, position, block)",
            scale="log",
        ),
    )
]
OF_GRADIENTS = (
    column(
        "gradient_sink_ratio",
        Taken("gradient_sink_ratio", "ratio", "quartile 2"),
        unit="1",
        source=f"{PAPER} Def 1",
        meaning="R_GS(0), the gradient norm at token 0 over that at early tokens: median over attention blocks",
        scale="log",
    ),
    column(
        "gradient_sink_ratio_quartile1",
        Taken("gradient_sink_ratio", "ratio", "quartile 1"),
        unit="1",
        source=f"{PAPER} Def 1",
        meaning="R_GS(0): lower quartile over attention blocks",
        scale="log",
    ),
    column(
        "gradient_sink_ratio_quartile3",
        Taken("gradient_sink_ratio", "ratio", "quartile 3"),
        unit="1",
        source=f"{PAPER} Def 1",
        meaning="R_GS(0): upper quartile over attention blocks",
        scale="log",
    ),
    column(
        "gradient_sink_ratio_uniform",
        Taken("gradient_sink_ratio", "ratio_uniform", "quartile 2"),
        unit="1",
        source="this project",
        meaning="R_GS(0) if every query attended to all keys alike, from the same gradients: median over attention "
        "blocks, the null of gradient_sink_ratio",
        scale="log",
    ),
    column(
        "gradient_sink_over_uniform",
        Taken("gradient_sink_ratio", "over_uniform", "quartile 2"),
        unit="1",
        source="this project",
        meaning="R_GS(0) over its value under uniform attention, block by block: median; 1 is no gradient sink",
        scale="log",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 2",
        scale="log",
        query_gradient_token0="gradient norm of queries at token 0, over that at later positions; means over blocks",
        key_gradient_token0="gradient norm of keys at token 0, over that at later positions; means over blocks",
        value_gradient_token0="gradient norm of values at token 0, over that at later positions; means over blocks",
        value_over_key_token0="gradient norm of values at token 0, over that of keys; means over blocks",
        value_gradient_token0_uniform="value_gradient_token0 if every query attended to all keys alike, from the same "
        "gradients: its null",
    ),
    *columns(
        unit="% of heads",
        source=f"{PAPER} Theorem 1",
        theorem_1_lower_pct="heads whose squared value gradient at token 0 is at least Theorem 1's lower bound",
        theorem_1_upper_pct="heads whose squared value gradient at token 0 is at most Theorem 1's upper bound",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Prop 1",
        mass_gradient_correlation="rank correlation over a layer's heads of attention on token 0 and the gradient of "
        "its value, mean over layers",
    ),
    *SLOPES,
    *RESHAPED,
    *columns(
        unit="% of points",
        source=f"{PAPER} Theorem 2",
        theorem_2_pct="points (sequence, position, block) whose Compress is at most |gamma|_inf / rms(h); none where "
        "the norm before the block is no RMSNorm",
    ),
    column(
        "sink_rate_pct",
        Taken("layers", "sink_rate", "percent"),
        unit="% of heads and sequences",
        source=f"{PAPER} Fig 7",
        meaning="heads and sequences whose attention on position 0 exceeds measures.sink_epsilon, mean over layers",
    ),
    column(
        "token0_stream",
        Taken("layers", "stream_token0", "mean"),
        unit="residual stream magnitude",
        source=f"{PAPER} Fig 7",
        meaning="L2 norm of token 0 in the residual stream after a layer (x_out), mean over layers",
        scale="log",
    ),
    column(
        "token0_attention",
        Taken("layers", "attention_token0", "mean"),
        unit="residual stream magnitude",
        source=f"{PAPER} Fig 7",
        meaning="L2 norm of what attention adds to token 0 (r_attn), mean over layers",
        scale="log",
    ),
    column(
        "token0_feed_forward",
        Taken("layers", "feed_forward_token0", "mean"),
        unit="residual stream magnitude",
        source=f"{PAPER} Fig 7",
        meaning="L2 norm of what the feed-forward block adds to token 0 (r_mlp), mean over layers",
        scale="log",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} rebuttal",
        scale="log",
        token0_over_early="norm of token 0 over the mean norm of tokens 1 to 15 in the residual stream after a layer, "
        "at the training context, mean over layers",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 12",
        scale="log",
        value_norm_token0="norm of token 0's values over the mean of tokens 1 to 15, median over layers",
    ),
    *columns(
        unit="1",
        source=f"{PAPER} Fig 13",
        theta_early="V-scale's learned theta, mean over heads of the first third of its layers; none without a valve",
        theta_late="V-scale's learned theta, mean over heads of the last third of its layers",
    ),
)
