"""QaTa-COV19 in Kaggle's folders with LViT's tables, and in LViT's folders -> a folder and a table a split."""

import argparse
import json

import cv2
import numpy as np
import openpyxl
import pytest

from mmseg_textseg.datasets import QaTaCOV19Dataset
from mmseg_textseg.datasets.converters import Conversion, ConversionError, qata_cov19

MASK = np.array([[0, 255, 0], [0, 1, 254]], np.uint8)
# Training images and their sentences; the table of validation names the third.
SENTENCES = {'covid_1': 'left lung.', 'sub-S1_run-1_cr': 'right lung.', 'covid_3': 'both lungs.'}


def picture(path, values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((2, 3), np.uint8) if values is None else values)


def sheet(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def ids(path, *stems):
    sheet(path, ['Image'], *([f'mask_{stem}.png'] for stem in stems))


@pytest.fixture
def src(tmp_path):
    """As unpacked from Kaggle, with LViT's four tables beside it."""
    src = tmp_path / 'src'
    v2 = src / 'QaTa-COV19' / 'QaTa-COV19-v2'
    for stem in SENTENCES:
        picture(v2 / 'Train Set' / 'Images' / f'{stem}.png')
        picture(v2 / 'Train Set' / 'Ground-truths' / f'mask_{stem}.png', MASK)
    # The same name as in training, another picture.
    picture(v2 / 'Test Set' / 'Images' / 'covid_1.png', np.full((2, 3), 9, np.uint8))
    picture(v2 / 'Test Set' / 'Ground-truths' / 'mask_covid_1.png')
    picture(src / '__MACOSX' / 'Train Set' / '._a.png')
    header = ['Image', 'Description']
    sheet(src / 'Train_text_for_Covid19.xlsx', header, *([f'mask_{a}.png', b] for a, b in SENTENCES.items()))
    sheet(src / 'Test_text_for_Covid19.xlsx', header, ['covid_1', 'no infection.'])
    ids(src / 'Train_ID.xlsx', 'covid_1', 'sub-S1_run-1_cr')
    ids(src / 'Val_ID.xlsx', 'covid_3')
    return src


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out):
    with Conversion('qata-cov19', out, {}, progress=False) as conversion:
        qata_cov19.convert(src, conversion, argparse.Namespace())
    return conversion


def problems(src, out):
    with pytest.raises(ConversionError) as caught:
        run(src, out)
    return caught.value.problems


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tables(src, out):
    conversion = run(src, out)
    assert rows(out / 'train.jsonl') == [
        dict(image='train/covid_1.png', mask='train/covid_1.png', expression='left lung.'),
        dict(image='train/sub-S1_run-1_cr.png', mask='train/sub-S1_run-1_cr.png', expression='right lung.'),
    ]
    assert [row['expression'] for row in rows(out / 'val.jsonl')] == ['both lungs.']
    assert rows(out / 'test.jsonl')[0]['expression'] == 'no infection.'
    assert conversion.counts == {
        'train images': 2, 'val images': 1, 'test images': 1,
        'train expressions': 2, 'val expressions': 1, 'test expressions': 1,
    }  # fmt: skip


