"""Tiny LAVT parts."""

import pytest

from mmseg_textseg.models import LAVTSwin

TEXT = 12
SWIN = dict(
    embed_dims=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 2, 4), window_size=3, mlp_ratio=2, drop_path_rate=0.0
)  # fmt: skip


@pytest.fixture
def swin() -> dict:
    """Options of a Swin that runs in milliseconds."""
    return dict(SWIN)


@pytest.fixture
def encoder(swin, randomise) -> LAVTSwin:
    """Tiny, text 12 wide, weights drawn anew, in evaluation."""
    return randomise(LAVTSwin(TEXT, **swin)).eval()
