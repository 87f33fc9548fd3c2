"""LSMS from stock-style modules: what ours is timed against.

MMSegmentation's MSCAN with its blocks of tokens, its LightHamHead and NMF2D, torch's instance norm, a contrastive loss
over the whole pair matrix; maps in NCHW. With the same weights it says what ours says; only the gradient of the
factorisation differs, which MMSegmentation takes through all iterations. Without text it is SegNeXt, decoded at the
size of stage 1.

B batch, C channels, H W size of a stage's map, N = H W pixels, T tokens, C_l text width.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.models.backbones import MSCAN
from mmseg.models.backbones.mscan import MSCAAttention, MSCABlock, MSCASpatialAttention
from mmseg.models.decode_heads import LightHamHead
from mmseg.models.decode_heads.ham_head import NMF2D
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor, nn

from ..models import TextFeatures


class StockLanguage(nn.Module):
    """Eq. 5-9 of LSMS in plain modules; see :class:`mmseg_textseg.models.backbones.svla.LanguageBranch`."""

    def __init__(self, channels: int, text_channels: int):
        super().__init__()
        self.v1, self.v2, self.out = (
            nn.Sequential(nn.Conv2d(channels, channels, 1), nn.InstanceNorm2d(channels)) for _ in range(3)
        )
        self.l1, self.l2 = (nn.Linear(text_channels, channels) for _ in range(2))
        self.scale = math.sqrt(text_channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        query = self.v1(x).flatten(2).transpose(1, 2)  # (B, N, C)
        score = query @ self.l1(text.tokens).transpose(1, 2) / self.scale  # (B, N, T)
        weights = score.masked_fill(~text.mask[:, None], float('-inf')).softmax(-1)
        words = (weights @ self.l2(text.tokens)).transpose(1, 2).reshape(x.shape)
        return self.out(words) * self.v2(x)


class StockAttention(MSCAAttention):
    """MSCAN's attention with the language branch in its sum."""

    def __init__(self, channels: int, text_channels: int):
        super().__init__(channels)
        self.language = StockLanguage(channels, text_channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        pre = self.conv0(x)
        strips = [getattr(self, f'conv{i}_2')(getattr(self, f'conv{i}_1')(pre)) for i in range(3)]
        return self.conv3(sum(strips, pre) + self.language(pre, text)) * x


class StockSpatialAttention(MSCASpatialAttention):
    """MSCAN's, that hands text on."""

    def __init__(self, channels: int, text_channels: int):
        super().__init__(channels)
        self.spatial_gating_unit = StockAttention(channels, text_channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x)), text)) + x


class StockBlock(MSCABlock):
    """MSCAN's block of tokens, that hands text on."""

    def __init__(self, channels: int, text_channels: int, **kwargs):
        super().__init__(channels, **kwargs)
        self.attn = StockSpatialAttention(channels, text_channels)

    def forward(self, x: Tensor, height: int, width: int, text: TextFeatures) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        batch, pixels, channels = x.shape
        x = x.permute(0, 2, 1).view(batch, channels, height, width)
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x), text))
        x = x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))
        return x.view(batch, channels, pixels).permute(0, 2, 1)


class StockEncoder(MSCAN):
    """MSCAN, whose blocks get the words."""

    def __init__(self, text_channels: int, **kwargs):
        super().__init__(**kwargs)
        widths, ratios, rate = kwargs['embed_dims'], kwargs['mlp_ratios'], kwargs['drop_path_rate']
        rates = iter(torch.linspace(0, rate, sum(self.depths)).tolist())
        for stage, depth in enumerate(self.depths):
            options = dict(mlp_ratio=ratios[stage], norm_cfg=kwargs['norm_cfg'])
            blocks = (StockBlock(widths[stage], text_channels, drop_path=next(rates), **options) for _ in range(depth))
            setattr(self, f'block{stage + 1}', nn.ModuleList(blocks))

    def forward(self, x: Tensor, text: TextFeatures) -> list[Tensor]:
        """Images (B, 3, H, W) -> maps at strides 4, 8, 16, 32, contiguous."""
        maps = []
        for stage in range(1, self.num_stages + 1):
            x, height, width = getattr(self, f'patch_embed{stage}')(x)
            for block in getattr(self, f'block{stage}'):
                x = block(x, height, width, text)
            x = getattr(self, f'norm{stage}')(x)
            x = x.reshape(len(x), height, width, -1).permute(0, 3, 1, 2).contiguous()
            maps.append(x)
        return maps


class SeededNMF2D(NMF2D):
    """NMF2D with its bases in the state dict, (1, D, R), instead of a new draw a call."""

    def __init__(self, channels: int, rank: int):
        super().__init__(dict(MD_R=rank, rand_init=False))
        self.register_buffer('bases', self._build_bases(1, 1, channels, rank, device='cpu'))


