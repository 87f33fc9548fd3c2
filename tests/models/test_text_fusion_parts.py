"""Text in heads and in the neck: a fusion of its own for each map that is read; a ResNet as a referring model."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import FullScaleHead, MSFFUpAttentionHead, TextFeatures, TextFusionNeck, UpAttentionHead
from mmseg_textseg.tokenization import build_vocab, load_tokenizer

WORDS = 12
WIDTHS = (8, 16, 24, 32)
GN = dict(type='GN', num_groups=4, requires_grad=True)
CROSS = dict(type='CrossAttentionFusion', num_heads=2)
LANGUAGE = dict(type='LanguageFusion')
CONTRAST = dict(type='VisionLanguageContrastiveLoss', loss_weight=0.125)
FULL_SCALE = dict(in_channels=WIDTHS[1:], ham_channels=16, channels=8, rank=4, norm_cfg=GN, dropout_ratio=0.0)
HEADS = {
    'full-scale': (FullScaleHead, FULL_SCALE),
    'full-scale-mlp': (FullScaleHead, {**FULL_SCALE, 'mlp_channels': 8}),
    'up-attention': (UpAttentionHead, dict(in_channels=WIDTHS[1:], in_index=(1, 2, 3))),
    'msff-up-attention': (MSFFUpAttentionHead, dict(in_channels=WIDTHS[1:], in_index=(1, 2, 3))),
}


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture(params=list(HEADS))
def make_head(request, randomise):
    """Function (options) -> one of the heads in evaluation, float64, random weights."""
    kind, own = HEADS[request.param]

    def make(**options):
        return randomise(kind(**own, **options)).double().eval()

    return make


@pytest.fixture
def text(make_text):
    return make_text((5, 3), WORDS, dtype=torch.float64)


def maps():
    return [torch.randn(2, c, 16 // 2**i, 8 // 2**i, dtype=torch.float64) for i, c in enumerate(WIDTHS)]


def samples():
    truth = torch.zeros(2, 1, 32, 16, dtype=torch.long)
    truth[:, :, 4:20, 3:9] = 1
    return [SegDataSample(gt_sem_seg=PixelData(data=mask)) for mask in truth]


# Heads


@pytest.mark.parametrize('fusion', [CROSS, LANGUAGE], ids=['cross', 'language'])
def test_each_map_that_is_read_is_fused_first(make_head, text, fusion):
    """The head on fused maps is the same head without fusion on maps that were fused outside."""
    head, plain, inputs = make_head(text_fusion=fusion, text_channels=WORDS), make_head(), maps()
    assert (head.uses_text, head.text_channels) == (True, WORDS)
    assert (plain.uses_text, plain.text_channels) == (False, None)
    assert [f.gain.numel() for f in head.text_fusion] == list(WIDTHS[1:])
    own = {k: v for k, v in head.state_dict().items() if not k.startswith('text_fusion.')}
    plain.load_state_dict(own, strict=True)
    fused = [inputs[0], *(f(x, text) for f, x in zip(head.text_fusion, inputs[1:], strict=True))]
    expected = plain(fused)
    torch.testing.assert_close(head(inputs, text=text), expected)
    assert (expected - plain(inputs)).abs().max() > 1e-3
    null = TextFeatures.empty(2, 4, WORDS, text.tokens)
    torch.testing.assert_close(head(inputs, text=null), plain(inputs))


def test_loss_and_predict_are_of_the_fused_maps(make_head, text):
    head, inputs = make_head(text_fusion=CROSS, text_channels=WORDS), maps()
    logits = head(inputs, text=text)
    expected = head.loss_by_feat(logits, samples())
    losses = head.loss(inputs, samples(), None, text=text)
    assert losses.keys() == expected.keys()
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name])
    metas = [dict(img_shape=(32, 16))] * 2
    torch.testing.assert_close(head.predict(inputs, metas, None, text=text), head.predict_by_feat(logits, metas))


def test_every_parameter_gets_a_gradient(make_head, text):
    head = make_head(text_fusion=CROSS, text_channels=WORDS).train()
    losses = head.loss(maps(), samples(), None, text=text)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert [name for name, p in head.text_fusion.named_parameters() if not p.grad.any()] == []


def test_fusion_beside_the_contrastive_loss(randomise, text):
    """Features of the loss are of the fused maps, and prediction needs the text too."""
    head = randomise(FullScaleHead(**FULL_SCALE, text_fusion=CROSS, text_channels=WORDS, loss_contrast=CONTRAST))
    head, inputs = head.double().eval(), maps()
    loss = head.loss(inputs, samples(), None, text=text)[head.loss_contrast.loss_name]
    mask = torch.stack([sample.gt_sem_seg.data[0] for sample in samples()])
    features = head.decode(head.text_fusion(inputs, text))
    torch.testing.assert_close(loss, head.loss_contrast(features, head.text_proj(text.pooled), mask))
    with pytest.raises(ValueError, match='FullScaleHead fuses text and got none'):
        head.predict(inputs, [dict(img_shape=(32, 16))] * 2, None)


def test_what_lacks(make_head, text):
    with pytest.raises(ValueError, match='Head that fuses text needs text_channels'):
        make_head(text_fusion=CROSS)
    with pytest.raises(ValueError, match='needs a type'):
        make_head(text_fusion=dict(num_heads=2), text_channels=WORDS)
    head, inputs = make_head(text_fusion=CROSS, text_channels=WORDS), maps()
    calls = (
        lambda: head(inputs),
        lambda: head.loss(inputs, samples(), None),
        lambda: head.predict(inputs, [dict(img_shape=(32, 16))] * 2, None),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r'Head fuses text and got none: give it text=TextFeatures'):
            call()


# Neck


@pytest.mark.parametrize('fusion', [CROSS, LANGUAGE], ids=['cross', 'language'])
@pytest.mark.parametrize('index', [None, (3, 1)], ids=str)
def test_neck_fuses_the_maps_of_in_index(randomise, text, fusion, index):
    neck = TextFusionNeck(WIDTHS, WORDS, fusion, in_index=index)
    neck, inputs = randomise(neck).double(), maps()
    chosen = range(4) if index is None else index
    outputs = neck(inputs, text=text)
    for i, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
        if i in chosen:
            torch.testing.assert_close(y, neck.fusions[list(chosen).index(i)](x, text))
            assert (y - x).abs().max() > 1e-3
        else:
            assert y is x
    assert neck.uses_text
    assert neck.out_channels == WIDTHS
    built = MODELS.build(dict(type='TextFusionNeck', in_channels=WIDTHS, text_channels=WORDS, fusion=fusion))
    built.init_weights()
    assert isinstance(built, TextFusionNeck)


def test_what_the_neck_refuses(text):
    with pytest.raises(ValueError, match='TextFusionNeck that fuses text needs text_channels'):
        TextFusionNeck(WIDTHS, None, CROSS)
    with pytest.raises(ValueError, match=r'in_index=\[0, 4\] names a map'):
        TextFusionNeck(WIDTHS, WORDS, CROSS, in_index=(0, 4))
    neck = TextFusionNeck(WIDTHS, WORDS, CROSS).double()
    with pytest.raises(ValueError, match='TextFusionNeck fuses text and got none'):
        neck(maps())
    with pytest.raises(ValueError, match=r'got maps of widths \[8, 16, 24\]'):
        neck(maps()[:3], text=text)


# Models of a stock ResNet

SENTENCES = ('the bright square', 'the dark square left of it')
TOKENIZER = dict(vocab=build_vocab(SENTENCES))
RESNET = dict(
    type='ResNetV1c',
    depth=18,
    base_channels=4,
    stem_channels=4,
    norm_cfg=dict(type='BN', requires_grad=True),
)
FCN = dict(type='FCNHead', in_channels=16, in_index=2, channels=8, num_classes=2, norm_cfg=GN, dropout_ratio=0.0)
NECK = dict(type='TextFusionNeck', in_channels=[4, 8, 16, 32], text_channels=16, in_index=[2])
MODELS_OF_RESNET = {
    'full-scale': dict(
        decode_head=dict(
            type='FullScaleHead',
            **{**FULL_SCALE, 'in_channels': (8, 16, 32)},
            text_channels=16,
            text_fusion=CROSS,
            loss_contrast=CONTRAST,
        )
    ),
    'msff-up-attention': dict(
        decode_head=dict(type='MSFFUpAttentionHead', in_channels=(4, 8, 16), text_channels=16, text_fusion=LANGUAGE)
    ),
    'neck-fcn': dict(neck={**NECK, 'fusion': CROSS}, decode_head=FCN, auxiliary_head={**FCN, 'num_convs': 1}),
}


@pytest.fixture(params=list(MODELS_OF_RESNET))
def model(request, randomise, tiny_bert):
    """A ResNet-18 that sees text in its head or neck; every image of its batches is the same."""
    made = MODELS.build(
        ConfigDict(
            type='TextEncoderDecoder',
            text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert),
            backbone=RESNET,
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
            **MODELS_OF_RESNET[request.param],
        )
    )
    return randomise(made).eval()


def batch(sentences, size=64):
    torch.manual_seed(1)
    image, made = torch.randn(1, 3, size, size), []
    for sentence in sentences:
        ids = torch.from_numpy(load_tokenizer(TOKENIZER).encode(sentence, 10)[0])
        shape = dict(ori_shape=(size, size), img_shape=(size, size), pad_shape=(size, size))
        sample = SegDataSample(metainfo=shape)
        sample.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
        sample.gt_sem_seg = PixelData(data=(torch.rand(1, size, size) > 0.5).long())
        made.append(sample)
    return image.expand(len(made), -1, -1, -1), made


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_a_stock_resnet_answers_to_the_sentence(model, mode):
    """One image, two sentences: two answers, each as when it is alone."""
    if mode == 'slide':
        model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(32, 16))
    with torch.no_grad():
        both = [result.seg_logits.data for result in model(*batch(SENTENCES), mode='predict')]
        alone = [model(*batch([sentence]), mode='predict')[0].seg_logits.data for sentence in SENTENCES]
    assert (both[0] - both[1]).abs().max() > 1e-2
    for a, b in zip(both, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_maps_of_an_image_are_shared_by_its_sentences(model, monkeypatch):
    """Where only the head uses text, ``predict(pictures=...)`` works the maps out once."""
    seen = []
    monkeypatch.setattr(model.backbone, 'forward', _counting(model.backbone.forward, seen))
    inputs, data = batch(SENTENCES)
    with torch.no_grad():
        shared = model.predict(inputs, data, pictures=[0, 0])
        each = model.predict(inputs, data)
    assert seen == [2 if model.with_neck else 1, 2]
    for a, b in zip(shared, each, strict=True):
        torch.testing.assert_close(a.seg_logits.data, b.seg_logits.data, rtol=1e-4, atol=1e-4)


def _counting(function, seen):
    def call(x):
        seen.append(len(x))
        return function(x)

    return call


def test_a_training_step_reaches_the_words(model):
    model.train()
    model.init_weights()
    loss, _ = model.parse_losses(model.loss(*batch(SENTENCES)))
    loss.backward()
    fusions = model.neck.fusions if model.with_neck else model.decode_head.text_fusion
    assert [n for n, p in fusions.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    words = model.text_encoder.bert.embeddings.word_embeddings.weight.grad.abs().sum(1)
    used = torch.cat([sample.text_ids for sample in batch(SENTENCES)[1]]).unique()
    assert words[used].gt(0).all()


def test_without_a_text_encoder_it_says_so(model, tiny_bert):
    cfg = MODELS_OF_RESNET['full-scale']
    with pytest.raises(ValueError, match='decode_head of this model needs text'):
        MODELS.build(ConfigDict(type='TextEncoderDecoder', backbone=RESNET, **cfg))
    encoder = dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch={**tiny_bert, 'hidden_size': 24})
    with pytest.raises(ValueError, match=r'decode_head.text_channels=16 but the text encoder is 24 wide'):
        MODELS.build(ConfigDict(type='TextEncoderDecoder', backbone=RESNET, text_encoder=encoder, **cfg))
