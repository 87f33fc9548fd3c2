"""Models with one output channel: training, whole and slide inference, and what the inferencer reads of them."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.tokenization import build_vocab, load_tokenizer

SENTENCES = ('the bright square', 'the dark square left of it')
TOKENIZER = dict(vocab=build_vocab(SENTENCES))
GN = dict(type='GN', num_groups=4)
SIZE = 64
HEADS = dict(
    FCNHead=dict(
        type='FCNHead',
        in_channels=32,
        in_index=3,
        channels=8,
        num_convs=1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    ),
    FullScaleHead=dict(
        type='FullScaleHead',
        in_channels=(16, 24, 32),
        ham_channels=24,
        channels=16,
        rank=4,
        dropout_ratio=0,
        loss_decode=dict(type='BoundaryWeightedSegLoss'),
    ),
)
both_heads = pytest.mark.parametrize('head', HEADS)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def config(tiny_arch, tiny_bert):
    """Function (head, threshold, **parts) -> config of a text model with one output channel."""

    def make(head='FCNHead', threshold=0.5, **parts):
        base = dict(
            type='TextEncoderDecoder',
            text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert),
            backbone=dict(type='SVLAEncoder', arch=tiny_arch, text_channels=16, drop_path_rate=0.0),
            decode_head={**HEADS[head], 'num_classes': 2, 'out_channels': 1, 'threshold': threshold, 'norm_cfg': GN},
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
        return ConfigDict({**base, **parts})

    return make


@pytest.fixture
def build(config, randomise):
    """Function of ``config``'s arguments -> model with random weights."""

    def make(*args, training=False, **parts):
        model = randomise(MODELS.build(config(*args, **parts))).eval()
        spread(model, *batch())
        return model.train(training)

    return make


def spread(model, x, samples):
    """Median 0 and standard deviation 2 for the logits: foreground at any usual threshold, and background."""
    found, head = logits(model, x, samples), model.decode_head.conv_seg
    with torch.no_grad():
        head.bias.sub_(found.median())
        for value in (head.weight, head.bias):
            value.mul_(2 / found.std())


def sample(sentence, truth=None):
    made = SegDataSample(metainfo=dict(ori_shape=(SIZE, SIZE), img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE)))
    ids = torch.from_numpy(load_tokenizer(TOKENIZER).encode(sentence, 20)[0])
    made.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
    made.gt_sem_seg = PixelData(data=torch.randint(2, (1, SIZE, SIZE)) if truth is None else truth)
    return made


def batch(truth=None):
    return torch.randn(2, 3, SIZE, SIZE), [sample(s, truth) for s in SENTENCES]


def predict(model, x, samples):
    """Probabilities and masks, (B, 1, H, W) both."""
    with torch.no_grad():
        out = model(x, samples, mode='predict')
    return torch.stack([s.seg_logits.data for s in out]), torch.stack([s.pred_sem_seg.data for s in out])


def logits(model, x, samples):
    """Of the head, at the size of the input."""
    with torch.no_grad():
        return F.interpolate(model(x, samples), x.shape[2:], mode='bilinear', align_corners=False)


# Training


@both_heads
def test_training_step(build, head):
    model = build(head, training=True)
    assert model.decode_head.conv_seg.out_channels == 1
    losses = model.loss(*batch())
    loss, _ = model.parse_losses(losses)
    assert loss.isfinite()
    assert loss > 0
    loss.backward()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert not [name for name, p in trainable.items() if p.grad is None or not p.grad.isfinite().all()]
    assert model.decode_head.conv_seg.weight.grad.abs().sum() > 0


def test_the_stock_loss_is_binary_cross_entropy(build):
    model = build(training=True)
    model.decode_head.dropout = None
    x, samples = batch()
    samples[1].gt_sem_seg.data[..., :9] = 255
    truth = torch.cat([s.gt_sem_seg.data for s in samples])
    expected = F.binary_cross_entropy_with_logits(logits(model, x, samples)[:, 0], truth.float(), reduction='none')
    # Ignored pixels add nothing, but the mean is over all: MMSegmentation's avg_non_ignore=False.
    expected = expected[truth != 255].sum() / truth.numel()
    torch.testing.assert_close(model.loss(x, samples)['decode.loss_ce'], expected)


