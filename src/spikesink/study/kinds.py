"""Facts about every kind of the swappable parts: what building, counting, exporting and measuring a model need to know.

A kind stands here, in the settings (its name) and in its module of spikesink.model (what it computes). Only a gate
stands in a fourth place, spikesink.study.sizes, which has its sizes. No torch: planning a study reads these facts too.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

Fact = TypeVar("Fact")


class Kinds(dict[str, Fact]):
    """A fact for every kind that a setting may have; a kind without one is an error, never a default."""

    def __init__(self, setting: str, module: str, facts: Mapping[str, Fact]) -> None:
        super().__init__(facts)
        self.setting, self.module = setting, module

    def __missing__(self, kind: str) -> Fact:
        raise ValueError(
            f"{self.setting} = {kind!r} is unknown in {self.module}, which has {', '.join(map(str, self))}: "
            "add the kind there"
        )


class NormPlaces(NamedTuple):
    """The norm at every place of a residual branch, by its key in NORM_PARAMETERS; None: no norm."""

    before: str | None = None
    """On the residual stream, before the branch."""
    after: str | None = None
    """On the branch's output, before the residual sum."""
    sum: str | None = None
    """On the residual sum: what it returns is the stream that goes on."""
    queries_keys: str | None = None
    """On all queries, and on all keys, of a position together, before the rotation."""


NORMS = Kinds(
    "norm.kind",
    __name__,
    {
        "rms": NormPlaces(before="rms"),
        "sandwich": NormPlaces(before="rms", after="rms"),
        "sandwich_qk": NormPlaces(after="rms", queries_keys="rms"),
        "dyt": NormPlaces(before="dyt"),
        "post": NormPlaces(sum="rms"),
    },
)
"""Which norms each kind of normalisation has, and where (2603.05498 Table 5)."""

NORM_PARAMETERS: Kinds[Callable[[int], int]] = Kinds(
    "norm",
    __name__,
    {
        "rms": lambda width: width,
        "dyt": lambda width: width + 1,
    },
)
"""Number of trained parameters of each norm over ``width`` channels."""


class Softmax(NamedTuple):
    """How scores become weights."""

    extra_key: bool = False
    """Whether one more key takes part, which stands before the text."""
    head_logit: bool = False
    """Whether the score of that key is a learned logit per query head."""
    map_bytes: int | None = None
    """Where the attention map is formed whole, the bytes that autograd keeps of an entry beside its weight; None: a
    fused kernel computes attention and no map is kept."""
    sums_to_one: bool = True
    """Whether the weights of a query, the extra key's included, sum to 1."""
    bounded: bool = True
    """Whether the weights of a query sum to at most 1. Where they may sum to more, what a measure calls attention is
    each weight's share of the sum, as Gu et al. (2410.10781) have it."""

    @property
    def forms_map(self) -> bool:
        return self.map_bytes is not None


SOFTMAX = Kinds(
    "attention.softmax",
    __name__,
    {
        "softmax": Softmax(),
        "softmax1": Softmax(extra_key=True),
        "sink_logit": Softmax(extra_key=True, head_logit=True),
        "softpick": Softmax(map_bytes=17, sums_to_one=False),
        "sigmoid": Softmax(map_bytes=0, sums_to_one=False, bounded=False),
        "relu": Softmax(map_bytes=0, sums_to_one=False, bounded=False),
    },
)

EXTRA_KEYS = Kinds("attention.extra_key", __name__, {"none": 0, "key_bias": 1, "key_value_bias": 2})
"""Learned vectors per key-value head: the extra key, and its value."""


class FeedForward(NamedTuple):
    """The second branch of a layer (2603.05498 Table 4)."""

    parameters: Callable[[int, int], int]
    """Number of trained parameters, from d_model and the hidden width."""
    kept_widths: int = 0
    """Hidden widths that autograd keeps per token."""
    kept_widths_compiled: int = 0
    """The same with torch.compile, which computes what is cheap again."""


FEED_FORWARDS = Kinds(
    "feed_forward.kind",
    __name__,
    {
        "swiglu": FeedForward(lambda d_model, width: 3 * d_model * width, kept_widths=4, kept_widths_compiled=3),
        "geglu": FeedForward(lambda d_model, width: 3 * d_model * width, kept_widths=4, kept_widths_compiled=3),
        "gelu": FeedForward(lambda d_model, width: 2 * d_model * width, kept_widths=2, kept_widths_compiled=2),
        "linear": FeedForward(lambda d_model, width: d_model * d_model),
    },
)
"""Without ``attention``, a second attention branch in this place."""


class Gate(NamedTuple):
    """What a gate depends on."""

    constant: bool
    """Whether it is the same for all tokens at a position."""
    per_position: bool = False
    """Whether it has a table over positions, which bounds the length of a sequence."""


GATES = Kinds(
    "gate.kind",
    __name__,
    {
        "none": Gate(constant=True),
        "conditional": Gate(constant=False),
        "unconditional": Gate(constant=True),
        "positional": Gate(constant=True, per_position=True),
        "token_embedding": Gate(constant=False),
        "value_state": Gate(constant=False),
    },
)


class Valve(NamedTuple):
    """What a valve changes."""

    changes_forward: bool
    """Whether the forward pass differs from that of a model without the valve."""
    learns_threshold: bool
    """Whether its threshold can be learned; theta has one value per key-value head then."""


VALVES = Kinds(
    "valve kind",
    __name__,
    {
        "none": Valve(changes_forward=False, learns_threshold=False),
        "v_scale": Valve(changes_forward=True, learns_threshold=True),
        "v_scale_backward_only": Valve(changes_forward=False, learns_threshold=False),
        "v_scale_backward_uniform": Valve(changes_forward=False, learns_threshold=False),
        "v_scale_backward_first": Valve(changes_forward=False, learns_threshold=False),
        "v_scale_forward_only": Valve(changes_forward=True, learns_threshold=True),
    },
)


class Optimiser(NamedTuple):
    """What an optimiser remembers between steps."""

    moments: int
    """Numbers that it keeps per parameter."""
    matrix_moments: int
    """Numbers that it keeps per weight of a matrix inside the layers."""


OPTIMISERS = Kinds(
    "optimiser.kind",
    __name__,
    {
        "adamw": Optimiser(moments=2, matrix_moments=2),
        "sgd": Optimiser(moments=1, matrix_moments=1),
        "rmsprop": Optimiser(moments=1, matrix_moments=1),
        "muon": Optimiser(moments=2, matrix_moments=1),
    },
)
