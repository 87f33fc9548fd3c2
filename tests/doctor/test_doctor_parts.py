"""Parts of the doctor that have a reference: near pairs, sides, splits of configs, dataset classes."""

import os
import shutil
import sys
from itertools import product

import cv2
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.doctor import config_splits, examine, table_splits
from mmseg_textseg.doctor.duplicates import _nearest, near_pairs, popcount
from mmseg_textseg.doctor.masks import named_sides
from mmseg_textseg.doctor.rows import IMAGE


@pytest.mark.parametrize('distance', [0, 1, 6, 16])
def test_near_pairs_against_all_pairs(distance):
    rng = np.random.default_rng(distance)
    first = rng.integers(0, 2**64, 200, dtype=np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, k, replace=False)) for k in rng.integers(0, 20, 200)]
    second = np.unique(first ^ np.array(flips, dtype=np.uint64))
    first = np.unique(first)
    expected = {
        (i, j)
        for (i, a), (j, b) in product(enumerate(first.tolist()), enumerate(second.tolist()))
        if (a ^ b).bit_count() <= distance
    }
    assert len(expected) > 5
    assert set(zip(*map(np.ndarray.tolist, near_pairs(first, second, distance)), strict=True)) == expected


@pytest.mark.parametrize(('bits', 'near'), [(60, True), (61, False)])
def test_near_images_agree_in_the_fine_hash_too(bits, near):
    """Ten times as many of 256 bits may differ as of 64."""
    first, second = np.zeros(1, IMAGE), np.zeros(1, IMAGE)
    second['coarse'], second['digest'] = 0b111, 1
    second['fine'][0, 0] = (1 << bits) - 1
    assert _nearest(first, second, 6) == ({0: (0, 3, bits)} if near else {})


def test_popcount():
    values = np.array([[0, 1], [2**64 - 1, 3]], dtype=np.uint64)
    assert popcount(values[:, 0]).tolist() == [0, 64]
    assert popcount(values).tolist() == [1, 66]


@pytest.mark.parametrize(
    ('text', 'sides'),
    [
        ('One small tumor at the top right in the image.', {'upper', 'right'}),
        ('Tumors at the left, right.', {'left', 'right'}),
        ('Infection in the upper left lung.', {'upper', 'left'}),
        ('A node in the right upper lobe of the lung.', {'right'}),
        ('The leftmost node.', set()),
        ('The node left of the vessel.', set()),
        ('A cyst in the right lobe of the liver.', set()),
        ('A cyst in segment VI of the liver.', set()),
        ('No node on the left, one on the right.', {'right'}),
        ('The bright area is left untouched.', set()),
        ('A node at the center.', set()),
    ],
)
def test_named_sides(text, sides):
    assert named_sides(text) == sides


def dataset(**values):
    return dict(type='TextSegDataset', data_root='nowhere', data_prefix=dict(img_path='', seg_map_path='')) | values


def test_splits_of_a_config():
    steps = [
        dict(type='LoadImageFromFile', color_type='grayscale'),
        dict(type='Resize', scale=(8, 8)),
        dict(type='LoadMask', threshold=9),
        dict(type='TokenizeText', tokenizer='somewhere', max_tokens=7),
    ]
    two = [dataset(ann_file='a.csv', pipeline=steps), dataset(ann_file='b.csv', expressions='group')]
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(type='RepeatDataset', times=3, dataset=dict(datasets=two))),
            val_dataloader=dict(dataset=dataset(ann_file='c.csv', test_mode=True, pipeline=steps)),
            test_dataloader=dict(dataset=dataset(ann_file='c.csv', pipeline=[])),
        )
    )
    splits = config_splits(cfg)
    assert [(split.name, split.role) for split in splits] == [
        ('train[0]', 'train'),
        ('train[1]', 'train'),
        ('val+test', 'val+test'),
    ]
    assert (splits[0].tokenizer, splits[0].max_tokens, splits[0].resized) == ('somewhere', 7, True)
    assert splits[0].loading.image == steps[0]
    assert splits[0].loading.mask == steps[2]
    assert (splits[1].tokenizer, splits[1].resized, splits[1].loading.mask) == (None, False, dict(type='LoadMask'))


