"""Test-time augmentation with text: what is averaged, and that every view gets the sentence."""

import csv
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.datasets.direction_words import rewrite
from mmseg_textseg.datasets.turns import TURNS, inverse_turn
from mmseg_textseg.evaluation import TextSegMetric
from mmseg_textseg.models.segmentors import TextSegTTAModel
from mmseg_textseg.tokenization import build_vocab, load_tokenizer

SENTENCES = ('the bright square', 'the dark square below the large round one')
TOKENIZER = dict(vocab=build_vocab((*SENTENCES, 'above left right of')))
HEIGHT, WIDTH = 64, 96
OWN = (WIDTH, HEIGHT)  # mmcv's scale: no resizing


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def rows(tmp_path):
    """Two pictures of one size with their masks and sentences, as a dataset gives them."""
    rng = np.random.default_rng(0)
    made = []
    for i, text in enumerate(SENTENCES):
        coarse = rng.integers(0, 256, (8, 12, 3), np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[8:40, 8 : 40 + 20 * i] = 255
        cv2.imwrite(str(tmp_path / f'{i}.png'), cv2.resize(coarse, OWN, interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(tmp_path / f'{i}-mask.png'), mask)
        made.append(
            dict(
                img_path=str(tmp_path / f'{i}.png'),
                seg_map_path=str(tmp_path / f'{i}-mask.png'),
                text=text,
                sample_id=f'case{i}-0-{i}',
                seg_fields=[],
                reduce_zero_label=False,
            )
        )
    return made


@pytest.fixture
def build(tiny_arch, tiny_bert, randomise, rows):
    """Function (out_channels, threshold) -> TextEncoderDecoder with a stock head and random weights, for prediction.

    The head's bias is such that about half of the pixels are foreground.
    """

    def make(out_channels=1, threshold=0.5):
        config = ConfigDict(
            type='TextEncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[127.5] * 3,
                std=[64.0] * 3,
                bgr_to_rgb=True,
                pad_val=0,
                seg_pad_val=255,
            ),
            text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert),
            backbone=dict(type='SVLAEncoder', arch=tiny_arch, text_channels=16, drop_path_rate=0.0),
            decode_head=dict(
                type='FCNHead',
                in_channels=16,
                in_index=1,
                channels=8,
                num_convs=1,
                num_classes=2,
                out_channels=out_channels,
                threshold=threshold,
                norm_cfg=dict(type='GN', num_groups=4),
                loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=out_channels == 1),
            ),
            test_cfg=dict(mode='whole'),
        )
        model = randomise(MODELS.build(config)).eval()
        with torch.no_grad():
            found = model(**model.data_preprocessor(plain_batch(rows)), mode='tensor')
            foreground = found[:, -1] if out_channels == 1 else found[:, 1] - found[:, 0]
            model.decode_head.conv_seg.bias[-1] -= foreground.median()
        return model

    return make


LAST = [dict(type='LoadMask'), dict(type='TokenizeText', tokenizer=TOKENIZER), dict(type='PackTextSegInputs')]


def batch(rows, *choices):
    """Batch of a TestTimeAug pipeline with one view for each combination of the choices."""
    views = dict(type='TestTimeAug', transforms=[*map(list, choices), *([step] for step in LAST)])
    pipeline = Compose([dict(type='LoadImageFromFile'), views])
    return pseudo_collate([pipeline(dict(row)) for row in rows])


def plain_batch(rows, scale=OWN):
    """Batch of a test pipeline without views."""
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=scale, keep_ratio=False), *LAST]
    pipeline = Compose(steps)
    return pseudo_collate([pipeline(dict(row)) for row in rows])


def plain(model, rows, scale=OWN):
    """Predictions of the model alone."""
    return predict(model, plain_batch(rows, scale))


def predict(model, data):
    with torch.no_grad():
        return model.test_step(data)


def scales(*sizes):
    return [dict(type='Resize', scale=size, keep_ratio=False) for size in sizes]


def flips():
    return [dict(type='RandomFlip', prob=float(on), direction='horizontal') for on in (False, True)]


# Merging, by hand


class Module(BaseModel):
    """Nothing but what merging reads."""

    def __init__(self, out_channels, threshold):
        super().__init__()
        self.out_channels = out_channels
        self.decode_head = SimpleNamespace(threshold=threshold)

    def forward(self, *_):
        raise NotImplementedError


def view(logits, **metainfo):
    """Prediction of one view: (C, H, W)."""
    sample = SegDataSample(metainfo=dict(img_path='a.png', text='the bright square', sample_id='a-0-0', **metainfo))
    logits = torch.as_tensor(logits)
    sample.seg_logits = PixelData(data=logits)
    sample.pred_sem_seg = PixelData(data=torch.full((1, *logits.shape[1:]), 7))
    sample.gt_sem_seg = PixelData(data=torch.ones(1, *logits.shape[1:], dtype=torch.long))
    return sample


