"""Language-aware vision encoder of LAVT (Yang et al., CVPR 2022, 3.1-3.3): Swin with words after each stage."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from einops import rearrange
from mmengine.logging import print_log
from mmengine.model import constant_init, trunc_normal_init
from mmseg.models.backbones import SwinTransformer
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.strict_init import StrictInitModule
from ..text_encoding import require_text
from ..text_features import TextFeatures
from .pixel_word_attention import LanguageGate, PixelWordAttention


@MODELS.register_module()
class LAVTSwin(SwinTransformer, StrictInitModule):
    """MMSegmentation's Swin with pixel-word attention after each stage, and a gated way into the next one.

    Stage i makes V_i, the attention F_i of V_i and the words. The decoder sees F_i, through the layer norm that the
    stock class has for each output; the next stage sees V_i + S_i * F_i, through its patch merging. The last stage
    has no gate, as nothing follows. With all gates at zero the V_i are those of the stock class.

    Args:
        text_channels: width C_t of the text tokens; None is the text-free mode: the stock class.
        fusion_heads: heads of the pixel-word attention of each stage; one number is meant for all.
        fusion_act_cfg: activation in the pixel-word attention.
        init_cfg: e.g. ``dict(type='StrictPretrained', checkpoint=<a Swin of MMSegmentation>)``; Swin's own files are
            to be converted by MMSegmentation's ``swin2mmseg.py``. mmengine's ``'Pretrained'``, which says nothing
            when nothing matches, is taken as that too.
        **kwargs: of :class:`mmseg.models.backbones.SwinTransformer`.

    Raises:
        ValueError: heads do not fit the stages, or the last stage is not among ``out_indices``.
    """

    # What no Swin checkpoint has: the language parts; and those trained to classify lack the norms of the outputs.
    new_weights = (r'^fusions\.', r'^gates\.', r'^norm\d+\.')
    variant_options = 'embed_dims, depths, num_heads, patch_size, mlp_ratio and qkv_bias'

    def __init__(
        self,
        text_channels: int | None = 768,
        fusion_heads: int | Sequence[int] = 1,
        fusion_act_cfg: dict = dict(type='ReLU'),
        init_cfg: dict | None = None,
        **kwargs,
    ):
        super().__init__(init_cfg=init_cfg, **kwargs)
        widths, last = self.num_features, len(self.stages) - 1
        if last not in self.out_indices:
            raise ValueError(
                f'out_indices={tuple(self.out_indices)} leaves the last of {last + 1} stages unused: '
                f'add {last}, or shorten depths, num_heads and strides'
            )
        heads = [fusion_heads] * len(widths) if isinstance(fusion_heads, int) else list(fusion_heads)
        if len(heads) != len(widths):
            raise ValueError(f'fusion_heads={tuple(heads)} must be one number, or one for each of {len(widths)} stages')
        self.text_channels = text_channels
        self.out_channels = tuple(widths[i] for i in sorted(self.out_indices))
        if text_channels is not None:
            self.fusions = nn.ModuleList(
                PixelWordAttention(c, text_channels, h, fusion_act_cfg) for c, h in zip(widths, heads, strict=True)
            )
            self.gates = nn.ModuleList(LanguageGate(c) for c in widths[:-1])

    @property
    def uses_text(self) -> bool:
        """Whether ``forward`` needs ``text``."""
        return self.text_channels is not None

    def train(self, mode: bool = True) -> 'LAVTSwin':
        """As the stock class, which returns None instead of itself."""
        super().train(mode)
        return self

    def init_weights(self) -> None:
        """Fresh weights, then strictly those of ``init_cfg``; the stock class loads what happens to match."""
        StrictInitModule.init_weights(self)

    def fresh_weights(self) -> None:
        """Swin's initialisation, of the gates too, which start nearly shut; the attention keeps PyTorch's."""
        fusions = set(self.fusions.modules()) if self.uses_text else ()
        for m in self.modules():
            if isinstance(m, nn.Linear) and m not in fusions:
                trunc_normal_init(m, std=0.02, bias=0.0)
            elif isinstance(m, nn.LayerNorm):
                constant_init(m, val=1.0, bias=0.0)

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's state with its position biases resized to this model's windows, as the stock class does.

        A prefix ``backbone.`` is taken off, as there. Which bias belongs to which pair of pixels follows from the
        window's size alone and is not taken from the checkpoint.
        """
        if any(k.startswith('backbone.') for k in state):
            state = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
        state, own = dict(state), self.state_dict()
        for key in [k for k in own if k.endswith('relative_position_bias_table') and k in state]:
            state[key] = _resized_table(state[key], len(own[key]), key)
            index = key.replace('bias_table', 'index')
            state[index] = own[index]
        return state

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """Language-aware maps of the stages in ``out_indices``.

        Args:
            x: images (B, 3, H, W), H and W of at least 1; Swin pads them to its patches and windows.
            text: encoded sentences; required in text mode, refused in text-free mode.

        Returns:
            Maps (B, C_i, ceil(H / s), ceil(W / s)), s = 4, 8, 16, 32, channels-last where there is text.

        Raises:
            ValueError: text where there must be none or none where there must be, of another width, or not one
                sentence an image.
        """
        self._check(x, text)
        if text is None:
            return tuple(super().forward(x))
        x, size = self.patch_embed(x)
        if self.use_abs_pos_embed:
            x = x + self.absolute_pos_embed
        x = self.drop_after_pos(x)
        maps = []
        for i, stage in enumerate(self.stages):
            for block in stage.blocks:
                x = block(x, size)
            fused = self.fusions[i](x, text)
            if i in self.out_indices:
                maps.append(rearrange(getattr(self, f'norm{i}')(fused), 'b (h w) c -> b c h w', h=size[0]))
            if stage.downsample is not None:
                x, size = stage.downsample(x + self.gates[i](fused), size)
        return tuple(maps)

    def _check(self, x: Tensor, text: TextFeatures | None) -> None:
        require_text(self, text)
        if text is not None and (text.tokens.shape[0], text.tokens.shape[2]) != (x.shape[0], self.text_channels):
            raise ValueError(
                f'LAVTSwin(text_channels={self.text_channels}) needs a sentence an image, {self.text_channels} wide: '
                f'got {x.shape[0]} images and tokens (B, T, C) of {tuple(text.tokens.shape)}'
            )


def _resized_table(table: Tensor, length: int, key: str) -> Tensor:
    """Relative position biases ((2w - 1)^2, heads) of one window size as those of another, by bicubic interpolation."""
    old, new = round(len(table) ** 0.5), round(length**0.5)
    if old == new:
        return table
    print_log(f'LAVTSwin: {key} resized from windows of {(old + 1) // 2} to {(new + 1) // 2}', logger='current')
    grid = rearrange(table, '(h w) c -> 1 c h w', h=old)
    grid = F.interpolate(grid, size=(new, new), mode='bicubic', align_corners=False)
    return rearrange(grid, '1 c h w -> (h w) c')
