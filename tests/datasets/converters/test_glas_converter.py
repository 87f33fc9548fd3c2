"""GlaS as Warwick publishes it -> masks of 0/255, numbered glands, tables with the grades."""

import argparse
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_textseg.datasets import GlaSDataset
from mmseg_textseg.datasets.converters import Conversion, ConversionError, glas

NUMBERS = np.array([[0, 1, 1, 0], [7, 7, 0, 0]], np.uint8)
GRADES = """name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)
testA_1,4, benign, adenomatous
train_1,11, malignant, moderately differentiated
"""


@pytest.fixture
def src(tmp_path):
    folder = tmp_path / 'src' / 'Warwick QU Dataset (Released 2016_07_08)'
    folder.mkdir(parents=True)
    for stem in ('train_1', 'train_2', 'testA_1', 'testB_1'):
        Image.fromarray(np.full((2, 4, 3), (10, 20, 30), np.uint8)).save(folder / f'{stem}.bmp')
        Image.fromarray(NUMBERS).save(folder / f'{stem}_anno.bmp')
    (folder / 'Grade.csv').write_text(GRADES)
    return folder.parent


@pytest.fixture
def folder(src):
    return next(src.iterdir())


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out, *words):
    parser = argparse.ArgumentParser()
    glas.add_arguments(parser)
    args = parser.parse_args(list(words))
    with Conversion('glas', out, vars(args), progress=False) as conversion:
        glas.convert(src, conversion, args)
    return conversion


def problems(*args):
    with pytest.raises(ConversionError) as caught:
        run(*args)
    return caught.value.problems


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_masks_and_images(src, out):
    run(src, out)
    np.testing.assert_array_equal(read(out / 'masks' / 'train_1.png'), (NUMBERS > 0) * 255)
    assert read(out / 'images' / 'testA_1.png')[0, 0].tolist() == [30, 20, 10], 'blue first'
    assert not (out / 'instances').exists()


def test_instances(src, out):
    run(src, out, '--instances')
    numbers = read(out / 'instances' / 'train_1.png')
    assert numbers.dtype == np.uint16
    np.testing.assert_array_equal(numbers, NUMBERS)
    assert rows(out / 'testB.jsonl')[0]['instances'] == 'instances/testB_1.png'


def test_tables_have_the_grades(src, out):
    conversion = run(src, out)
    assert rows(out / 'train.jsonl') == [
        dict(image='train_1.png', mask='train_1.png', split='train', glands=2, patient='11', grade='malignant',
             grade_2015='moderately differentiated'),
        dict(image='train_2.png', mask='train_2.png', split='train', glands=2),
    ]  # fmt: skip
    assert rows(out / 'testA.jsonl')[0]['grade'] == 'benign'
    assert conversion.counts == {'images': 4, 'glands': 8, 'train rows': 2, 'testA rows': 1, 'testB rows': 1}


def test_without_grades(src, folder, out):
    (folder / 'Grade.csv').unlink()
    run(src, out)
    assert 'grade' not in rows(out / 'train.jsonl')[0]


def test_sentences_decide_the_splits(src, out, tmp_path):
    table = tmp_path / 'text.csv'
    table.write_text('Image,Description,glands\ntrain_2.bmp,two glands,ours\ntestA_1,glands,ours\n')
    conversion = run(src, out, '--sentences', f'train={table}')
    found = rows(out / 'train.jsonl')
    assert [(row['image'], row['expression']) for row in found] == [
        ('train_2.png', 'two glands'), ('testA_1.png', 'glands'),
    ]  # fmt: skip
    assert found[0]['glands'] == 2, 'what was counted goes before a column of the table'
    assert conversion.counts['pictures without a sentence, in no table'] == 2
    prefix = dict(img_path='images', seg_map_path='masks')
    assert len(GlaSDataset('train.jsonl', data_root=str(out), data_prefix=prefix)) == 2


def test_a_palette_is_read_by_its_numbers(src, folder, out):
    picture = Image.fromarray(NUMBERS, 'P')
    picture.putpalette([0, 0, 0] * 8 + [255, 255, 255] * 248)  # all glands are black to the eye
    picture.save(folder / 'train_1_anno.bmp')
    run(src, out)
    np.testing.assert_array_equal(read(out / 'masks' / 'train_1.png'), (NUMBERS > 0) * 255)


def test_problems_come_together(src, folder, out):
    (folder / 'train_1.bmp').unlink()
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folder / 'train_2_anno.bmp')
    (folder / 'testA_1_anno.bmp').write_bytes(b'BM')
    Image.fromarray(NUMBERS).save(folder / 'mine_anno.bmp')
    (folder / 'Grade.csv').write_text('a,b\n1,2\n')
    found = problems(src, out)
    assert len(found) == 5
    for problem, part in zip(
        found,
        [
            'Grade.csv: columns a, b: expected name, patient ID',
            'mine_anno.bmp: expected a name such as train_1_anno.bmp',
            'testA_1_anno.bmp is not a picture that Pillow reads',
            'no train_1.bmp beside it',
            'has the shape (3, 3): expected that of its image, (2, 4)',
        ],
        strict=True,
    ):
        assert part in problem


def test_nothing_there(tmp_path, out):
    assert problems(tmp_path, out) == ('no *_anno.bmp: unpack the archive of Warwick there',)


def test_a_second_run_writes_nothing(src, out):
    run(src, out, '--instances')
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.*') if path.suffix in ('.png', '.jsonl')}
    assert len(before) == 15
    run(src, out, '--instances')
    assert {path: path.stat().st_mtime_ns for path in before} == before
