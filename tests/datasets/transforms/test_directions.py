"""SwapDirectionWords and RandomRightAngle in a pipeline: order, refusals, a second application."""

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS

from mmseg_textseg.datasets import RandomRightAngle, SwapDirectionWords
from mmseg_textseg.datasets.direction_words import DirectionWordError
from mmseg_textseg.datasets.transforms.directions import turn_array
from mmseg_textseg.datasets.turns import TURNS

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
MASK = np.arange(48, dtype=np.uint8).reshape(6, 8)


def sample(text='the cyst on the left', **changes):
    maps = dict(gt_seg_map=MASK.copy(), gt_depth_map=MASK[::-1].copy(), seg_fields=['gt_seg_map', 'gt_depth_map'])
    return {'img': IMAGE.copy(), 'img_path': 'a.png', 'img_shape': (6, 8), 'text': text, **maps, **changes}


def flip(direction='horizontal', prob=1.0):
    return TRANSFORMS.build(dict(type='RandomFlip', prob=prob, direction=direction))


@pytest.mark.parametrize(
    ('direction', 'text'),
    [
        ('horizontal', 'the upper right cyst'),
        ('vertical', 'the lower left cyst'),
        ('diagonal', 'the lower right cyst'),
    ],
)
def test_after_a_flip_of_mmsegmentation(direction, text):
    results = Compose([flip(direction), SwapDirectionWords()])(sample('the upper left cyst'))
    assert (results['text'], results['text_turn']) == (text, direction)
    assert np.array_equal(results['img'], turn_array(IMAGE, direction))
    assert np.array_equal(results['gt_seg_map'], turn_array(MASK, direction))


def test_no_flip_no_change_and_all_sentences_of_a_picture():
    results = Compose([flip(prob=0.0), SwapDirectionWords()])(sample())
    assert (results['text'], results['text_turn']) == ('the cyst on the left', None)
    results = sample(texts=['left', 'the top right one'])
    del results['text']
    results = Compose([flip(), SwapDirectionWords()])(results)
    assert results['texts'] == ['right', 'the top left one']
    assert 'text' not in results


def test_a_right_angle_after_a_flip():
    results = Compose([flip('horizontal'), RandomRightAngle(1.0, 90), SwapDirectionWords()])(sample())
    turned = np.rot90(IMAGE[:, ::-1])
    assert np.array_equal(results['img'], turned)
    # The left column went to the right, and from there to the top.
    assert (results['text'], results['text_turn']) == ('the cyst on the top', 'transpose')
    assert np.array_equal(turned[0], IMAGE[:, 0])
    assert results['img_shape'] == (8, 6)


def test_further_anatomy_and_the_patient_s_sides():
    text = 'the left carina and the left mass'
    swap = dict(type='SwapDirectionWords', laterality='patient', anatomy=['Carina'])
    results = Compose([flip(), TRANSFORMS.build(swap)])(sample(text))
    assert results['text'] == 'the left carina and the right mass'
    assert "laterality='patient'" in repr(TRANSFORMS.build(swap))


@pytest.mark.parametrize('text', ['a cyst in segment VI', 'the cow right on the hill'])
def test_a_refusal_is_an_error_that_names_picture_and_word(text):
    word = text.split(' in ')[-1] if 'segment' in text else 'right'
    with pytest.raises(DirectionWordError, match=rf"^a\.png: '{word}' cannot be rewritten") as caught:
        Compose([flip(), SwapDirectionWords()])(sample(text))
    assert caught.value.word == word


@pytest.mark.parametrize('turn', TURNS)
def test_undo_turns_the_picture_back(turn):
    steps = [RandomRightAngle(1.0, int(turn[3:]))] if turn.startswith('rot') else [flip('horizontal')]
    if turn in ('transpose', 'antitranspose'):
        steps.append(RandomRightAngle(1.0, 90 if turn == 'transpose' else 270))
    elif turn in ('vertical', 'diagonal'):
        steps = [flip(turn)]
    before = sample('a cyst in segment VI, on the left')
    results = Compose(steps)({**before, 'img': IMAGE.copy()})
    assert results['flip_direction'] == turn
    results = SwapDirectionWords(on_refusal='undo')(results)
    assert (results['text'], results['text_turn']) == (before['text'], None)
    assert (results['flip'], results['flip_direction'], results.get('right_angle')) == (False, None, None)
    assert results['img_shape'] == (6, 8)
    for key in ('img', 'gt_seg_map', 'gt_depth_map'):
        assert np.array_equal(results[key], before[key]), key