def test_one_table_for_train_and_test_stays_two_splits():
    loader = dict(dataset=dataset(ann_file='a.csv'))
    cfg = Config(dict(train_dataloader=loader, test_dataloader=loader))
    assert [split.name for split in config_splits(cfg)] == ['train', 'test']


def test_config_without_a_dataset_of_ours():
    with pytest.raises(ConfigError, match='no dataset in train_dataloader'):
        config_splits(Config(dict()))
    loader = ConfigDict(dataset=dict(type='ADE20KDataset'))
    with pytest.raises(ConfigError, match="train: the dataset is of type 'ADE20KDataset'"):
        config_splits(Config(dict(train_dataloader=loader)))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('nowhere', [('train', 'a.csv')]), 'is no folder'),
        (('.', [('train', 'a.csv')], 'ADE20KDataset'), 'is no dataset class'),
        (('.', [('train', 'a.csv')], 'TextSegDataset', dict(nonsense=1)), 'nonsense'),
    ],
)
def test_bad_tables(arguments, words):
    with pytest.raises(ConfigError, match=words):
        table_splits(*arguments)


@pytest.fixture
def phantom(tmp_path):
    make_phantom(tmp_path / 'phantom', 6, size=64, slices_per_case=(2, 2), lesions=(1, 2), progress=False, workers=1)
    return tmp_path / 'phantom'


def test_phantom_has_no_error(phantom):
    tables = [(name, f'{name}.jsonl') for name in ('train', 'val', 'test')]
    found = examine(table_splits(str(phantom), tables, 'RefHLSegDataset'), workers=1, progress=False)
    assert [f for f in found.findings if f.severity == 'error'] == []


def test_a_class_that_refuses(phantom):
    """RefHL-Seg reads all tables of the folder, also those that are no split here."""
    shutil.copy(phantom / 'train.jsonl', phantom / 'old.jsonl')
    splits = table_splits(str(phantom), [('train', 'train.jsonl')], 'RefHLSegDataset')
    finding = next(f for f in examine(splits, workers=1, progress=False).findings if f.severity == 'error')
    assert finding.check == 'dataset-refuses'
    assert 'stands in train.jsonl and in old.jsonl' in finding.examples[0]['detail']


def test_names_of_qata(tmp_path):
    for folder, name in (('img', 'covid_1.png'), ('labelcol', 'mask_covid_1.png')):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / name), np.tile(np.arange(16, dtype=np.uint8) // 8 * 255, (16, 1)))
    (tmp_path / 'train.csv').write_text('Image,Description\nmask_covid_1.png,"Infection, left lung."\n')
    found = examine(
        table_splits(str(tmp_path), [('train', 'train.csv')], 'QaTaCOV19Dataset'), workers=1, progress=False
    )
    assert not found.failed
    notes = {finding.check: finding.message for finding in found.findings}
    assert "1 do not fit as the picture's sides, 0 as the patient's" in notes['sides']
    assert not any(finding.check == 'wrong-side' for finding in found.findings)


def test_captions_without_masks(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.tile(np.arange(16, dtype=np.uint8), (16, 1)))
    (tmp_path / 'train.csv').write_text('image,caption\na.png,a grey ramp\na.png,from dark to light\n')
    splits = table_splits(str(tmp_path), [('train', 'train.csv')], 'ImageCaptionDataset')
    found = examine(splits, workers=1, progress=False)
    assert [f.severity for f in found.findings] == ['note'] * len(found.findings)
    assert any(f.message.startswith('masks: the tables name none') for f in found.findings)


@pytest.mark.skipif(sys.platform != 'linux', reason='a spawned worker has not the patch')
def test_a_dying_worker_is_told(tiny, monkeypatch):
    from mmseg_textseg.doctor import rows

    monkeypatch.setattr(rows, '_read_image', lambda *_: os._exit(1))
    with pytest.raises(rows.DoctorError, match='a process that reads files died'):
        tiny.found(workers=2)
