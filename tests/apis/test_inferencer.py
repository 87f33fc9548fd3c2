"""TextSegInferencer on a tiny model with random weights: what goes in does not matter, what is said does."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg_textseg.apis import ConfigError, Prediction, TextSegInferencer, load_config
from mmseg_textseg.models import TextEncoderError

# As many tokens each: only their meaning differs.
LEFT, RIGHT = 'The lesion in the left lobe.', 'The lesion in the right lobe.'


@pytest.fixture
def picture(tmp_path) -> tuple[str, np.ndarray]:
    """A coloured file 70 high and 45 wide, divisible by nothing, and its pixels in OpenCV's order."""
    rng = np.random.default_rng(0)
    array = cv2.resize(rng.integers(0, 256, (7, 5, 3), np.uint8), (45, 70), interpolation=cv2.INTER_CUBIC)
    path = str(tmp_path / 'picture.png')
    cv2.imwrite(path, array)
    return path, array


def same(a: Prediction, b: Prediction, tolerance: float = 0.0) -> bool:
    return np.allclose(a.probability, b.probability, rtol=0, atol=tolerance)


def test_file_and_array_agree(segment, picture):
    path, array = picture
    before = array.copy()
    from_file, from_array = segment(path, LEFT), segment(array, LEFT)
    assert same(from_file, from_array)
    assert np.array_equal(from_file.mask, from_array.mask)
    assert np.array_equal(array, before), 'the caller keeps the array'
    assert not same(from_file, segment(np.ascontiguousarray(array[..., ::-1]), LEFT), 1e-4), 'arrays are BGR'


def test_a_grey_array_is_the_grey_file(segment, phantom):
    path = sorted((phantom / 'images').iterdir())[0]
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert grey.ndim == 2
    assert same(segment(grey, LEFT), segment(str(path), LEFT))


def test_the_prediction(segment, picture):
    result = segment(picture[0], LEFT)
    assert result.mask.shape == result.probability.shape == (70, 45)
    assert result.mask.dtype == bool
    assert result.probability.dtype == np.float32
    assert 0 <= result.probability.min() < 0.5 < result.probability.max() <= 1
    assert np.array_equal(result.mask, result.probability > 0.5)
    assert result.text == LEFT


def test_the_sentence_matters(segment, picture):
    assert not same(segment(picture[0], LEFT), segment(picture[0], RIGHT), 1e-4)


def test_several_sentences_are_each_alone(segment, picture):
    sentences = [LEFT, 'Lesion.', RIGHT]
    together = segment(picture[0], sentences)
    assert [result.text for result in together] == sentences
    for result in together:
        assert same(result, segment(picture[0], result.text), 1e-5)
    assert not same(together[0], together[2], 1e-4)
    (one,) = segment(picture[0], [LEFT])
    assert same(one, together[0], 1e-5)
    assert len(segment(picture[0], (LEFT, RIGHT))) == 2


def test_a_call_leaves_nothing_behind(segment, picture):
    first = segment(picture[0], LEFT)
    segment(picture[1][:33], RIGHT)
    assert same(first, segment(picture[0], LEFT))
    assert not segment.model.training


@pytest.mark.parametrize('size', [(80, 50), (30, 100), (64, 64)])
def test_mask_has_the_size_of_the_picture_through_a_pipeline_that_resizes(tiny_config, checkpoint, size):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(64, 64), keep_ratio=False))
    array = cv2.resize(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5, size[::-1])
    result = TextSegInferencer(cfg, checkpoint, 'cpu')(array, LEFT)
    assert result.mask.shape == result.probability.shape == size
    small = TextSegInferencer(cfg, checkpoint, 'cpu')(cv2.resize(array, (64, 64)), LEFT)
    # The same map, brought back to another size.
    grown = cv2.resize(small.probability, size[::-1])
    assert np.abs(result.probability - grown).mean() < 0.02


