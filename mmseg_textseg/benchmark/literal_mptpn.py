"""MPTPN as its equations read, in plain PyTorch: what ours is timed against.

Maps are NCHW; tokens are flattened from maps and folded back; what is up-sampled is so before it is convolved; scores
of attention are held. Submodules have the names that ours have, so that one state fits both.
B batch, C channels of the first scale, N patches, T tokens. Equations and sections: see the models' own files.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Ours -> here, where ours is a module of mmcv that holds another.
RENAMED = {
    r'attn\.attn\.in_proj_': 'attn.qkv.',
    r'attn\.attn\.out_proj\.': 'attn.proj.',
    r'ffn\.layers\.0\.0\.': 'ffn.0.',
    r'ffn\.layers\.1\.': 'ffn.3.',
    r'gate\.conv\.conv\.': 'gate.conv.',
}


def literal_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of our model, or of a part of it, with the names that it has here."""
    renamed = {}
    for key, value in state.items():
        for pattern, name in RENAMED.items():
            key = re.sub(pattern, name, key)
        renamed[key] = value
    return renamed


class ConvBN(nn.Module):
    """ReLU(BN(Conv())) of 2-D maps, or of (B, C, L) with ``one_d``."""

    def __init__(self, inner: int, outer: int, kernel: int = 3, one_d: bool = False):
        super().__init__()
        conv, norm = (nn.Conv1d, nn.BatchNorm1d) if one_d else (nn.Conv2d, nn.BatchNorm2d)
        self.conv, self.bn = conv(inner, outer, kernel, padding=kernel // 2, bias=False), norm(outer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V in each head, projected; (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, patches, channels = x.shape
        q, k, v = self.qkv(x).reshape(batch, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (channels // self.heads) ** 0.5  # (B, heads, N, N)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))


class Transformer(nn.Module):
    """Y' = MSA(LN Y) + Y, Y = MLP(LN Y') + Y', eq. 3 and 5."""

    def __init__(self, channels: int, heads: int, dropout: float):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn, self.drop = Attention(channels, heads), nn.Dropout(dropout)
        wide = 4 * channels
        drop = nn.Dropout(dropout)
        self.ffn = nn.Sequential(nn.Linear(channels, wide), nn.GELU(), drop, nn.Linear(wide, channels), drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.attn(self.ln1(x))) + x
        return self.ffn(self.ln2(x)) + x


class PatchEmbedding(nn.Module):
    """Convolution with the stride of its kernel, flattened, plus positions."""

    def __init__(self, channels: int, patch_size: int, grid: tuple[int, int], dropout: float):
        super().__init__()
        self.embed = nn.ModuleDict(dict(projection=nn.Conv2d(channels, channels, patch_size, patch_size)))
        self.position, self.drop = nn.Parameter(torch.zeros(1, channels, *grid)), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed['projection'](x).flatten(2).transpose(1, 2)
        return self.drop(x + self.position.flatten(2).transpose(1, 2))


def along_patches(conv: nn.Module, tokens: Tensor) -> Tensor:
    """ConvBN of eq. 4 and 6: (B, N, C) -> (B, N, C')."""
    return conv(tokens.transpose(1, 2)).transpose(1, 2)


class LiteralPPE(nn.Module):
    """Eq. 1-7; the sentence fills all T tokens, so that there is no padding to keep out."""

    def __init__(self, base: int, side: int, text_channels: int, tokens: int, patch: int, heads: int, dropout: float):
        super().__init__()
        widths, self.patch_sizes = (base, 2 * base, 4 * base), (patch, patch // 2, patch // 4)
        self.grid = (side // patch, side // patch)
        self.stem = ConvBN(3, base)
        self.down_blocks = nn.ModuleList(
            nn.Sequential(ConvBN(c, 2 * c), nn.MaxPool2d(2)) for c in (base, 2 * base)
        )  # fmt: skip
        inner, outer = (text_channels, 8 * base, 4 * base, 2 * base), (8 * base, 4 * base, 2 * base, base)
        convs = nn.ModuleList(nn.Conv1d(i, o, 3, padding=1) for i, o in zip(inner, outer, strict=True))
        self.text_convs = nn.ModuleDict(dict(convs=convs))
        self.mixing = nn.ModuleDict(dict(conv=ConvBN(tokens, self.grid[0] * self.grid[1], one_d=True)))
        self.patches = nn.ModuleList(
            PatchEmbedding(c, size, self.grid, dropout) for c, size in zip(widths, self.patch_sizes, strict=True)
        )
        self.down_vits, self.up_vits = (
            nn.ModuleList(nn.Sequential(Transformer(c, heads, dropout)) for c in widths) for _ in range(2)
        )
        self.down_convs, self.up_convs = (
            nn.ModuleList(ConvBN(c, c // 2, one_d=True) for c in widths[1:]) for _ in range(2)
        )
        self.fusion = nn.ModuleList(ConvBN(c, c, 1) for c in widths)

    def forward(self, image: Tensor, text: Tensor) -> list[Tensor]:
        x1 = self.stem(image)
        x2 = self.down_blocks[0](x1)
        x3 = self.down_blocks[1](x2)
        words = text.transpose(1, 2)
        for conv in self.text_convs['convs']:
            words = conv(words)
        p1, p2, p3 = (embed(x) for embed, x in zip(self.patches, (x1, x2, x3), strict=True))
        p1 = p1 + self.mixing['conv'](words.transpose(1, 2))
        y1 = self.down_vits[0](p1)
        y2 = torch.cat([along_patches(self.down_convs[0], self.down_vits[1](p2)), y1], dim=2)
        y3 = torch.cat([along_patches(self.down_convs[1], self.down_vits[2](p3)), y2], dim=2)
        y3 = self.up_vits[2](y3)
        y2 = self.up_vits[1](y2) + along_patches(self.up_convs[1], y3)
        y1 = self.up_vits[0](y1) + along_patches(self.up_convs[0], y2)
        outputs = []
        for x, y, conv, size in zip((x1, x2, x3), (y1, y2, y3), self.fusion, self.patch_sizes, strict=True):
            y = y.transpose(1, 2).reshape(*x.shape[:2], *self.grid)
            outputs.append(x + conv(nn.functional.interpolate(y, scale_factor=size, mode='nearest')))
        return outputs


class PatchMerging(nn.Module):
    """2x2 neighbours concatenated, LN, linear: C -> 2C at half the size."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(4 * channels), nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        x = x.flatten(2).transpose(1, 2).reshape(batch, height, width, channels)
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)
        x = self.linear(self.norm(x.reshape(batch, -1, 4 * channels)))
        return x.transpose(1, 2).reshape(batch, 2 * channels, height // 2, width // 2)


class PatchExpanding(nn.Module):
    """C channels rearranged into 2x2 pixels of C/4, LN, linear: C/2 at twice the size."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(channels // 4), nn.Linear(channels // 4, channels // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        x = x.flatten(2).transpose(1, 2).reshape(batch, height, width, 2, 2, channels // 4)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, 4 * height * width, channels // 4)
        return self.linear(self.norm(x)).transpose(1, 2).reshape(batch, channels // 2, 2 * height, 2 * width)


class LiteralMSFF(nn.Module):
    """3.3.1, Fig. 4."""

    def __init__(self, base: int):
        super().__init__()
        self.merge12, self.merge123, self.merge23 = (PatchMerging(c) for c in (base, 2 * base, 2 * base))
        self.expand21, self.expand32, self.expand321 = (PatchExpanding(c) for c in (2 * base, 4 * base, 2 * base))

    def forward(self, x1: Tensor, x2: Tensor, x3: Tensor) -> list[Tensor]:
        half, double = self.merge12(x1), self.expand32(x3)
        return [
            torch.cat([x1, self.expand21(x2), self.expand321(double)], dim=1),
            torch.cat([half, x2, double], dim=1),
            torch.cat([self.merge123(half), self.merge23(x2), x3], dim=1),
        ]


class Gate(nn.Module):
    """Spatial attention of Fig. 5: mean, maximum and their sum over channels, through an MLP at each pixel."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv, self.mlp = (
            nn.Conv2d(channels, channels, 1),
            nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        mean, most = x.mean(1, keepdim=True), x.max(1, keepdim=True).values
        pooled = torch.cat([mean, most, mean + most], dim=1)  # (B, 3, H, W)
        return self.mlp(pooled.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LiteralUpAttention(nn.Module):
    """3.3.2, Fig. 5: up-sample, gate the skip, concatenate, two ConvBN."""

    def __init__(self, deep: int, skip: int):
        super().__init__()
        self.up, self.gate = nn.Upsample(scale_factor=2, mode='nearest'), Gate(skip)
        self.conv1, self.conv2 = ConvBN(deep + skip, skip), ConvBN(skip, skip)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        return self.conv2(self.conv1(torch.cat([self.gate(skip) * skip, self.up(deep)], dim=1)))


class LiteralHead(nn.Module):
    """MSFF, UpAttention twice, a 1x1 convolution: line 16 of Algorithm 1."""

    def __init__(self, base: int):
        super().__init__()
        self.msff = LiteralMSFF(base)
        self.up32 = LiteralUpAttention(12 * base, 6 * base)
        self.up21 = LiteralUpAttention(6 * base, 3 * base)
        self.conv_seg = nn.Conv2d(3 * base, 1, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x1, x2, x3 = self.msff(*maps)
        return self.conv_seg(self.up21(self.up32(x3, x2), x1))


class LiteralMPTPN(nn.Module):
    """PPE with ``token_mixing='conv'`` and MSFFUpAttentionHead, literally; weights by :func:`literal_state`.

    Args:
        base_channels: C.
        img_size: side of the images, a multiple of ``patch_size``.
        text_channels: width of the tokens.
        num_text_tokens: T.
        patch_size, num_heads, dropout: as of :class:`mmseg_textseg.models.PPE`.
    """

    def __init__(
        self,
        base_channels: int = 64,
        img_size: int = 224,
        text_channels: int = 768,
        num_text_tokens: int = 24,
        patch_size: int = 16,
        num_heads: int = 8,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.backbone = LiteralPPE(
            base_channels, img_size, text_channels, num_text_tokens, patch_size, num_heads, dropout
        )
        self.decode_head = LiteralHead(base_channels)

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        """(B, 3, H, W) and (B, T, C_text) -> logits (B, 1, H, W)."""
        return self.decode_head(self.backbone(image, tokens))
