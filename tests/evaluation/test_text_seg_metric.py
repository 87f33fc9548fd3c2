"""TextSegMetric: means by hand, the rule for empty masks, and the files it writes."""

import csv
import json
import math
import re
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

from mmseg_textseg.evaluation import EvaluationError, TextSegMetric

# The default protocols, in their order.
NAMES = ['dice', 'iou']
NAMES += [f'two_class_{name}' for name in ('dice', 'miou', 'acc', 'precision', 'recall')]
NAMES += [f'pooled_{name}' for name in ('dice', 'iou', 'miou', 'acc', 'precision', 'recall')]
COLUMNS = ['sample_id', 'image', 'expression', 'dice', 'iou', 'pixels', 'predicted_pixels', 'counted_pixels']
COLUMNS += [f'two_class_{name}' for name in ('dice', 'miou', 'acc', 'precision', 'recall')]
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
        two_class_dice=(1 / 2 + 2 / 7) / 2,
        two_class_miou=((1 / 3 + 3 / 5) / 2 + (1 / 6 + 0) / 2) / 2,
        two_class_acc=(4 / 6 + 1 / 6) / 2,
        two_class_precision=(1 / 2 + 1) / 2,
        two_class_recall=(1 / 2 + 1 / 6) / 2,
        # tp 1 + 1, fp 1 + 0, fn 1 + 5, tn 3 + 0.
        pooled_dice=4 / 11,
        pooled_iou=2 / 9,
        pooled_miou=(2 / 9 + 3 / 10) / 2,
        pooled_acc=5 / 12,
        pooled_precision=2 / 3,
        pooled_recall=2 / 8,
    )
    assert metrics == pytest.approx(expected)
    assert list(metrics) == NAMES
    assert metrics['dice'] != pytest.approx(metrics['pooled_dice'], abs=0.02)


@pytest.mark.parametrize(
    ('empty', 'mean'), [('one', (1 / 2 + 1 + 0) / 3), ('zero', (1 / 2 + 0 + 0) / 3), ('skip', (1 / 2 + 0) / 2)]
)
def test_rule_for_empty_masks(empty, mean):
    metrics = evaluate([sample(*SMALL), sample(*NEITHER), sample(*WRONG)], empty=empty)
    assert metrics['dice'] == pytest.approx(mean)
    # Counts of the set do not change with an item that has none: tp 1, fp 1 + 1, fn 1.
    assert metrics['pooled_dice'] == pytest.approx(2 / 5)
    assert metrics['pooled_iou'] == pytest.approx(1 / 4)


def test_nothing_to_average_is_undefined_and_said(log_lines, tmp_path):
    metrics = evaluate([sample(*NEITHER), sample(*NEITHER)], empty='skip', output_dir=str(tmp_path))
    defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
    assert defined == dict(pooled_acc=1)
    printed = next(line for line in log_lines if 'lvit' in line)
    assert '2 items empty in both left out' in printed
    summary = json.loads((tmp_path / 'metrics.json').read_text())
    assert summary['protocols']['lvit'] == dict(dice=None, iou=None)
    assert summary['averaged_items']['lvit'] == dict(dice=0, iou=0)
    assert summary['items'] == 2


def test_ignore_index():
    pred, truth = [[1, 1, 1]], [[1, 255, 7]]
    assert evaluate([sample(pred, truth)])['iou'] == pytest.approx(1)
    assert evaluate([sample(pred, [[1, 0, 7]])], ignore_index=7)['iou'] == pytest.approx(1 / 2)


