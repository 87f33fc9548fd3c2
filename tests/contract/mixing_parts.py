"""The parts that the mixing matrix puts together, tiny: a backbone or head is a row or column, that is one entry here.

A head reads one of a backbone's maps, three of them or all. Where a map that nobody reads would have weights of its own
(Swin's has a norm), the backbone is asked for the others alone.
"""

import importlib.util
from typing import Literal, NamedTuple

from mmseg_textseg.tokenization import build_vocab

SENTENCES = ('the bright square', 'the dark square left of it')  # 5 and 8 tokens
TOKENIZER = dict(vocab=build_vocab(SENTENCES))
WIDTH = 16  # of the text
TOKENS = 10
GN = dict(type='GN', num_groups=4, requires_grad=True)
BN = dict(type='BN', requires_grad=True)

BERT = dict(
    type='BertTextEncoder',
    pretrained=None,
    tokenizer=TOKENIZER,
    arch=dict(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    ),
)
SVLA = dict(
    type='SVLAEncoder',
    arch=dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
    text_channels=WIDTH,
)
PPE = dict(
    type='PPE',
    base_channels=8,
    img_size=32,
    text_channels=WIDTH,
    num_text_tokens=TOKENS,
    patch_size=8,
    num_heads=2,
    mlp_ratio=2,
)


class Backbone(NamedTuple):
    """A row of the matrix.

    Attributes:
        title: as the page names it.
        config: of the backbone, text-free.
        widths: of all its maps.
        one, three, all: the maps that heads of one, three and any number of inputs read, finest first.
        scales: of a MultiLevelNeck behind it, map by map; none by default.
        text: whether it takes text itself, by ``text_channels``.
        package: what has to be installed for it.
    """

    title: str
    config: dict
    widths: tuple[int, ...]
    one: tuple[int, ...] = (3,)
    three: tuple[int, ...] = (1, 2, 3)
    all: tuple[int, ...] = (0, 1, 2, 3)
    scales: tuple[float, ...] = ()
    text: bool = False
    package: str = ''

    @property
    def installed(self) -> bool:
        return not self.package or importlib.util.find_spec(self.package) is not None


class Head(NamedTuple):
    """A column of the matrix.

    Attributes:
        title: as the page names it.
        reads: ``'one'``, ``'three'`` or ``'all'`` maps.
        config: of the head, without in_channels and in_index.
        text: whether it takes ``text_fusion`` itself.
    """

    title: str
    reads: Literal['one', 'three', 'all']
    config: dict
    text: bool = False


VIT = dict(type='VisionTransformer', img_size=64, patch_size=16, embed_dims=16, num_layers=4, num_heads=2, mlp_ratio=2)
SWIN = dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 4), window_size=4, mlp_ratio=2)
UNET = dict(
    num_stages=4,
    strides=(1,) * 4,
    enc_num_convs=(1,) * 4,
    dec_num_convs=(1,) * 3,
    downsamples=(True,) * 3,
    enc_dilations=(1,) * 4,
    dec_dilations=(1,) * 3,
)
ALL = dict(out_indices=())  # filled with the maps that are read

BACKBONES = {
    'svla': Backbone('SVLAEncoder', {**SVLA, **ALL}, (8, 16, 24, 32), text=True),
    # Its maps are three; those of any head, since each has weights of its own.
    'ppe': Backbone('PPE', {**PPE, 'token_mixing': 'attention'}, (8, 16, 32), *3 * [(0, 1, 2)], text=True),
    'lavt': Backbone('LAVTSwin', dict(type='LAVTSwin', **SWIN, **ALL), (8, 16, 32, 64), text=True),
    'lvit': Backbone(
        'LViT',
        dict(
            type='LViT', base_channels=8, img_size=64, token_mixing='attention', patch_size=8, num_heads=2, mlp_ratio=2
        ),
        (8, 16, 32, 64, 64),
        one=(0, 1, 2, 3, 4),
        three=(0, 1, 2),
        all=(0, 1, 2, 3, 4),
        text=True,
    ),
    'resnet': Backbone(
        'ResNet',
        dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=BN, **ALL),
        (8, 16, 32, 64),
    ),
    'swin': Backbone('Swin', dict(type='SwinTransformer', **SWIN, **ALL), (8, 16, 32, 64)),
    'mscan': Backbone(
        'MSCAN',
        dict(type='MSCAN', embed_dims=[8, 16, 24, 32], mlp_ratios=[2, 2, 2, 2], depths=[1, 1, 1, 1], norm_cfg=BN),
        (8, 16, 24, 32),
    ),
    'mit': Backbone(
        'MiT',
        dict(
            type='MixVisionTransformer',
            embed_dims=8,
            num_layers=[1, 1, 1, 1],
            num_heads=[1, 2, 3, 4],
            mlp_ratio=2,
            **ALL,
        ),
        (8, 16, 24, 32),
    ),
    'convnext': Backbone(
        'ConvNeXt',
        dict(
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 24, 32]),
            gap_before_final_norm=False,
            **ALL,
        ),
        (8, 16, 24, 32),
        package='mmpretrain',
    ),
    # Its maps come deepest first.
    'unet': Backbone(
        'UNet',
        dict(type='UNet', base_channels=8, norm_cfg=BN, **UNET),
        (64, 32, 16, 8),
        three=(3, 2, 1),
        all=(3, 2, 1, 0),
    ),
    'vit': Backbone('ViT', {**VIT, **ALL}, (16, 16, 16, 16)),
    'vit-pyramid': Backbone('ViT with MultiLevelNeck', {**VIT, **ALL}, (16, 16, 16, 16), scales=(4, 2, 1, 0.5)),
}


