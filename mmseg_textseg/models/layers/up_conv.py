"""A convolution of an up-sampled map, without up-sampling it."""

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Fewer channels make products of matrices too narrow to win over oneDNN's convolution.
WIDE = 96


def upsampled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution (stride 1, padding 1) of a map that was up-sampled 2x by nearest neighbour; exact.

    Each value of the small map is seen by the kernel as a 2 x 2 block, so some of the 9 taps fall on one value and
    their weights add up: 4 instead of 9 products an output. Which they are depends on the output's parity, and all
    four cases together are one transposed convolution of stride 2 with a 4 x 4 kernel, W = A w A^T.
    Wide channels-last maps on a CPU take 9/4 products, as :class:`_ByDifferences` says.

    Args:
        x: (B, C_in, H, W).
        weight: (C_out, C_in, 3, 3).

    Returns:
        (B, C_out, 2H, 2W), equal to ``conv2d(interpolate(x, scale_factor=2), weight, padding=1)``.
    """
    if _wide(x, weight):
        # Rows: the tap that the difference before takes, with its sign, all three, the one that the next takes.
        basis = weight.new_tensor([[-1, 0, 0], [1, 1, 1], [0, 0, 1]])
        kernels = weight.flatten(2) @ torch.kron(basis, basis).t()  # (C_out, C_in, 9)
        return _ByDifferences.apply(x, kernels.permute(2, 1, 0).contiguous().unflatten(0, (3, 3)))
    # Row j: which of the three taps an output reaches that lies j - 1 after twice the input's index.
    taps = weight.new_tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])  # A: (4, 3)
    # A w A^T of every pair of channels as one product.
    kernel = weight.flatten(2) @ torch.kron(taps, taps).t()  # (C_out, C_in, 9) x (9, 16)
    kernel = kernel.unflatten(2, (4, 4)).transpose(0, 1)  # (C_in, C_out, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1)


def _wide(x: Tensor, weight: Tensor) -> bool:
    """Where a product of matrices beats a convolution; a graph that is exported or compiled keeps one operator."""
    return (
        x.device.type == 'cpu'
        and min(weight.shape[:2]) >= WIDE
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.float64)
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


class _ByDifferences(torch.autograd.Function):
    """Three products for two outputs in each direction, and only products of matrices.

    Along one axis, with taps w_0 w_1 w_2, their sum S and d_i = x_i - x_(i-1), which is of the border too,

        y_2i = w_0 x_(i-1) + (w_1 + w_2) x_i = S x_i - w_0 d_i
        y_2i+1 = (w_0 + w_1) x_i + w_2 x_(i+1) = S x_i + w_2 d_(i+1)

    so that S x_i serves both. Along both axes it is 9 products for 4 outputs, of x, its differences d along rows, c
    along columns, and e along both.

    Maps are matrices (L, C) of pixels, each image padded by a row and a column of zeros at its end, L = B (H + 1)
    (W + 1): then a neighbour is a fixed number of rows away, an image's border included.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernels: Tensor) -> Tensor:
        """(B, C_in, H, W) and (3, 3, C_in, C_out), by rows and columns of the basis -> (B, C_out, 2H, 2W)."""
        ctx.save_for_backward(x, kernels)
        (batch, _, height, width), outer = x.shape, kernels.shape[3]
        # No view of another tensor, which autograd would not let the caller change in place.
        out = torch.empty(
            batch,
            outer,
            2 * height,
            2 * width,
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        by_parity = out.permute(0, 2, 3, 1).view(batch, height, 2, width, 2, outer)
        x, d, c, e = _differences(x)
        down, rows = width + 1, len(x) - width - 2
        pixels = x.new_empty(len(x), outer)
        both = x[:rows] @ kernels[1, 1]
        of_row = [torch.addmm(both, d[down * i :][:rows], kernels[2 * i, 1]) for i in (0, 1)]
        of_column = [c[j:][:rows] @ kernels[1, 2 * j] for j in (0, 1)]
        for i, j in product((0, 1), (0, 1)):
            torch.add(of_row[i], of_column[j], out=pixels[:rows])
            pixels[:rows].addmm_(e[down * i + j :][:rows], kernels[2 * i, 2 * j])
            by_parity[:, :, i, :, j] = pixels.view(batch, height + 1, width + 1, outer)[:, :-1, :-1]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, kernels = ctx.saved_tensors
        batch, inner, height, width = x.shape
        down, outer = width + 1, kernels.shape[3]
        padded = grad.new_zeros(2, 2, batch, height + 1, width + 1, outer)
        by_parity = grad.permute(0, 2, 3, 1).reshape(batch, height, 2, width, 2, outer).permute(2, 4, 0, 1, 3, 5)
        padded[..., :-1, :-1, :] = by_parity
        grad = padded.view(2, 2, -1, outer)
        rows = grad.shape[2] - width - 2
        grad = grad[:, :, :rows]
        of_row, of_column = [grad[i, 0] + grad[i, 1] for i in (0, 1)], [grad[0, j] + grad[1, j] for j in (0, 1)]
        # What meets which kernel: gradient, place of the kernel, which map, how many rows ahead.
        terms = [(of_row[0] + of_row[1], (1, 1), 0, 0)]
        terms += [(of_row[i], (2 * i, 1), 1, down * i) for i in (0, 1)]
        terms += [(of_column[j], (1, 2 * j), 2, j) for j in (0, 1)]
        terms += [(grad[i, j], (2 * i, 2 * j), 3, down * i + j) for i, j in product((0, 1), (0, 1))]
        of_x = of_kernels = None
        if ctx.needs_input_grad[1]:
            maps, of_kernels = _differences(x), torch.empty_like(kernels)
            for g, place, index, ahead in terms:
                torch.mm(maps[index][ahead:][:rows].t(), g, out=of_kernels[place])
        if ctx.needs_input_grad[0]:
            of_x, d, c, e = grad.new_zeros(4, padded[0, 0].numel() // outer, inner)
            for g, place, index, ahead in terms:
                (of_x, d, c, e)[index][ahead:][:rows].addmm_(g, kernels[place].t())
            # The differences undone, last first.
            d += e
            d[:-1] -= e[1:]
            of_x += c
            of_x[:-1] -= c[1:]
            of_x += d
            of_x[:-down] -= d[down:]
            of_x = of_x.view(batch, height + 1, width + 1, inner)[:, :-1, :-1].permute(0, 3, 1, 2)
        return of_x, of_kernels


def _differences(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The padded map as a matrix (L, C), and its differences to the row above, the pixel before, and of both."""
    down = x.shape[3] + 1
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 1, 0, 1)).flatten(0, 2)
    d, c = x.clone(), x.clone()
    d[down:] -= x[:-down]
    c[1:] -= x[:-1]
    e = d.clone()
    e[1:] -= d[:-1]
    return x, d, c, e
