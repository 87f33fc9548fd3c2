"""MosMedData+ in Kaggle's folders with LViT's tables, and in LViT's folders -> a folder and a table a split."""

import argparse
import csv
import json

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets import MosMedDataPlusDataset
from mmseg_textseg.datasets.converters import Conversion, ConversionError, mosmeddata_plus

ROWS = {
    'Train_text_MosMedData+ 1.csv': [('Morozov_study_0255_10.png', 'two infected areas.'), ('bjorke_7.png', 'one.')],
    'Val_text_MosMedData+ 1.csv': [('Jun_coronacases_case1_120.png', 'left lung.')],
    'Test_text_MosMedData+.csv': [('bjorke_8.png', 'right lung.')],
}


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([('Image', 'Description'), *rows])


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((2, 3), value, np.uint8))


@pytest.fixture
def src(tmp_path):
    src = tmp_path / 'src'
    for name, rows in ROWS.items():
        table(src / 'texts' / name, rows)
        for image, _ in rows:
            picture(src / 'archive' / 'frames' / image, 40)
            picture(src / 'archive' / 'masks' / image, 1)
    return src


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out):
    with Conversion('mosmeddata-plus', out, {}, progress=False) as conversion:
        mosmeddata_plus.convert(src, conversion, argparse.Namespace())
    return conversion


def problems(src, out):
    with pytest.raises(ConversionError) as caught:
        run(src, out)
    return caught.value.problems


def test_kaggles_folders_with_the_tables_of_lvit(src, out):
    conversion = run(src, out)
    lines = (out / 'train.jsonl').read_text().splitlines()
    assert json.loads(lines[0]) == dict(
        image='train/Morozov_study_0255_10.png',
        mask='train/Morozov_study_0255_10.png',
        expression='two infected areas.',
    )
    assert conversion.counts['train expressions'] == 2
    assert conversion.counts['val images'] == conversion.counts['test images'] == 1
    mask = cv2.imread(str(out / 'masks/test/bjorke_8.png'), cv2.IMREAD_UNCHANGED)
    assert np.unique(mask).tolist() == [255]
    prefix = dict(img_path='images', seg_map_path='masks')
    assert len(MosMedDataPlusDataset('train.jsonl', data_root=str(out), data_prefix=prefix)) == 2


def test_folders_of_lvit(tmp_path, out):
    for split in ('Train', 'Val', 'Test'):
        folder = tmp_path / 'src' / f'{split}_Folder'
        table(folder / f'{split}_text.csv', [('a.png', split), ('a.png', 'again')])
        picture(folder / 'img' / 'a.png', 5)
        picture(folder / 'labelcol' / 'a.png', 255)
    conversion = run(tmp_path / 'src', out)
    assert conversion.counts['val images'] == 1
    assert conversion.counts['val expressions'] == 2, 'two sentences of one image'


def test_what_is_missing_comes_together(src, out):
    (src / 'texts' / 'Val_text_MosMedData+ 1.csv').unlink()
    (src / 'archive' / 'masks').rename(src / 'archive' / 'labels')
    masks, table_, other = problems(src, out)
    assert masks == "no folders 'masks': expected one, as unpacked from Kaggle"
    assert table_.startswith('Val_text*.xlsx is missing')
    assert other.startswith('or give the folder that holds Train_Folder')


def test_rows_without_files_are_named(src, out):
    (src / 'archive' / 'frames' / 'bjorke_8.png').unlink()
    (problem,) = problems(src, out)
    assert problem.startswith("Test_text_MosMedData+.csv row 2: 'Image' is 'bjorke_8.png', no image of that name")


def test_two_masks_of_one_image(src, out):
    path = src / 'texts' / 'Test_text_MosMedData+.csv'
    path.write_text('Image,Mask,Description\nbjorke_8.png,bjorke_8.png,a\nbjorke_8.png,bjorke_7.png,b\n')
    (problem,) = problems(src, out)
    assert problem.startswith('Test_text_MosMedData+.csv row 3: ')
    assert 'another mask than in Test_text_MosMedData+.csv row 2' in problem


def test_other_counts_are_a_hint(src, out, monkeypatch):
    said = []
    monkeypatch.setattr(mosmeddata_plus, 'print_log', lambda message, **_: said.append(message))
    run(src, out)
    assert said == ['mosmeddata-plus: 4 rows (published: 2,729 slices). Right for a subset']