def test_random_sets_against_mmsegmentation():
    """IoUMetric pools the set; of one item at a time it gives that item's values."""
    rng = np.random.default_rng(17)
    pairs = [(rng.random((2, 9, 7)) < rng.uniform(0.2, 0.8)).astype(np.int64) for _ in range(20)]
    for _, truth in pairs:
        truth[rng.random(truth.shape) < 0.1] = 255

    def theirs(items) -> dict[str, float]:
        areas = [
            IoUMetric.intersect_and_union(*map(torch.from_numpy, item), num_classes=2, ignore_index=255)
            for item in items
        ]
        sums = [sum(column) for column in zip(*areas, strict=True)]
        found = IoUMetric.total_area_to_metrics(*sums, metrics=['mIoU', 'mDice', 'mFscore'])
        one = {name.lower(): found[name][1] for name in ('Dice', 'IoU', 'Precision', 'Recall')}
        return dict(one, miou=found['IoU'].mean(), acc=found['aAcc'].item())

    metrics = evaluate([sample(*pair) for pair in pairs], batch=3)
    items, together = [theirs([pair]) for pair in pairs], theirs(pairs)
    means = {name: np.mean([item[name] for item in items]) for name in together}
    expected = [means['dice'], means['iou'], *(means[name.removeprefix('two_class_')] for name in NAMES[2:7])]
    expected += [together[name.removeprefix('pooled_')] for name in NAMES[7:]]
    assert [metrics[name] for name in NAMES] == pytest.approx(expected, rel=1e-6)


def test_the_table_that_is_printed(log_lines):
    evaluate([sample(*SMALL), sample(*LARGE), sample(*NEITHER)], empty='skip', protocol=['lvit', 'pooled', 'gres'])
    (printed,) = [line for line in log_lines if 'Dice' in line]
    blocks = [line for line in printed.splitlines() if line[0] not in '+|']
    assert blocks == [
        'values in percent, lengths in their unit, - is undefined',
        'lvit: means over items, foreground (3 items; 1 items empty in both left out)',
        'pooled: pixels of the whole set; mIoU and Acc of both classes, the rest of the foreground (3 items)',
        'gres: expressions, some without a target (3 items; 1 without a target, 2 with one)',
    ]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if '|' in line]
    assert rows == [
        ['Dice', 'IoU'],
        ['39.29', '25.00'],
        ['2 items', '2 items'],
        ['Dice', 'IoU', 'mIoU', 'Acc', 'Precision', 'Recall'],
        ['36.36', '22.22', '31.94', '50.00', '66.67', '25.00'],
        ['gIoU', 'cIoU', 'N-acc', 'T-acc'],
        ['50.00', '22.22', '100.00', '100.00'],
        ['3 items', '3 items', '1 items', '2 items'],
    ]


def test_padding_of_the_last_batch_is_cut_off():
    metric = TextSegMetric()
    metric.process({}, [sample(*SMALL), sample(*LARGE), sample(*SMALL)])
    assert metric.evaluate(2)['dice'] == pytest.approx((1 / 2 + 2 / 7) / 2)
    assert metric.results == [], 'a second evaluation must not see the first'