def fields(sample) -> dict:
    """All that a sample holds, as plain values."""
    data = {k: (v.data if isinstance(v, PixelData) else v).tolist() for k, v in sample.items()}
    return {**data, **sample.metainfo}


@pytest.mark.parametrize(('threshold', 'mask'), [(0.5, [0, 1, 1, 0]), (0.25, [0, 1, 1, 1]), (0.7, [0, 1, 0, 0])])
def test_one_channel_is_the_mean_probability_against_the_threshold(threshold, mask):
    # The last pixel's mean is 0.5 itself: as in plain prediction, only more than the threshold is foreground.
    views = [view([[[0.1, 0.9, 0.4, 0.25]]]), view([[[0.3, 0.7, 0.8, 0.75]]])]
    (merged,) = TextSegTTAModel(Module(1, threshold)).merge_preds([views])
    assert merged.seg_logits.data.flatten().tolist() == pytest.approx([0.2, 0.8, 0.6, 0.5])
    assert merged.pred_sem_seg.data.tolist() == [[mask]]


def test_images_of_a_batch_are_merged_apart():
    views = [[view([[[0.9, 0.1]]]), view([[[0.7, 0.3]]])], [view([[[0.2], [0.4]]]), view([[[0.4], [0.9]]])]]
    first, second = TextSegTTAModel(Module(1, 0.5)).merge_preds(views)
    assert first.pred_sem_seg.data.tolist() == [[[1, 0]]]
    assert second.pred_sem_seg.data.tolist() == [[[0], [1]]]


@pytest.mark.parametrize('channels', [1, 2])
def test_what_comes_in_is_left_as_it_was(channels):
    views = [view(torch.rand(channels, 3, 4), flip=False), view(torch.rand(channels, 3, 4), flip=True)]
    before = [fields(v) for v in views]
    (merged,) = TextSegTTAModel(Module(channels, 0.5)).merge_preds([views])
    assert [fields(v) for v in views] == before
    assert merged.pred_sem_seg.data.max() <= 1


@pytest.mark.parametrize('channels', [2, 4])
def test_several_channels_are_the_stock_class(channels):
    def views():
        torch.manual_seed(1)
        return [[view(torch.randn(channels, 5, 6), number=i) for i in range(3)] for _ in range(2)]

    module = Module(channels, None)
    ours, stock = TextSegTTAModel(module).merge_preds(views()), SegTTAModel(module).merge_preds(views())
    assert [fields(s) for s in ours] == [fields(s) for s in stock]
    assert len({tuple(s.pred_sem_seg.data.flatten().tolist()) for s in ours}) == 2


def test_one_channel_keeps_what_the_stock_class_keeps():
    def views():
        torch.manual_seed(1)
        return [[view(torch.rand(1, 5, 6), number=i) for i in range(3)] for _ in range(2)]

    module = Module(1, 0.5)
    for ours, stock in zip(
        TextSegTTAModel(module).merge_preds(views()), SegTTAModel(module).merge_preds(views()), strict=True
    ):
        assert ours.metainfo == stock.metainfo
        assert ours.keys() == stock.keys()
        assert torch.equal(ours.gt_sem_seg.data, stock.gt_sem_seg.data)
        assert ours.pred_sem_seg.data.shape == stock.pred_sem_seg.data.shape
        assert ours.pred_sem_seg.data.dtype == stock.pred_sem_seg.data.dtype


# From the picture to the mask


def test_why_there_is_a_class_of_our_own(build, rows):
    """The stock class takes the sigmoid of probabilities: none is below 0.5, and all is foreground."""
    model = build()
    alone = torch.stack([s.pred_sem_seg.data for s in plain(model, rows)])
    stock = torch.stack([s.pred_sem_seg.data for s in predict(SegTTAModel(model), batch(rows, scales(OWN)))])
    assert 0.05 < alone.mean() < 0.95
    mended = 'MMSegmentation has mended one channel in SegTTAModel or postprocess_result'
    assert not torch.equal(stock, alone), f'{mended}: is TextSegTTAModel still right, or needed?'
    assert stock.all(), f'{mended} in part: read both again, and TextSegTTAModel'


@pytest.mark.parametrize(('channels', 'threshold'), [(1, 0.5), (1, 0.4), (2, None)])
def test_one_view_as_it_is_equals_plain_prediction(build, rows, channels, threshold):
    model = build(channels, threshold)
    merged = predict(TextSegTTAModel(model), batch(rows, scales(OWN)))
    for ours, alone in zip(merged, plain(model, rows), strict=True):
        assert torch.equal(ours.seg_logits.data, alone.seg_logits.data)
        assert torch.equal(ours.pred_sem_seg.data.flatten(), alone.pred_sem_seg.data.flatten())
        assert 0.05 < ours.pred_sem_seg.data.float().mean() < 0.95


