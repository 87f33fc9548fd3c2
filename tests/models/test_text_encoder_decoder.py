import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import SVLAEncoder, TextEncoderDecoder, TextFeatures
from mmseg_textseg.tokenization import build_vocab, fingerprint, load_tokenizer

TOKENIZER = dict(vocab=build_vocab(['the bright square', 'the dark square left of it']))
SENTENCES = ('the bright square', 'the dark square left of it')
GN = dict(type='GN', num_groups=4, requires_grad=True)
SIZE = 64


@MODELS.register_module()
class ReadingNeck(BaseModule):
    """Adds the pooled text to every map; a neck of the registry that declares ``uses_text``."""

    uses_text = True
    text_channels = 16

    def forward(self, maps, text):
        return tuple(x + text.pooled.mean(1)[:, None, None, None] for x in maps)


@MODELS.register_module()
class PlainNeck(BaseModule):
    """A stock neck: a keyword it does not know would raise."""

    def forward(self, maps):
        return maps


@pytest.fixture
def config(tiny_arch, tiny_bert):
    """Function (**parts) -> config of a text model; a part given as a dict is merged, None is taken out."""

    def make(**parts):
        base = dict(
            type='TextEncoderDecoder',
            text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert),
            backbone=dict(type='SVLAEncoder', arch=tiny_arch, text_channels=16, drop_path_rate=0.0),
            decode_head=dict(
                type='FullScaleHead',
                in_channels=(16, 24, 32),
                ham_channels=24,
                channels=16,
                rank=4,
                norm_cfg=GN,
                dropout_ratio=0,
                loss_decode=dict(type='BoundaryWeightedSegLoss'),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
        for name, part in parts.items():
            merge = isinstance(part, dict) and part.get('type') is None and name in base
            base[name] = {**base[name], **part} if merge else part
        return ConfigDict({k: v for k, v in base.items() if v is not None})

    return make


FCN = dict(
    type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, num_classes=2, out_channels=2, norm_cfg=GN
)
RESNET = dict(
    type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN', requires_grad=True)
)
CONTRAST = dict(type='VisionLanguageContrastiveLoss')


@pytest.fixture
def build(config, randomise):
    def make(training=False, **parts):
        return randomise(MODELS.build(config(**parts))).train(training)

    return make


def sample(sentence=SENTENCES[0], size=SIZE, mask=None, **meta):
    made = SegDataSample()
    mask = torch.randint(2, (1, size, size)) if mask is None else mask
    made.gt_sem_seg = PixelData(data=mask)
    made.set_metainfo(
        dict(ori_shape=(size, size), img_shape=(size, size), pad_shape=(size, size), img_path='a.png', **meta)
    )
    if sentence is not None:
        ids = torch.from_numpy(load_tokenizer(TOKENIZER).encode(sentence, 20)[0])
        made.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
        made.set_metainfo(dict(text=sentence))
    return made


def batch(*sentences):
    sentences = sentences or SENTENCES
    return torch.randn(len(sentences), 3, SIZE, SIZE), [sample(s) for s in sentences]


def logits(model, x, samples):
    with torch.no_grad():
        return torch.stack([s.seg_logits.data for s in model(x, samples, mode='predict')])


def count(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


# Building


BAD_PARTS = [
    (dict(text_encoder=None), 'backbone of this model needs text'),
    (
        dict(text_encoder=None, backbone=RESNET, decode_head=dict(loss_contrast=CONTRAST, text_channels=16)),
        'decode_head',
    ),
    (dict(text_encoder=None, backbone=RESNET, neck=dict(type='ReadingNeck')), 'neck of this model needs text'),
    (dict(backbone=dict(text_channels=None)), 'no part of the model uses text'),
    (dict(backbone=RESNET), 'no part of the model uses text'),
    (dict(backbone=dict(text_channels=24)), 'backbone.text_channels=24 .* 16 wide.*text_channels=16'),
    (dict(decode_head=dict(loss_contrast=CONTRAST, text_channels=8)), 'decode_head.text_channels=8'),
]


@pytest.mark.parametrize(('parts', 'message'), BAD_PARTS, ids=[b[1][:30] for b in BAD_PARTS])
def test_parts_that_do_not_fit_are_refused_when_built(config, parts, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(config(**parts))


def test_an_auxiliary_head_that_needs_text_is_named(config):
    head = config().decode_head
    head.update(loss_contrast=CONTRAST, text_channels=8)
    with pytest.raises(ValueError, match=r'auxiliary_head\[1\].text_channels=8'):
        MODELS.build(config(auxiliary_head=[FCN, head]))


def test_text_free_model_is_plain_encoder_decoder(config, randomise):
    free = dict(text_encoder=None, backbone=dict(text_channels=None))
    ours = randomise(MODELS.build(config(**free))).eval()
    theirs = MODELS.build({**config(**free), 'type': 'EncoderDecoder'}).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x, samples = torch.randn(2, 3, SIZE, SIZE), [sample(None), sample(None)]
    torch.testing.assert_close(logits(ours, x, samples), logits(theirs, x, samples), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert ours.loss(x, samples).keys() == theirs.loss(x, samples).keys()
    assert ours(x, None, mode='predict')[0].pred_sem_seg.data.shape == (1, SIZE, SIZE)


# Dispatch


def test_text_reaches_exactly_the_parts_that_declare_it(build, monkeypatch):
    model = build(neck=dict(type='PlainNeck'), auxiliary_head=FCN, training=True)
    seen = []
    forward = SVLAEncoder.forward

    def spy(self, x, text=None):
        seen.append(text)
        return forward(self, x, text)

    monkeypatch.setattr(SVLAEncoder, 'forward', spy)
    losses = model.loss(*batch())  # PlainNeck and FCNHead would raise on text=
    assert len(seen) == 1
    assert isinstance(seen[0], TextFeatures)
    assert {'decode.loss_seg', 'decode.acc_seg', 'aux.loss_ce', 'aux.acc_seg'} == losses.keys()


def test_a_reading_neck_on_a_stock_backbone_and_head(build):
    """ResNet and FCNHead never see text; the neck alone makes the answer depend on it."""
    model = build(backbone=RESNET, neck=dict(type='ReadingNeck'), decode_head={**FCN, 'in_channels': 64})
    assert isinstance(model.decode_head, FCNHead)
    x, samples = batch()
    assert not torch.equal(logits(model, x, samples), logits(model, x, samples[::-1]))
    assert model.train().loss(x, samples)['decode.loss_ce'].isfinite()
    with torch.no_grad():
        assert model.eval()(x, samples).shape == (2, 2, 2, 2)


def test_stock_head_on_our_encoder(build):
    model = build(decode_head=FCN)
    x, samples = batch()
    assert (logits(model, x, samples) - logits(model, x, samples[::-1])).abs().max() > 1e-3
    assert model.train().loss(x, samples).keys() == {'decode.loss_ce', 'decode.acc_seg'}


def test_reading_head_on_a_stock_backbone(build):
    """Text in the loss only: prediction is the same for any sentence, the loss is not."""
    head = dict(loss_contrast=CONTRAST, text_channels=16, in_channels=(16, 32, 64))
    model = build(backbone=RESNET, decode_head=head)
    x, samples = batch()
    assert torch.equal(logits(model, x, samples), logits(model, x, samples[::-1]))
    losses = model.train().loss(x, samples)
    assert {'decode.loss_con', 'decode.loss_seg'} < losses.keys()
    truth = [s.gt_sem_seg for s in samples]
    for s, mask in zip(samples[::-1], truth, strict=True):
        s.gt_sem_seg = mask
    assert model.loss(x, samples[::-1])['decode.loss_con'] != losses['decode.loss_con']


def test_auxiliary_heads_with_and_without_text(build, config):
    reader = {**config().decode_head, 'loss_contrast': CONTRAST, 'text_channels': 16}
    model = build(auxiliary_head=[FCN, reader], training=True)
    calls = count(model.text_encoder)
    losses = model.loss(*batch())
    assert {'aux_0.loss_ce', 'aux_1.loss_con', 'aux_1.loss_seg', 'decode.loss_seg'} < losses.keys()
    assert len(calls) == 1
    one = build(auxiliary_head=reader, training=True)
    assert {'aux.loss_con', 'aux.loss_seg'} < one.loss(*batch()).keys()


# Modes


def test_tensor_mode_without_samples_is_a_batch_of_empty_sentences(build):
    model, x = build(), torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        y = model(x)
        text = model.text_encoder.null(2, like=x)
        torch.testing.assert_close(y, model.decode_head(model.backbone(x, text)))
        assert y.shape == (2, 2, SIZE // 4, SIZE // 4)
        assert not torch.allclose(model(*batch()), y)


def test_predict_gives_masks_of_the_original_size(build):
    model = build()
    x, samples = batch()
    samples[1].set_metainfo(dict(ori_shape=(50, 40)))
    before = [set(s.metainfo_keys()) for s in samples]
    out = model(x, samples, mode='predict')
    assert [tuple(s.pred_sem_seg.data.shape) for s in out] == [(1, SIZE, SIZE), (1, 50, 40)]
    assert torch.equal(out[1].pred_sem_seg.data[0], out[1].seg_logits.data.argmax(0))
    assert [set(s.metainfo_keys()) for s in samples] == before  # no text features left behind
    assert samples[0].img_shape == (SIZE, SIZE)


def test_text_changes_the_answer(build):
    model = build()
    x, samples = batch()
    a, b = logits(model, x, samples), logits(model, x, samples[::-1])
    assert (a - b).abs().mean() > 1e-3
    assert torch.equal(a, logits(model, x, samples))


def test_padding_never_matters(build):
    """Tokens beyond the mask, and a longer neighbour in the batch."""
    model = build().double()
    x = torch.randn(1, 3, SIZE, SIZE, dtype=torch.float64)
    short, padded = sample(), sample()
    padded.set_data(
        dict(
            text_ids=torch.cat([short.text_ids, torch.tensor([7, 9, 11])]),
            text_mask=torch.cat([short.text_mask, torch.zeros(3, dtype=torch.bool)]),
        )
    )
    torch.testing.assert_close(logits(model, x, [short]), logits(model, x, [padded]), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_a_batch_element_equals_the_sample_alone(build, mode):
    model = build(test_cfg=dict(mode=mode, crop_size=(48, 48), stride=(16, 16))).double()
    x, samples = batch()
    assert len(samples[0].text_ids) != len(samples[1].text_ids)
    together = logits(model, x.double(), samples)
    for i in range(2):
        alone = logits(model, x[i : i + 1].double(), samples[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-8, atol=1e-8)


# Slide inference


def test_slide_encodes_text_once_and_averages_windows(build):
    model = build(test_cfg=dict(mode='slide', crop_size=(32, 48), stride=(32, 16)))
    x, samples = batch()
    encoded, seen = count(model.text_encoder), count(model.backbone)
    bert = count(model.text_encoder.bert)
    slid = logits(model, x, samples)
    assert (len(encoded), len(bert), len(seen)) == (1, 1, 4)
    with torch.no_grad():
        text = model.encode_text(samples)
        total, hits = torch.zeros(2, 2, SIZE, SIZE), torch.zeros(SIZE, SIZE)
        for top in (0, 32):
            for left in (0, 16):
                window = model.decode_head(model.backbone(x[..., top : top + 32, left : left + 48], text))
                window = torch.nn.functional.interpolate(window, (32, 48), mode='bilinear', align_corners=False)
                total[..., top : top + 32, left : left + 48] += window
                hits[top : top + 32, left : left + 48] += 1
    torch.testing.assert_close(slid, total / hits, rtol=1e-4, atol=1e-4)
    assert samples[0].img_shape == (SIZE, SIZE)


def test_slide_with_one_window_equals_whole(build):
    model = build(test_cfg=dict(mode='slide', crop_size=(SIZE, SIZE), stride=(32, 32)))
    x, samples = batch()
    slid = logits(model, x, samples)
    model.test_cfg.mode = 'whole'
    torch.testing.assert_close(slid, logits(model, x, samples))


# Errors about text


@pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
def test_a_sample_without_tokens_is_named(build, mode):
    model, samples = build(), [sample(), sample(None)]
    samples[1].set_metainfo(dict(img_path='folder/case7.png'))
    with pytest.raises(ValueError, match=r'folder/case7\.png') as error:
        model(torch.randn(2, 3, SIZE, SIZE), samples, mode=mode)
    assert 'TokenizeText' in str(error.value)


def test_predict_without_samples(build):
    with pytest.raises(ValueError, match='needs a sentence'):
        build()(torch.randn(1, 3, SIZE, SIZE), mode='predict')


def test_another_vocabulary_is_refused(build):
    model, x = build(), torch.randn(1, 3, SIZE, SIZE)
    wrong = sample(tokenizer='pretrained:bert-base-uncased')
    for mode in ('loss', 'predict'):
        with pytest.raises(ValueError, match='tokenised with pretrained:bert-base-uncased'):
            model(x, [wrong], mode=mode)
    logits(model, x, [sample(tokenizer=fingerprint(TOKENIZER))])  # its own is fine
    logits(model, x, [sample()])  # and none is not checked


# Training


@pytest.mark.parametrize('position', ['pre', 'post'])
def test_every_trainable_parameter_gets_a_gradient(build, position):
    """Distributed training stops at the second step otherwise (mmengine's find_unused_parameters is False)."""
    head = dict(loss_contrast=CONTRAST, text_channels=16)
    model = build(training=True, backbone=dict(norm_position=position), decode_head=head)
    loss, _ = model.parse_losses(model.loss(*batch()))
    loss.backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_gradients_reach_the_words(build):
    model = build(training=True)
    loss, _ = model.parse_losses(model.loss(*batch()))
    loss.backward()
    words = model.text_encoder.bert.embeddings.word_embeddings.weight.grad.abs().sum(1)
    used = torch.cat([sample(s).text_ids for s in SENTENCES]).unique()
    assert words[used].gt(0).all()


def test_train_step(build):
    model = build(training=True)
    x, samples = batch()
    before = {k: v.clone() for k, v in model.named_parameters()}
    log = model.train_step(dict(inputs=x, data_samples=samples), OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)))
    assert log['loss'].isfinite()
    assert log['decode.loss_seg'].isfinite()
    for part in ('text_encoder', 'backbone', 'decode_head'):
        moved = [k for k, v in model.named_parameters() if k.startswith(part) and not torch.equal(v, before[k])]
        assert moved, part


def test_channels_last_changes_memory_not_values(build, config):
    on, off = build(), MODELS.build(config(channels_last=False)).eval()
    off.load_state_dict(on.state_dict(), strict=True)
    x, samples = batch()
    torch.testing.assert_close(logits(on, x, samples), logits(off, x, samples), rtol=1e-4, atol=1e-4)
    assert on.backbone.patch_embed1.proj[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not off.backbone.patch_embed1.proj[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_state_dict_and_weights(config, tmp_path):
    first, second = MODELS.build(config()).eval(), MODELS.build(config()).eval()
    first.init_weights()
    torch.save(first.state_dict(), tmp_path / 'model.pth')
    second.load_state_dict(torch.load(tmp_path / 'model.pth', weights_only=True), strict=True)
    x, samples = batch()
    assert isinstance(second, TextEncoderDecoder)
    assert torch.equal(logits(first, x, samples), logits(second, x, samples))


def dice(predicted, truth):
    return (2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())).item()


@pytest.mark.slow
def test_two_sentences_on_one_picture_are_told_apart(config):
    """Nothing but the words says which of the two squares is meant."""
    masks = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.long)
    masks[0, :, 8:32, 36:60] = 1
    masks[1, :, 32:56, 4:28] = 1
    picture = 0.1 * torch.randn(3, SIZE, SIZE) + masks[0] - masks[1]
    x = torch.stack([picture, picture])
    samples = [sample(s, mask=m) for s, m in zip(SENTENCES, masks, strict=True)]
    model = MODELS.build(config(decode_head=dict(loss_contrast=CONTRAST, text_channels=16)))
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    scores = [0.0]
    for step in range(300):
        loss, _ = model.train().parse_losses(model.loss(x, samples))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            answer = logits(model.eval(), x, samples).argmax(1, keepdim=True).bool()
            scores = [dice(a, m.bool()) for a, m in zip(answer, masks, strict=True)]
            if min(scores) > 0.95:
                break
    assert min(scores) > 0.9, scores
    swapped = logits(model, x, samples[::-1]).argmax(1, keepdim=True).bool()
    assert all(dice(a, m.bool()) > 0.9 for a, m in zip(swapped, masks.flip(0), strict=True))
