"""The phantom: layout, determinism, and that every sentence fits one lesion, judged from the files alone."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from mmseg_textseg.datasets.phantom import make_phantom, validate_phantom, writer

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    'case_id', 'image', 'mask', 'expression', 'kind', 'segment', 'side', 'diameter_mm', 'shape', 'boundary',
    'enhancement', 'type', 'pixel_spacing_mm',
}  # fmt: skip
VALUES = {
    'kind': {'full', 'partial'},
    'segment': {'I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII'},
    'side': {'left', 'right'},
    'shape': {'round', 'oval', 'irregular', 'lobulated'},
    'boundary': {'clear', 'blurred'},
    'enhancement': {'non-enhancing', 'ring enhancement', 'homogeneous enhancement'},
    'type': {'cyst', 'hemangioma', 'hepatocellular carcinoma', 'metastasis', 'focal nodular hyperplasia'},
}
SMALL = dict(cases=4, size=96, seed=3, slices_per_case=2, workers=1, progress=False)


def read_rows(folder):
    return [json.loads(line) for s in ('train', 'val', 'test') for line in (folder / f'{s}.jsonl').open()]


def read_mask(folder, name):
    return cv2.imread(str(folder / 'masks' / name), cv2.IMREAD_UNCHANGED)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module', params=['default', 'easy'])
def phantom(request, tmp_path_factory):
    out = tmp_path_factory.mktemp('phantom') / request.param
    lesions = (1, 5) if request.param == 'default' else (2, 4)
    options = dict(size=160 if request.param == 'default' else 96, slices_per_case=(2, 4), lesions=lesions)
    counts = make_phantom(out, 9, seed=1, difficulty=request.param, workers=1, progress=False, **options)
    return out, counts, read_rows(out)


class TestLayout:
    def test_fields(self, phantom):
        _, _, rows = phantom
        for row in rows:
            assert set(row) == FIELDS
            for name, allowed in VALUES.items():
                assert row[name] in allowed
            assert row['image'].startswith(row['case_id'] + '_s')
            assert row['mask'].startswith(row['image'].removesuffix('.png') + '_l')
            assert (row['side'] == 'left') == (row['segment'] in {'I', 'II', 'III', 'IV'})
            assert re.fullmatch(r'[A-Z][^.]*(\.5[^.]*)?\.', row['expression'])

    def test_files(self, phantom):
        out, counts, rows = phantom
        assert {p.name for p in (out / 'images').iterdir()} == {r['image'] for r in rows}
        assert {p.name for p in (out / 'masks').iterdir()} == {r['mask'] for r in rows}
        assert {p.name for p in out.iterdir()} == {
            'images', 'masks', 'train.jsonl', 'val.jsonl', 'test.jsonl', 'phantom.json',
        }  # fmt: skip
        record = json.loads((out / 'phantom.json').read_text())
        assert record['made_up'] is True
        assert record['counts'] == counts
        assert record['arguments']['seed'] == 1
        assert counts['expressions']['total'] == len(rows)
        validate_phantom(out)

    def test_masks(self, phantom):
        out, _, rows = phantom
        masks = defaultdict(set)
        for row in rows:
            masks[row['image']].add(row['mask'])
        for image, names in masks.items():
            picture = cv2.imread(str(out / 'images' / image), cv2.IMREAD_UNCHANGED)
            assert picture.dtype == np.uint8
            total = np.zeros(picture.shape, int)
            for name in names:
                mask = read_mask(out, name)
                assert mask.shape == picture.shape
                assert set(np.unique(mask)) == {0, 255}
                assert all(np.ptp(axis) + 1 >= 4 for axis in np.nonzero(mask))
                total += mask > 0
            assert total.max() == 1

    def test_splits_share_no_case(self, phantom):
        out, counts, _ = phantom
        cases = {
            s: {json.loads(x)['case_id'] for x in (out / f'{s}.jsonl').open()} for s in counts['cases'] if s != 'total'
        }
        assert sum(len(c) for c in cases.values()) == len(set.union(*cases.values())) == 9
        assert all(cases.values())

    def test_two_to_five_expressions_a_lesion(self, phantom):
        _, _, rows = phantom
        by_lesion = defaultdict(list)
        for row in rows:
            by_lesion[row['mask']].append(row['expression'])
        for sentences in by_lesion.values():
            assert 2 <= len(sentences) == len(set(sentences)) <= 5


# An independent reading of the sentences: words to claims on the table's fields and on quantities measured here.
CLAIMS = [
    (r'segment ([IV]+)\b', lambda m, x: x['segment'] == m[1]),
    (r'the (left|right) lobe', lambda m, x: x['side'] == m[1]),
    (r'([\d.]+) mm', lambda m, x: x['diameter_mm'] == float(m[1])),
    (r'\b(round|oval|irregular|lobulated)\b', lambda m, x: x['shape'] == m[1]),
    (r'\b(clear|blurred)\b', lambda m, x: x['boundary'] == m[1]),
    (r'\bno enhancement|\bdark\b', lambda m, x: x['enhancement'] == 'non-enhancing'),
    (r'ring.enhanc', lambda m, x: x['enhancement'] == 'ring enhancement'),
    (r'homogeneous enhancement|\bbright\b', lambda m, x: x['enhancement'] == 'homogeneous enhancement'),
    (r'cyst|hemangioma|hepatocellular carcinoma|metasta|focal nodular', lambda m, x: x['type'].startswith(m[0])),
]
EXTREMES = {
    r'\b(largest|larger|large)\b': ('diameter', 'area', max),
    r'\b(smallest|smaller|small)\b': ('diameter', 'area', min),
    r'\b(uppermost|upper)\b': ('y', 'y', min),
    r'\b(lowermost|lower)\b': ('y', 'y', max),
}


def lesions_of_images(folder, rows):
    table = defaultdict(dict)
    for row in rows:
        if row['mask'] in table[row['image']]:
            continue
        mask = read_mask(folder, row['mask']) > 0
        edge = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        points = np.argwhere(edge)
        measured = dict(diameter=pdist(points).max() + 1, area=mask.sum(), y=np.argwhere(mask)[:, 0].mean())
        table[row['image']][row['mask']] = {**row, **measured}
    return table


def lesions_named(sentence, lesions):
    """Masks that fit a sentence, by the claims above."""
    for pattern, holds in CLAIMS:
        match = re.search(pattern, sentence)
        if match:
            lesions = {name: x for name, x in lesions.items() if holds(match, x)}
    if ' two ' in sentence:
        assert len(lesions) == 2
    for pattern, (first, second, best) in EXTREMES.items():
        if re.search(pattern, sentence) and lesions:
            winners = {best(lesions, key=lambda n, k=key: lesions[n][k]) for key in (first, second)}
            lesions = {name: lesions[name] for name in winners}
    return set(lesions)


def test_every_sentence_fits_its_lesion_only(phantom):
    out, _, rows = phantom
    table = lesions_of_images(out, rows)
    for row in rows:
        assert lesions_named(row['expression'], table[row['image']]) == {row['mask']}, row


def test_measured_fields(phantom):
    out, _, rows = phantom
    for lesions in lesions_of_images(out, rows).values():
        for lesion in lesions.values():
            assert lesion['diameter'] * lesion['pixel_spacing_mm'] == pytest.approx(lesion['diameter_mm'], abs=0.26)


def test_pictures_show_what_the_sentences_say(phantom):
    """Dark is darker and bright is brighter than the liver round the lesion; the right lobe is on the left."""
    out, _, rows = phantom
    sides = defaultdict(list)
    for image, lesions in lesions_of_images(out, rows).items():
        picture = cv2.imread(str(out / 'images' / image), cv2.IMREAD_UNCHANGED).astype(float)
        masks = {name: read_mask(out, name) for name in lesions}
        taken = np.sum([cv2.dilate(m, np.ones((3, 3), np.uint8)) > 0 for m in masks.values()], 0) > 0
        for name, lesion in lesions.items():
            inner = picture[cv2.erode(masks[name], np.ones((3, 3), np.uint8)) > 0]
            outer = picture[(cv2.dilate(masks[name], np.ones((7, 7), np.uint8)) > 0) & ~taken]
            if lesion['boundary'] == 'clear' and inner.size > 9:
                contrast = np.median(inner) - np.median(outer)
                assert {'non-enhancing': contrast < -5, 'homogeneous enhancement': contrast > 5}.get(
                    lesion['enhancement'], True
                ), lesion
            sides[lesion['side']].append(np.argwhere(masks[name])[:, 1].mean())
    assert np.mean(sides['right']) + 10 < np.mean(sides['left'])


def test_the_picture_alone_is_not_enough(phantom):
    """Most slices hold several lesions, each with sentences of its own."""
    _, _, rows = phantom
    masks = defaultdict(set)
    for row in rows:
        masks[row['image']].add(row['mask'])
    assert np.mean([len(names) for names in masks.values()]) > 2


def test_same_seed_same_files_and_any_number_of_workers(tmp_path):
    make_phantom(tmp_path / 'one', **SMALL)
    command = 'tools/make_phantom.py --cases 4 --size 96 --seed 3 --slices-per-case 2 --workers 2 --out'
    subprocess.run([sys.executable, *command.split(), str(tmp_path / 'two')], cwd=ROOT, check=True, capture_output=True)
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')
    make_phantom(tmp_path / 'other', **{**SMALL, 'seed': 4})
    one, other = contents(tmp_path / 'one'), contents(tmp_path / 'other')
    assert all(one[f'images/case_0001_s0{i}.png'] != other[f'images/case_0001_s0{i}.png'] for i in range(2))


def test_the_generator_does_not_need_torch():
    folder = ROOT / 'mmseg_textseg' / 'datasets'
    code = f'import sys; sys.path.append(r"{folder}"); import phantom; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_second_run_does_nothing(tmp_path, monkeypatch):
    counts = make_phantom(tmp_path, **SMALL)
    monkeypatch.setattr(writer, 'write_case', None)  # calling it would raise
    assert make_phantom(tmp_path, **SMALL) == counts


def test_other_arguments_need_overwrite(tmp_path):
    make_phantom(tmp_path, **SMALL)
    with pytest.raises(FileExistsError, match=r'other arguments.*overwrite'):
        make_phantom(tmp_path, **{**SMALL, 'size': 64})
    make_phantom(tmp_path, **{**SMALL, 'size': 64, 'cases': 3}, overwrite=True)
    assert {p.name[:9] for p in (tmp_path / 'images').iterdir()} == {'case_0001', 'case_0002', 'case_0003'}


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=re.escape(str(tmp_path))):
            make_phantom(tmp_path, **SMALL, overwrite=overwrite)
    assert contents(tmp_path) == {'notes.txt': b'mine'}


def test_interrupted_run(tmp_path, monkeypatch):
    done, original = [], writer.write_case

    def stop_at_third(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return original(job)

    with monkeypatch.context() as patched:
        patched.setattr(writer, 'write_case', stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            make_phantom(tmp_path / 'a', **SMALL)
    assert not (tmp_path / 'a' / 'phantom.json').exists()
    with pytest.raises(FileExistsError, match='interrupted'):
        make_phantom(tmp_path / 'a', **SMALL)
    make_phantom(tmp_path / 'a', **SMALL, overwrite=True)
    make_phantom(tmp_path / 'b', **SMALL)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(size=63), 'size=63'),
        (dict(splits=(0.7, 0.1, 0.1)), 'sum to 1'),
        (dict(splits=(0.8, 0.2, 0.0)), 'above 0'),
        (dict(lesions=(4, 2)), r'lesions=\(4, 2\)'),
        (dict(lesions=(0, 2)), r'lesions=\(0, 2\)'),
        (dict(cases=2), 'cases=2 is too few'),
        (dict(slices_per_case=0), 'slices_per_case'),
        (dict(difficulty='hard'), "difficulty='hard'"),
        (dict(workers=0), 'workers=0'),
        (dict(seed=-1), 'seed=-1'),
    ],
)
def test_bad_arguments(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_phantom(tmp_path / 'out', **{**SMALL, **wrong})
    assert not (tmp_path / 'out').exists()


def test_validation_finds_a_changed_mask(tmp_path):
    make_phantom(tmp_path, **SMALL)
    name = read_rows(tmp_path)[0]['mask']
    cv2.imwrite(str(tmp_path / 'masks' / name), np.zeros((96, 96), np.uint8))
    with pytest.raises(ValueError, match=name):
        validate_phantom(tmp_path)


def test_validation_finds_a_shared_case(tmp_path):
    make_phantom(tmp_path, **SMALL)
    first = (tmp_path / 'train.jsonl').read_text().splitlines()[0]
    lines = (tmp_path / 'val.jsonl').read_text().splitlines()
    (tmp_path / 'val.jsonl').write_text('\n'.join([first, *lines[1:]]) + '\n')
    with pytest.raises(ValueError, match='is in train as well'):
        validate_phantom(tmp_path)


def test_command_line_says_what_is_wrong(tmp_path):
    command = [sys.executable, 'tools/make_phantom.py', '--out', str(tmp_path / 'x'), '--cases', '2', '--workers', '1']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'cases=2 is too few' in done.stderr
    assert 'Traceback' not in done.stderr
