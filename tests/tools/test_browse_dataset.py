"""tools/browse_dataset.py: what it draws, the same pages for the same seed, masks, views and mistakes."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_textseg.visualization import Token, caption
from mmseg_textseg.visualization.drawing import TRUTH
from mmseg_textseg.visualization.pipeline_sheet import CELL, CUT, GAP, TEXT_SIZE, UNKNOWN, token_strip

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'browse_dataset.py'
CONFIG = """
vocabulary = dict(vocab='[PAD] [UNK] [CLS] [SEP] [MASK] the node on left right side of picture')
model = dict(
    text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=vocabulary, arch=dict(hidden_size=8)),
    data_preprocessor=dict(type='SegDataPreProcessor'),
)
load = [dict(type='LoadImageFromFile'), dict(type='LoadMask'), dict(type='Resize', scale=(32, 32))]
tokenize = dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=7)
common = dict(
    type='TextSegDataset',
    data_root='{root}',
    ann_file='train.csv',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
flip = [dict(type='RandomFlip', prob=0.5), dict(type='SwapDirectionWords')]
train_dataloader = dict(dataset=dict(**common, pipeline=[*load, *flip, tokenize, dict(type='PackTextSegInputs')]))
val_dataloader = dict(dataset=dict(**common, pipeline=[*load, dict(type='PackTextSegInputs')], test_mode=True))
"""
VIEWS = """
_base_ = './config.py'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageCaptionDataset',
        data_root='{root}',
        ann_file='train.csv',
        data_prefix=dict(img_path='images'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='TokenizeText', tokenizer=_base_.vocabulary, max_tokens=7),
            dict(type='TwoViews', transforms=[dict(type='ColorJitter', brightness=0.5)]),
            dict(type='PackViews'),
        ],
    )
)
"""


@pytest.fixture
def root(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    rows = ['image,expression']
    for number in range(6):
        # Blue at the left, red at the right, so that channel order and flips show.
        image = np.zeros((16, 16, 3), np.uint8)
        image[:, :8], image[:, 8:] = (255, 0, 20 * number), (0, 0, 255)  # BGR
        mask = np.zeros((16, 16), np.uint8)
        mask[4:12, 2:6] = 255
        cv2.imwrite(str(tmp_path / 'images' / f'{number}.png'), image)
        cv2.imwrite(str(tmp_path / 'masks' / f'{number}.png'), mask)
        rows.append(f'{number}.png,the node on left side of the picture')
    (tmp_path / 'train.csv').write_text('\n'.join(rows))
    (tmp_path / 'config.py').write_text(CONFIG.format(root=tmp_path.as_posix()))
    return tmp_path


@pytest.fixture
def browse(root, monkeypatch, capsys):
    """Function arguments -> exit status, what was printed or said to stderr."""

    def run(*arguments, config='config.py'):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), str(root / config), *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def contains(page: np.ndarray, part: np.ndarray, top: int, left: int = 0) -> bool:
    return np.array_equal(page[top : top + part.shape[0], left : left + part.shape[1]], part)


def strip(*words: str) -> np.ndarray:
    kept = [Token(word, word, 'word') for word in words]
    tokens = [Token('[CLS]', '[CLS]', 'special'), *kept, Token('[SEP]', '[SEP]', 'special')]
    cut = [Token(word, word, 'cut') for word in ('of', 'the', 'picture')]
    return token_strip([*tokens, *cut], CELL)


def test_pages_show_augmented_pictures_masks_and_rewritten_tokens(browse, root):
    code, said = browse('--out', root / 'out', '--number', 1, '--repeats', 12)
    assert code == 0, said
    assert '12 pictures of 1 of 6 items of train' in said
    page = read(root / 'out' / 'page_000.png')
    turned = set()
    pitch = page.shape[0] // 3
    for number in range(12):
        top, left = pitch * (number // 4), (CELL + GAP) * (number % 4)
        picture = page[top : top + CELL, left : left + CELL]
        blue_left = tuple(picture[CELL - 10, 10])[2] == 255
        turned.add(not blue_left)
        # The mask goes with the picture: columns 2 to 5 of 16, mirrored 10 to 13.
        columns = np.flatnonzero((picture == TRUTH).all(-1).sum(0) > 50)
        expected = np.array([2, 6]) if blue_left else np.array([10, 14])
        assert np.abs(columns[[0, -1]] - expected * CELL / 16).max() <= 1
        words = ('the', 'node', 'on', 'left' if blue_left else 'right', 'side')
        assert contains(page, strip(*words), top + CELL, left)
        assert (page[top + CELL : top + pitch, left : left + CELL] == CUT).all(-1).any()
    assert turned == {True, False}


def test_the_same_seed_gives_the_same_pages(browse, root):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        assert browse('--out', root / name, '--number', 6, '--seed', seed)[0] == 0
    a, b, c = ((root / name / 'page_000.png').read_bytes() for name in 'abc')
    assert a == b
    assert a != c


def test_items_look_the_same_whatever_is_drawn_beside_them(browse, root):
    browse('--out', root / 'six', '--number', 6, '--repeats', 2)
    browse('--out', root / 'six1', '--number', 6, '--repeats', 1)
    many, few = read(root / 'six' / 'page_000.png'), read(root / 'six1' / 'page_000.png')
    for number in range(4):
        place = 2 * number
        top, left = (many.shape[0] // 3) * (place // 4), (CELL + GAP) * (place % 4)
        first = many[top : top + CELL, left : left + CELL]
        assert np.array_equal(first, few[:CELL, (CELL + GAP) * number : (CELL + GAP) * number + CELL])


def test_a_pipeline_without_tokens_shows_the_sentence(browse, root):
    code, said = browse('--out', root / 'out', '--split', 'val', '--number', 2)
    assert code == 0, said
    page = read(root / 'out' / 'page_000.png')
    assert contains(page, caption('the node on left side of the picture', CELL, TEXT_SIZE), CELL)


def test_unknown_words_stand_out(browse, root):
    (root / 'train.csv').write_text('image,expression\n0.png,the zebra')
    browse('--out', root / 'out')
    assert (read(root / 'out' / 'page_000.png') == UNKNOWN).all(-1).any()


def test_both_views_of_a_pretraining_are_shown(browse, root):
    (root / 'views.py').write_text(VIEWS.format(root=root.as_posix()))
    code, said = browse('--out', root / 'out', '--number', 3, config='views.py')
    assert code == 0, said
    page = read(root / 'out' / 'page_000.png')
    assert page.shape[1] == 2 * (2 * CELL + GAP)
    one, two = page[:CELL, :CELL], page[:CELL, CELL : 2 * CELL]
    assert one[10, 10, 2] > 100, 'blue, not red, at the left'
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--split', 'test'], 'no test_dataloader; --split can be train, val'),
        (['--number', '0'], 'at least 1'),
        (['--cfg-options', 'train_dataloader.dataset.ann_file=gone.csv'], 'no annotation table'),
    ],
)
def test_mistakes_are_named(browse, root, arguments, said):
    code, text = browse('--out', root / 'out', *arguments)
    assert code not in (0, None)
    assert said in f'{text}{code}'
    assert 'Traceback' not in text
    assert not (root / 'out').exists()


def test_a_broken_mask_is_named(browse, root):
    (root / 'masks' / '0.png').write_bytes(b'no picture')
    code, _ = browse('--out', root / 'out', '--number', 6)
    assert '0.png' in str(code)
