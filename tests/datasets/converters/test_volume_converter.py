"""Volumes with label volumes -> slices, masks, organs and tables; and expressions made of them."""

import json
import sys
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / 'tools'))
from convert_dataset import main
from make_expressions import main as make_expressions

from mmseg_textseg.datasets import LoadMedicalImage, RefHLSegDataset, TextSegDataset

AFFINE = np.diag([-0.75, -0.75, 5, 1])  # to the left, back, head: shown as stored but for rows and columns
PREFIX = dict(img_path='images', seg_map_path='masks')
CASES = 5


def scan(case, size=64):
    """A liver of 100 HU in slices 1 to 4 with a tumour of 20 HU in 2 and 3, and its labels."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing='ij')
    values, labels = np.full((size, size, 6), -1000, np.int16), np.zeros((size, size, 6), np.uint8)
    for k in range(1, 5):
        liver = (x - 24) ** 2 + (y - 30) ** 2 < 20**2
        values[liver, k], labels[liver, k] = 100, 1
    for k in (2, 3):
        tumour = (x - 18 - case) ** 2 + (y - 24) ** 2 < (6 + k) ** 2
        values[tumour, k], labels[tumour, k] = 20, 2
    return values, labels


@pytest.fixture
def src(tmp_path):
    """LiTS as published: folders of parts."""
    for case in range(CASES):
        folder = tmp_path / 'src' / f'Training Batch {1 + case % 2}'
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(('volume', 'segmentation'), scan(case), strict=True):
            nib.save(nib.Nifti1Image(array, AFFINE), folder / f'{name}-{case}.nii')
    return tmp_path / 'src'


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out, *words, window='liver'):
    shown = ['--window', window] if window else []
    main(['volume', '--src', str(src), '--out', str(out), '--no-progress', *shown, *map(str, words)])


def refused(capsys, *args, **options):
    with pytest.raises(SystemExit) as caught:
        run(*args, **options)
    return str(caught.value)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rows(out, *splits):
    files = [out / f'{split}.jsonl' for split in splits or ('train', 'val', 'test')]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_lits(src, out, capsys):
    run(src, out, '--labels', 2, '--organ-labels', 1)
    assert 'slices: 10\nslices with a lesion: 10\n' in capsys.readouterr().out
    assert {row['case_id'] for row in rows(out)} == {str(case) for case in range(CASES)}
    assert [len(rows(out, split)) for split in ('train', 'val', 'test')] == [6, 2, 2]
    values, labels = scan(3)
    # x runs to the left, y to the back: columns and rows of the picture.
    np.testing.assert_array_equal(read(out / 'masks' / '3_0002.png'), (labels[..., 2].T == 2) * 255)
    np.testing.assert_array_equal(read(out / 'organs' / '3_0002.png'), (labels[..., 2].T > 0) * 255)
    image = read(out / 'images' / '3_0002.png')
    assert image.dtype == np.uint8
    shades = {-1000: 0, 100: 246, 20: 110}  # (100 + 45) / 150 * 255 = 246.5, to the even; (20 + 45) / 150 * 255
    np.testing.assert_array_equal(image, np.vectorize(shades.get)(values[..., 2].T))
    area = int((labels[..., 2] == 2).sum())
    assert next(row for row in rows(out) if row['image'] == '3_0002.png') == dict(
        case_id='3', image='3_0002.png', mask='3_0002.png', organ='organs/3_0002.png', slice=2, plane='axial',
        spacing_mm=[0.75, 0.75], slice_spacing_mm=5.0, mask_area_px=area, mask_area_mm2=round(area * 0.5625, 3),
        labels=[1, 2],
    )  # fmt: skip


def test_a_second_run_writes_nothing(src, out):
    run(src, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.png')}
    (out / 'images' / '0_0002.png').unlink()
    del before[out / 'images' / '0_0002.png']
    sums = (out / 'SHA256SUMS').read_text()
    run(src, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / 'SHA256SUMS').read_text() == sums
    assert (out / 'images' / '0_0002.png').is_file()
    assert sorted(path.name for path in src.parent.iterdir()) == ['out', 'src']


@pytest.mark.parametrize(
    ('words', 'slices'),
    [
        ((), {1, 2, 3, 4}),  # all labels are lesion
        (('--labels', 2), {2, 3}),
        (('--labels', 2, '--organ-labels', 1, '--slices', 'organ'), {1, 2, 3, 4}),
        (('--labels', 2, '--slices', 'all'), {0, 1, 2, 3, 4, 5}),
        (('--labels', 2, '--slices', 'all', '--every', 2), {0, 2, 4}),
    ],
)
def test_which_slices(src, out, words, slices):
    run(src, out, *words)
    assert {row['slice'] for row in rows(out)} == slices
    assert {path.name for path in (out / 'masks').iterdir()} == {
        f'{c}_000{k}.png' for c in range(CASES) for k in slices
    }


def test_planes(src, out):
    run(src, out, '--plane', 'coronal', '--labels', 2, '--every', 8)
    labels = scan(0)[1]
    picture = read(out / 'masks' / '0_0024.png')
    np.testing.assert_array_equal(picture, (labels[:, 24, ::-1].T == 2) * 255)  # the head at the top
    row = next(row for row in rows(out) if row['image'] == '0_0024.png')
    assert (row['plane'], row['spacing_mm'], row['slice_spacing_mm']) == ('coronal', [5.0, 0.75], 0.75)


def test_three_windows(src, out):
    main(['volume', '--src', str(src), '--out', str(out), '--no-progress', '--window', 'bone', 'liver', '0,2000'])
    assert read(out / 'images' / '0_0001.png')[30, 24].tolist() == [140, 246, 85]  # blue, green, red


def test_sixteen_bits(src, out):
    run(src, out, '--raw16', '--labels', 2, window=None)
    picture = read(out / 'images' / '0_0002.png')
    assert picture.dtype == np.uint16
    np.testing.assert_array_equal(picture.astype(int) - 32768, scan(0)[0][..., 2].T)
    image = dict(img_path=str(out / 'images' / '0_0002.png'))
    run(src, out.parent / 'eight', '--labels', 2)
    eight = LoadMedicalImage('liver', intercept=-32768).transform(image)['img'][..., 0]
    np.testing.assert_array_equal(eight, read(out.parent / 'eight' / 'images' / '0_0002.png'))


def test_sixteen_bits_that_would_lose_shades(src, out, capsys):
    path = next(src.rglob('volume-0.nii'))
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((64, 64, 6), np.float32), AFFINE), path)
    assert 'they would lose their shades; use --window' in refused(capsys, src, out, '--raw16', window=None)


def test_other_layouts_and_masks_in_another_orientation(tmp_path, out, save_series):
    """The Decathlon's folders; a DICOM series with a mask in NIfTI."""
    values, labels = scan(0)
    for case in 'ab':
        save_series(f'src/{case}/scan', np.ascontiguousarray(values.transpose(1, 0, 2)), PixelSpacing=[0.75, 0.75])
        nib.save(nib.Nifti1Image(labels[::-1], np.diag([0.75, -0.75, 5, 1]) + [[0, 0, 0, -63 * 0.75], *[[0] * 4] * 3]),
                 tmp_path / 'src' / case / 'labels.nii.gz')  # fmt: skip
    patterns = ('--image', '{case}/scan', '--mask', '{case}/labels.nii*', '--shares', 0.5, 0, 0.5, '--labels', 2)
    run(tmp_path / 'src', out, *patterns)
    assert {row['case_id'] for row in rows(out, 'train', 'test')} == {'a', 'b'}
    assert not (out / 'val.jsonl').exists()
    np.testing.assert_array_equal(read(out / 'masks' / 'a_0002.png'), (labels[..., 2].T == 2) * 255)
    assert read(out / 'images' / 'a_0002.png')[24, 18] == 110