def test_scales_are_averaged_and_each_view_has_its_sentence(build, rows):
    model = build()
    sizes = (OWN, (64, 64), (128, 96))
    by_hand = torch.stack([torch.stack([s.seg_logits.data for s in plain(model, rows, size)]) for size in sizes])
    seen = []
    model.text_encoder.register_forward_pre_hook(lambda _, args: seen.append(args))
    merged = predict(TextSegTTAModel(model), batch(rows, scales(*sizes)))
    assert (by_hand[0] - by_hand[1]).abs().max() > 0.05, 'views that say the same would prove nothing'
    probability = torch.stack([s.seg_logits.data for s in merged])
    torch.testing.assert_close(probability, by_hand.mean(0))
    mask = torch.stack([s.pred_sem_seg.data for s in merged])
    assert mask.shape == (2, 1, HEIGHT, WIDTH)
    assert torch.equal(mask.bool(), probability > 0.5)
    ids = [load_tokenizer(TOKENIZER).encode(text, 20)[0].tolist() for text in SENTENCES]
    assert len(seen) == len(sizes)
    for tokens, real in seen:
        assert [t[r].tolist() for t, r in zip(tokens, real, strict=True)] == ids


def test_a_flipped_view_is_turned_back(build, rows, tmp_path):
    model = build()
    mirrored = []
    for row in rows:
        path = str(tmp_path / f'mirrored-{row["sample_id"]}.png')
        cv2.imwrite(path, cv2.imread(row['img_path'])[:, ::-1])
        mirrored.append({**row, 'img_path': path})
    straight, turned = (torch.stack([s.seg_logits.data for s in plain(model, r)]) for r in (rows, mirrored))
    turned = turned.flip(-1)
    assert (straight - turned).abs().max() > 0.05, 'views that say the same would prove nothing'
    merged = predict(TextSegTTAModel(model), batch(rows, scales(OWN), flips()))
    torch.testing.assert_close(torch.stack([s.seg_logits.data for s in merged]), (straight + turned) / 2)
    for sample, row in zip(merged, rows, strict=True):
        truth = cv2.imread(row['seg_map_path'], cv2.IMREAD_UNCHANGED) > 0
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy() > 0, truth), 'of the picture, not of a view'


# What a turn does to an array (H, W, ...).
TURNED = {
    'horizontal': lambda a: a[:, ::-1],
    'vertical': lambda a: a[::-1],
    'diagonal': lambda a: a[::-1, ::-1],
    'rot90': lambda a: np.rot90(a),
    'rot270': lambda a: np.rot90(a, -1),
    'transpose': lambda a: a.swapaxes(0, 1),
    'antitranspose': lambda a: a[::-1, ::-1].swapaxes(0, 1),
}


def by_hand(model, rows, turn, folder):
    """Predictions (N, C, H, W) for turned pictures with rewritten sentences, turned back."""
    turned = []
    for row in rows:
        paths = {key: str(folder / f'{turn}-{key}-{row["sample_id"]}.png') for key in ('img_path', 'seg_map_path')}
        for key, path in paths.items():
            picture = cv2.imread(row[key], cv2.IMREAD_UNCHANGED)
            cv2.imwrite(path, np.ascontiguousarray(TURNED[turn](picture)))
        turned.append({**row, **paths, 'text': rewrite(row['text'], turn)})
    size = OWN if TURNED[turn](np.zeros((1, 2))).shape == (1, 2) else OWN[::-1]
    found = [sample.seg_logits.data.permute(1, 2, 0).numpy() for sample in plain(model, turned, size)]
    back = [TURNED[inverse_turn(turn)](logits).transpose(2, 0, 1) for logits in found]
    return torch.from_numpy(np.stack(back))


def right_angles(*degrees):
    return [dict(type='RandomRightAngle', prob=float(d > 0), degrees=d or 90) for d in degrees]


SWAP = [dict(type='SwapDirectionWords')]


