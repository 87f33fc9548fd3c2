"""tools/make_expressions.py from folders and tables, and what it refuses."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets import RefHLSegDataset, TextSegDataset
from mmseg_textseg.datasets.expressions import word_shares
from mmseg_textseg.datasets.partial_text import PartialText

TOOL = Path(__file__).parents[2] / 'tools' / 'make_expressions.py'
spec = importlib.util.spec_from_file_location('make_expressions_tool', TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture
def data(tmp_path):
    """Two pictures: a dark disc with a bright ellipse, and nothing."""
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    y, x = np.mgrid[:200, :200]
    dark = (x - 40) ** 2 + (y - 40) ** 2 <= 20**2
    bright = ((x - 150) / 36) ** 2 + ((y - 140) / 20) ** 2 <= 1
    image = np.random.default_rng(0).normal(120, 10, (200, 200))
    image[dark], image[bright] = 40, 220
    for name, picture, mask in (('a', image, dark | bright), ('b', image * 0 + 9, dark & bright)):
        cv2.imwrite(str(tmp_path / f'images/{name}.png'), picture.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(tmp_path / f'masks/{name}.png'), mask.astype(np.uint8) * 255)
    return tmp_path


def run(data, *more):
    tool.main(
        ['--images', f'{data}/images', '--masks', f'{data}/masks', '--out', f'{data}/out', '--no-progress', *more]
    )
    return [json.loads(line) for line in (data / 'out/train.jsonl').read_text().splitlines()]


def test_each_mask_shows_what_its_sentence_says(data):
    rows = run(data, '--spacing', '0.5')
    assert {row['image'] for row in rows} == {'a.png'}
    full = {row['mask']: row for row in rows if row['kind'] == 'full'}
    disc, ellipse = full['a_l1.png'], full['a_l2.png']
    assert (disc['density'], disc['shape'], disc['place'], disc['diameter_mm']) == (
        'hypodense',
        'round',
        'upper left',
        20.5,
    )
    assert (ellipse['density'], ellipse['shape'], ellipse['size']) == ('hyperdense', 'oval', 'large')
    assert '20.5 mm' in disc['expression']
    mask = cv2.imread(f'{data}/out/masks/a_l1.png', cv2.IMREAD_UNCHANGED)
    assert mask[40, 40] == 255
    assert mask[140, 150] == 0


def test_several_and_none_are_marked_and_their_masks_are_unions(data):
    rows = run(data, '--also', 'several', 'none', '--set', 'measures.size_share.edges=[0.05,0.6]')
    several = [row for row in rows if row['fits'] == 'several']
    none = [row for row in rows if row['fits'] == 'none']
    assert several
    assert {row['image'] for row in none} == {'a.png', 'b.png'}
    assert all(row['lesions'] == [1, 2] and row['expression'] == 'All medium-sized lesions.' for row in several)
    union = cv2.imread(f'{data}/out/masks/{several[0]["mask"]}', 0)
    assert np.array_equal(union, cv2.imread(f'{data}/masks/a.png', 0))
    assert all(not cv2.imread(f'{data}/out/masks/{row["mask"]}', 0).any() for row in none)


def test_our_datasets_read_it_and_shorten_it(data):
    run(data)
    full = RefHLSegDataset('train.jsonl', data_root=f'{data}/out', pipeline=[])
    assert len(full) > 3
    part = TextSegDataset(
        'train.jsonl',
        data_root=f'{data}/out',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        partial_text=dict(keep=['shape'], wording=f'{data}/out/wording.json'),
        pipeline=[],
    )
    assert 'A lesion with a round shape.' in {part.get_data_info(i)['text'] for i in range(len(part))}


@pytest.mark.parametrize('organ', [False, True])
def test_halves_of_what_the_sentences_say_are_true_and_whole(data, organ):
    """Each shortened sentence is made of the phrases of the long one, and has half of them."""
    more = ['--set', 'noun=tumour', 'plural=tumours', '--also', 'several', 'none', '--spacing', '0.5']
    if organ:
        (data / 'organs').mkdir()
        for name in 'ab':
            cv2.imwrite(f'{data}/organs/{name}.png', np.where(np.arange(200) < 100, 6, 2)[None].repeat(200, 0))
        more += ['--organs', f'{data}/organs', '--organ-labels']
    rows = run(data, *more)
    where = r'in (?:segment \w+|the \w+ lobe|the (?:upper|lower|left|right|central| )+ part) of the (?:liver|picture)'
    patterns = dict(
        noun=r'\btumour\b',
        place=where,
        density=r'\bh\w+dense\b',
        size=r'\b(?:medium-sized|large)\b',
        shape=r'\b\w+ shape\b',
        boundary=r'\b\w+ boundary\b',
        diameter=r'[\d.]+ mm',
    )

    def said(text):
        found = {name: re.search(pattern, text, re.IGNORECASE) for name, pattern in patterns.items()}
        return {name: match[0].lower() for name, match in found.items() if match}

    form = (
        rf'An? (?:[\w-]+ ){{0,2}}(?:tumour|lesion)(?: {where})?(?:,? with (?:an? )?[^,]+(?:,? (?:and )?an? [^,]+)*)?\.'
    )
    half, shortened = PartialText(0.5, wording=f'{data}/out/wording.json'), 0
    for row in rows:
        text, way = half.shorten(row['expression'], row, row['expression'])
        before, after = said(row['expression']), said(text)
        assert after.items() <= before.items(), (row['expression'], text)
        if row['fits'] == 'several' or row['kind'] == 'superlative':
            assert way == 'whole'
        elif len(before) > 1:
            assert way == 'attributes'
            assert len(after) == (len(before) + 1) // 2, (row['expression'], text)
            assert re.fullmatch(form, text), text
            shortened += len(before) > 4
    assert shortened > 1


def test_no_pixels_and_no_doubtful_boundary_are_said(data):
    rows = run(data)
    assert all('pixel' not in row['expression'] and 'boundary' not in row['expression'] for row in rows)
    disc = next(row for row in rows if row['kind'] == 'full' and row['mask'] == 'a_l1.png')
    assert (disc['diameter_px'], disc['boundary'], disc['size']) == (41, None, 'medium-sized')
    assert disc['expression'].startswith('A medium-sized hypodense lesion')
    shutil.rmtree(data / 'out')
    rows = run(data, '--set', 'boundary_without_organ=True')
    assert any('a clear boundary' in row['expression'] for row in rows)


def test_shares_of_words_and_a_warning_where_nearly_all_are_one():
    rows = [
        dict(
            mask=f'{i}.png',
            fits='one',
            kind='full',
            density='dark' if i < 19 else 'bright',
            shape=None,
            size=str(i % 2),
        )
        for i in range(20)
    ]
    lines = word_shares(dict(train=[*rows, rows[0], rows[0] | dict(mask='all.png', fits='several')]))
    assert lines[0] == 'size, known of 20 of 20: 0 50 %, 1 50 %'
    assert lines[1] == 'density, known of 20 of 20: dark 95 %, bright 5 %'
    assert len(lines) == 3
    assert 'nearly all are dark' in lines[2]
    assert len(word_shares(dict(train=rows[:19]))) == 2  # too few to warn


def test_a_second_run_writes_nothing_and_gives_the_same(data):
    rows = run(data)
    times = {path: path.stat().st_mtime_ns for path in (data / 'out').rglob('*.*')}
    assert run(data) == rows
    assert {path: path.stat().st_mtime_ns for path in (data / 'out').rglob('*.*')} == times
    with pytest.raises(SystemExit, match='holds another conversion'):
        run(data, '--seed', '1')


def test_from_a_table_with_spacing_organs_and_segments(data):
    (data / 'organs').mkdir()
    segments = np.full((200, 200), 6, np.uint8)
    segments[:, 100:] = 2
    for name in 'ab':
        cv2.imwrite(f'{data}/organs/{name}.png', segments)
    (data / 'test.jsonl').write_text(
        ''.join(
            json.dumps(dict(image=f'{n}.png', mask=f'{n}.png', case_id=f'c{n}', spacing_mm=0.25)) + '\n' for n in 'ab'
        )
    )
    tool.main(f'--ann {data}/test.jsonl --organs {data}/organs --organ-labels --out {data}/out --no-progress'.split())
    rows = [json.loads(line) for line in (data / 'out/test.jsonl').read_text().splitlines()]
    full = {row['mask']: row for row in rows if row['kind'] == 'full'}['a_l1.png']
    assert (full['segment'], full['side'], full['case_id'], full['spacing_mm']) == ('VI', 'right', 'ca', 0.25)
    assert 'in segment VI of the liver' in full['expression'] or 'In segment VI of the liver' in full['expression']
    segments[0, 0] = 77
    cv2.imwrite(f'{data}/organs/a.png', segments)
    with pytest.raises(SystemExit, match=r'a\.png holds \[77\]'):
        tool.main(f'--ann {data}/test.jsonl --organs {data}/organs --organ-labels --out {data}/new'.split())
    assert not (data / 'new/test.jsonl').exists()


def test_instances_that_touch_and_the_picture_style(data):
    ids = np.zeros((200, 200), np.uint16)
    ids[20:40, 20:40], ids[20:40, 40:60] = 300, 7
    cv2.imwrite(f'{data}/masks/a.png', ids)
    rows = run(data, '--instances', '--style', 'lvit', '--set', 'noun=gland', 'plural=glands')
    assert [row['expression'] for row in rows] == ['Unilateral glands, two glands, upper left of the picture.']
    assert (rows[0]['count'], rows[0]['fits'], rows[0]['lesions']) == (2, 'several', [1, 2])


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda d: (d / 'masks/b.png').unlink(), r'b\.png: no mask of that name'),
        (lambda d: (d / 'images/b.png').write_bytes(b'no'), r'b\.png is not a picture'),
        (lambda d: cv2.imwrite(f'{d}/masks/b.png', np.zeros((9, 9), np.uint8)), r'b\.png is 9 x 9'),
    ],
)
def test_bad_files_are_named_and_no_table_is_written(data, spoil, message):
    spoil(data)
    with pytest.raises(SystemExit, match=message):
        run(data)
    assert not (data / 'out/train.jsonl').exists()
