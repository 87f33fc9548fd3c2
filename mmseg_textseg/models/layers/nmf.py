"""Non-negative matrix factorisation with fixed starting bases, and the Hamburger around it.

B batch, D channels, N = H W pixels, R rank.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from mmseg.models.decode_heads.ham_head import Hamburger
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
        projected = torch.matmul(x, bases)  # (B, N, R); for the start and the first update
        coef = torch.softmax(projected, dim=-1)
        for step in range(self.train_steps if self.training else self.eval_steps):
            if step:
                projected = torch.matmul(x, bases)
            coef = self._step(coef, projected, bases.mT @ bases)
            bases = self._step(bases, torch.matmul(x.mT, coef), coef.mT @ coef)
        return bases, coef

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W), non-negative -> its rank-R reconstruction, channels-last."""
        return self.reconstruct(x)

    def reconstruct(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """The reconstruction, or a linear map of it.

        Args:
            x: (B, D, H, W), non-negative.
            weight: (E, D) of a linear map (a 1 x 1 convolution) of the reconstruction. It goes over the bases, R
                columns instead of N pixels, and the result is (B, E, H, W).
        """
        # Products over thousands of pixels: half precision would not hold them.
        with torch.autocast(x.device.type, enabled=False):
            flat = rearrange(x, 'b d h w -> b (h w) d').to(torch.promote_types(x.dtype, torch.float32))
            bases, coef = self._factorise(flat)
            coef = self._step(coef, torch.matmul(flat, bases), bases.mT @ bases)
            if weight is not None:
                bases = torch.matmul(weight.to(bases.dtype), bases)  # (B, E, R)
            out = torch.matmul(coef, bases.mT)  # (B, N, R) x (B, R, D) -> (B, N, D)
        return rearrange(out.to(x.dtype), 'b (h w) d -> b d h w', h=x.shape[2])


class NMFHamburger(Hamburger):
    """relu(x + norm(W_out NMF(relu(W_in x)))), MMSegmentation's Hamburger around :class:`NMF2d`.

    W_out is applied to the R bases instead of the N pixels of their combination, which is the same product in
    another order.

    Args:
        channels: D of the map.
        rank, train_steps, eval_steps: of :class:`NMF2d`.
        norm_cfg: norm layer after W_out, or None.
    """

    def __init__(self, channels: int, rank: int, train_steps: int, eval_steps: int, norm_cfg: dict | None):
        super().__init__(channels, dict(MD_R=rank), norm_cfg)
        self.ham = NMF2d(channels, rank, train_steps, eval_steps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W)."""
        y = self.ham.reconstruct(F.relu(self.ham_in(x), inplace=True), self.ham_out.conv.weight.flatten(1))
        if self.ham_out.conv.bias is not None:
            y = y + self.ham_out.conv.bias[:, None, None]
        if self.ham_out.with_norm:
            y = self.ham_out.norm(y)
        return F.relu(y + x, inplace=True)
