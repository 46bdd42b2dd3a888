"""Maps on value vectors before attention mixes them: V-scale (2603.17771 section 5.1)."""

import torch
from torch import Tensor, nn

from spikesink.settings import Value


class VScale(nn.Module):
    """v -> v r / (r + C) with r = |v|^2, per value head; C = d_model head_dim std^2 exp(theta).

    Its Jacobian has the eigenvalues r / (r + C) across v and (r^2 + 3 C r) / (r + C)^2 along v, so it throttles the
    gradient of value vectors that are short against C, which the values of sink tokens are. theta is learned from 0,
    one per key-value head. ``backward_only`` returns v itself, bit for bit, with the gradient of the map at theta = 0,
    which is frozen because the surrogate would give it a gradient that the forward pass does not have.
    """

    def __init__(self, settings: Value, *, d_model: int, head_dim: int, heads: int) -> None:
        super().__init__()
        self.backward_only = settings.kind == "v_scale_backward_only"
        self.initial_c = d_model * head_dim * settings.init_std**2
        theta = torch.zeros(heads)
        if self.backward_only:
            self.register_buffer("theta", theta, persistent=False)
        else:
            self.theta = nn.Parameter(theta)

    def forward(self, v_BKTH: Tensor) -> Tensor:
        v = v_BKTH.float()
        c = (self.initial_c * self.theta.exp())[:, None, None]
        r = v.square().sum(dim=-1, keepdim=True)
        scaled = (v * (r / (r + c))).to(v_BKTH.dtype)
        if self.backward_only:
            return v_BKTH.detach() + (scaled - scaled.detach())
        return scaled
