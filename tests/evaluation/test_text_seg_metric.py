"""TextSegMetric: means by hand, the rule for empty masks, and the files it writes."""

import csv
import json
import resource
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from mmseg_textseg.evaluation import TextSegMetric

NAMES = ['dice', 'iou', 'miou', 'acc', 'precision', 'recall']
# What read the table before the later columns were added reads it still.
COLUMNS = ['sample_id', 'image', 'expression', 'dice', 'iou', 'pixels', 'predicted_pixels']
COLUMNS += ['miou', 'acc', 'precision', 'recall', 'counted_pixels']
# tp 1, fp 1, fn 1, tn 3: Dice 1/2, IoU 1/3, of the background 3/5, accuracy 4/6, precision and recall 1/2.
SMALL = ([[1, 1, 0, 0, 0, 0]], [[0, 1, 1, 0, 0, 0]])
# tp 1, fn 5: Dice 2/7, IoU 1/6, of the background 0, accuracy 1/6, precision 1, recall 1/6.
LARGE = ([[1, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]])
NEITHER = ([[0, 0]], [[0, 0]])
WRONG = ([[1, 0]], [[0, 0]])


def sample(pred, truth, name='a', text='the lesion', **metainfo) -> dict:
    """One sample as the evaluator hands it on."""
    data = SegDataSample(metainfo=dict(img_path=f'/data/images/{name}.png', sample_id=name, text=text, **metainfo))
    data.pred_sem_seg = PixelData(data=torch.as_tensor(pred)[None])
    if truth is not None:
        data.gt_sem_seg = PixelData(data=torch.as_tensor(truth)[None])
    return data.to_dict()


def evaluate(samples, batch=2, **options) -> dict:
    metric = TextSegMetric(**options)
    for i in range(0, len(samples), batch):
        metric.process({}, samples[i : i + batch])
    return metric.evaluate(len(samples))