@pytest.mark.parametrize('channels', [1, 2])
def test_all_eight_turns_equal_the_mean_of_predictions_turned_by_hand(build, rows, tmp_path, channels):
    model = build(channels, 0.5 if channels == 1 else None)
    alone = torch.stack([s.seg_logits.data for s in plain(model, rows)])
    views = torch.stack([alone, *(by_hand(model, rows, turn, tmp_path) for turn in TURNS)])
    probabilities = views if channels == 1 else views.softmax(2)
    assert (probabilities[1:] - probabilities[0]).abs().flatten(1).amax(1).min() > 0.02, 'each view says something else'
    mean = probabilities.mean(0)
    data = batch(rows, scales(OWN), flips(), right_angles(0, 90, 180, 270), SWAP)
    assert {s.flip_direction for view in data['data_samples'] for s in view if s.flip} == set(TURNS)
    before = [fields(s) for view in data['data_samples'] for s in view]
    merged = predict(TextSegTTAModel(model), data)
    mask = torch.stack([s.pred_sem_seg.data for s in merged]).reshape(len(rows), HEIGHT, WIDTH)
    expected = mean[:, 0] > 0.5 if channels == 1 else mean.argmax(1)
    unsure = (mean[:, 0] - 0.5).abs() < 1e-4  # rounding may fall on either side
    assert torch.equal(mask[~unsure], expected[~unsure].to(mask.dtype))
    assert 0.05 < mask.float().mean() < 0.95
    if channels == 1:
        torch.testing.assert_close(torch.stack([s.seg_logits.data for s in merged]), mean)
    assert [fields(s) for view in data['data_samples'] for s in view] == before
    for sample, row in zip(merged, rows, strict=True):
        truth = cv2.imread(row['seg_map_path'], cv2.IMREAD_UNCHANGED) > 0
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy() > 0, truth)
        assert sample.ori_shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_one_turned_view_is_turned_back(build, rows, tmp_path, degrees):
    model, turn = build(), {90: 'rot90', 180: 'diagonal', 270: 'rot270'}[degrees]
    expected = by_hand(model, rows, turn, tmp_path)
    merged = predict(TextSegTTAModel(model), batch(rows, scales(OWN), right_angles(degrees), SWAP))
    torch.testing.assert_close(torch.stack([s.seg_logits.data for s in merged]), expected)
    assert [(s.flip, s.flip_direction) for s in merged] == [(True, turn)] * 2


def test_a_resized_view_is_turned_back_to_the_size_of_the_picture(build, rows):
    model = build()
    merged = predict(TextSegTTAModel(model), batch(rows, scales((64, 96), (64, 64)), right_angles(90), SWAP))
    assert {tuple(s.pred_sem_seg.data.shape) for s in merged} == {(1, HEIGHT, WIDTH)}


def test_the_sentence_of_a_turned_view_is_rewritten(build, rows):
    model, seen = build(), []
    model.text_encoder.register_forward_pre_hook(lambda _, args: seen.append(args))
    predict(TextSegTTAModel(model), batch(rows[1:], scales(OWN), flips(), right_angles(0, 90), SWAP))
    said = ['below', 'right of', 'below', 'right of']  # as it is, turned, mirrored, mirrored and turned
    texts = [SENTENCES[1].replace('below', word) for word in said]
    ids = [load_tokenizer(TOKENIZER).encode(text, 20)[0].tolist() for text in texts]
    assert [tokens[0][real[0]].tolist() for tokens, real in seen] == ids


def test_another_sentence_gives_another_answer(build, rows):
    tta = TextSegTTAModel(build())
    views = (scales(OWN, (64, 64)), flips())
    said = [{**rows[0], 'text': text} for text in SENTENCES]
    one, other = predict(tta, batch(said, *views))
    assert (one.seg_logits.data - other.seg_logits.data).abs().max() > 1e-2


def test_the_metric_gets_truth_sentence_and_name(build, rows, tmp_path):
    model, metric = build(), TextSegMetric(output_dir=str(tmp_path / 'out'))
    merged = predict(TextSegTTAModel(model), batch(rows, scales(OWN, (64, 64)), flips()))
    metric.process({}, [s.to_dict() for s in merged])
    scores = metric.evaluate(len(rows))
    with (tmp_path / 'out' / 'per_sample.csv').open(newline='') as file:
        table = list(csv.DictReader(file))
    assert [(r['image'], r['sample_id'], r['expression']) for r in table] == [
        ('0.png', 'case0-0-0', SENTENCES[0]),
        ('1.png', 'case1-0-1', SENTENCES[1]),
    ]
    assert [int(r['pixels']) for r in table] == [32 * 32, 32 * 52]
    assert [int(r['predicted_pixels']) for r in table] == [int((s.seg_logits.data > 0.5).sum()) for s in merged]
    assert 0 < scores['dice'] < 1


def test_built_by_name_as_the_runner_builds_it(build):
    inner = build()
    tta = ROOT_MODELS.build(dict(type='TextSegTTAModel', module=inner))
    assert type(tta) is TextSegTTAModel
    assert tta.module is inner
    assert MODELS.get('TextSegTTAModel') is TextSegTTAModel