def test_splits_of_a_table(src, out, tmp_path):
    table = tmp_path / 'splits.csv'
    table.write_text('case_id,split\n0,train\n1,test\n2,train\n')
    run(src, out, '--splits', table)
    assert {row['case_id'] for row in rows(out, 'train')} == {'0', '2'}
    assert {row['case_id'] for row in rows(out, 'test')} == {'1'}
    assert json.loads((out / 'conversion.json').read_text())['counts']['cases in no split, left out'] == 2


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('case,split\n0,train\n', 'no column case_id, only case, split'),
        ('case_id,split\n9,train\n', "row 2: case '9' is not in --src: its cases are 0, 1, 2, 3, 4"),
        ('case_id,split\n0,train\n0,test\n', "row 3: case '0' is in train already: keep it in one split"),
        ('case_id,split\n0,\n', "row 2: split is '': expected a word"),
    ],
)
def test_tables_of_splits_that_do_not_fit(src, out, tmp_path, capsys, content, words):
    (tmp_path / 'splits.csv').write_text(content)
    assert words in refused(capsys, src, out, '--splits', tmp_path / 'splits.csv')
    assert not out.exists()


def test_lits_volumes_that_do_not_say(src, out, capsys):
    """Volumes 28 to 47 have the identity for an affine, and so no spacing."""
    for name in ('volume-1.nii', 'segmentation-1.nii'):
        path = next(src.rglob(name))
        nib.save(nib.Nifti1Image(np.array(nib.load(path).dataobj), np.eye(4)), path)
    told = refused(capsys, src, out)
    assert 'volume-1.nii does not say where its axes point in the patient: set default_axes' in told
    assert not out.exists(), 'headers are looked at first, so that the mended command is not refused'
    run(src, out, '--default-axes', 'LPS', '--labels', 2)
    row = next(row for row in rows(out) if row['case_id'] == '1')
    assert (row['spacing_mm'], row['mask_area_mm2']) == (None, None)
    np.testing.assert_array_equal(read(out / 'masks' / '1_0002.png'), (scan(1)[1][..., 2].T == 2) * 255)


