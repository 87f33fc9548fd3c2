"""Datasets with a published layout: folders, names of files, classes, and errors that show what was looked for."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_textseg.datasets import (
    AnnotationError,
    CoSKELDataset,
    GlaSDataset,
    LoadMask,
    MFFDDataset,
    MoNuSegDataset,
    MosMedDataPlusDataset,
    PackTextSegInputs,
    QaTaCOV19Dataset,
)

SHARED = Path(__file__).parents[3] / 'shared' / 'data'
# dataset, its foreground, and (cell of the table, image, mask) as they lie below data_root
LAYOUTS = [
    (MoNuSegDataset, 'nucleus', 'TCGA-1.png', 'img/TCGA-1.tif', 'labelcol/TCGA-1.png'),
    (QaTaCOV19Dataset, 'infection', 'mask_covid_1.png', 'img/covid_1.png', 'labelcol/mask_covid_1.png'),
    (QaTaCOV19Dataset, 'infection', 'covid_1.png', 'img/covid_1.png', 'labelcol/mask_covid_1.png'),
    (QaTaCOV19Dataset, 'infection', 'sub-S1_mask_2', 'img/sub-S1_mask_2.png', 'labelcol/mask_sub-S1_mask_2.png'),
    (MosMedDataPlusDataset, 'infection', 'bjorke_7.png', 'img/bjorke_7.png', 'labelcol/bjorke_7.png'),
    (GlaSDataset, 'gland', 'train_1.bmp', 'train_1.bmp', 'train_1_anno.bmp'),
    (GlaSDataset, 'gland', 'testA_12', 'testA_12.bmp', 'testA_12_anno.bmp'),
    (GlaSDataset, 'gland', 'testB_1.png', 'testB_1.bmp', 'testB_1_anno.bmp'),
    (CoSKELDataset, 'object', 'camel/c 1.jpg', 'images/camel/c 1.jpg', 'GT_masks/camel/c 1.png'),
    (MFFDDataset, 'flower', 'FlowerImages/IMG_0248.JPG', 'FlowerImages/IMG_0248.JPG', 'AppleA_Labels/248.png'),
    (MFFDDataset, 'flower', 'AppleB/14.bmp', 'AppleB/14.bmp', 'AppleB_Labels/14.png'),
    (MFFDDataset, 'flower', 'Peach/10.bmp', 'Peach/10.bmp', 'PeachLabels/10.png'),
    (MFFDDataset, 'flower', 'PeachSelected/10.bmp', 'PeachSelected/10.bmp', 'PeachLabels/10.png'),
    (MFFDDataset, 'flower', 'Pear/1_100', 'Pear/1_100.bmp', 'PearLabels/1_100.png'),
    (MFFDDataset, 'flower', 'mine/IMG_0001.jpg', 'mine/IMG_0001.jpg', 'mine/1.png'),
]


def write(root, *cells):
    (root / 'table.json').write_text(json.dumps([dict(Image=cell, Description='the thing') for cell in cells]))


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(('kind', 'foreground', 'cell', 'image', 'mask'), LAYOUTS)
def test_finds_image_and_mask(tmp_path, kind, foreground, cell, image, mask):
    touch(tmp_path, image, mask)
    write(tmp_path, cell)
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(
            dict(type=kind.__name__, data_root=str(tmp_path), ann_file='table.json', serialize_data=False)
        )
    item = dataset.get_data_info(0)
    assert item['img_path'] == str(tmp_path / image)
    assert item['seg_map_path'] == str(tmp_path / mask)
    assert item['text'] == 'the thing'
    assert dataset.metainfo['classes'] == ('background', foreground)
    assert len(dataset.metainfo['palette']) == 2


@pytest.mark.parametrize(
    ('kind', 'cell', 'others', 'expected'),
    [
        (MoNuSegDataset, 'x.png', ['img/a', 'labelcol/a'], ['image of that name or stem in {}/img', 'labelcol']),
        (QaTaCOV19Dataset, 'mask_x.png', ['img/a', 'labelcol/a'], ["the image 'x.png'", 'labelcol']),
        (QaTaCOV19Dataset, 'x.png', ['img/x.png', 'labelcol/x.png'], ["the mask 'mask_x.png'"]),
        (GlaSDataset, 'train_1.bmp', ['train_1.bmp'], ["the mask 'train_1_anno.bmp'"]),
        (GlaSDataset, 'train_1_anno.bmp', ['train_1_anno.bmp'], ["the mask 'train_1_anno_anno.bmp'"]),
        (CoSKELDataset, 'a/x.jpg', ['images/a/x.jpg', 'GT_masks/b/x.png'], ['stem in {}/GT_masks/a']),
        (MFFDDataset, 'FlowerImages/IMG_0002.JPG', ['FlowerImages/IMG_0002.JPG'], ["the mask 'AppleA_Labels/2.png'"]),
    ],
)
def test_a_missing_file_is_named_as_it_was_looked_for(tmp_path, kind, cell, others, expected):
    touch(tmp_path, *others)
    write(tmp_path, cell)
    with pytest.raises(AnnotationError) as caught:
        kind('table.json', data_root=str(tmp_path))
    assert len(caught.value.problems) == len(expected)
    for problem, part in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(f"table.json row 1: 'Image' is {cell!r}")
        assert part.format(tmp_path) in problem


def test_problems_of_all_rows_come_together(tmp_path):
    touch(tmp_path, 'img/covid_1.png', 'labelcol/mask_covid_1.png')
    write(tmp_path, 'mask_covid_1.png', 'mask_covid_2.png', 'covid_3.png')
    with pytest.raises(AnnotationError) as caught:
        QaTaCOV19Dataset('table.json', data_root=str(tmp_path))
    assert [problem[:16] for problem in caught.value.problems] == ['table.json row 2'] * 2 + ['table.json row 3'] * 2


@pytest.mark.parametrize('kind', [MoNuSegDataset, QaTaCOV19Dataset, MosMedDataPlusDataset, CoSKELDataset])
def test_folders_can_be_others(tmp_path, kind):
    image, mask = 'pictures/a.png', f'masks/{kind.mask_name("a.png")}'
    touch(tmp_path, image, mask)
    write(tmp_path, 'a')
    prefix = dict(img_path='pictures', seg_map_path='masks')
    item = kind('table.json', data_root=str(tmp_path), data_prefix=prefix, serialize_data=False).get_data_info(0)
    assert (item['img_path'], item['seg_map_path']) == (str(tmp_path / image), str(tmp_path / mask))


def test_a_mask_column_goes_before_the_rule(tmp_path):
    touch(tmp_path, 'FlowerImages/IMG_0002.JPG', 'Masks_Train/IMG_0002.png')
    row = dict(Image='FlowerImages/IMG_0002.JPG', Mask='Masks_Train/IMG_0002.png', Description='blossom')
    (tmp_path / 'table.json').write_text(json.dumps([row]))
    item = MFFDDataset('table.json', data_root=str(tmp_path)).get_data_info(0)
    assert item['seg_map_path'] == str(tmp_path / 'Masks_Train' / 'IMG_0002.png')


def test_numbered_glands_are_all_foreground(tmp_path):
    numbers = np.arange(6, dtype=np.uint8).reshape(2, 3)
    cv2.imwrite(str(tmp_path / 'train_1.bmp'), np.zeros((2, 3, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'train_1_anno.bmp'), numbers)
    write(tmp_path, 'train_1.bmp')
    pipeline = [dict(type='LoadImageFromFile'), LoadMask(), PackTextSegInputs()]
    sample = GlaSDataset('table.json', data_root=str(tmp_path), pipeline=pipeline)[0]['data_samples']
    assert sample.gt_sem_seg.data.tolist() == [(numbers > 0).astype(int).tolist()]


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
@pytest.mark.parametrize(('split', 'images'), [('Train', 24), ('Val', 6), ('Test', 14)])
def test_monuseg_as_lvit_published_it(split, images):
    root = SHARED / 'monuseg_lvit' / f'{split}_Folder'
    dataset = MoNuSegDataset(f'{split}_text.xlsx', data_root=str(root), pipeline=[LoadMask(), PackTextSegInputs()])
    assert len(dataset) == images
    sample = dataset[0]['data_samples']
    assert sample.gt_sem_seg.data.unique().tolist() == [0, 1]
    assert sample.text.startswith('The nuclei')
