"""Where a check begins, and what keeps one from being made."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmseg_textseg.doctor.findings import DoctorError


def test_a_third_in_the_named_half_is_no_wrong_side_and_a_hundredth_is(tiny):
    for number, low in ((2, 66), (4, 99)):  # of 100 pixels on the right, the others on the named left
        mask = np.zeros((32, 32), np.uint8)
        mask[0:10, 20:30] = 255
        mask[0:10, 20:30].flat[: 100 - low] = 0
        mask[0:10, 2:12].flat[: 100 - low] = 255
        cv2.imwrite(str(tiny.root / 'masks' / f'p{number}.png'), mask)
    finding = tiny.found().by['wrong-side']
    assert [one['row'] for one in finding.examples] == ['train.jsonl row 5']
    assert finding.message.startswith('1 sentence names a side')


def test_a_case_column_that_no_table_has(tiny):
    with pytest.raises(DoctorError, match="no table has the case column 'patiant'; their other columns are case_id"):
        tiny.found(case_column='patiant')
    assert 'shared-case' not in tiny.found(case_column='Case ID').by


def test_a_faulty_table_of_the_vocabulary_leaves_only_the_tokeniser_out(tiny):
    tiny.rows['train'][1]['expression'] = ' '
    build_from = dict(build_from=str(tiny.root / 'train.jsonl'))
    found = tiny.found([replace(split, tokenizer=build_from, max_tokens=20) for split in tiny.splits()])
    assert found.by['blank-expression'].examples[0]['row'] == 'train.jsonl row 2'
    assert found.by['skipped'].message.startswith('tokeniser of train, test: ')


def test_without_the_hub_the_tokeniser_is_left_out_at_once(tiny, monkeypatch):
    from mmseg_textseg.doctor import texts

    def never(source):
        raise AssertionError('transformers asked')

    monkeypatch.setattr(texts, 'on_hub', lambda name, files: False)
    monkeypatch.setattr(texts, 'load_tokenizer', never)
    found = tiny.found([replace(split, tokenizer='a/bert', max_tokens=20) for split in tiny.splits()])
    assert 'the hub is out of reach' in found.by['skipped'].message


def test_shared_image_is_read_once(tiny, monkeypatch):
    tiny.rows['train'] += [tiny.rows['train'][0] | dict(expression=f'A node, view {i}, at the left') for i in range(5)]
    from mmseg_textseg.doctor import rows

    read, seen = rows._read_image, []
    monkeypatch.setattr(rows, '_read_image', lambda image, path, *rest: (seen.append(path), read(image, path, *rest)))
    assert not tiny.found().all.failed
    assert len(seen) == len(set(seen)) == 10
