"""RefHLSegDataset: the layout, its required keys, and splits that share no case."""

import json

import pytest

from mmseg_textseg.datasets import AnnotationError, RefHLSegDataset, refhl_seg


def row(case, name, **changes):
    values = dict(
        case_id=case,
        image=name,
        mask=name,
        expression='a cyst in segment VII',
        kind='position',
        segment='VII',
        diameter_mm=12.5,
        shape=None,
        boundary='clear',
        enhancement=None,
        type='cyst',
    )
    values.update(changes)
    return {key: value for key, value in values.items() if value != 'left out'}


@pytest.fixture
def root(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        for name in ('1.png', '2.png', '3.png'):
            (tmp_path / folder / name).touch()
    write(tmp_path / 'train.jsonl', row('c1', '1.png'), row('c1', '2.png'))
    write(tmp_path / 'val.jsonl', row('c2', '3.png'))
    return tmp_path


def write(path, *rows):
    path.write_text('\n'.join(json.dumps(item) for item in rows))


def test_items(root):
    dataset = RefHLSegDataset('train.jsonl', data_root=str(root))
    assert len(dataset) == 2
    item = dataset.get_data_info(1)
    assert item['img_path'] == str(root / 'images' / '2.png')
    assert item['seg_map_path'] == str(root / 'masks' / '2.png')
    assert item['text'] == 'a cyst in segment VII'
    assert item['attributes']['case_id'] == 'c1'
    assert item['attributes']['diameter_mm'] == 12.5
    assert item['attributes']['shape'] is None
    assert dataset.metainfo['classes'] == ('background', 'lesion')


REQUIRED = ['case_id', 'image', 'mask', 'expression', 'segment', 'diameter_mm', 'shape', 'boundary', 'enhancement']


@pytest.mark.parametrize('key', [*REQUIRED, 'type'])
def test_required_keys(root, key):
    write(root / 'train.jsonl', row('c1', '1.png'), row('c1', '2.png', **{key: 'left out'}))
    with pytest.raises(AnnotationError, match=rf"train\.jsonl row 2: .*'{key}'") as caught:
        RefHLSegDataset('train.jsonl', data_root=str(root))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize('key', ['kind', 'side', 'pixel_spacing_mm'])
def test_optional_keys(root, key):
    write(root / 'train.jsonl', row('c1', '1.png', **{key: 'left out'}), row('c1', '2.png', **{key: 'x'}))
    assert RefHLSegDataset('train.jsonl', data_root=str(root)).get_data_info(1)['attributes'][key] == 'x'


@pytest.mark.parametrize('case', [None, '', 7])
def test_a_case_has_a_name(root, case):
    write(root / 'train.jsonl', row(case, '1.png'))
    with pytest.raises(AnnotationError, match=r"train\.jsonl row 1: 'case_id' is"):
        RefHLSegDataset('train.jsonl', data_root=str(root))


def test_splits_share_no_case(root):
    write(root / 'val.jsonl', row('c2', '3.png'), row('c1', '3.png'))
    write(root / 'test.jsonl', row('c1', '3.png'))
    with pytest.raises(AnnotationError) as caught:
        RefHLSegDataset('train.jsonl', data_root=str(root))
    assert [line.split(':')[0] for line in caught.value.problems] == [
        "case 'c1' stands in train.jsonl and in test.jsonl",
        "case 'c1' stands in train.jsonl and in val.jsonl",
    ]
    with pytest.raises(AnnotationError, match=r"case 'c1' stands in val\.jsonl and in train\.jsonl"):
        RefHLSegDataset('val.jsonl', data_root=str(root))


def test_a_broken_split_beside_is_an_error(root):
    (root / 'val.jsonl').write_text('{"case_id"')
    with pytest.raises(AnnotationError, match=r'val\.jsonl row 1: not valid JSON'):
        RefHLSegDataset('train.jsonl', data_root=str(root))


@pytest.mark.parametrize('made_up', [True, False])
def test_made_up_data_says_so(root, made_up, monkeypatch):
    said = []
    monkeypatch.setattr(refhl_seg, 'print_log', lambda message, **options: said.append((message, options)))
    if made_up:
        (root / 'phantom.json').write_text('{}')
    RefHLSegDataset('train.jsonl', data_root=str(root))
    assert len(said) == made_up
    if made_up:
        assert 'made-up' in said[0][0]
        assert said[0][1]['logger'] == 'current'
