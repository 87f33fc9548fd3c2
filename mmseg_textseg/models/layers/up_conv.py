"""A convolution of an up-sampled map, without up-sampling it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def upsampled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution (stride 1, padding 1) of a map that was up-sampled 2x by nearest neighbour; exact.

    Each value of the small map is seen by the kernel as a 2 x 2 block, so some of the 9 taps fall on one value and
    their weights add up: 4 instead of 9 products an output. Which they are depends on the output's parity, and all
    four cases together are one transposed convolution of stride 2 with a 4 x 4 kernel, W = A w A^T.

    Args:
        x: (B, C_in, H, W).
        weight: (C_out, C_in, 3, 3).

    Returns:
        (B, C_out, 2H, 2W), equal to ``conv2d(interpolate(x, scale_factor=2), weight, padding=1)``.
    """
    # Row j: which of the three taps an output reaches that lies j - 1 after twice the input's index.
    taps = weight.new_tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])  # A: (4, 3)
    # A w A^T of every pair of channels as one product.
    kernel = weight.flatten(2) @ torch.kron(taps, taps).t()  # (C_out, C_in, 9) x (9, 16)
    kernel = kernel.unflatten(2, (4, 4)).transpose(0, 1)  # (C_in, C_out, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1)
