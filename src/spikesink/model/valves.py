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

    def forward(self, v_BKTH: Tensor) -> Tensor:
        fixed = v_BKTH.detach()
        if self.kind == "v_scale_backward_only":
            scaled = self.contracted(v_BKTH)
            return fixed + (scaled - scaled.detach())
        if self.kind == "v_scale_forward_only":
            return self.contracted(fixed) + (v_BKTH - fixed)
        if self.kind == "v_scale":
            return self.contracted(v_BKTH)
        raise ValueError(f"valve kind {self.kind!r} is unknown in {__name__}: add the kind there")