class StockHead(LightHamHead):
    """LightHamHead at the size of stage 1: resized, concatenated, squeezed; the losses of LSMS beside.

    Args:
        rank: of the factorisation.
        text_channels: width of the text, for the contrastive loss; None for none.
        contrast_weight: alpha of eq. 15.
        **kwargs: of ``LightHamHead``.
    """

    def __init__(self, rank: int, text_channels: int | None, contrast_weight: float = 0.125, **kwargs):
        super().__init__(**kwargs)
        self.hamburger.ham = SeededNMF2D(self.ham_channels, rank)
        self.text_proj = None if text_channels is None else nn.Linear(text_channels, self.channels)
        self.contrast_weight = contrast_weight

    def decode(self, inputs: Sequence[Tensor]) -> Tensor:
        """Final features (B, channels, H / 4, W / 4)."""
        grow = dict(size=inputs[0].shape[2:], mode='bilinear', align_corners=self.align_corners)
        x = torch.cat([resize(level, **grow) for level in self._transform_inputs(inputs)], dim=1)
        return self.align(self.hamburger(self.squeeze(x)))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (B, classes, H / 4, W / 4)."""
        return self.cls_seg(self.decode(inputs))

    def loss(self, inputs: Sequence[Tensor], samples: SampleList, text: TextFeatures | None = None) -> dict:
        """Losses and accuracy, named as ours."""
        features = self.decode(inputs)
        losses = self.loss_by_feat(self.cls_seg(features), samples)
        if self.text_proj is not None:
            mask = self._stack_batch_gt(samples).float()
            small = F.interpolate(mask, size=features.shape[2:], mode='nearest-exact')[:, 0]
            losses['loss_con'] = self.contrast_weight * naive_contrast(features, self.text_proj(text.pooled), small)
        return losses


def naive_contrast(features: Tensor, language: Tensor, mask: Tensor, tau: float = 0.1) -> Tensor:
    """Eq. 14 with the logarithm, as it is written: each image's matrix of pairs is held, and differentiated.

    Args:
        features: (B, C, H, W).
        language: (B, C).
        mask: (B, H, W), 1 positive, 0 negative. An image without either is not for this form.
        tau: temperature.
    """
    features, language = F.normalize(features, dim=1), F.normalize(language, dim=1)
    losses = []
    for pixels, word, label in zip(features, language, mask, strict=True):
        positive, negative = pixels[:, label == 1].T, pixels[:, label == 0].T  # (P, C), (Q, C)
        near = (positive @ word / tau).exp()
        far = (positive @ negative.T / tau).exp().sum(1)
        losses.append(-(near / (near + far)).log().mean())
    return torch.stack(losses).mean()


class StockSegmentor(nn.Module):
    """Encoder and head.

    Args:
        backbone: arguments of ``MSCAN``.
        head: arguments of :class:`StockHead`, ``text_channels`` excepted.
        text_channels: C_l; None is SegNeXt with MMSegmentation's own ``MSCAN``.
    """

    def __init__(self, backbone: dict, head: dict, text_channels: int | None):
        super().__init__()
        self.backbone = MSCAN(**backbone) if text_channels is None else StockEncoder(text_channels, **backbone)
        self.decode_head = StockHead(text_channels=text_channels, **head)

    def load_ours(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of an LSMS; without text, but for those that only words pass through.

        Args:
            state: state dict of a ``TextEncoderDecoder`` of ``SVLAEncoder`` and ``FullScaleHead``.
        """
        mapped = {key: value for key, value in state.items() if not key.startswith('text_encoder.')}
        if self.decode_head.text_proj is None:
            mapped = {key: value for key, value in mapped.items() if '.language.' not in key and 'text_proj' not in key}
        mapped['decode_head.hamburger.ham.bases'] = mapped['decode_head.hamburger.ham.bases'][None]
        # Plain modules have biases that the instance norm behind them takes away again; ours may have none there.
        own = {
            key: value for key, value in self.state_dict().items() if '.language.' in key and key.endswith('.0.bias')
        }
        mapped = {**{key: torch.zeros_like(value) for key, value in own.items()}, **mapped}
        self.load_state_dict(mapped, strict=True)

    def _maps(self, x: Tensor, text: TextFeatures | None) -> list[Tensor]:
        return self.backbone(x) if text is None else self.backbone(x, text)

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, classes, H / 4, W / 4)."""
        return self.decode_head(self._maps(x, text))

    def loss(self, x: Tensor, samples: SampleList, text: TextFeatures | None = None) -> dict:
        """Losses of a batch."""
        return self.decode_head.loss(self._maps(x, text), samples, text)