def read_table(folder):
    with (folder / 'per_sample.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


@contextmanager
def disk_full(after: int):
    """Writing beyond ``after`` bytes of any file fails, half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_means_and_pooled_values_by_hand():
    metrics = evaluate([sample(*SMALL), sample(*LARGE)])
    expected = dict(
        dice=(1 / 2 + 2 / 7) / 2,
        iou=(1 / 3 + 1 / 6) / 2,
        miou=((1 / 3 + 3 / 5) / 2 + (1 / 6 + 0) / 2) / 2,
        acc=(4 / 6 + 1 / 6) / 2,
        precision=(1 / 2 + 1) / 2,
        recall=(1 / 2 + 1 / 6) / 2,
        # tp 1 + 1, fp 1 + 0, fn 1 + 5, tn 3 + 0.
        pooled_dice=4 / 11,
        pooled_iou=2 / 9,
        pooled_miou=(2 / 9 + 3 / 10) / 2,
        pooled_acc=5 / 12,
        pooled_precision=2 / 3,
        pooled_recall=2 / 8,
    )
    assert metrics == pytest.approx(expected)
    assert metrics['dice'] != pytest.approx(metrics['pooled_dice'], abs=0.02)


@pytest.mark.parametrize(('empty', 'mean'), [('one', (1 / 2 + 1 + 0) / 3), ('skip', (1 / 2 + 0) / 2)])
def test_rule_for_empty_masks(empty, mean):
    metrics = evaluate([sample(*SMALL), sample(*NEITHER), sample(*WRONG)], empty=empty)
    assert metrics['dice'] == pytest.approx(mean)
    # Counts of the set do not change with an item that has none: tp 1, fp 1 + 1, fn 1.
    assert metrics['pooled_dice'] == pytest.approx(2 / 5)
    assert metrics['pooled_iou'] == pytest.approx(1 / 4)


def test_an_item_left_out_is_left_out_of_every_value():
    """Its background would count in the accuracy and the two-class mean."""
    nothing = ([[0] * 50], [[0] * 50])
    samples = [sample(*SMALL), sample(*nothing), sample(*WRONG)]
    skipped = evaluate(samples, empty='skip')
    assert skipped == pytest.approx(evaluate([samples[0], samples[2]]))
    # SMALL, and WRONG: fp 1, tn 1.
    assert skipped['acc'] == pytest.approx((4 / 6 + 1 / 2) / 2)
    assert skipped['miou'] == pytest.approx(((1 / 3 + 3 / 5) / 2 + (0 + 1 / 2) / 2) / 2)
    assert skipped['pooled_acc'] == pytest.approx(5 / 8)
    kept = evaluate(samples, empty='one')
    assert kept['acc'] == pytest.approx((4 / 6 + 1 + 1 / 2) / 3)
    assert kept['precision'] == kept['recall'] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert kept['pooled_acc'] == pytest.approx(55 / 58)


def test_a_set_of_empty_masks_only():
    metrics = evaluate([sample(*NEITHER)], empty='one')
    assert set(metrics.values()) == {1}
    with pytest.raises(ValueError, match='nothing to average: all 2 items are empty'):
        evaluate([sample(*NEITHER), sample(*NEITHER)], empty='skip')


def test_ignore_index():
    pred, truth = [[1, 1, 1]], [[1, 255, 7]]
    assert evaluate([sample(pred, truth)])['iou'] == pytest.approx(1)
    assert evaluate([sample(pred, [[1, 0, 7]])], ignore_index=7)['iou'] == pytest.approx(1 / 2)


def test_random_sets_against_numpy():
    rng = np.random.default_rng(11)
    pairs = [(rng.random((2, 6, 5)) < rng.random()).astype(np.uint8) for _ in range(30)]
    pairs.append(np.zeros((2, 4, 4), np.uint8))
    metrics = evaluate([sample(*pair) for pair in pairs], batch=4)
    both = np.array([np.minimum(*pair).sum() for pair in pairs], float)
    either = np.array([np.maximum(*pair).sum() for pair in pairs], float)
    ious = np.where(either > 0, both / np.maximum(either, 1), 1)
    assert metrics['iou'] == pytest.approx(ious.mean())
    assert metrics['dice'] == pytest.approx((2 * ious / (1 + ious)).mean())
    assert metrics['pooled_iou'] == pytest.approx(both.sum() / either.sum())
    assert metrics['pooled_dice'] == pytest.approx(2 * both.sum() / (both.sum() + either.sum()))


def test_random_sets_against_mmsegmentation():
    """IoUMetric pools the set; of one item at a time it gives that item's values."""
    rng = np.random.default_rng(17)
    pairs = [(rng.random((2, 9, 7)) < rng.uniform(0.2, 0.8)).astype(np.int64) for _ in range(20)]
    for _, truth in pairs:
        truth[rng.random(truth.shape) < 0.1] = 255

    def theirs(items) -> list[float]:
        areas = [
            IoUMetric.intersect_and_union(*map(torch.from_numpy, item), num_classes=2, ignore_index=255)
            for item in items
        ]
        sums = [sum(column) for column in zip(*areas, strict=True)]
        found = IoUMetric.total_area_to_metrics(*sums, metrics=['mIoU', 'mDice', 'mFscore'])
        one = [found[name][1] for name in ('Dice', 'IoU', 'Precision', 'Recall')]
        return [*one[:2], found['IoU'].mean(), found['aAcc'].item(), *one[2:]]

    metrics = evaluate([sample(*pair) for pair in pairs], batch=3)
    assert [metrics[name] for name in NAMES] == pytest.approx(np.mean([theirs([p]) for p in pairs], 0), rel=1e-6)
    assert [metrics[f'pooled_{name}'] for name in NAMES] == pytest.approx(theirs(pairs), rel=1e-6)


def test_the_table_that_is_printed(log_lines):
    evaluate([sample(*SMALL), sample(*LARGE), sample(*NEITHER)], empty='skip')
    (printed,) = [line for line in log_lines if 'Dice' in line]
    assert 'mIoU and Acc of both classes, the rest of the foreground; 1 items empty in both left out' in printed
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if '|' in line]
    assert rows == [
        ['', 'Dice', 'IoU', 'mIoU', 'Acc', 'Precision', 'Recall'],
        ['per image (2 items)', '39.29', '25.00', '27.50', '41.67', '75.00', '33.33'],
        ['pooled', '36.36', '22.22', '26.11', '41.67', '66.67', '25.00'],
    ]


def test_padding_of_the_last_batch_is_cut_off():
    metric = TextSegMetric()
    metric.process({}, [sample(*SMALL), sample(*LARGE), sample(*SMALL)])
    assert metric.evaluate(2)['dice'] == pytest.approx((1 / 2 + 2 / 7) / 2)
    assert metric.results == [], 'a second evaluation must not see the first'


def test_missing_truth_names_the_image_and_the_mend():
    with pytest.raises(KeyError, match=r'/data/images/a\.png.*LoadMask before PackTextSegInputs'):
        TextSegMetric().process({}, [sample(SMALL[0], None)])


def test_options_are_checked():
    with pytest.raises(ValueError, match="'one' or 'skip', got 'zero'"):
        TextSegMetric(empty='zero')
    with pytest.raises(ValueError, match='save_masks=True needs output_dir'):
        TextSegMetric(save_masks=True)


def test_registry_and_prefix():
    metric = METRICS.build(dict(type='TextSegMetric', prefix='val'))
    metric.process({}, [sample(*SMALL)])
    assert set(metric.evaluate(1)) == {f'val/{prefix}{name}' for prefix in ('', 'pooled_') for name in NAMES}