def stock(type_: str, **options) -> dict:
    return dict(type=type_, channels=8, num_classes=2, out_channels=2, norm_cfg=GN, **options)


ASPP = stock('DepthwiseSeparableASPPHead', dilations=(1, 2), c1_channels=8)

HEADS = {
    'full-scale': Head(
        'FullScaleHead (LSMS)',
        'all',
        dict(type='FullScaleHead', ham_channels=16, channels=8, rank=4, norm_cfg=GN),
        text=True,
    ),
    'single-stage': Head('SingleStageHead (LSMS)', 'one', dict(type='SingleStageHead'), text=True),
    'up-attention': Head('UpAttentionHead (MPTPN)', 'three', dict(type='UpAttentionHead'), text=True),
    'msff-up-attention': Head('MSFFUpAttentionHead (MPTPN)', 'three', dict(type='MSFFUpAttentionHead'), text=True),
    'lavt': Head('LAVTHead', 'all', dict(type='LAVTHead', channels=8)),
    'lvit': Head('LViTHead', 'all', dict(type='LViTHead')),
    'fcn': Head('FCNHead', 'one', stock('FCNHead', num_convs=1)),
    'uper': Head('UPerHead', 'all', stock('UPerHead', pool_scales=(1, 2))),
    'segformer': Head('SegformerHead', 'all', stock('SegformerHead')),
    'light-ham': Head('LightHamHead', 'all', stock('LightHamHead', ham_channels=16, ham_kwargs=dict(MD_R=4))),
    'psp': Head('PSPHead', 'one', stock('PSPHead', pool_scales=(1, 2))),
    'aspp': Head('DepthwiseSeparableASPPHead (DeepLabV3+)', 'one', ASPP),
}


class Mix(NamedTuple):
    """A cell of the matrix: a backbone, a head, with text or without."""

    backbone: str
    head: str
    text: bool

    def __str__(self) -> str:
        return f'{self.backbone}-{self.head}-{"text" if self.text else "free"}'

    @property
    def way(self) -> str:
        """Where the text comes in: ``'backbone'``, ``'head'`` or ``'neck'``; empty without text."""
        if not self.text:
            return ''
        return 'backbone' if BACKBONES[self.backbone].text else 'head' if HEADS[self.head].text else 'neck'

    def parts(self) -> dict:
        """Backbone, neck and decode head of the segmentor's config, and the text encoder."""
        row, column = BACKBONES[self.backbone], HEADS[self.head]
        maps = getattr(row, column.reads)
        if self.head == 'single-stage':  # it takes no several
            maps = maps[:1]
        # DeepLabV3+ reads the first of all inputs too, which of UNet is the deepest.
        first = column.config is ASPP and row.all[0] == 0
        read = sorted({*maps, 0} if first else set(maps))
        given = read if 'out_indices' in row.config else list(range(len(row.widths)))
        index, widths = [given.index(i) for i in maps], [row.widths[i] for i in maps]
        head = {**column.config, 'in_index': index, 'in_channels': widths}
        if column.reads == 'one' and len(maps) == 1:
            head.update(in_index=index[0], in_channels=widths[0])
        elif column.reads == 'one':
            head['input_transform'] = 'resize_concat'
        if column.config is ASPP:
            head.update(c1_in_channels=row.widths[0]) if first else head.update(c1_in_channels=0, c1_channels=0)
        if head['type'] == 'FullScaleHead':
            head['align_to'] = index[0]
        backbone = dict(row.config)
        if 'out_indices' in backbone:
            backbone['out_indices'] = tuple(read)
        if row.text:
            backbone['text_channels'] = WIDTH if self.text else None
        parts = dict(backbone=backbone, decode_head=head)
        if row.scales:
            scales = [row.scales[i] for i in read]
            parts['neck'] = dict(
                type='MultiLevelNeck', in_channels=[row.widths[i] for i in read], out_channels=16, scales=scales
            )
        if self.text:
            parts['text_encoder'] = BERT
        if self.way == 'head':
            head.update(text_channels=WIDTH, text_fusion=dict(type='LanguageFusion'))
        elif self.way == 'neck':
            parts['neck'] = dict(
                type='TextFusionNeck',
                in_channels=[row.widths[i] for i in given],
                in_index=sorted({*index, 0}) if first else sorted(index),
                text_channels=WIDTH,
                fusion=dict(type='CrossAttentionFusion', num_heads=2),
            )
        return parts


MIXES = [Mix(backbone, head, text) for backbone in BACKBONES for head in HEADS for text in (False, True)]
# There is no config to try: MMSegmentation builds one neck.
NO_CONFIG = {
    mix: 'MultiLevelNeck has the place of TextFusionNeck: MMSegmentation builds one neck'
    for mix in MIXES
    if mix.way == 'neck' and BACKBONES[mix.backbone].scales
}
# Refused when they are built; the reason is the error's. ViT's maps are all of one size.
REFUSED = {
    Mix('vit', head, text): reason
    for head, reason in {
        'up-attention': 'UpAttention needs a skip of twice the size',
        'msff-up-attention': 'MSFF needs maps at strides s, 2s, 4s',
        'lvit': 'UpAttention needs a skip of twice the size',
    }.items()
    for text in (False, True)
}
# They train, but leave weights of the backbone without a gradient: it makes maps that this head does not read.
UNREAD = {
    Mix(backbone, head, text)
    for backbone, head in (
        ('ppe', 'single-stage'),
        ('lvit', 'single-stage'),
        ('lvit', 'up-attention'),
        ('lvit', 'msff-up-attention'),
    )
    for text in (False, True)
}
