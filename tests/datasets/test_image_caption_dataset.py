"""ImageCaptionDataset: which items a table gives, the draw of images, and life among mmengine's datasets."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_textseg.datasets import AnnotationError, ImageCaptionDataset, make_phantom

SHARED = Path(__file__).parents[3] / 'shared' / 'data'
ROWS = [
    dict(image='a.png', mask='a1.png', expression=['left node', 'node'], side='left'),
    dict(image='b.png', mask='b1.png', expression='no node', side=None),
    dict(image='a.png', mask='a2.png', expression='right node', side='right'),
    dict(image='a.png', mask='a2.png', expression=' left node ', side='right'),
]


@pytest.fixture
def root(tmp_path):
    """Images without any folder of masks, and a table that names masks nevertheless."""
    (tmp_path / 'images').mkdir()
    for name in 'abcdefgh':
        cv2.imwrite(str(tmp_path / 'images' / f'{name}.png'), np.full((6, 8, 3), ord(name), np.uint8))
    (tmp_path / 'train.json').write_text(json.dumps(ROWS))
    return tmp_path


def build(root, **kwargs):
    # Serialising collects garbage, which takes most of a second in a process that has imported torch.
    kwargs = {'data_prefix': dict(img_path='images'), 'ann_file': 'train.json', 'serialize_data': False, **kwargs}
    return ImageCaptionDataset(data_root=str(root), **kwargs)


def items_of(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_first_caption_of_each_image(root):
    items = items_of(build(root))
    assert [item['img_path'] for item in items] == [str(root / 'images' / f'{name}.png') for name in 'ab']
    assert [item['text'] for item in items] == ['left node', 'no node']
    assert [item['sample_id'] for item in items] == ['a', 'b']
    assert [item['attributes']['side'] for item in items] == ['left', None]
    assert not any('seg_map_path' in item or 'texts' in item for item in items)


def test_all_distinct_captions_of_each_image(root, log_lines):
    items = items_of(build(root, captions='all'))
    assert [item['text'] for item in items] == ['left node', 'node', 'right node', 'no node']
    assert [item['sample_id'] for item in items] == ['a-0', 'a-1', 'a-2', 'b-0']
    assert [item['attributes']['side'] for item in items] == ['left', 'left', 'right', None]
    assert log_lines == []  # the repeated caption is used once, so no warning of TextSegDataset


def test_coco_captions(root):
    images = [dict(id=2, file_name='b.png'), dict(id=1, file_name='a.png'), dict(id=3, file_name='c.png')]
    captions = [(1, 1, 'A cat.'), (2, 2, 'A dog.'), (3, 1, 'Cats.'), (0, 2, 'Dogs.')]
    annotations = [dict(id=key, image_id=image, caption=text) for key, image, text in captions]
    (root / 'captions.json').write_text(json.dumps(dict(images=images, annotations=annotations)))
    assert [item['text'] for item in items_of(build(root, ann_file='captions.json'))] == ['Dogs.', 'A cat.']
    every = items_of(build(root, ann_file='captions.json', captions='all'))
    assert [item['text'] for item in every] == ['Dogs.', 'A dog.', 'A cat.', 'Cats.']


@pytest.mark.parametrize('extension', ['csv', 'jsonl'])
def test_other_tables(root, extension):
    lines = ['Image,Description', 'a,one', 'b,two', 'a,three']
    if extension == 'jsonl':
        lines = [json.dumps(dict(zip(('Image', 'Description'), line.split(','), strict=True))) for line in lines[1:]]
    (root / f't.{extension}').write_text('\n'.join(lines))
    items = items_of(build(root, ann_file=f't.{extension}', captions='all'))
    assert [item['text'] for item in items] == ['one', 'three', 'two']


def test_phantom_and_medvlsm_tables(tmp_path):
    make_phantom(tmp_path, 4, size=96, seed=3, slices_per_case=2, workers=1, progress=False)
    rows = [json.loads(line) for line in (tmp_path / 'train.jsonl').open()]
    dataset = build(tmp_path, ann_file='train.jsonl')
    assert len(dataset) == len({row['image'] for row in rows})
    (tmp_path / 'anns.json').write_text(
        json.dumps([dict(img_name=rows[0]['image'], mask_name='x', prompts=dict(p1='Tumor.', p6=['Small.', 'Tiny.']))])
    )
    assert items_of(build(tmp_path, ann_file='anns.json'))[0]['text'] == 'Small.'
    assert items_of(build(tmp_path, ann_file='anns.json', prompt='p1'))[0]['text'] == 'Tumor.'


def test_names_like_another_dataset(root):
    (root / 't.csv').write_text('Image,Description\nmask_a.png,one\n')
    with pytest.raises(ValueError, match=r"'mask_a\.png', no image"):
        build(root, ann_file='t.csv')
    dataset = build(root, ann_file='t.csv', names_like='QaTaCOV19Dataset')
    assert items_of(dataset)[0]['img_path'] == str(root / 'images' / 'a.png')
    assert pickle.loads(pickle.dumps(dataset)).image_name('mask_x') == 'x'  # how a worker may get it


@pytest.fixture
def eight(root):
    rows = [dict(image=name, text=f'node {name}') for name in 'hgfedcba' for _ in range(2)]
    (root / 'eight.json').write_text(json.dumps(rows))
    return root


def drawn(root, **kwargs):
    return ''.join(item['text'][-1] for item in items_of(build(root, ann_file='eight.json', **kwargs)))


def test_some_images_drawn_with_a_seed(eight):
    assert drawn(eight) == drawn(eight, num_images=8) == 'hgfedcba'
    draws = {seed: drawn(eight, num_images=4, seed=seed) for seed in range(6)}
    assert drawn(eight, num_images=4, serialize_data=True) == draws[0]
    for draw in draws.values():
        assert list(draw) == sorted(set(draw), reverse=True)  # distinct, in the order of the table
        assert len(draw) == 4
    assert len(set(draws.values())) > 3
    assert any(draw != 'hgfe' for draw in draws.values())
    assert draws[0] == drawn(eight, num_images=4, captions='all')
    assert drawn(eight, num_images=4, seed=5) == draws[5]


def test_more_images_than_there_are(eight):
    with pytest.raises(AnnotationError, match=r'eight\.json[\s\S]*num_images=9, but 8 images'):
        drawn(eight, num_images=9)


def test_all_captions_of_the_drawn_images(root):
    items = items_of(build(root, captions='all', num_images=1, seed=0))
    assert [item['text'] for item in items] in (['left node', 'node', 'right node'], ['no node'])


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(captions='random'), "'first' or 'all'"),
        (dict(num_images=0), 'num_images is 0; expected at least 1'),
        (dict(data_prefix=dict(img_path='images', seg_map_path='masks')), 'ImageCaptionDataset has no masks'),
        (dict(data_prefix=dict(img_path='images', seg_map_path=None)), 'ImageCaptionDataset has no masks'),
        (dict(expressions='group'), "no option 'expressions'.*captions"),
        (dict(mask_column='mask'), "no option 'mask_column'"),
        (dict(names_like='NoSuchDataset'), "names_like is 'NoSuchDataset'"),
        (dict(names_like='ADE20KDataset'), 'expected the name of a TextSegDataset'),
    ],
)
def test_bad_options(root, options, expected):
    with pytest.raises(ValueError, match=expected):
        build(root, **options)


def test_sample_ids_stay_unique_when_stems_clash(root):
    (root / 'images' / 'sub').mkdir()
    for name in ('sub/a.png', 'a-0.png'):
        (root / 'images' / name).touch()
    rows = [dict(image=name, text=text) for name in ('a.png', 'sub/a.png', 'a-0.png') for text in ('one', 'two')]
    (root / 'train.json').write_text(json.dumps(rows))
    for captions, count in (('first', 3), ('all', 6)):
        ids = [item['sample_id'] for item in items_of(build(root, captions=captions))]
        assert len(set(ids)) == len(ids) == count


def test_shuffled_text_is_of_another_image(root):
    items = items_of(build(root, shuffle_text=True))
    assert [item['text'] for item in items] == ['no node', 'left node']


def test_images_lie_in_data_root_by_default(root):
    dataset = ImageCaptionDataset(
        str(root / 'train.json'), data_root=str(root / 'images'), test_mode=True, serialize_data=False
    )
    assert len(dataset) == 2
    assert dataset.metainfo['classes'] == ()


def test_concatenated_with_others_from_a_config(root):
    (root / 't.csv').write_text('Image,Description\nmask_c.png,one\n')
    common = dict(
        type='ImageCaptionDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackTextSegInputs')],
    )
    parts = [
        dict(common, ann_file='train.json', captions='all'),
        dict(common, ann_file='t.csv', names_like='QaTaCOV19Dataset', lazy_init=True),
    ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
        samples = [dataset[i] for i in range(len(dataset))]
    assert isinstance(dataset, ROOT_DATASETS.get('ConcatDataset'))
    assert [sample['data_samples'].text for sample in samples] == ['left node', 'node', 'right node', 'no node', 'one']
    assert [int(sample['inputs'].max()) for sample in samples] == [ord(name) for name in 'aaabc']
    assert not any('gt_sem_seg' in sample['data_samples'] for sample in samples)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
@pytest.mark.parametrize(
    ('data_root', 'ann_file', 'folder', 'count'),
    [
        ('busi_medvlsm', 'anns/train.json', 'images', 624),
        ('monuseg_lvit/Train_Folder', 'Train_text.xlsx', 'img', 24),
    ],
)
def test_real_tables(data_root, ann_file, folder, count):
    dataset = build(SHARED / data_root, ann_file=ann_file, data_prefix=dict(img_path=folder), prompt='p6')
    assert len(dataset) == count
    assert len(build(SHARED / data_root, ann_file=ann_file, data_prefix=dict(img_path=folder), num_images=20)) == 20
