"""Language-guided vision encoder of LSMS (III-B, Fig. 4a)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from mmengine.model import normal_init, trunc_normal_init
from mmseg.models.backbones.mscan import OverlapPatchEmbed, StemConv
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.strict_init import StrictInitModule
from ..text_features import TextFeatures
from .svla import SVLABlock


@MODELS.register_module()
class SVLAEncoder(StrictInitModule):
    """Four stages of SVLA blocks at strides 4, 8, 16 and 32; channels-last throughout.

    Without text (``text_channels=None``) it is SegNeXt's encoder: no language branch is built, and with
    the same weights it equals MMSegmentation's ``MSCAN``.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'`` or ``'large'`` (SegNeXt's widths and depths: the paper's
            Table I is missing), or a dict with ``widths``, ``depths``, ``mlp_ratios``.
        text_channels: width C_l of the text tokens; None is the text-free mode.
        norm_position: ``'pre'`` as SegNeXt's weights need it, or ``'post'`` as eq. 2-3 are printed.
        kernel_sizes: lengths of the strip convolutions (Table III a, b).
        language_scale: ``'text'`` sqrt(C_l) as printed in eq. 8, ``'visual'`` sqrt(C_i).
        drop_path_rate: at the last block, growing linearly from 0; None takes the variant's.
        in_channels: of the image.
        norm_cfg: norm layer of stem and blocks.
        init_cfg: e.g. ``dict(type='StrictPretrained', checkpoint=<an MSCAN checkpoint>)``. mmengine's
            ``'Pretrained'``, which says nothing when nothing matches, is taken as that too.
    """

    # What no SegNeXt checkpoint has; everything else must be in it.
    new_weights = ('language',)

    ARCHS = {
        'tiny': dict(widths=(32, 64, 160, 256), depths=(3, 3, 5, 2), mlp_ratios=(8, 8, 4, 4), drop_path_rate=0.1),
        'small': dict(widths=(64, 128, 320, 512), depths=(2, 2, 4, 2), mlp_ratios=(8, 8, 4, 4), drop_path_rate=0.1),
        'base': dict(widths=(64, 128, 320, 512), depths=(3, 3, 12, 3), mlp_ratios=(8, 8, 4, 4), drop_path_rate=0.1),
        'large': dict(widths=(64, 128, 320, 512), depths=(3, 5, 27, 3), mlp_ratios=(8, 8, 4, 4), drop_path_rate=0.3),
    }

    def __init__(
        self,
        arch: str | dict = 'base',
        text_channels: int | None = 768,
        norm_position: Literal['pre', 'post'] = 'pre',
        kernel_sizes: Sequence[int] = (7, 11, 21),
        language_scale: Literal['text', 'visual'] = 'text',
        drop_path_rate: float | None = None,
        in_channels: int = 3,
        norm_cfg: dict = dict(type='BN', requires_grad=True),
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if norm_position not in ('pre', 'post'):
            raise ValueError(f"norm_position must be 'pre' or 'post', got {norm_position!r}")
        settings = self._settings(arch)
        widths, depths = settings['widths'], settings['depths']
        rate = settings.get('drop_path_rate', 0.1) if drop_path_rate is None else drop_path_rate
        rates = torch.linspace(0, rate, sum(depths)).tolist()
        self.text_channels = text_channels
        self.out_channels = tuple(widths)
        for i, (width, depth, ratio) in enumerate(zip(widths, depths, settings['mlp_ratios'], strict=True)):
            if i == 0:
                embed = StemConv(in_channels, width, norm_cfg=norm_cfg)
            else:
                embed = OverlapPatchEmbed(3, 2, widths[i - 1], width, norm_cfg=norm_cfg)
            first = sum(depths[:i])
            blocks = nn.ModuleList(
                SVLABlock(
                    width, text_channels, kernel_sizes, ratio, rates[first + j], norm_position, language_scale, norm_cfg
                )
                for j in range(depth)
            )
            setattr(self, f'patch_embed{i + 1}', embed)
            setattr(self, f'block{i + 1}', blocks)
            setattr(self, f'norm{i + 1}', nn.LayerNorm(width))

    @classmethod
    def _settings(cls, arch: str | dict) -> dict:
        if isinstance(arch, str):
            if arch not in cls.ARCHS:
                raise ValueError(f'arch must be one of {", ".join(cls.ARCHS)} or a dict, got {arch!r}')
            return cls.ARCHS[arch]
        absent = {'widths', 'depths', 'mlp_ratios'} - set(arch)
        unknown = set(arch) - {'widths', 'depths', 'mlp_ratios', 'drop_path_rate'}
        if absent or unknown:
            raise ValueError(
                'arch as a dict takes widths, depths, mlp_ratios and optionally drop_path_rate; '
                f'absent: {sorted(absent) or "none"}, unknown: {sorted(unknown) or "none"}'
            )
        return arch

    @property
    def uses_text(self) -> bool:
        """Whether ``forward`` needs ``text``."""
        return self.text_channels is not None

    def fresh_weights(self) -> None:
        """SegNeXt's initialisation."""
        for m in self.modules():
            if isinstance(m, nn.Linear):
                trunc_normal_init(m, std=0.02, bias=0.0)
            elif isinstance(m, nn.Conv2d):
                fan_out = m.kernel_size[0] * m.kernel_size[1] * m.out_channels // m.groups
                normal_init(m, mean=0, std=math.sqrt(2.0 / fan_out), bias=0)

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """Maps of the four stages.

        Args:
            x: images (B, 3, H, W), H and W of at least 1.
            text: encoded sentences; required in text mode, refused in text-free mode.

        Returns:
            Four maps (B, C_i, ceil(H / s), ceil(W / s)), s = 4, 8, 16, 32, channels-last.
        """
        if (text is None) == self.uses_text:
            raise ValueError(
                'SVLAEncoder in text-free mode (text_channels=None) takes no text'
                if text is not None
                else f'SVLAEncoder(text_channels={self.text_channels}) needs text=TextFeatures(...); '
                'text_channels=None builds the text-free encoder'
            )
        x = x.contiguous(memory_format=torch.channels_last)
        maps = []
        for i in range(1, 5):
            embed = getattr(self, f'patch_embed{i}')
            x = embed.proj(x)
            if i > 1:  # the stem's sequence holds its norms already
                x = embed.norm(x)
            for block in getattr(self, f'block{i}'):
                x = block(x, text)
            norm = getattr(self, f'norm{i}')
            # Channels are last in memory, so layer norm over them needs no copy.
            x = F.layer_norm(x.permute(0, 2, 3, 1), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
            x = x.permute(0, 3, 1, 2)
            maps.append(x)
        return tuple(maps)
