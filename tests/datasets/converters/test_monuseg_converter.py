"""MoNuSeg's outlines as Aperio ImageScope writes them -> masks and numbered nuclei."""

import argparse
import json
import shutil
import sys

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets import MoNuSegDataset
from mmseg_textseg.datasets.converters import Conversion, ConversionError, monuseg

A = [(1, 1), (4, 1), (4, 3), (1, 3)]
B = [(3.0, 2.0), (6.0, 2.0), (6.0, 4.0), (3.0, 4.0)]  # has two pixels in common with A
INSIDE_A = [(2, 2), (3, 2), (3, 3), (2, 3)]
OUTSIDE = [(20, 20), (25, 20), (25, 25)]
HALF_OUTSIDE = [(6, 0), (12, 0), (12, 1), (6, 1)]


def outline(*regions, layers=1, negative=0):
    """One file; regions are lists of x, y."""
    made = ''.join(
        f'<Region Id="{number}" Type="0" Zoom="0.5" NegativeROA="{negative}"><Attributes/><Vertices>'
        + ''.join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in points)
        + '</Vertices></Region>'
        for number, points in enumerate(regions, start=1)
    )
    head = '<RegionAttributeHeaders><AttributeHeader Id="9999" Name="Region"/></RegionAttributeHeaders>'
    one = f'<Annotation Id="1" Name="" Type="4"><Attributes/><Regions>{head}{made}</Regions><Plots/></Annotation>'
    return f'<Annotations MicronsPerPixel="0.252000">{one * layers}</Annotations>'


def write(folder, stem, xml, images=None, shape=(6, 8, 3)):
    for path in (folder, images or folder):
        path.mkdir(parents=True, exist_ok=True)
    (folder / f'{stem}.xml').write_text(xml)
    cv2.imwrite(str((images or folder) / f'{stem}.tif'), np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))


@pytest.fixture
def src(tmp_path):
    """Both archives, as unpacked."""
    src = tmp_path / 'src'
    train = src / 'MoNuSeg 2018 Training Data' / 'MoNuSeg 2018 Training Data'
    write(train / 'Annotations', 'TCGA-18-A', outline(A, B, INSIDE_A), train / 'Tissue Images')
    write(train / 'Annotations', 'TCGA-21-B', outline(HALF_OUTSIDE, OUTSIDE, A[:2]), train / 'Tissue Images')
    write(src / 'MoNuSegTestData', 'TCGA-2Z-C', outline(A))
    (src / '__MACOSX').mkdir()
    (src / '__MACOSX' / '._TCGA-18-A.xml').write_bytes(b'\0')
    return src


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out, *sentences):
    args = argparse.Namespace(sentences=list(sentences))
    with Conversion('monuseg', out, dict(sentences=args.sentences), progress=False) as conversion:
        monuseg.convert(src, conversion, args)
    return conversion


def problems(*args):
    with pytest.raises(ConversionError) as caught:
        run(*args)
    return caught.value.problems


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def drawn(*lines):
    return np.array([[int(c) if c != '.' else 0 for c in line] for line in lines], np.uint16)


def test_the_first_nucleus_has_the_pixels_of_several(src, out):
    conversion = run(src, out)
    numbers = read(out / 'instances' / 'TCGA-18-A.png')
    assert numbers.dtype == np.uint16
    expected = drawn('........', '.1111...', '.111122.', '.111122.', '...2222.', '........')
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(read(out / 'masks' / 'TCGA-18-A.png'), (expected > 0) * 255)
    assert conversion.counts['nuclei without a pixel of their own, left out'] == 2, 'inside A, and outside the image'


def test_polygons_are_cut_at_the_border(src, out):
    conversion = run(src, out)
    expected = drawn('......11', '......11', *['........'] * 4)
    np.testing.assert_array_equal(read(out / 'instances' / 'TCGA-21-B.png'), expected)
    assert conversion.counts['regions of less than three points or negative, left out'] == 1


def test_images_become_png(src, out):
    run(src, out)
    np.testing.assert_array_equal(read(out / 'images' / 'TCGA-2Z-C.png'), read(src / 'MoNuSegTestData/TCGA-2Z-C.tif'))


def test_splits_and_counts(src, out):
    conversion = run(src, out)
    assert rows(out / 'train.jsonl')[0] == dict(
        image='TCGA-18-A.png', mask='TCGA-18-A.png', instances='instances/TCGA-18-A.png', split='train', nuclei=2
    )
    assert [row['image'] for row in rows(out / 'test.jsonl')] == ['TCGA-2Z-C.png']
    assert conversion.counts['train images'] == 2
    assert conversion.counts['train nuclei'] == 3
    assert conversion.counts['test nuclei'] == 1