def test_missing_truth_names_the_image_and_the_mend():
    with pytest.raises(EvaluationError, match=r'/data/images/a\.png.*LoadMask before PackTextSegInputs'):
        TextSegMetric().process({}, [sample(SMALL[0], None)])


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (dict(empty='two'), "'one', 'zero' or 'skip', got 'two'"),
        (dict(save_masks=True), 'save_masks=True needs output_dir'),
        (dict(threshold=50), 'threshold is 50: expected a probability'),
        (dict(gres_min_pixels=0), 'gres_min_pixels is 0: expected at least 1'),
        (dict(protocol='mean'), "protocol is 'mean': expected one or several of lvit, two-class, pooled, ris, gres"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(EvaluationError, match=re.escape(said)):
        TextSegMetric(**options)


def test_a_misspelt_option_is_not_swallowed():
    with pytest.raises(TypeError, match='protocols'):
        TextSegMetric(protocols='ris')
    TextSegMetric(keep_results=True)  # what MMSegmentation's test tool sets


def test_threshold_reaches_every_value_and_the_mask(tmp_path):
    one = sample([[0, 0, 0]], [[1, 1, 0]])
    one['seg_logits'] = dict(data=torch.tensor([[[0.45, 0.35, 0.1]]]))
    found = {threshold: evaluate([one], threshold=threshold)['dice'] for threshold in (None, 0.4, 0.3, 0.0)}
    assert found == pytest.approx({None: 0, 0.4: 2 / 3, 0.3: 1, 0.0: 4 / 5})
    evaluate([one], threshold=0.4, output_dir=str(tmp_path), save_masks=True)
    assert cv2.imread(str(tmp_path / 'masks' / 'a.png'), cv2.IMREAD_UNCHANGED).tolist() == [[255, 0, 0]]
    assert json.loads((tmp_path / 'metrics.json').read_text())['settings']['threshold'] == 0.4


def test_registry_and_prefix():
    metric = METRICS.build(dict(type='TextSegMetric', prefix='val'))
    metric.process({}, [sample(*SMALL)])
    assert set(metric.evaluate(1)) == {f'val/{name}' for name in NAMES}


def test_files(tmp_path):
    out = tmp_path / 'new' / 'folder'
    info = dict(config=dict(path='c.py'), name='c', checkpoint=dict(path='x.pth'))
    samples = [
        sample(*SMALL, name='s1', text='one'),
        sample(*LARGE, name='s2', text='two'),
        sample(*NEITHER, name='n', text='none'),
    ]
    metrics = evaluate(samples, output_dir=str(out), empty='skip', info=info)
    summary = json.loads((out / 'metrics.json').read_text())
    assert list(summary) == ['name', 'protocols', 'items', 'averaged_items', 'config', 'checkpoint', 'settings']
    assert {key: summary[key] for key in info} == info
    assert summary['items'] == 3
    assert summary['settings'] == dict(empty='skip', ignore_index=255, threshold=None, gres_min_pixels=1)
    assert list(summary['protocols']) == ['lvit', 'two-class', 'pooled']
    assert summary['protocols']['lvit'] == {name: metrics[name] for name in ('dice', 'iou')}
    for protocol, prefix in (('two-class', 'two_class_'), ('pooled', 'pooled_')):
        names = [name.removeprefix(prefix) for name in NAMES if name.startswith(prefix)]
        assert summary['protocols'][protocol] == {name: metrics[prefix + name] for name in names}
    assert summary['averaged_items']['lvit'] == dict(dice=2, iou=2)
    assert set(summary['averaged_items']['pooled'].values()) == {3}
    rows = read_table(out)
    assert list(rows[0]) == COLUMNS
    two_class = ['0.500000', '0.466667', '0.666667', '0.500000', '0.500000']
    assert [list(row.values()) for row in rows] == [
        ['s1', 's1.png', 'one', '0.500000', '0.333333', '2', '2', '6', *two_class],
        ['s2', 's2.png', 'two', '0.285714', '0.166667', '6', '1', '6']
        + ['0.285714', '0.083333', '0.166667', '1.000000', '0.166667'],
        ['n', 'n.png', 'none', '', '', '0', '0', '2', '', '', '', '', ''],
    ]
    assert sorted(path.name for path in out.iterdir()) == ['metrics.json', 'per_sample.csv'], 'no masks, no parts'


def test_columns_of_all_protocols(tmp_path):
    """Dice and IoU stand where they stand, also where lvit was not asked for; a length under its unit."""
    samples = [sample(*SMALL, name='s', spacing=(0.5, 2.0)), sample(*WRONG, name='w')]
    evaluate(samples, output_dir=str(tmp_path), protocol=['boundary', 'ris', 'gres'])
    first, second = read_table(tmp_path)
    later = ['boundary_hd95_mm', 'boundary_assd_mm', 'boundary_iou', 'ris_iou', 'gres_iou']
    assert list(first) == [*COLUMNS[:8], *later, 'boundary_hd95_px', 'boundary_assd_px']
    assert (first['dice'], first['iou'], second['dice']) == ('0.500000', '0.333333', '0.000000')
    assert (first['boundary_assd_mm'], first['boundary_assd_px']) == ('1.000000', '')
    assert (second['boundary_assd_mm'], second['boundary_assd_px']) == ('', ''), 'no distance to an empty mask'
    summary = json.loads((tmp_path / 'metrics.json').read_text())
    assert summary['protocols']['boundary']['assd_mm'] == pytest.approx(1)
    assert summary['protocols']['boundary']['assd_px'] is None
    assert summary['averaged_items']['boundary'] == dict(hd95_mm=1, assd_mm=1, hd95_px=0, assd_px=0, iou=2)


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


def test_an_interrupted_evaluation_leaves_no_old_summary(tmp_path):
    evaluate([sample(*SMALL, text='old')], output_dir=str(tmp_path))
    TextSegMetric(output_dir=str(tmp_path), save_masks=True).process({}, [sample(*LARGE, text='new')])
    assert not (tmp_path / 'metrics.json').exists(), 'masks of two runs lie there now'


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