def test_pictures(src, out):
    run(src, out)
    mask = cv2.imread(str(out / 'masks/train/covid_1.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, [[0, 255, 0], [0, 255, 255]])
    original = src / 'QaTa-COV19/QaTa-COV19-v2/Train Set/Images/covid_1.png'
    assert (out / 'images/train/covid_1.png').read_bytes() == original.read_bytes()
    assert cv2.imread(str(out / 'images/test/covid_1.png')).max() == 9, 'the same name in both sets'


def test_the_class_reads_what_is_written(src, out):
    run(src, out)
    prefix = dict(img_path='images', seg_map_path='masks')
    dataset = QaTaCOV19Dataset('val.jsonl', data_root=str(out), data_prefix=prefix)
    item = dataset.get_data_info(0)
    assert item['img_path'] == str(out / 'images' / 'val/covid_3.png')
    assert item['seg_map_path'] == str(out / 'masks' / 'val/covid_3.png')
    assert item['text'] == 'both lungs.'


def test_folders_of_lvit(tmp_path, out):
    src = tmp_path / 'src'
    for split, stem in (('Train', 'covid_1'), ('Val', 'covid_2'), ('Test', 'covid_3')):
        picture(src / f'{split}_Folder' / 'img' / f'{stem}.png')
        picture(src / f'{split}_Folder' / 'labelcol' / f'mask_{stem}.png', MASK)
        sheet(src / f'{split}_Folder' / f'{split}_text.xlsx', ['Image', 'Description'], [f'mask_{stem}.png', split])
    run(src, out)
    for split, stem in (('train', 'covid_1'), ('val', 'covid_2'), ('test', 'covid_3')):
        assert rows(out / f'{split}.jsonl') == [
            dict(image=f'{split}/{stem}.png', mask=f'{split}/{stem}.png', expression=split.title())
        ]
        assert cv2.imread(str(out / 'masks' / split / f'{stem}.png'), cv2.IMREAD_UNCHANGED).max() == 255


def test_folders_of_lvit_that_are_incomplete(tmp_path, out):
    (tmp_path / 'src' / 'Train_Folder' / 'img').mkdir(parents=True)
    found = problems(tmp_path / 'src', out)
    assert [p.split(':')[0] for p in found] == ['no Train_Folder/Train_text.xlsx', 'no folder Train_Folder/labelcol']


def test_a_second_run_writes_nothing(src, out):
    run(src, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.*') if path.suffix in ('.png', '.jsonl')}
    assert len(before) == 11
    run(src, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_missing_downloads_come_together(tmp_path, out):
    (tmp_path / 'src').mkdir()
    found = problems(tmp_path / 'src', out)
    assert [p.split()[0] for p in found[2:6]] == [
        'Train_text*.xlsx', 'Test_text*.xlsx', 'Train_ID*.xlsx', 'Val_ID*.xlsx',
    ]  # fmt: skip
    assert found[0] == "no folders 'Train Set': expected that of QaTa-COV19-v2"
    assert found[-1].startswith('or give the folder that holds Train_Folder')
    assert not out.exists()


def test_two_tables_that_could_be_meant(src, out):
    ids(src / 'more' / 'Val_ID (1).xlsx', 'covid_3')
    assert any(p.startswith('Val_ID*.xlsx may be ') and 'keep one' in p for p in problems(src, out))


def test_ids_that_do_not_part_the_table(src, out):
    ids(src / 'Train_ID.xlsx', 'covid_1', 'covid_3', 'covid_9')
    assert problems(src, out) == (
        'Val_ID.xlsx row 2: covid_3 is in Train_ID.xlsx too: keep one',
        'Train_text_for_Covid19.xlsx row 3: sub-S1_run-1_cr is in none of Train_ID.xlsx, Val_ID.xlsx',
        'Train_ID.xlsx: covid_9 has no row in Train_text_for_Covid19.xlsx',
    )
    assert not out.exists()


def test_rows_of_both_tables_come_together(src, out):
    (src / 'QaTa-COV19/QaTa-COV19-v2/Train Set/Ground-truths/mask_covid_3.png').unlink()
    sheet(src / 'Test_text_for_Covid19.xlsx', ['Image', 'Description'], ['covid_8', 'x'], ['covid_1', None])
    found = problems(src, out)
    assert [p.split(':')[0] for p in found] == [
        'Train_text_for_Covid19.xlsx row 4',
        *['Test_text_for_Covid19.xlsx row 2'] * 2,
        'Test_text_for_Covid19.xlsx row 3',
    ]
    assert "'mask_covid_3.png', no mask of that name" in found[0]


def test_bad_pictures_come_together_and_the_good_are_kept(src, out):
    train = src / 'QaTa-COV19/QaTa-COV19-v2/Train Set'
    picture(train / 'Ground-truths' / 'mask_covid_1.png', np.zeros((3, 3), np.uint8))
    (train / 'Images' / 'covid_3.png').write_bytes(b'no picture')
    first, second = problems(src, out)
    assert '3 x 3 (height x width)' in first
    assert 'covid_3.png is not a picture that OpenCV reads' in second
    assert (out / 'masks/train/sub-S1_run-1_cr.png').is_file()
    picture(train / 'Ground-truths' / 'mask_covid_1.png', MASK)
    picture(train / 'Images' / 'covid_3.png')
    run(src, out)
    assert len(list((out / 'masks').rglob('*.png'))) == 4


def test_other_counts_are_a_hint(src, out, monkeypatch):
    said = []
    monkeypatch.setattr(qata_cov19, 'print_log', lambda message, **_: said.append(message))
    run(src, out)
    assert 'train 2 (published: 5,716), val 1 (published: 1,429), test 1 (published: 2,113)' in said[0]
    monkeypatch.setattr(qata_cov19, 'PUBLISHED', dict(train=2, val=1, test=1))
    run(src, out)
    assert len(said) == 1
    assert sum((5716, 1429, 2113)) == 9258, "LSMS's count of images"
