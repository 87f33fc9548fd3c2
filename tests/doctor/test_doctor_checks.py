"""Each check alone: one fault in a clean set, named with row and file, and nothing else found."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_textseg.doctor import CHECKS, as_json, as_text, contact_sheet
from mmseg_textseg.doctor.splits import Loading

SENTENCES = 'The small round dark pale node number 0 1 2 3 4 5 6 7 8 9 at the left right'
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *dict.fromkeys(SENTENCES.lower().split())]


def faults(found) -> set[str]:
    """Checks with an error or a warning."""
    return {name for name, finding in found.by.items() if finding.severity != 'note'}


def test_clean_set(tiny):
    found = tiny.found()
    assert not faults(found)
    assert not found.all.failed
    assert (
        found.by['splits']
        .message.split('\n')[0]
        .startswith('train: 6 good rows, 6 sentences, 6 images, 6 masks, 6 cases (')
    )
    assert found.by['sides'].message.startswith(
        "of 10 sentences naming left or right, 0 do not fit as the picture's sides, 10 as the patient's"
    )
    assert '(mirrored); of 0 naming upper or lower, 0 do not fit. Taken' in found.by['sides'].message
    assert 'foreground 9.77 % on average' in found.by['masks'].message  # 100 of 1024 pixels


def cut_png(tiny):
    path = tiny.root / 'images' / 'p2.png'
    path.write_bytes(path.read_bytes()[:-40])


def cut_jpg(tiny):
    path = tiny.root / 'images' / 'p2.jpg'
    cv2.imwrite(str(path), cv2.imread(str(tiny.root / 'images' / 'p2.png')))
    path.write_bytes(path.read_bytes()[:-60])
    tiny.rows['train'][2]['image'] = 'p2.jpg'


def cut_mask(tiny):
    path = tiny.root / 'masks' / 'p2.png'
    path.write_bytes(path.read_bytes()[:-40])


def no_picture(tiny):
    (tiny.root / 'images' / 'p2.png').write_text('hello')


def other_size(tiny):
    cv2.imwrite(
        str(tiny.root / 'masks' / 'p2.png'),
        np.full((30, 32), 255, np.uint8) * np.arange(2).repeat(16).astype(np.uint8)[::-1],
    )


def palette_mask(tiny):
    mask = Image.fromarray(np.zeros((32, 32), np.uint8), 'P')
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tiny.root / 'masks' / 'p2.png')


def grey_mask(tiny):
    mask = cv2.imread(str(tiny.root / 'masks' / 'p2.png'), 0)
    mask[:2, :16] = np.arange(1, 33).reshape(2, 16)
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), mask)


def wrong_side(tiny):
    tiny.rows['train'][2]['expression'] = 'The dark node at the right'


def low_side(tiny):
    mask = np.zeros((32, 32), np.uint8)
    mask[:8, 2:12] = 255
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), mask)
    tiny.rows['train'][2]['expression'] = 'The dark node at the lower left'


def full_mask(tiny):
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), np.full((32, 32), 255, np.uint8))


def empty_mask(tiny):
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), np.zeros((32, 32), np.uint8))


def other_mask(tiny):
    tiny.rows['train'].append(tiny.rows['train'][2] | dict(mask='p4.png'))


def copied(tiny):
    shutil.copy(tiny.root / 'images' / 'p2.png', tiny.root / 'images' / 'p7.png')


def copied_inside(tiny):
    shutil.copy(tiny.root / 'images' / 'p1.png', tiny.root / 'images' / 'p2.png')


def nearly_copied(tiny):
    image = cv2.imread(str(tiny.root / 'images' / 'p2.png'), 0)
    cv2.imwrite(str(tiny.root / 'images' / 'p7.png'), cv2.convertScaleAbs(image, alpha=0.9, beta=7))


def set_row(split, number, **values):
    return lambda tiny: tiny.rows[split][number].update(values)


# check, what is done, split and row of the example, words of its detail
FAULTS = [
    ('missing-file', lambda t: (t.root / 'images' / 'p2.png').unlink(), 'train', 3, "'image' is 'p2.png'"),
    ('missing-file', lambda t: (t.root / 'masks' / 'p8.png').unlink(), 'test', 3, "'mask' is 'p8.png'"),
    ('blank-expression', set_row('train', 1, expression='  '), 'train', 2, 'expected an expression'),
    ('broken-row', set_row('train', 1, expression=5), 'train', 2, 'is 5 (int), not text'),
    ('broken-row', set_row('train', 1, image=None), 'train', 2, "'image' is empty"),
    ('unreadable', cut_png, 'train', 3, 'images/p2.png: is cut off or damaged'),
    ('unreadable', cut_jpg, 'train', 3, 'images/p2.jpg: is cut off or damaged'),
    ('unreadable', no_picture, 'train', 3, 'images/p2.png: is no picture that LoadImageFromFile reads'),
    ('unreadable', cut_mask, 'train', 3, 'masks/p2.png: is cut off or damaged'),
    ('size-mismatch', other_size, 'train', 3, 'is 30 x 32 (height x width), image'),
    ('mask-refused', palette_mask, 'train', 3, 'has a palette'),
    ('same-image', copied, 'test', 2, 'images/p7.png is the picture of train: train.jsonl row 3'),
    ('shared-case', set_row('test', 1, case_id='case p2'), 'test', 2, "case 'case p2' is in train: train.jsonl row 3"),
    ('near-image', nearly_copied, 'test', 2, 'images/p7.png is nearly train: train.jsonl row 3'),
    ('wrong-side', wrong_side, 'train', 3, '"The dark node at the right" names right; mask'),
    ('wrong-side', low_side, 'train', 3, 'names lower; mask'),
    ('duplicate-row', lambda t: t.rows['train'].append(t.rows['train'][2]), 'train', 7, 'train.jsonl row 3'),
    (
        'duplicate-row',
        lambda t: t.rows['train'].append(t.rows['train'][2] | dict(expression='the DARK node  number 2 at the left ')),
        *('train', 7, 'train.jsonl row 3'),
    ),
    ('ambiguous-text', other_mask, 'train', 7, 'means another mask of this image in train: train.jsonl row 3'),
    ('odd-mask', grey_mask, 'train', 3, 'has 34 values, 0, 1, 2, ... 32, 255; at threshold=1, 24.2 %'),
    ('empty-mask', empty_mask, 'train', 3, 'masks/p2.png is empty; the sentence: "The dark node number 2 at the left"'),
    ('full-mask', full_mask, 'train', 3, 'masks/p2.png covers the whole picture'),
    ('renamed-image', copied_inside, 'train', 3, 'images/p2.png are one picture'),
    (
        'blank-image',
        lambda t: cv2.imwrite(str(t.root / 'images' / 'p2.png'), np.full((32, 32), 9, np.uint8)),
        *('train', 3, 'images/p2.png is of one grey value'),
    ),
    (
        'deep-image',
        lambda t: cv2.imwrite(str(t.root / 'images' / 'p2.png'), np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60),
        *('train', 3, 'images/p2.png is of more than 8 bits'),
    ),
]


@pytest.mark.parametrize(
    ('check', 'spoil', 'split', 'row', 'words'), FAULTS, ids=[f'{f[0]}-{i}' for i, f in enumerate(FAULTS)]
)
def test_one_fault(tiny, check, spoil, split, row, words):
    spoil(tiny)
    found = tiny.found()
    assert faults(found) == {check}
    finding = found.by[check]
    assert finding.count == len(finding.examples) == 1
    example = finding.examples[0]
    assert (example['split'], example['row']) == (split, f'{split}.jsonl row {row}')
    assert example['table'] == str(tiny.root / f'{split}.jsonl')
    assert words in example['detail']
    assert found.all.failed == (CHECKS[check].severity == 'error')


def test_table_without_image_column(tiny):
    for row in tiny.rows['test']:
        row['picture'] = row.pop('image')
    found = tiny.found()
    assert faults(found) == {'table'}
    assert 'no image_column found by its name' in found.by['table'].examples[0]['detail']


def test_missing_table(tiny):
    splits = tiny.splits()
    (tiny.root / 'test.jsonl').unlink()
    found = tiny.found(splits)
    assert faults(found) == {'table'}
    assert 'test.jsonl' in found.by['table'].examples[0]['detail']


def test_mask_below_threshold(tiny):
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), cv2.imread(str(tiny.root / 'masks' / 'p2.png'), 0) // 255)
    loading = Loading(dict(type='LoadImageFromFile'), dict(type='LoadMask', threshold=128), 2)
    found = tiny.found([replace(split, loading=loading) for split in tiny.splits()])
    assert faults(found) == {'mask-refused', 'empty-mask'}
    assert 'values up to 1, all below threshold=128' in found.by['mask-refused'].examples[0]['detail']


def test_stock_loading_takes_values_as_classes(tiny):
    loading = Loading(dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), 1)
    cv2.imwrite(str(tiny.root / 'masks' / 'p2.png'), np.tile(np.arange(4, dtype=np.uint8), (32, 8)))
    found = tiny.found([replace(split, loading=loading) for split in tiny.splits()])
    details = [example['detail'] for example in found.by['mask-refused'].examples]
    assert len(details) == 1  # 0 and 255 are no fault: 255 is no class
    assert 'p2.png has the values 1, 2, 3; LoadAnnotations takes values as class numbers' in details[0]


def test_tokeniser(tiny):
    tiny.rows['train'][1]['expression'] = 'The round node at the right zebra'
    splits = [replace(split, tokenizer=dict(vocab=VOCAB), max_tokens=9) for split in tiny.splits()]
    tiny.rows['train'][3]['expression'] = 'The pale node at the right right right right'
    tiny.write()
    found = tiny.found(splits)
    assert faults(found) == {'truncated-text', 'unknown-words'}
    cut, unknown = found.by['truncated-text'], found.by['unknown-words']
    assert cut.examples[0]['row'] == 'train.jsonl row 4'
    assert cut.examples[0]['detail'] == '11 tokens, max_tokens=9; lost: "right right"'
    # The other eight: 'The dark node number 2 at the left' has 8 words and 2 special tokens, one more than 9.
    assert cut.count == 9
    assert cut.message == '9 of 10 sentences are cut by max_tokens=9; the longest needs 11'
    assert unknown.examples[0]['row'] == 'train.jsonl row 2'
    assert unknown.examples[0]['detail'] == '\'zebra\' in "The round node at the right zebra"'
    assert '1 word unknown to the vocabulary, in 1 of 10 sentences (1.2 % of the tokens' in unknown.message  # 1 of 80


def test_no_tokeniser_is_said(tiny):
    assert any(
        finding.message.startswith('tokeniser of train, test: no TokenizeText') for finding in tiny.found().all.findings
    )


def test_no_vocabulary_is_said(tiny, monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    splits = [replace(split, tokenizer=str(tiny.root), max_tokens=9) for split in tiny.splits()]
    notes = [finding.message for finding in tiny.found(splits).all.findings if finding.check == 'skipped']
    assert any(note.startswith('tokeniser of train, test: ') and str(tiny.root) in note for note in notes)


def test_sides_of_the_patient(tiny):
    """All sentences mirrored but one: the convention of the many is taken, and the one is found."""
    for rows in tiny.rows.values():
        for row in rows:
            swap = dict(left='right', right='left')
            row['expression'] = ' '.join(swap.get(word, word) for word in row['expression'].split())
    tiny.rows['test'][0]['expression'] = 'A node at the left'
    found = tiny.found()
    finding = found.by['wrong-side']
    assert (finding.count, finding.examples[0]['row']) == (1, 'test.jsonl row 1')
    assert "9 do not fit as the picture's sides, 1 as the patient's" in finding.message
    assert 'Taken as the patient' in found.by['sides'].message


def test_common_sentence(tiny):
    for number in range(10, 34):
        tiny.add('train', f'p{number}', 'left', number, expression='A node at the left')
    found = tiny.found(near_distance=None)
    assert faults(found) == {'common-text'}
    assert '"A node at the left" for 24 of 30 images of train' in found.by['common-text'].examples[0]['detail']


def test_sizes_and_balance(tiny):
    for number in range(10):
        mask = np.zeros((32, 96), np.uint8)
        if number:
            mask = np.zeros((40, 80), np.uint8)
        mask[20, 10 if number % 2 == 0 else -10] = 255
        cv2.imwrite(str(tiny.root / 'masks' / f'p{number}.png'), mask)
        image = cv2.imread(str(tiny.root / 'images' / f'p{number}.png'), 0)
        cv2.imwrite(str(tiny.root / 'images' / f'p{number}.png'), cv2.resize(image, mask.shape[::-1]))
    found = tiny.found()
    assert faults(found) == {'sizes-vary', 'class-balance'}
    assert '2 sizes (height x width), width to height from 2.00 to 3.00' in found.by['sizes-vary'].message
    assert 'half of the masks cover less than 0.031 %' in found.by['class-balance'].message  # 1 of 3200


def test_ten_faults_at_once(tiny):
    """All named with row and file, the worst first, in text and json; the sheet can still be drawn."""
    for number in range(10, 18):
        tiny.add('train', f'p{number}', ('left', 'right')[number % 2], number)
    (tiny.root / 'images' / 'p0.png').unlink()
    path = tiny.root / 'images' / 'p1.png'
    path.write_bytes(path.read_bytes()[:-40])
    other_size(tiny)
    mask = cv2.imread(str(tiny.root / 'masks' / 'p3.png'), 0)
    cv2.imwrite(str(tiny.root / 'masks' / 'p3.png'), cv2.blur(mask, (5, 5)))
    tiny.rows['train'][4]['expression'] = ''
    tiny.rows['train'].append(tiny.rows['train'][5])  # row 15
    tiny.rows['train'][6]['expression'] = 'The small node at the left ' + 'left ' * 9
    tiny.rows['train'][7]['expression'] = 'The zebra at the right'
    tiny.rows['train'][8]['expression'] = 'The dark node at the right'
    shutil.copy(tiny.root / 'images' / 'p15.png', tiny.root / 'images' / 'p6.png')
    image = cv2.imread(str(tiny.root / 'images' / 'p16.png'), 0)
    cv2.imwrite(str(tiny.root / 'images' / 'p7.png'), cv2.convertScaleAbs(image, alpha=0.9, beta=7))
    tiny.rows['test'][2]['case_id'] = 'case p17'
    splits = [replace(split, tokenizer=dict(vocab=VOCAB), max_tokens=12) for split in tiny.splits()]
    found = tiny.found(splits)
    named = {check: found.by[check].examples[0] for check in faults(found)}
    assert {check: (one['row'], one['table'].endswith(one['row'].split()[0])) for check, one in named.items()} == {
        'missing-file': ('train.jsonl row 1', True),
        'unreadable': ('train.jsonl row 2', True),
        'size-mismatch': ('train.jsonl row 3', True),
        'odd-mask': ('train.jsonl row 4', True),
        'blank-expression': ('train.jsonl row 5', True),
        'duplicate-row': ('train.jsonl row 15', True),
        'truncated-text': ('train.jsonl row 7', True),
        'unknown-words': ('train.jsonl row 8', True),
        'wrong-side': ('train.jsonl row 9', True),
        'same-image': ('test.jsonl row 1', True),
        'near-image': ('test.jsonl row 2', True),
        'shared-case': ('test.jsonl row 3', True),
    }
    assert all(finding.count == 1 for name, finding in found.by.items() if name in named)
    order = [finding.severity for finding in found.all.findings]
    assert order == sorted(order, key=('error', 'warning', 'note').index)
    text = as_text(found.all, 'tiny')
    assert all(f'  {check}: ' in text and one['row'] in text for check, one in named.items())
    assert text.endswith('6 errors, 6 warnings')
    data = json.loads(json.dumps(as_json(found.all, 'tiny')))
    assert (data['format'], data['exit_status'], data['title']) == (1, 1, 'tiny')
    assert data['splits'][0] == dict(
        name='train', table=str(tiny.root / 'train.jsonl'), dataset='TextSegDataset', rows=13
    )
    for finding in data['findings']:
        assert set(finding) == {'check', 'severity', 'count', 'message', 'mend', 'examples'}
        assert all(set(one) == {'split', 'table', 'row', 'sample', 'detail'} for one in finding['examples'])
    page = contact_sheet(found.all, 12)
    assert page.shape == (2 * 324, 6 * 240, 3)
    assert (page[2, 2] == (200, 40, 40)).all()  # framed: the first sample is one that was found


def test_workers_change_nothing(tiny):
    cut_png(tiny)
    grey_mask(tiny)
    one, two = tiny.found(workers=1), tiny.found(workers=2)
    assert as_json(one.all, '') == as_json(two.all, '')


@pytest.mark.parametrize(('option', 'words'), [(dict(workers=0), 'workers is 0'), (dict(near_distance=17), 'is 17')])
def test_bad_options(tiny, option, words):
    with pytest.raises(ValueError, match=words):
        tiny.found(**option)
