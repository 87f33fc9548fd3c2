"""TextSegDataset: items of both modes, and what it inherits."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_textseg.datasets import AnnotationError, LoadMask, PackTextSegInputs, PickText, TextSegDataset

ROWS = [
    dict(image='a.png', mask='a.png', expression=['left node', 'node on the left'], side='left'),
    dict(image='a.png', mask='a2.png', expression='right node', side='right'),
    dict(image='b.png', mask='b.png', expression='no node', side=None),
    dict(image='a.png', mask='a.png', expression='small node', side='left'),
]
SHARED = Path(__file__).parents[3] / 'shared' / 'data'


@pytest.fixture
def root(tmp_path):
    for folder, value in (('images', 90), ('masks', 255)):
        (tmp_path / folder).mkdir()
        for name in ('a', 'a2', 'b'):
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), np.full((6, 8), value, np.uint8))
    (tmp_path / 'train.json').write_text(json.dumps(ROWS))
    return tmp_path


def build(root, **kwargs):
    kwargs = {'data_prefix': dict(img_path='images', seg_map_path='masks'), 'ann_file': 'train.json', **kwargs}
    return TextSegDataset(data_root=str(root), **kwargs)


def test_one_item_an_expression(root):
    dataset = build(root)
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [item['text'] for item in items] == ['left node', 'node on the left', 'right node', 'no node', 'small node']
    assert [item['sample_id'] for item in items] == ['a-0', 'a-1', 'a-a2-0', 'b-0', 'a-2']
    assert [item['attributes']['side'] for item in items] == ['left', 'left', 'right', None, 'left']
    assert items[2]['img_path'] == str(root / 'images' / 'a.png')
    assert items[2]['seg_map_path'] == str(root / 'masks' / 'a2.png')
    assert (items[2]['seg_fields'], items[2]['label_map'], items[2]['reduce_zero_label']) == ([], None, False)


def test_one_item_a_mask(root):
    dataset = build(root, expressions='group')
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [item['texts'] for item in items] == [
        ['left node', 'node on the left', 'small node'],
        ['right node'],
        ['no node'],
    ]
    assert [item['sample_id'] for item in items] == ['a', 'a-a2', 'b']
    assert not any('text' in item for item in items)


def test_sample_ids_stay_unique_when_stems_clash(root):
    (root / 'images' / 'sub').mkdir()
    (root / 'masks' / 'sub').mkdir()
    for folder in ('images', 'masks'):
        (root / folder / 'sub' / 'a.png').touch()
    rows = [dict(image=name, mask=name, expression='node') for name in ('a.png', 'sub/a.png', 'a.png')]
    (root / 'train.json').write_text(json.dumps(rows))
    dataset = build(root)
    assert [dataset.get_data_info(i)['sample_id'] for i in range(3)] == ['a-0', 'a~2-0', 'a-1']


@pytest.mark.parametrize('serialize_data', [True, False])
@pytest.mark.parametrize(('indices', 'expected'), [(2, ['a-0', 'a-1']), ([3, 0], ['b-0', 'a-0']), (None, None)])
def test_subsets_keep_the_ids(root, serialize_data, indices, expected):
    dataset = build(root, indices=indices, serialize_data=serialize_data)
    ids = [dataset.get_data_info(i)['sample_id'] for i in range(len(dataset))]
    assert ids == (expected or ['a-0', 'a-1', 'a-a2-0', 'b-0', 'a-2'])


def test_lazy_init_reads_nothing_until_asked(root):
    dataset = build(root, ann_file='nowhere.json', lazy_init=True)
    assert dataset.metainfo['classes'] == ('background', 'lesion')
    assert len(dataset.metainfo['palette']) == 2
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json.*set ann_file'):
        dataset.full_init()


def test_without_masks(root):
    dataset = build(root, data_prefix=dict(img_path='images'))
    item = dataset.get_data_info(0)
    assert 'seg_map_path' not in item
    assert item['sample_id'] == 'a-0'


def test_a_subclass_sets_folders_and_rules(root):
    class Numbered(TextSegDataset):
        DATA_PREFIX = dict(img_path='images', seg_map_path='masks')

        @staticmethod
        def image_name(cell):
            return cell.removeprefix('no ')

        @staticmethod
        def mask_name(image_name):
            return f'{image_name}2'

    (root / 'train.json').write_text(json.dumps([dict(image='no a', text='node')]))
    item = Numbered('train.json', data_root=str(root)).get_data_info(0)
    assert item['img_path'] == str(root / 'images' / 'a.png')
    assert item['seg_map_path'] == str(root / 'masks' / 'a2.png')
    moved = Numbered('train.json', data_root=str(root), data_prefix=dict(img_path='masks')).get_data_info(0)
    assert moved['img_path'] == str(root / 'masks' / 'a.png')
    assert 'seg_map_path' not in moved


def test_repeated_rows_are_kept_and_warned_of(root, log_lines):
    (root / 'train.json').write_text(json.dumps([ROWS[2]] * 2))
    assert len(build(root)) == 2
    assert len([line for line in log_lines if 'more than once' in line]) == 1


def test_reader_options_reach_the_table(root):
    rows = [dict(scan='a', roi='b', notes={'p1': ''})]
    (root / 'train.json').write_text(json.dumps(rows))
    options = dict(image_column='scan', mask_column='roi', text_column='notes', prompt='p1')
    with pytest.raises(AnnotationError, match='allow_empty_text'):
        build(root, **options)
    item = build(root, **options, allow_empty_text=True).get_data_info(0)
    assert (item['text'], item['sample_id']) == ('', 'a-b-0')


def test_bad_option_names_the_choices(root):
    with pytest.raises(ValueError, match="'all' or 'group'"):
        build(root, expressions='first')


def test_built_from_a_config_with_a_whole_pipeline(root):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadMask'),
        dict(type='PickText', mode='first'),
        dict(type='Resize', scale=(4, 3)),
        dict(type='PackTextSegInputs'),
    ]
    config = dict(
        type='TextSegDataset',
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        expressions='group',
        pipeline=pipeline,
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        item = DATASETS.build(config)[0]
    sample = item['data_samples']
    assert item['inputs'].shape == (3, 3, 4)  # grey pictures become three channels
    assert sample.gt_sem_seg.data.unique().tolist() == [1]
    assert (sample.text, sample.sample_id, sample.attributes) == ('left node', 'a', {'side': 'left'})


PIPELINE = [LoadMask(), PickText('first'), PackTextSegInputs()]


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
@pytest.mark.parametrize(('split', 'images', 'items'), [('train', 624, 1141), ('val', 78, 143), ('test', 78, 143)])
def test_busi_medvlsm(split, images, items):
    options = dict(
        ann_file=f'anns/{split}.json',
        data_root=str(SHARED / 'busi_medvlsm'),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        pipeline=PIPELINE,
    )
    assert len(TextSegDataset(**options)) == items
    grouped = TextSegDataset(expressions='group', **options)
    assert len(grouped) == images
    for item in (grouped[i]['data_samples'] for i in range(0, images, 13)):
        assert item.gt_sem_seg.data.any() == (not item.text.startswith('No tumor'))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
@pytest.mark.parametrize(('split', 'images'), [('Train', 24), ('Val', 6), ('Test', 14)])
def test_monuseg_lvit(split, images):
    dataset = TextSegDataset(
        ann_file=f'{split}_text.xlsx',
        data_root=str(SHARED / 'monuseg_lvit' / f'{split}_Folder'),
        data_prefix=dict(img_path='img', seg_map_path='labelcol'),
        pipeline=PIPELINE,
    )
    assert len(dataset) == images
    sample = dataset[0]['data_samples']
    assert sample.gt_sem_seg.data.unique().tolist() == [0, 1]
    assert sample.text.startswith('The nuclei')