def test_pick_text_and_masks_of_the_pipeline_are_left_out(tiny_config, checkpoint, picture):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    expected = TextSegInferencer(cfg, checkpoint, 'cpu')(picture[0], LEFT)
    steps = cfg.test_dataloader.dataset.pipeline
    assert 'LoadMask' in [step.type for step in steps]
    steps.insert(1, dict(type='PickText', mode='first'))
    assert same(TextSegInferencer(cfg, checkpoint, 'cpu')(picture[0], LEFT), expected)


def test_vocabulary_is_the_checkpoints(tiny_config, checkpoint, picture, phantom, tmp_path):
    expected = TextSegInferencer(tiny_config, checkpoint, 'cpu')(picture[0], LEFT)
    other = tmp_path / 'other.jsonl'
    other.write_text(json.dumps(dict(image='a.png', mask='a.png', expression='quite other words')) + '\n')
    text = Path(tiny_config).read_text()
    moved = tmp_path / 'moved.py'
    moved.write_text(text.replace(f"build_from='{phantom}/train.jsonl'", f"build_from='{other}'"))
    assert moved.read_text() != text
    assert 'quite' in load_config(str(moved)).model.text_encoder.tokenizer.vocab.split()
    assert same(TextSegInferencer(str(moved), checkpoint, 'cpu')(picture[0], LEFT), expected)
    other.unlink()
    assert same(TextSegInferencer(str(moved), checkpoint, 'cpu')(picture[0], LEFT), expected)


def test_config_of_another_vocabulary_is_refused(tiny_config, checkpoint):
    cfg = load_config(tiny_config)
    # As many entries, so that the weights fit: nothing but the vocabulary itself could tell.
    words = [*cfg.model.text_encoder.tokenizer.vocab.split()[:-1], 'zebra']
    cfg = load_config(tiny_config, {'model.text_encoder.tokenizer': dict(vocab=words, _delete_=True)})
    with pytest.raises(TextEncoderError, match='trained with vocabulary'):
        TextSegInferencer(cfg, checkpoint, 'cpu')


@pytest.mark.parametrize('text', ['', '  \n', [], [LEFT, ''], [LEFT, None]])
def test_empty_sentences_are_refused(segment, picture, text):
    with pytest.raises(ValueError, match='without empty ones'):
        segment(picture[0], text)


@pytest.mark.parametrize('shape', [(4, 4, 4), (4, 4, 1), (2, 4, 4, 3), (16,)])
def test_arrays_of_another_shape_are_refused(segment, shape):
    with pytest.raises(ValueError, match=r'image must be \(H, W, 3\) or \(H, W\), got shape'):
        segment(np.zeros(shape, np.uint8), LEFT)


def test_missing_files(segment, tiny_config, checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError):
        segment(str(tmp_path / 'gone.png'), LEFT)
    with pytest.raises(ConfigError, match=r'gone\.pth'):
        TextSegInferencer(tiny_config, str(tmp_path / 'gone.pth'))
    with pytest.raises(ConfigError, match=r'gone\.py'):
        TextSegInferencer(str(tmp_path / 'gone.py'), checkpoint)


def test_a_checkpoint_that_does_not_fit_is_refused(tiny_config, tmp_path, checkpoint):
    state = torch.load(checkpoint, weights_only=False)
    del state['state_dict']['decode_head.conv_seg.weight']
    torch.save(state, tmp_path / 'short.pth')
    with pytest.raises(RuntimeError, match='conv_seg'):
        TextSegInferencer(tiny_config, str(tmp_path / 'short.pth'), 'cpu')


def test_a_pipeline_without_image_loading_is_refused(tiny_config, checkpoint):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    del cfg.test_dataloader.dataset.pipeline[0]
    with pytest.raises(ConfigError, match='LoadImageFromFile'):
        TextSegInferencer(cfg, checkpoint, 'cpu')


def test_a_test_set_of_several_datasets(tiny_config, checkpoint, picture):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    expected = TextSegInferencer(cfg, checkpoint, 'cpu')(picture[0], LEFT)
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset])
    assert same(TextSegInferencer(cfg, checkpoint, 'cpu')(picture[0], LEFT), expected)