def test_the_test_archive_alone(tmp_path, out):
    write(tmp_path / 'MoNuSegTestData', 'TCGA-2Z-C', outline(A))
    run(tmp_path / 'MoNuSegTestData', out)
    assert [path.name for path in out.glob('*.jsonl')] == ['test.jsonl']


def test_a_folder_above_that_is_called_test_says_nothing(tmp_path, out):
    write(tmp_path / 'test' / 'Annotations', 'TCGA-18-A', outline(A), tmp_path / 'test' / 'Tissue Images')
    run(tmp_path / 'test', out)
    assert [path.name for path in out.glob('*.jsonl')] == ['train.jsonl']


def test_sentences_of_lvit(src, out, tmp_path):
    for name, cell, text in (('Train', 'TCGA-18-A.png', 'dense'), ('Val', 'TCGA-21-B.png', 'sparse')):
        (tmp_path / f'{name}_text.csv').write_text(f'Image,Description\n{cell},{text}\n')
    tables = [f'{name.lower()}={tmp_path / name}_text.csv' for name in ('Train', 'Val')]
    conversion = run(src, out, *tables)
    assert {path.stem for path in out.glob('*.jsonl')} == {'train', 'val'}
    assert rows(out / 'val.jsonl')[0]['expression'] == 'sparse'
    assert rows(out / 'val.jsonl')[0]['split'] == 'val'
    assert conversion.counts['pictures without a sentence, in no table'] == 1
    prefix = dict(img_path='images', seg_map_path='masks')
    dataset = MoNuSegDataset('val.jsonl', data_root=str(out), data_prefix=prefix)
    assert dataset.get_data_info(0)['seg_map_path'] == str(out / 'masks' / 'TCGA-21-B.png')


def test_sentences_that_do_not_fit(src, out, tmp_path):
    table = tmp_path / 'text.csv'
    table.write_text('Image,Description\nTCGA-9.png,dense\n')
    (problem,) = problems(src, out, f'train={table}')
    assert problem.startswith("text.csv row 2: 'TCGA-9.png': no such picture in --src")
    first, second, third = problems(src, tmp_path / 'b', 'train', f'val={tmp_path}/none.csv', f'val={table}')
    assert first == "'train': expected SPLIT=TABLE, e.g. train=Train_text.xlsx"
    assert 'none.csv' in second
    assert third.endswith('val has a table already')


def test_a_second_run_writes_nothing(src, out):
    run(src, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.*') if path.suffix in ('.png', '.jsonl')}
    assert len(before) == 11
    run(src, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


SPOILT = [
    ('<Annotations', 'is no XML'),
    ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'declares entities, which an outline does not need'),
    ('<Annotations/>', 'no Annotation/Regions/Region'),
    (outline([(1, 1), (2, 2), (3, 'x')]), 'region 1: a vertex without numbers'),
    (outline([(1, 1), (2, 2), (3, 'nan')]), 'region 1: a vertex is not finite'),
]


@pytest.mark.parametrize(('xml', 'expected'), SPOILT)
def test_files_that_are_no_outlines(src, out, xml, expected):
    (src / 'MoNuSegTestData' / 'TCGA-2Z-C.xml').write_text(xml)
    (problem,) = problems(src, out)
    assert 'TCGA-2Z-C.xml' in problem
    assert expected in problem


def test_problems_come_together(src, out):
    train = src / 'MoNuSeg 2018 Training Data' / 'MoNuSeg 2018 Training Data'
    (train / 'Tissue Images' / 'TCGA-18-A.tif').unlink()
    (train / 'Tissue Images' / 'TCGA-21-B.tif').write_bytes(b'no picture')
    shutil.copy(src / 'MoNuSegTestData' / 'TCGA-2Z-C.xml', src / 'MoNuSegTestData' / 'TCGA-2Z-D.xml')
    first, second, third = problems(src, out)
    assert first.endswith(f'has no images TCGA-18-A.tif below {src}: expected one of each')
    assert 'TCGA-21-B.tif is not a picture' in second
    assert 'has no images TCGA-2Z-D.tif' in third


def test_nothing_there(tmp_path, out):
    assert problems(tmp_path, out) == ('no *.xml: unpack the archives of the challenge there',)


def test_layers_and_negative_regions(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text(outline(A, B, layers=2))
    assert len(monuseg.read_outlines(path)[0]) == 4
    path.write_text(outline(A, negative=1))
    assert monuseg.read_outlines(path) == ([], 1)


def test_more_nuclei_than_bits():
    with pytest.raises(ValueError, match='65,536 nuclei'):
        monuseg.draw_nuclei([np.zeros((3, 2))] * 65536, (2, 2))


@pytest.mark.parametrize('name', ['defusedxml', 'skimage'])
def test_without_a_library(src, out, monkeypatch, name):
    for module in [key for key in sys.modules if key.split('.')[0] == name]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, name, None)
    (problem,) = problems(src, out)
    assert "pip install 'mmseg_textseg[data]'" in problem
