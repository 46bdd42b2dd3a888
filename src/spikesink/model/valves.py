"""Contractions of short vectors in the attention branch: V-scale (2603.17771 section 5.1) and its controls."""

import torch
from torch import Tensor, nn

from spikesink.study.kinds import VALVES
from spikesink.study.settings import Valve

PART = "valves"


class AttentionValve(nn.Module):
    """v -> v r / (r + C) with r = |v|^2, per key-value head; C = c_factor d_model head_dim std^2 exp(theta).

    Its Jacobian has the eigenvalues r / (r + C) across v and (r^2 + 3 C r) / (r + C)^2 along v. So it throttles the
    gradient of vectors that are short compared with C, and the values of sink tokens are short. theta is learned from
    0, one per key-value head, unless C is fixed.

    * v_scale: the map and its gradient.
    * v_scale_backward_only: returns v itself, bit for bit; its gradient is that of the map at theta = 0. C is fixed,
      because theta would get a gradient although the forward pass does not depend on it.
    * v_scale_backward_uniform: returns v itself; the gradients of all tokens of a sequence and head are multiplied by
      one number, the mean eigenvalue of their Jacobians. So it throttles as much on average and selects nothing.
    * v_scale_backward_first: returns v itself; the gradient of token 0 is that of the map, the others pass unchanged.
    * v_scale_forward_only: returns the contracted vector; its gradient reaches v unchanged.
    """

    def __init__(self, settings: Valve, *, d_model: int, head_dim: int, heads: int, std: float) -> None:
        super().__init__()
        self.kind = settings.kind
        self.facts = VALVES[settings.kind]
        self.initial_c = settings.c_factor * d_model * head_dim * std**2
        self.theta: nn.Parameter | None = None
        if settings.c == "learned" and self.facts.learns_threshold:
            self.theta = nn.Parameter(torch.zeros(heads))

    def contracted(self, v_BKTH: Tensor) -> Tensor:
        """v r / (r + C), computed in float32."""
        v = v_BKTH.float()
        c = self.initial_c if self.theta is None else (self.initial_c * self.theta.float().exp())[:, None, None]
        r = v.square().sum(dim=-1, keepdim=True)
        return (v * (r / (r + c))).to(v_BKTH.dtype)

    def mean_eigenvalue(self, v_BKTH: Tensor) -> Tensor:
        """The mean eigenvalue of the map's Jacobian [B, K, 1, 1] over channels and tokens, in float32."""
        c, width = self.initial_c, v_BKTH.shape[-1]
        r = v_BKTH.float().square().sum(dim=-1, keepdim=True)
        across, along = r / (r + c), (r.square() + 3 * c * r) / (r + c).square()
        return (((width - 1) * across + along) / width).mean(dim=-2, keepdim=True)

    def forward(self, v_BKTH: Tensor) -> Tensor:
        fixed = v_BKTH.detach()
        if self.kind == "v_scale_backward_only":
            return with_gradient_of(self.contracted(v_BKTH), fixed)
        if self.kind == "v_scale_backward_uniform":
            return with_gradient_of((self.mean_eigenvalue(fixed) * v_BKTH).to(v_BKTH.dtype), fixed)
        if self.kind == "v_scale_backward_first":
            first, later = v_BKTH.split([1, v_BKTH.shape[2] - 1], dim=2)
            return with_gradient_of(torch.cat((self.contracted(first), later), dim=2), fixed)
        if self.kind == "v_scale_forward_only":
            return self.contracted(fixed) + (v_BKTH - fixed)
        if self.kind == "v_scale":
            return self.contracted(v_BKTH)
        raise ValueError(f"valve kind {self.kind!r} is unknown in {__name__}: add the kind there")


def with_gradient_of(scaled: Tensor, value: Tensor) -> Tensor:
    """``value``, bit for bit, with the gradient of ``scaled``."""
    return value + (scaled - scaled.detach())
