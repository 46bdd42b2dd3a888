"""Norms of the residual branches, of queries and of keys (2603.05498 Table 5).

Which norm stands where is in spikesink.study.kinds. A norm says here how it is built, what its parameters start from,
and what a measure needs to know of it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.study.kinds import Kinds
from spikesink.study.settings import Norm


class AnyNorm(nn.Module):
    """What a measure asks of a norm; every norm answers all of it."""

    kind: str
    """Name of the norm in tables."""

    @property
    def gain(self) -> Tensor | None:
        """Learned factor of each channel [width], applied last; None: there is none."""
        raise NotImplementedError

    def before_gain(self, x: Tensor) -> Tensor:
        """The norm's output before the gain, in float32."""
        raise NotImplementedError

    def bound(self, width: int) -> float | None:
        """Largest possible magnitude of an entry of ``before_gain``; None: unbounded."""
        raise NotImplementedError

    def jacobian_bound(self, x: Tensor) -> Tensor | None:
        """Largest factor [B, T] by which the norm's Jacobian at ``x`` [B, T, width] can stretch a gradient.

        None: no bound is known that depends on the norm of x alone.
        """
        raise NotImplementedError


class NoNorm(AnyNorm):
    """x itself."""

    kind = "none"
    gain = None

    def forward(self, x: Tensor) -> Tensor:
        return x

    def before_gain(self, x: Tensor) -> Tensor:
        return x.float()

    def bound(self, width: int) -> None:
        return None

    def jacobian_bound(self, x: Tensor) -> None:
        return None


class RMSNorm(AnyNorm):
    """g * x / sqrt(mean(x^2) + eps), computed in float32 and returned in the input's dtype."""

    kind = "rms"

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)

    @property
    def gain(self) -> Tensor:
        return self.weight

    def before_gain(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], eps=self.eps)

    def bound(self, width: int) -> float:
        """sqrt(width) (2603.05498 Eq 23)."""
        return width**0.5

    def jacobian_bound(self, x: Tensor) -> Tensor:
        """||g||_inf / sqrt(mean(x^2) + eps) (2603.17771, Theorem 2)."""
        return self.weight.detach().float().abs().max() / (x.square().mean(dim=-1) + self.eps).sqrt()


class DynamicTanh(AnyNorm):
    """w * tanh(alpha * x): one learned slope alpha, one learned weight per channel, no bias."""

    kind = "dyt"

    def __init__(self, width: int, alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * torch.tanh(self.alpha * x)

    @property
    def gain(self) -> Tensor:
        return self.weight

    def before_gain(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha.float() * x.float())

    def bound(self, width: int) -> float:
        return 1.0

    def jacobian_bound(self, x: Tensor) -> None:
        """None: its factor differs from channel to channel."""
        return None


BUILDERS = Kinds(
    "norm",
    __name__,
    {
        "rms": lambda width, settings, is_attention: RMSNorm(width, settings.eps),
        "dyt": lambda width, settings, is_attention: DynamicTanh(width, initial_slope(settings, is_attention)),
    },
)


def build_norm(name: str | None, settings: Norm, width: int, is_attention: bool) -> AnyNorm:
    """The norm of this name over ``width`` channels, in the first (attention) or second branch of a layer; None: none.

    Raises ValueError for an unknown name.
    """
    return NoNorm() if name is None else BUILDERS[name](width, settings, is_attention)


def initial_norm(settings: Norm, name: str, shape: torch.Size, is_attention: bool) -> Tensor:
    """The float32 value that a norm's parameter ``name``, weight or alpha, starts from. Raises ValueError."""
    starts = Kinds("norm parameter", __name__, {"weight": 1.0, "alpha": initial_slope(settings, is_attention)})
    return torch.full(shape, starts[name])


def initial_slope(settings: Norm, is_attention: bool) -> float:
    """DynamicTanh's alpha before training."""
    return settings.dyt_alpha_attention if is_attention else settings.dyt_alpha_feed_forward
