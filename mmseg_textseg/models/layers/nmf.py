"""Non-negative matrix factorisation with fixed starting bases.

B batch, D channels, N = H W pixels, R rank.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class NMF2d(nn.Module):
    """Low-rank reconstruction of a non-negative map by multiplicative updates (Hamburger).

    The bases start from a seeded buffer rather than from a new draw at each forward: two calls in
    evaluation mode are bit-identical, and the module exports. Bases and coefficients are found
    without autograd; the gradient runs through one last coefficient step (Hamburger's one-step
    gradient).

    Args:
        channels: D of the map.
        rank: R.
        train_steps: updates while training.
        eval_steps: updates in evaluation.
        eps: added to denominators.
        seed: of the starting bases.
    """

    def __init__(
        self,
        channels: int,
        rank: int = 64,
        train_steps: int = 6,
        eval_steps: int = 7,
        eps: float = 1e-6,
        seed: int = 0,
    ):
        super().__init__()
        self.train_steps = train_steps
        self.eval_steps = eval_steps
        self.eps = eps
        bases = torch.rand(channels, rank, generator=torch.Generator().manual_seed(seed))
        self.register_buffer('bases', F.normalize(bases, dim=0))  # (D, R)

    def _step(self, coef: Tensor, projected: Tensor, gram: Tensor) -> Tensor:
        """coef * projected / (coef gram), the multiplicative update of one factor."""
        return coef * projected / (torch.matmul(coef, gram) + self.eps)

    @torch.no_grad()
    def _factorise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, N, D) -> bases (B, D, R), coefficients (B, N, R)."""
        bases = self.bases.to(x.dtype).expand(x.shape[0], -1, -1)
        coef = torch.softmax(torch.matmul(x, bases), dim=-1)  # (B, N, R)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            coef = self._step(coef, torch.matmul(x, bases), bases.mT @ bases)
            bases = self._step(bases, torch.matmul(x.mT, coef), coef.mT @ coef)
        return bases, coef

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W), non-negative -> its rank-R reconstruction, channels-last."""
        # Products over thousands of pixels: half precision would not hold them.
        with torch.autocast(x.device.type, enabled=False):
            flat = rearrange(x, 'b d h w -> b (h w) d').to(torch.promote_types(x.dtype, torch.float32))
            bases, coef = self._factorise(flat)
            coef = self._step(coef, torch.matmul(flat, bases), bases.mT @ bases)
            out = torch.matmul(coef, bases.mT)  # (B, N, R) x (B, R, D) -> (B, N, D)
        return rearrange(out.to(x.dtype), 'b (h w) d -> b d h w', h=x.shape[2])
