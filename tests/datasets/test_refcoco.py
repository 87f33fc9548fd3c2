"""RefCOCODataset: what the converter wrote, with COCO's images where they are."""

import argparse
import json
import pickle

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_textseg.datasets import AnnotationError, RefCOCODataset
from mmseg_textseg.datasets.converters import Conversion, refcoco

NAME = 'COCO_train2014_000000000007.jpg'


@pytest.fixture
def root(tmp_path):
    """data/refcoco_unc as converted, data/coco/train2014 beside it."""
    source = tmp_path / 'refer' / 'refcoco'
    source.mkdir(parents=True)
    sentences = [
        dict(tokens=['left', 'guy'], sent='left guy', raw='Left guy!', sent_id=0),
        dict(tokens=['man', 'with', 'hat'], sent='man with hat', raw='man w hat', sent_id=1),
    ]
    ref = dict(ref_id=0, ann_id=70, image_id=7, category_id=1, split='train', sentences=sentences, sent_ids=[0, 1])
    (source / 'refs(unc).p').write_bytes(pickle.dumps([ref], 2))
    instances = dict(
        images=[dict(id=7, file_name=NAME, height=6, width=8)],
        annotations=[dict(id=70, image_id=7, segmentation=[[1, 1, 4, 1, 4, 3, 1, 3]])],
        categories=[dict(id=1, name='person')],
    )
    (source / 'instances.json').write_text(json.dumps(instances))
    args = argparse.Namespace(dataset='refcoco', split_by='unc', images=None)
    with Conversion('refcoco', tmp_path / 'data' / 'refcoco_unc', {}, progress=False) as conversion:
        refcoco.convert(source.parent, conversion, args)
    images = tmp_path / 'data' / 'coco' / 'train2014'
    images.mkdir(parents=True)
    cv2.imwrite(str(images / NAME), np.full((6, 8, 3), 90, np.uint8))
    return tmp_path / 'data' / 'refcoco_unc'


def test_every_sentence_is_an_item(root):
    dataset = RefCOCODataset('train.jsonl', data_root=str(root))
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [item['text'] for item in items] == ['left guy', 'man with hat']
    for item in items:
        assert item['img_path'] == str(root / '../coco/train2014' / NAME)
        assert item['seg_map_path'] == str(root / 'masks' / '70.png')
    assert items[1]['attributes'] == dict(
        raw='man w hat', ref_id=0, ann_id=70, sent_id=1, category='person', split='train'
    )
    assert items[1]['sample_id'] == 'COCO_train2014_000000000007-70-1'
    assert dataset.metainfo['classes'] == ('background', 'object')
    assert len(dataset.metainfo['palette']) == 2


def test_or_every_object_with_all_its_sentences(root):
    (item,) = RefCOCODataset('train.jsonl', data_root=str(root), expressions='group')
    assert item['texts'] == ['left guy', 'man with hat']


def test_sentences_as_they_were_typed(root):
    dataset = RefCOCODataset('train.jsonl', data_root=str(root), text_column='raw')
    assert [dataset.get_data_info(i)['text'] for i in range(2)] == ['Left guy!', 'man w hat']


def test_images_anywhere(root, tmp_path):
    """As where data_root is a link, so that '..' is another folder than it looks."""
    link = tmp_path / 'elsewhere' / 'link'
    link.parent.mkdir()
    link.symlink_to(root)
    images = tmp_path / 'pictures'
    (root.parent / 'coco' / 'train2014').rename(images)
    with pytest.raises(FileNotFoundError, match=r"image folder .*coco/train2014' does not exist"):
        RefCOCODataset('train.jsonl', data_root=str(link))
    prefix = dict(img_path=str(images), seg_map_path='masks')
    item = RefCOCODataset('train.jsonl', data_root=str(link), data_prefix=prefix).get_data_info(0)
    assert (item['img_path'], item['seg_map_path']) == (str(images / NAME), str(link / 'masks' / '70.png'))


def test_a_missing_image_is_named_with_its_row(root):
    (root.parent / 'coco' / 'train2014' / NAME).unlink()
    with pytest.raises(AnnotationError, match=rf"train\.jsonl row 1: 'image' is '{NAME}', no image of that name"):
        RefCOCODataset('train.jsonl', data_root=str(root))


def test_built_from_a_config_with_a_whole_pipeline(root):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(4, 4), keep_ratio=False),
        dict(type='LoadMask'),
        dict(type='PackTextSegInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(
            dict(type='RefCOCODataset', data_root=str(root), ann_file='train.jsonl', test_mode=True, pipeline=pipeline)
        )
        sample = dataset[0]['data_samples']
    assert sample.text == 'left guy'
    truth = sample.gt_sem_seg.data[0]
    assert truth.shape == (6, 8)
    assert truth.nonzero().tolist() == [[y, x] for y in (1, 2) for x in (1, 2, 3)]
