"""Distances of outlines against MONAI's own measures and against scipy; Boundary IoU against scipy."""

import math
import runpy
import sys

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy.ndimage import binary_erosion, distance_transform_edt

from mmseg_textseg.evaluation import EvaluationError, TextSegMetric, boundaries, boundary_iou, surface_distances
from mmseg_textseg.evaluation.boundaries import inner_band

SPACINGS = [(1.0, 1.0), (0.5, 2.0), (0.703125, 0.703125)]
LINE = np.zeros((9, 20), bool)
LINE[4, 2:12] = True


def by_scipy(pred, truth, spacing):
    """HD95 and ASSD from distance transforms of the outlines."""
    outlines = [mask & ~binary_erosion(mask) for mask in (pred, truth)]
    maps = [distance_transform_edt(~outline, sampling=spacing) for outline in outlines]
    there, back = maps[1][outlines[0]], maps[0][outlines[1]]
    hd95 = max(np.quantile(there, 0.95), np.quantile(back, 0.95))
    return hd95, (there.sum() + back.sum()) / (len(there) + len(back))


def by_monai(pred, truth, spacing):
    p, t = (torch.from_numpy(mask)[None, None].float() for mask in (pred, truth))
    options = dict(include_background=True, spacing=spacing)
    return (
        float(compute_hausdorff_distance(p, t, percentile=95, **options)),
        float(compute_average_surface_distance(p, t, symmetric=True, **options)),
    )


@pytest.mark.parametrize('spacing', SPACINGS)
def test_distances_against_scipy_and_monai(pairs, spacing):
    compared = 0
    for pred, truth in pairs:
        p, t = pred.astype(bool), truth.astype(bool)
        found = surface_distances(p, t, spacing)
        if not (p.any() and t.any()):
            assert all(map(math.isnan, found))
            continue
        compared += 1
        assert found == pytest.approx(by_scipy(p, t, spacing), rel=1e-6, abs=1e-6)
        assert found == pytest.approx(by_monai(p, t, spacing), rel=1e-6, abs=1e-6)
    assert compared > 25


def test_distances_by_hand():
    moved = np.roll(LINE, 3, axis=0)
    assert surface_distances(LINE, LINE) == (0, 0)
    assert surface_distances(LINE, moved) == (3, 3)
    assert surface_distances(LINE, moved, (0.5, 7.0)) == (1.5, 1.5)
    # Ten pixels and the first of them: 0 back, 0 to 9 there, whose 95th percentile is 8.55.
    first = LINE & (np.arange(20) == 2)
    assert surface_distances(LINE, first) == pytest.approx((8.55, 45 / 11))
    assert surface_distances(first, LINE, (9.0, 2.0)) == pytest.approx((17.1, 90 / 11)), 'either way round'


@pytest.mark.parametrize('ratio', [0.02, 0.1])
def test_boundary_iou_against_scipy(pairs, ratio):
    values = []
    for pred, truth in pairs:
        width = max(1, round(ratio * math.dist((0, 0), pred.shape)))
        bands = []
        for mask in (pred.astype(bool), truth.astype(bool)):
            bands.append(mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=width))
        union = (bands[0] | bands[1]).sum()
        expected = (bands[0] & bands[1]).sum() / union if union else 1.0
        values.append(boundary_iou(pred.astype(bool), truth.astype(bool), ratio=ratio))
        assert values[-1] == pytest.approx(expected, abs=1e-12)
    assert sum(0 < value < 1 for value in values) > 5


def test_boundary_iou_by_hand():
    """20 x 20, so a band is one pixel wide: of a square of 10 x 10 its 36 outermost pixels."""
    square = np.zeros((20, 20), bool)
    square[5:15, 5:15] = True
    assert inner_band(square, 1).sum() == 36
    assert inner_band(square, 2).sum() == 100 - 36
    assert boundary_iou(square, square) == 1
    # Shifted by one column: the bands share 9 pixels of the upper and of the lower side.
    assert boundary_iou(square, np.roll(square, 1, axis=1)) == pytest.approx(18 / (36 + 36 - 18))
    assert boundary_iou(square, square & False) == 0
    assert boundary_iou(square & False, square & False) == 1
    assert math.isnan(boundary_iou(square & False, square & False, empty_score=math.nan))
    assert inner_band(np.ones((4, 5), bool), 1).sum() == 20 - 6, 'beyond the picture there is no mask'


