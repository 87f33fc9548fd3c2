"""Maps stay channels-last from image to logits: no block turns, flattens or copies one."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_textseg.models import FullScaleHead, SVLAEncoder

COPIES = ('aten.clone', 'aten.copy_', 'aten._to_copy', 'aten.contiguous')
WIDTHS = (8, 16, 24, 32)


class Copies(TorchDispatchMode):
    """Copies of tensors of at least ``least`` numbers, and the layouts that convolutions give."""

    def __init__(self, least: int):
        super().__init__()
        self.least = least
        self.found: list[str] = []
        self.layouts: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = str(func)
        if name.startswith(COPIES) and out.numel() >= self.least:
            self.found.append(f'{name} {tuple(out.shape)}')
        if name.startswith('aten.convolution.'):
            self.layouts.append(out.is_contiguous(memory_format=torch.channels_last))
        return out


@pytest.fixture
def parts():
    arch = dict(widths=WIDTHS, depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
    encoder = SVLAEncoder(arch, text_channels=12)
    norm = dict(type='GN', num_groups=4)
    head = FullScaleHead(in_channels=WIDTHS[1:], ham_channels=24, channels=16, rank=4, norm_cfg=norm)
    return encoder.to(memory_format=torch.channels_last), head.to(memory_format=torch.channels_last)


def test_prediction_copies_no_map(parts, make_text):
    encoder, head = (part.eval() for part in parts)
    x, text = torch.randn(2, 3, 64, 96).contiguous(memory_format=torch.channels_last), make_text((5, 3), 12)
    smallest = 2 * WIDTHS[-1] * (64 // 32) * (96 // 32)
    with torch.no_grad(), Copies(smallest) as copies:
        head(encoder(x, text))
    assert not copies.found
    assert len(copies.layouts) > 50
    assert all(copies.layouts)


def test_an_image_in_the_usual_layout_is_copied_once(parts, make_text):
    encoder, head = (part.eval() for part in parts)
    with torch.no_grad(), Copies(2 * 3 * 64 * 64) as copies:
        head(encoder(torch.randn(2, 3, 64, 64), make_text((5, 3), 12)))
    assert copies.found == ['aten.clone.default (2, 3, 64, 64)']


def test_a_training_step_turns_maps_for_long_rows_only(parts, make_text):
    """There and back for the row kernel of 21, in each of the four stages' blocks."""
    encoder, head = (part.train() for part in parts)
    x, text = torch.randn(2, 3, 64, 96).contiguous(memory_format=torch.channels_last), make_text((5, 3), 12)
    with Copies(2 * WIDTHS[-1] * 2 * 3) as copies:
        head(encoder(x, text)).square().mean().backward()
    assert all(copies.layouts)
    assert len([c for c in copies.found if c.startswith('aten.clone')]) == 4 * 2