def test_masks_that_do_not_lie_on_their_images(src, out, capsys):
    path = next(src.rglob('segmentation-1.nii'))
    nib.save(nib.Nifti1Image(scan(1)[1], np.diag([-0.8, -0.8, 5, 1])), path)
    told = refused(capsys, src, out)
    assert 'segmentation-1.nii and image' in told
    assert 'do not lie on the same voxels' in told
    assert '--ignore-mask-affine' in told
    run(src, out.parent / 'ignored', '--ignore-mask-affine')


def test_all_problems_at_once(src, out, capsys):
    next(src.rglob('volume-0.nii')).write_bytes(b'text')
    next(src.rglob('segmentation-3.nii')).write_bytes(b'')
    told = refused(capsys, src, out)
    assert 'volume-0.nii is not a NIfTI file' in told
    assert 'segmentation-3.nii is not a NIfTI file' in told
    assert not (out / 'train.jsonl').exists()


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (
            ('--image', 'scan-{case}.nii'),
            'segmentation-0.nii, found as segmentation-{case}.nii*, has no scan-{case}.nii',
        ),
        (('--image', 'x-{case}', '--mask', 'y-{case}'), 'nothing is named like x-{case} and y-{case}'),
        (('--image', 'volume-0.nii'), 'pattern volume-0.nii: expected {case} in it, once'),
        (('--slices', 'organ'), 'say with --organ-labels'),
        (('--every', 0), '--every 0: expected 1 or more'),
        (('--shares', 0.5, 0.5, 0.5), 'expected three that add up to 1'),
        (('--default-axes', 'XYZ'), 'expected three letters'),
        (('--labels', 7), 'no slices for train, val, test'),
    ],
)
def test_what_does_not_fit(src, out, capsys, words, told):
    assert told in refused(capsys, src, out, *words)


def test_other_mistakes(src, out, capsys):
    assert "'livre' is unknown" in refused(capsys, src, out, window='livre')
    (src / 'volume-0.nii.gz').write_bytes(b'')
    assert "are both volume-{case}.nii* of the case '0': keep one" in refused(capsys, src, out)


def test_few_cases(src, out, capsys):
    for path in src.rglob('*-[1-4].nii'):
        path.unlink()
    assert '1 cases for 3 splits: give --splits, or shares of 0' in refused(capsys, src, out)
    run(src, out, '--shares', 1, 0, 0)
    assert len(rows(out, 'train')) == 4


def test_then_expressions(src, out, tmp_path):
    run(src, out, '--labels', 2, '--organ-labels', 1)
    tables = [str(out / f'{split}.jsonl') for split in ('train', 'test')]
    made = tmp_path / 'referring'
    make_expressions(['--ann', *tables, '--root', str(out), '--organs', str(out / 'organs'), '--out', str(made),
                      '--no-progress'])  # fmt: skip
    row = json.loads((made / 'train.jsonl').read_text().splitlines()[0])
    assert row['spacing_mm'] == 0.75
    assert row['diameter_mm'] > 0
    assert row['slice'] in (2, 3)
    assert len(RefHLSegDataset('train.jsonl', data_root=str(made))) > 0
    assert len(TextSegDataset('test.jsonl', data_root=str(made), data_prefix=PREFIX)) > 0


def test_without_the_library(src, out, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'nibabel', None)
    told = refused(capsys, src, out)
    assert told.count("needs nibabel: pip install 'mmseg_textseg[data]'") == 1
