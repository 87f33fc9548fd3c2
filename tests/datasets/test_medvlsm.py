"""MedVLSM's schema: levels of prompts, several masks an image, columns that only look like text."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_textseg.datasets import (
    AnnotationError,
    LoadMask,
    MedVLSMDataset,
    PackTextSegInputs,
    PickText,
    TextSegDataset,
)

SHARED = Path(__file__).parents[3] / 'shared' / 'data' / 'busi_medvlsm'
POLYP = dict(
    p0='',
    p1='polyp',
    p2='round polyp',
    p3='pink round polyp',
    p6='one small pink round polyp, located in top of the image',
    p7=['polyp which is a small lump', 'polyp which is a tissue growth'],
)


def polyp(image='a.jpg', mask='a.jpg', prompts=POLYP):
    """A row with all the keys of the published files."""
    extra = dict(bbox=[1, 2, 3, 4], cat=0, segment_id='a', sentences=[dict(idx=0, sent_id=1, sent='')], sentences_num=1)
    return dict(**extra, img_name=image, mask_name=mask, prompts=prompts)


def write(root, *rows):
    (root / 'anns').mkdir()
    (root / 'anns' / 'train.json').write_text(json.dumps(rows))
    for row in rows:
        for folder, key in (('images', 'img_name'), ('masks', 'mask_name')):
            path = root / folder / row[key]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def build(root, **options):
    return MedVLSMDataset('anns/train.json', data_root=str(root), **options)


def texts(dataset):
    return [item.get('text', item.get('texts')) for item in map(dataset.get_data_info, range(len(dataset)))]


def test_the_published_keys(tmp_path):
    write(tmp_path, polyp())
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(dict(type='MedVLSMDataset', data_root=str(tmp_path), ann_file='anns/train.json'))
    item = dataset.get_data_info(0)
    assert item['img_path'] == str(tmp_path / 'images' / 'a.jpg')
    assert item['seg_map_path'] == str(tmp_path / 'masks' / 'a.jpg')
    assert item['text'] == POLYP['p6']
    assert item['attributes']['segment_id'] == 'a'
    assert dataset.metainfo['classes'] == ('background', 'target')


def test_several_masks_of_an_image(tmp_path):
    """CAMUS: a folder of masks a chamber."""
    rows = [
        polyp('p_2CH.png', f'mask_{i}/p_2CH_gt.png', dict(p0='', p1=[f'chamber {"abc"[i]}', f'the {"abc"[i]}']))
        for i in range(3)
    ]
    dataset = build(write(tmp_path, *rows), prompts='p1')
    assert len(dataset) == 6
    assert len({dataset.get_data_info(i)['sample_id'] for i in range(6)}) == 6
    assert dataset.get_data_info(2)['seg_map_path'] == str(tmp_path / 'masks' / 'mask_1' / 'p_2CH_gt.png')
    assert texts(build(tmp_path, prompts='p1', expressions='group'))[2] == ['chamber c', 'the c']


@pytest.mark.parametrize(
    ('prompts', 'expected'),
    [
        ('p2', ['round polyp']),
        (('p2',), ['round polyp']),
        (['p7'], POLYP['p7']),
        (('p3', 'p7', 'p1'), [POLYP['p3'], *POLYP['p7'], 'polyp']),
    ],
)
def test_levels(tmp_path, prompts, expected):
    write(tmp_path, polyp())
    assert texts(build(tmp_path, prompts=prompts)) == expected
    assert texts(build(tmp_path, prompts=prompts, expressions='group')) == [expected]


def test_rows_stay_in_order_with_several_levels(tmp_path):
    write(tmp_path, polyp('a.png', 'a.png'), polyp('b.png', 'b.png', dict(p1='no polyp', p2='no polyp')))
    assert texts(build(tmp_path, prompts=('p1', 'p2'))) == ['polyp', 'round polyp', 'no polyp'], 'shared ones once'


def test_one_of_all_levels_is_drawn(tmp_path):
    write(tmp_path, polyp())
    dataset = build(tmp_path, prompts=('p1', 'p2', 'p7'), expressions='group', pipeline=[PickText(mode='random')])
    assert {dataset[0]['text'] for _ in range(60)} == {'polyp', 'round polyp', *POLYP['p7']}


def test_the_empty_level_is_a_baseline(tmp_path):
    write(tmp_path, polyp())
    with pytest.raises(AnnotationError, match='allow_empty_text'):
        build(tmp_path, prompts='p0')
    assert texts(build(tmp_path, prompts='p0', allow_empty_text=True)) == ['']


def test_problems_of_all_levels_come_together(tmp_path):
    rows = [
        polyp('a.png', 'a.png', dict(p1='polyp')),
        polyp('b.png', 'b.png', dict(p1='', p2='x')),
        polyp('c.png', 'c.png'),
    ]
    write(tmp_path, *rows)
    (tmp_path / 'masks' / 'c.png').unlink()
    with pytest.raises(AnnotationError) as caught:
        build(tmp_path, prompts=('p1', 'p2'))
    found = caught.value.problems
    assert sorted(problem.split(':')[0] for problem in found) == [
        'train.json row 1', 'train.json row 2', 'train.json row 3',
    ]  # fmt: skip
    assert any("has no 'p2', only p1: set prompt" in problem for problem in found)


def test_partial_text_lowers_the_level(tmp_path):
    write(tmp_path, polyp())
    assert texts(build(tmp_path, partial_text=0.5)) == [POLYP['p3']]
    with pytest.raises(ValueError, match='lowers one level'):
        build(tmp_path, prompts=('p1', 'p2'), partial_text=0.5)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(prompt='p3'), r"set prompts=\('p3',\)"),
        (dict(prompts=()), 'expected one level or several'),
        (dict(prompts=('p1', 'p1')), 'expected one level or several'),
    ],
)
def test_bad_options(tmp_path, options, expected):
    with pytest.raises(ValueError, match=expected):
        build(tmp_path, **options)


def test_other_columns_and_folders(tmp_path):
    row = dict(image='x/a.png', gt='x/b.png', prompts=POLYP)
    (tmp_path / 'anns').mkdir()
    (tmp_path / 'anns' / 'train.json').write_text(json.dumps([row]))
    for name in ('i/x/a.png', 'm/x/b.png'):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    prefix = dict(img_path='i', seg_map_path='m')
    dataset = build(tmp_path, image_column='image', mask_column='gt', data_prefix=prefix)
    assert dataset.get_data_info(0)['seg_map_path'] == str(tmp_path / 'm/x/b.png')


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
@pytest.mark.parametrize(('split', 'masks', 'p6', 'p1_to_p6'), [('train', 624, 1141, 5794), ('test', 78, 143, 728)])
def test_busi(split, masks, p6, p1_to_p6):
    """Every sentence of a level is an item, counted in the file by hand; a group is what TextSegDataset made of it."""
    options = dict(data_root=str(SHARED), ann_file=f'anns/{split}.json')
    levels = [f'p{i}' for i in range(1, 7)]
    rows = json.loads((SHARED / 'anns' / f'{split}.json').read_text())
    said = [{text for level in levels for text in np.atleast_1d(row['prompts'][level]).tolist()} for row in rows]
    assert sum(map(len, said)) == p1_to_p6
    assert len(MedVLSMDataset(**options, prompts=levels)) == p1_to_p6
    assert len(MedVLSMDataset(**options)) == p6
    dataset = MedVLSMDataset(**options, expressions='group', pipeline=[LoadMask(), PickText(), PackTextSegInputs()])
    assert len(dataset) == masks
    prefix = dict(img_path='images', seg_map_path='masks')
    before = TextSegDataset(**options, data_prefix=prefix, expressions='group')
    assert all(dataset.get_data_info(i) == before.get_data_info(i) for i in range(masks))
    assert dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist() == [0, 1]