def test_undo_leaves_no_sentence_half_rewritten():
    results = sample('left', texts=['right', 'segment VI'])
    results = Compose([flip(), SwapDirectionWords(on_refusal='undo')])(results)
    assert (results['text'], results['texts']) == ('left', ['right', 'segment VI'])
    assert np.array_equal(results['img'], IMAGE)


def test_undo_cannot_undo_exchanged_labels_or_turn_boxes():
    swap = SwapDirectionWords(on_refusal='undo')
    with pytest.raises(ValueError, match=r'a\.png: RandomFlip exchanged labels \(swap_seg_labels\)'):
        swap(sample('segment VI', flip=True, flip_direction='horizontal', swap_seg_labels=[(1, 2)]))
    with pytest.raises(ValueError, match=r'a\.png: gt_bboxes cannot be turned'):
        swap(sample('segment VI', flip=True, flip_direction='horizontal', gt_bboxes=np.zeros((1, 4))))


def test_applied_twice_it_changes_nothing():
    once = Compose([flip(), SwapDirectionWords()])(sample())
    twice = SwapDirectionWords()(dict(once))
    assert twice['text'] == once['text'] == 'the cyst on the right'
    undone = Compose([flip(), SwapDirectionWords(on_refusal='undo')])(sample('segment VI'))
    assert SwapDirectionWords()(undone)['text'] == 'segment VI'


def test_a_flip_after_the_text_was_rewritten_is_an_error():
    once = Compose([flip('horizontal'), SwapDirectionWords()])(sample())
    with pytest.raises(ValueError, match=r"a\.png was rewritten for the turn 'horizontal', and the picture is now"):
        Compose([flip('vertical'), SwapDirectionWords()])(dict(once))
    with pytest.raises(ValueError, match=r'a\.png was rewritten already: put SwapDirectionWords after it'):
        RandomRightAngle()(dict(once))


def test_wrong_order():
    with pytest.raises(ValueError, match=r'a\.png has no key "flip": it belongs after RandomFlip or RandomRightAngle'):
        SwapDirectionWords()(sample())
    with pytest.raises(ValueError, match='put RandomFlip before RandomRightAngle'):
        Compose([RandomRightAngle(1.0, 90), flip('horizontal'), SwapDirectionWords()])(sample())
    results = sample()
    del results['text']
    with pytest.raises(KeyError, match=r'expression under the key "text" or "texts", for a\.png'):
        Compose([flip(), SwapDirectionWords()])(results)


@pytest.mark.parametrize(
    ('kind', 'options', 'message'),
    [
        (SwapDirectionWords, dict(laterality='mine'), "laterality is 'mine'; expected 'image' or 'patient'"),
        (SwapDirectionWords, dict(on_refusal='skip'), "on_refusal is 'skip'; expected 'error' or 'undo'"),
        (SwapDirectionWords, dict(anatomy='carina'), "anatomy is 'carina'; expected a list of words"),
        (RandomRightAngle, dict(prob=2), 'prob is 2; expected 0 to 1'),
        (RandomRightAngle, dict(degrees=45), r'degrees is \(45,\); expected some of 90, 180, 270'),
    ],
)
def test_wrong_options(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


# Where the pixel of row y and column x of a picture (H, W) goes.
GOES = {
    'horizontal': lambda y, x, h, w: (y, w - 1 - x),
    'vertical': lambda y, x, h, w: (h - 1 - y, x),
    'diagonal': lambda y, x, h, w: (h - 1 - y, w - 1 - x),
    'rot90': lambda y, x, h, w: (w - 1 - x, y),
    'rot270': lambda y, x, h, w: (x, h - 1 - y),
    'transpose': lambda y, x, h, w: (x, y),
    'antitranspose': lambda y, x, h, w: (w - 1 - x, h - 1 - y),
}


@pytest.mark.parametrize('turn', TURNS)
@pytest.mark.parametrize('dtype', [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize('shape', [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4)])
def test_where_each_pixel_goes(turn, dtype, shape):
    array = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(dtype)
    for given in (array, array[::-1, ::-1]):
        turned = turn_array(given, turn)
        assert (turned.dtype, turned.flags.c_contiguous) == (dtype, True)
        assert turned.shape == (shape if turn in ('horizontal', 'vertical', 'diagonal') else (5, 3, *shape[2:]))
        assert not np.shares_memory(turned, given)
        for y in range(3):
            for x in range(5):
                assert (turned[GOES[turn](y, x, 3, 5)] == given[y, x]).all()