@both_heads
@pytest.mark.parametrize('label', [0, 1])
def test_learning_moves_the_probability_towards_the_truth(build, head, label):
    model = build(head)
    x, samples = batch(truth=torch.full((1, SIZE, SIZE), label))
    before = predict(model, x, samples)[0].mean()
    optimizer = OptimWrapper(torch.optim.SGD(model.decode_head.conv_seg.parameters(), 0.1))
    for _ in range(5):
        model.train().train_step(dict(inputs=x, data_samples=samples), optimizer)
    after = predict(model.eval(), x, samples)[0].mean()
    assert (after - before) * (2 * label - 1) > 0.01


# Prediction


@both_heads
def test_whole_inference_gives_probabilities(build, head):
    model = build(head)
    x, samples = batch()
    probability, mask = predict(model, x, samples)
    assert probability.shape == mask.shape == (2, 1, SIZE, SIZE)
    assert 0 <= probability.min() < 0.5 < probability.max() <= 1
    torch.testing.assert_close(probability, logits(model, x, samples).sigmoid())  # applied once
    swapped, _ = predict(model, x, samples[::-1])
    assert (probability - swapped).abs().max() > 1e-3, 'the sentence matters'


@both_heads
def test_slide_over_one_window_is_whole(build, head):
    model = build(head, test_cfg=dict(mode='slide', crop_size=(SIZE, SIZE), stride=(32, 32)))
    x, samples = batch()
    slid = predict(model, x, samples)
    model.test_cfg.mode = 'whole'
    whole = predict(model, x, samples)
    torch.testing.assert_close(slid[0], whole[0])
    assert torch.equal(slid[1], whole[1])


def test_windows_are_averaged_before_the_sigmoid(build):
    model = build(test_cfg=dict(mode='slide', crop_size=(SIZE, 48), stride=(SIZE, 16)))
    x, samples = batch()
    probability, mask = predict(model, x, samples)
    total, hits = torch.zeros(2, 1, SIZE, SIZE), torch.zeros(SIZE)
    for left in (0, 16):
        total[..., left : left + 48] += logits(model, x[..., left : left + 48], samples)
        hits[left : left + 48] += 1
    torch.testing.assert_close(probability, (total / hits).sigmoid(), rtol=1e-4, atol=1e-4)
    assert torch.equal(mask.bool(), probability > 0.5)


@both_heads
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_the_threshold_decides(build, head, mode):
    model = build(head, test_cfg=dict(mode=mode, crop_size=(SIZE, 48), stride=(SIZE, 16)))
    x, samples = batch()
    areas = []
    for threshold in (0.3, 0.5, 0.7):
        model.decode_head.threshold = threshold
        probability, mask = predict(model, x, samples)
        assert torch.equal(mask.bool(), probability > threshold)
        areas.append(mask.mean().item())
    assert 1 > areas[0] > areas[1] > areas[2] > 0


# The inferencer


@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
def test_inferencer_reads_one_channel(config, randomise, tmp_path, threshold):
    normalise = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(SIZE, SIZE), keep_ratio=False),
        dict(type='LoadMask'),
        dict(type='TokenizeText', tokenizer=TOKENIZER),
        dict(type='PackTextSegInputs'),
    ]
    model = config('FCNHead', threshold, data_preprocessor=normalise)
    cfg = Config(dict(model=model, test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    trained = randomise(MODELS.build(model)).eval()
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    picture = cv2.resize(coarse, (90, 70), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., ::-1].copy()  # RGB
    x = ((torch.from_numpy(small).permute(2, 0, 1).float() - 127.5) / 64).expand(2, -1, -1, -1)
    samples = [sample(s) for s in SENTENCES]
    spread(trained, x, samples)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'model.pth')

    answers = TextSegInferencer(cfg, str(tmp_path / 'model.pth'), device='cpu')(picture, SENTENCES)

    expected = logits(trained, x, samples)
    expected = F.interpolate(expected, (70, 90), mode='bilinear', align_corners=False).sigmoid()[:, 0].numpy()
    for answer, probability in zip(answers, expected, strict=True):
        assert answer.mask.shape == answer.probability.shape == (70, 90)
        assert answer.mask.dtype == bool
        np.testing.assert_allclose(answer.probability, probability, atol=1e-4)
        assert np.array_equal(answer.mask, answer.probability > threshold)
        assert 0 < answer.mask.mean() < 1
    assert np.abs(answers[0].probability - answers[1].probability).max() > 1e-3