def test_protocol_in_pixels_against_scipy(pairs_with_ignored, evaluate):
    found = evaluate(pairs_with_ignored, protocol='boundary')
    rows = []
    for pred, truth in pairs_with_ignored:
        p, t = pred.astype(bool) & (truth != 255), truth == 1
        rows.append(by_scipy(p, t, (1, 1)) if p.any() and t.any() else (math.nan, math.nan))
    assert 20 < np.isnan(rows).sum(0)[0] * 2 < 60
    expected = dict(zip(('boundary_hd95_px', 'boundary_assd_px'), np.nanmean(rows, axis=0), strict=True))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found.keys() == {*expected, 'boundary_iou'}


def test_spacing_of_the_sample_and_a_mixture(make_sample, evaluate, log_lines):
    """LoadMedicalImage's spacing, a column of the table, and none: mm and pixels have no common mean."""
    moved = np.roll(LINE, 3, axis=0).astype(np.int64)
    line = LINE.astype(np.int64)
    samples = [
        make_sample(line, moved, '0', spacing=(0.5, 9.0), attributes=dict(pixel_spacing_mm=100)),
        make_sample(line, moved, '1', attributes=dict(spacing_mm=[2.0, 9.0])),
        make_sample(line, moved, '2', attributes=dict(pixel_spacing_mm='')),
        make_sample(line, 0 * line, '3', attributes=dict(pixel_spacing_mm='0.7')),
        make_sample(0 * line, 0 * line, '4'),
    ]
    found = evaluate(samples, protocol='boundary')
    assert found['boundary_hd95_mm'] == pytest.approx((1.5 + 6) / 2)
    assert found['boundary_assd_mm'] == pytest.approx((1.5 + 6) / 2)
    assert found['boundary_hd95_px'] == found['boundary_assd_px'] == pytest.approx(3)
    (printed,) = [line for line in log_lines if 'boundary' in line]
    assert 'no distance for 1 items with one mask empty and 1 with both' in printed
    assert '3 items in mm, 2 of unknown spacing in pixels' in printed
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if '|' in line]
    assert cells == [
        ['HD95 (mm)', 'ASSD (mm)', 'HD95 (pixels)', 'ASSD (pixels)', 'Boundary IoU'],
        ['3.75', '3.75', '3.00', '3.00', '20.00'],
        ['2 items', '2 items', '1 items', '1 items', '5 items'],
    ]


@pytest.mark.parametrize(('empty', 'mean'), [('one', 1.0), ('zero', 0.5), ('skip', 1.0)])
def test_the_rule_for_empty_masks_is_that_of_the_metric(evaluate, empty, mean):
    line = LINE.astype(np.int64)
    assert evaluate([(line, line), (0 * line, 0 * line)], protocol='boundary', empty=empty)['boundary_iou'] == mean
    alone = evaluate([(0 * line, 0 * line)], protocol='boundary', empty='skip')
    assert all(map(math.isnan, alone.values()))


def test_all_in_mm_has_no_value_in_pixels(make_sample, evaluate):
    line = LINE.astype(np.int64)
    found = evaluate([make_sample(line, line, spacing=(1, 1))], protocol='boundary')
    assert found == dict(boundary_hd95_mm=0, boundary_assd_mm=0, boundary_iou=1)


def test_without_monai_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split('.')[0] == 'monai']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'monai', None)
    with pytest.raises(ImportError, match=r"'boundary' needs monai: pip install 'mmseg_textseg\[eval\]'"):
        TextSegMetric(protocol=['lvit', 'boundary'])
    TextSegMetric(protocol='lvit')
    runpy.run_path(boundaries.__file__)  # the module itself can do without, and is imported by all


def test_unknown_options_are_refused():
    with pytest.raises(EvaluationError, match=r"protocol is \['lvit', 'nnunet'\]: expected one or several of lvit, "):
        TextSegMetric(protocol=['lvit', 'nnunet'])
    with pytest.raises(EvaluationError, match='expected one or several of'):
        TextSegMetric(protocol=[])
    with pytest.raises(TypeError, match='protocols'):
        TextSegMetric(protocols='lvit')