def test_files(tmp_path):
    out = tmp_path / 'new' / 'folder'
    info = dict(config='c.py', checkpoint='x.pth')
    samples = [
        sample(*SMALL, name='s1', text='one'),
        sample(*LARGE, name='s2', text='two'),
        sample(*NEITHER, name='n', text='none'),
    ]
    metrics = evaluate(samples, output_dir=str(out), empty='skip', info=info)
    assert json.loads((out / 'metrics.json').read_text()) == {**metrics, 'items': 3, 'empty': 'skip', **info}
    rows = read_table(out)
    assert list(rows[0]) == COLUMNS
    assert [list(row.values()) for row in rows] == [
        ['s1', 's1.png', 'one', '0.500000', '0.333333', '2', '2', '0.466667', '0.666667', '0.500000', '0.500000', '6'],
        ['s2', 's2.png', 'two', '0.285714', '0.166667', '6', '1', '0.083333', '0.166667', '1.000000', '0.166667', '6'],
        ['n', 'n.png', 'none', '1.000000', '1.000000', '0', '0', '1.000000', '1.000000', '1.000000', '1.000000', '2'],
    ]
    assert sorted(path.name for path in out.iterdir()) == ['metrics.json', 'per_sample.csv'], 'no masks, no parts'


def test_nothing_is_written_without_out_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate([sample(*SMALL)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'text',
    [
        'left lobe, segment II, 12 mm',
        'the "bright" lesion, ""twice""',
        'first line\nsecond line\r\nthird',
        'größte Läsion, 最大的病灶 ✓ é',
        " ' ; \t leading and trailing ",
        '',
    ],
)
def test_expressions_survive_the_csv(tmp_path, text):
    evaluate([sample(*SMALL, text=text), sample(*LARGE, text='next')], output_dir=str(tmp_path))
    rows = read_table(tmp_path)
    assert [row['expression'] for row in rows] == [text, 'next']
    assert [row['pixels'] for row in rows] == ['2', '6'], 'columns must not shift'


def test_masks_are_saved_black_and_white_at_the_own_size(tmp_path):
    rng = np.random.default_rng(0)
    pred = rng.integers(0, 2, (5, 8))
    evaluate([sample(pred, 1 - pred, name='x'), sample(*SMALL, name='y.0')], output_dir=str(tmp_path), save_masks=True)
    saved = cv2.imread(str(tmp_path / 'masks' / 'x.png'), cv2.IMREAD_UNCHANGED)
    assert saved.dtype == np.uint8
    assert np.array_equal(saved, pred * 255)
    assert cv2.imread(str(tmp_path / 'masks' / 'y.0.png'), cv2.IMREAD_UNCHANGED).tolist() == [[255, 255, 0, 0, 0, 0]]


def test_a_failed_table_leaves_the_old_one_whole(tmp_path):
    evaluate([sample(*SMALL, text='old')], output_dir=str(tmp_path))
    before = (tmp_path / 'per_sample.csv').read_bytes()
    # A lone surrogate cannot be written as UTF-8; the rows before it can.
    with pytest.raises(UnicodeEncodeError):
        evaluate([sample(*LARGE, text='new'), sample(*LARGE, text='\ud800')], output_dir=str(tmp_path))
    assert (tmp_path / 'per_sample.csv').read_bytes() == before
    assert not (tmp_path / 'metrics.json').exists(), 'a summary says that all is there, and of one run'
    assert not list(tmp_path.glob('*.part'))


def test_a_failed_table_leaves_no_summary(tmp_path):
    """The summary comes last: where it is, all is."""
    with pytest.raises(UnicodeEncodeError):
        evaluate([sample(*SMALL, text='\ud800')], output_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_summary_leaves_nothing_under_its_name(tmp_path):
    with pytest.raises(TypeError):
        evaluate([sample(*SMALL)], output_dir=str(tmp_path), info=dict(config=object()))
    assert [path.name for path in tmp_path.iterdir()] == ['per_sample.csv'], 'no summary, no part of one'
    assert len(read_table(tmp_path)) == 1


def test_a_failed_summary_takes_the_old_one_away(tmp_path):
    evaluate([sample(*SMALL, text='old')], output_dir=str(tmp_path))
    with pytest.raises(TypeError):
        evaluate([sample(*LARGE, text='new')] * 2, output_dir=str(tmp_path), info=dict(config=object()))
    assert not (tmp_path / 'metrics.json').exists()


def test_a_full_disk_leaves_no_half_table(tmp_path):
    samples = [sample(*SMALL, text=f'sentence {i}') for i in range(200)]
    with disk_full(after=1000), pytest.raises(OSError, match='too large'):
        evaluate(samples, output_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (64, 64))
    metric = TextSegMetric(output_dir=str(tmp_path), save_masks=True)
    with disk_full(after=100), pytest.raises(OSError, match='too large'):
        metric.process({}, [sample(noise, noise, name='x')])
    assert list((tmp_path / 'masks').iterdir()) == []
