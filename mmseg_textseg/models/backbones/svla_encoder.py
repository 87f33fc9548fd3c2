"""Language-guided vision encoder of LSMS (III-B, Fig. 4a)."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from mmengine.model import normal_init, trunc_normal_init
from mmseg.models.backbones.mscan import OverlapPatchEmbed, StemConv
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.checkpointing import checkpointed
from ..layers.strict_init import StrictInitModule
from ..text_encoding import require_text
from ..text_features import TextFeatures
from .svla import SVLABlock

STRIP = re.compile(r'(.*\bspatial_gating_unit\.)conv(\d+)_([12])\.(weight|bias)')
SEGNEXT_KERNELS = (7, 11, 21)


@MODELS.register_module()
class SVLAEncoder(StrictInitModule):
    """Up to four stages of SVLA blocks at strides 4, 8, 16 and 32; channels-last throughout.

    Without text (``text_channels=None``) it is SegNeXt's encoder: no language branch is built, and with
    the same weights it equals MMSegmentation's ``MSCAN``.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'`` or ``'large'`` (SegNeXt's widths and depths: the paper's
            Table I is missing), or a dict with ``widths``, ``depths``, ``mlp_ratios``.
        text_channels: width C_l of the text tokens; None is the text-free mode.
        norm_position: ``'pre'`` as SegNeXt's weights need it, or ``'post'`` as eq. 2-3 are printed.
        kernel_sizes: lengths of the strip convolutions (Table III a, b). A checkpoint's are told by their length:
            those of 7, 11 and 21 must be in it, others keep their own initialisation.
        language_scale: ``'text'`` sqrt(C_l) as printed in eq. 8, ``'visual'`` sqrt(C_i).
        fusion: how the words join eq. 10's sum: ``'svla'`` as they are, ``'gate'`` through a gate as in SLViT; see
            :class:`LanguageBranch`.
        pixel_map: whether eq. 9's product with w_v2(V_pre) is there. Default: with ``'svla'``; not with ``'gate'``,
            since SLViT has none.
        out_indices: which stages' maps are returned, ascending, 0 the first. Stages after the last of them are not
            built; those before are, with their norm, since the next stage starts from the normed map.
        with_cp: gradient checkpointing: a block's activations are computed again in backward instead of being kept,
            with the same gradients and running statistics.
        drop_path_rate: at the last block, growing linearly from 0; None takes the variant's.
        in_channels: of the image.
        norm_cfg: norm layer of stem and blocks.
        init_cfg: e.g. ``dict(type='StrictPretrained', checkpoint=<an MSCAN checkpoint>)``. mmengine's
            ``'Pretrained'``, which says nothing when nothing matches, is taken as that too.
    """

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
        fusion: Literal['svla', 'gate'] = 'svla',
        pixel_map: bool | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        with_cp: bool = False,
    ):
        super().__init__(init_cfg)
        if norm_position not in ('pre', 'post'):
            raise ValueError(f"norm_position must be 'pre' or 'post', got {norm_position!r}")
        if fusion not in ('svla', 'gate'):
            raise ValueError(f"fusion must be 'svla' or 'gate', got {fusion!r}")
        if not out_indices or list(out_indices) != sorted(set(out_indices) & set(range(4))):
            raise ValueError(f'out_indices must be stages 0 to 3, ascending and at least one, got {out_indices!r}')
        settings = self._settings(arch)
        widths, depths = settings['widths'], settings['depths']
        rate = settings.get('drop_path_rate', 0.1) if drop_path_rate is None else drop_path_rate
        rates = torch.linspace(0, rate, sum(depths)).tolist()
        self.text_channels = text_channels
        self.kernel_sizes = tuple(kernel_sizes)
        self.out_indices = tuple(out_indices)
        self.with_cp = with_cp
        # What no SegNeXt checkpoint has; everything else must be in it.
        units = [unit for unit, kernel in enumerate(kernel_sizes) if kernel not in SEGNEXT_KERNELS]
        self.new_weights = ('language', *(rf'spatial_gating_unit\.conv{unit}_' for unit in units))
        stages = list(zip(widths, depths, settings['mlp_ratios'], strict=True))
        if len(stages) != 4:
            raise ValueError(f'arch must have four stages, got {len(stages)}; out_indices chooses among them')
        self.out_channels = tuple(widths[i] for i in out_indices)
        language = dict(pixel_map=fusion == 'svla' if pixel_map is None else pixel_map, gate=fusion == 'gate')
        for i, (width, depth, ratio) in enumerate(stages[: out_indices[-1] + 1]):
            if i == 0:
                embed = StemConv(in_channels, width, norm_cfg=norm_cfg)
            else:
                embed = OverlapPatchEmbed(3, 2, widths[i - 1], width, norm_cfg=norm_cfg)
            first = sum(depths[:i])
            blocks = nn.ModuleList(
                SVLABlock(
                    width,
                    text_channels,
                    kernel_sizes,
                    ratio,
                    rates[first + j],
                    norm_position,
                    language_scale,
                    norm_cfg,
                    **language,
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

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint whose strip convolutions are numbered as here: by their length, not by their place.

        Those of a length that is not built are kept under a name that says it, for the report of what was left.
        """
        adapted = {}
        for key, value in state.items():
            strip = STRIP.fullmatch(key)
            if strip is not None:
                stem, unit, side, kind = strip.groups()
                weight = state.get(f'{stem}conv{unit}_{side}.weight')
                kernel = None if weight is None else max(weight.shape[2:])
                if kernel in self.kernel_sizes:
                    key = f'{stem}conv{self.kernel_sizes.index(kernel)}_{side}.{kind}'
                else:
                    key = f'{key} of length {kernel}'
            adapted[key] = value
        return adapted

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            x: images (B, 3, H, W), H and W of at least 1.
            text: encoded sentences; required in text mode, refused in text-free mode.

        Returns:
            A map (B, C_i, ceil(H / s), ceil(W / s)) for each, s = 4, 8, 16, 32, channels-last.
        """
        require_text(self, text)
        x = x.contiguous(memory_format=torch.channels_last)
        maps = []
        for i in range(1, self.out_indices[-1] + 2):
            embed = getattr(self, f'patch_embed{i}')
            x = embed.proj(x)
            if i > 1:  # the stem's sequence holds its norms already
                x = embed.norm(x)
            for block in getattr(self, f'block{i}'):
                x = checkpointed(block, x, text) if self.with_cp else block(x, text)
            norm = getattr(self, f'norm{i}')
            # Channels are last in memory, so layer norm over them needs no copy.
            x = F.layer_norm(x.permute(0, 2, 3, 1), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
            x = x.permute(0, 3, 1, 2)
            if i - 1 in self.out_indices:
                maps.append(x)
        return tuple(maps)
