"""Feed-forward branches (2603.05498 Table 4). The second-attention kind is composed in decoder.py."""

from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.model.context import Context
from spikesink.study.kinds import Kinds
from spikesink.study.settings import FeedForward


class GatedLinearUnit(nn.Module):
    """W_down (activation(W_gate x) * W_up x) (Shazeer, 2002.05202)."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, width, bias=False)
        self.up = nn.Linear(d_model, width, bias=False)
        self.down = nn.Linear(width, d_model, bias=False)

    def activation(self, gate: Tensor) -> Tensor:
        """The activation function of every entry."""
        raise NotImplementedError

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        return self.down(self.activation(self.gate(x_BTD)) * self.up(x_BTD))


class SwiGLU(GatedLinearUnit):
    """A gated linear unit with SiLU."""

    def activation(self, gate: Tensor) -> Tensor:
        return F.silu(gate)


class GeGLU(GatedLinearUnit):
    """A gated linear unit with GELU in the approximation by tanh, as in Gemma."""

    def activation(self, gate: Tensor) -> Tensor:
        return F.gelu(gate, approximate="tanh")


class GELU(nn.Module):
    """W_down gelu(W_up x) with the exact (erf) GELU."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, width, bias=False)
        self.down = nn.Linear(width, d_model, bias=False)

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        return self.down(F.gelu(self.up(x_BTD)))


class SingleLinear(nn.Module):
    """One d_model x d_model matrix."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.matrix = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        return self.matrix(x_BTD)


BUILDERS = Kinds(
    "feed_forward.kind",
    __name__,
    {
        "swiglu": SwiGLU,
        "geglu": GeGLU,
        "gelu": GELU,
        "linear": lambda d_model, width: SingleLinear(d_model),
    },
)


def build_feed_forward(settings: FeedForward, d_model: int) -> nn.Module:
    """The branch of this kind. Raises ValueError for an unknown one."""
    return BUILDERS[settings.kind](d_model, settings.width)
