"""Many pictures, many sentences: the pairs, the order, and what is computed once."""

from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_textseg.apis import ConfigError, TextSegInferencer, load_config
from mmseg_textseg.apis.inferencer import Query

# Of different lengths, so that batches pad them.
SENTENCES = ['Lesion.', 'The lesion in the left lobe.', 'The large lesion in the right lobe of the left.']
LEFT = SENTENCES[1]


@MODELS.register_module()
class ToldHead(FCNHead):
    """A head that reads text where the backbone does not: the pooled sentence shifts its maps."""

    uses_text = True
    text_channels = 16

    def predict(self, inputs, batch_img_metas, test_cfg, text):
        shift = text.pooled @ torch.linspace(-4, 4, 16 * self.channels).reshape(16, -1)
        logits = self.cls_seg(self._forward_feature(inputs) + shift[:, :, None, None])
        return self.predict_by_feat(logits, batch_img_metas)


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    """Five files of two sizes."""
    rng = np.random.default_rng(0)
    paths = []
    for number, (height, width) in enumerate([(64, 64), (64, 64), (50, 70), (64, 64), (50, 70)]):
        array = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        paths.append(str(tmp_path / f'{number}.png'))
        cv2.imwrite(paths[-1], array)
    return paths


@pytest.fixture
def counted(segment, monkeypatch) -> Counter:
    """How many pictures are loaded, pictures enter the backbone, and sentences the text encoder."""
    return count_calls(segment, monkeypatch)


def count_calls(segment, monkeypatch) -> Counter:
    counts, load = Counter(), segment.load
    if segment.uses_text:
        segment.model.text_encoder.cache.clear()

    def loading(*args, **kwargs):
        counts['loaded'] += 1
        return load(*args, **kwargs)

    monkeypatch.setattr(segment, 'load', loading)
    parts = dict(backbone=segment.model.backbone, text=getattr(segment.model, 'text_encoder', None))
    for name, part in parts.items():
        if part is not None:
            forward = part.forward

            def counting(x, *args, name=name, forward=forward, **kwargs):
                counts[name] += len(x)
                counts[f'{name} calls'] += 1
                return forward(x, *args, **kwargs)

            monkeypatch.setattr(part, 'forward', counting)
    return counts


def random_model(cfg, folder) -> str:
    """Checkpoint of random weights under which masks have both classes."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    for name, value in model.named_parameters():
        if name.endswith('weight') and value.dim() > 1:
            torch.nn.init.normal_(value, 0, value[0].numel() ** -0.5)
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(folder / 'model.pth'))
    return str(folder / 'model.pth')


def assert_same(a, b) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.text == other.text
        np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-5)
        assert np.array_equal(one.picture, other.picture)


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_pairs_come_back_in_their_order_whatever_the_batch(segment, pictures, batch_size):
    texts = [*SENTENCES, *SENTENCES[:2]]
    alone = [segment(image, text) for image, text in zip(pictures, texts, strict=True)]
    together = segment(pictures, texts, batch_size=batch_size)
    assert_same(together, alone)
    assert [answer.mask.shape for answer in together] == [(64, 64), (64, 64), (50, 70), (64, 64), (50, 70)]
    assert not np.allclose(alone[0].probability, alone[1].probability, atol=1e-3)


def test_one_sentence_for_all_pictures_and_all_kinds_of_them(segment, pictures):
    images = [pictures[0], cv2.imread(pictures[1]), cv2.imread(pictures[2])]
    answers = segment(images, LEFT)
    assert_same(answers, [segment(path, LEFT) for path in pictures[:3]])
    (single,) = segment([pictures[0]], LEFT)
    assert_same([single], answers[:1])


def test_a_sentence_is_encoded_once_for_all_pictures(segment, pictures, counted):
    segment(pictures, LEFT, batch_size=2)
    assert (counted['loaded'], counted['text'], counted['backbone']) == (5, 1, 5)
    segment(pictures[0], SENTENCES[:2])
    assert counted['text'] == 2, 'and for all calls'


def test_weights_that_change_are_noticed_between_calls(tiny_config, checkpoint, pictures):
    segment = TextSegInferencer(tiny_config, checkpoint, 'cpu')
    before = segment(pictures[0], LEFT).probability
    with torch.no_grad():
        segment.model.text_encoder.bert.embeddings.word_embeddings.weight.mul_(-1)
    assert np.abs(segment(pictures[0], LEFT).probability - before).max() > 1e-3


def test_a_folded_model(segment, tiny_config, checkpoint, pictures):
    folded = TextSegInferencer(tiny_config, checkpoint, 'cpu', fused=True)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in segment.model.modules())
    assert not sum(isinstance(m, torch.nn.BatchNorm2d) for m in folded.model.modules())
    ours, theirs = (np.stack([a.probability for a in one(pictures[0], SENTENCES)]) for one in (folded, segment))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert folded.uses_text
    assert not folded.text_free


def test_int8_text(segment, tiny_config, checkpoint, pictures, tmp_path):
    small = TextSegInferencer(tiny_config, checkpoint, 'cpu', text_int8=True)
    ours, theirs = (np.stack([a.probability for a in one(pictures[0], SENTENCES)]) for one in (small, segment))
    difference = np.abs(ours - theirs).max()
    assert 0 < difference < 0.2 * np.abs(theirs[1] - theirs[2]).max(), 'little beside what another sentence changes'
    cfg = told_config(tiny_config, checkpoint, mode='whole')
    cfg.model.update(type='EncoderDecoder', decode_head={**cfg.model.decode_head, 'type': 'FCNHead'})
    cfg.model.pop('text_encoder')
    with pytest.raises(ConfigError, match=r'--text-int8.*has none'):
        TextSegInferencer(cfg, random_model(cfg, tmp_path), 'cpu', text_int8=True)


def test_a_prediction_writes_no_cache_of_a_training(tiny_config, checkpoint, pictures, tmp_path):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    init = dict(type='StrictPretrained', checkpoint=checkpoint, prefix='text_encoder.')
    cfg.model.text_encoder.update(frozen=True, cache=str(tmp_path / 'cache'), init_cfg=init)
    TextSegInferencer(cfg, checkpoint, 'cpu')(pictures[0], LEFT)
    assert not (tmp_path / 'cache').exists()


def test_a_picture_is_loaded_once_for_all_sentences(segment, pictures, counted):
    segment(pictures[0], SENTENCES * 3, batch_size=2)
    assert (counted['loaded'], counted['text']) == (1, 3)
    assert counted['text calls'] == 2, 'two new sentences in the first batch, one in the second'
    assert counted['backbone'] == 9, 'this backbone reads the sentence'


def test_batches_of_the_size_asked_for_and_of_one_picture_size(segment, pictures, counted):
    segment(pictures[:2] * 2 + pictures[2:3], LEFT, batch_size=3)
    assert counted['backbone calls'] == 3, 'three of one size, the fourth of it, and the one of another'


def test_a_stream_is_answered_as_it_comes(segment, pictures):
    asked = []

    def queries():
        for path in pictures[:2] * 4:
            asked.append(path)
            yield Query(path, LEFT)

    answers = segment.stream(queries(), batch_size=2)
    next(answers)
    assert len(asked) == 3, 'a batch, and the one that ended it'
    assert len(list(answers)) == 7


def test_rows_of_a_table_that_differ_in_other_columns_share_a_picture(segment, pictures, counted):
    rows = [Query(pictures[0], text, dict(kind=text)) for text in SENTENCES]
    list(segment.stream(rows))
    assert counted['loaded'] == 1
    list(segment.stream([Query(pictures[0], LEFT, dict(spacing_mm=1)), Query(pictures[0], LEFT, dict(spacing_mm=2))]))
    assert counted['loaded'] == 3


def told_config(tiny_config, checkpoint, **test_cfg):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    cfg.model.backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN'))
    head = dict(in_channels=64, in_index=3, channels=8, num_convs=1, num_classes=2, norm_cfg=dict(type='BN'))
    cfg.model.decode_head = dict(type='ToldHead', **head)
    cfg.model.test_cfg = test_cfg
    return cfg


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), dict(mode='slide', crop_size=(32, 32), stride=(24, 24))])
def test_maps_of_a_picture_are_computed_once_where_they_know_no_text(
    tiny_config, checkpoint, pictures, tmp_path, monkeypatch, test_cfg
):
    cfg = told_config(tiny_config, checkpoint, **test_cfg)
    segment = TextSegInferencer(cfg, random_model(cfg, tmp_path), 'cpu')
    alone = [segment(path, text) for path in pictures[:2] for text in SENTENCES]
    counted = count_calls(segment, monkeypatch)
    together = list(segment.stream([Query(path, text) for path in pictures[:2] for text in SENTENCES]))
    windows = counted['backbone calls']
    assert windows == (1 if test_cfg['mode'] == 'whole' else 16)
    assert counted['backbone'] == 2 * windows
    assert_same(together, alone)
    assert not np.allclose(alone[0].probability, alone[1].probability, atol=1e-3), 'the sentences matter'
    assert not np.allclose(alone[0].probability, alone[3].probability, atol=1e-3), 'the pictures matter'


def test_a_step_that_changes_the_picture_by_its_sentence_is_not_shared(tiny_config, checkpoint, pictures, tmp_path):
    class Darken:
        """A step of somebody else's, which reads the sentence."""

        def __call__(self, results):
            return {**results, 'img': results['img'] // (2 if 'left' in results['text'] else 1)}

    TRANSFORMS.register_module(name='DarkenOfTest', module=Darken, force=True)
    cfg = told_config(tiny_config, checkpoint, mode='whole')
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='DarkenOfTest'))
    segment = TextSegInferencer(cfg, random_model(cfg, tmp_path), 'cpu')
    assert_same(segment(pictures[0], SENTENCES), [segment(pictures[0], text) for text in SENTENCES])


def test_text_free_models_need_no_sentence_and_run_once(tiny_config, pictures, tmp_path, monkeypatch):
    cfg = load_config(tiny_config)
    cfg.model.pop('text_encoder')
    cfg.model.type = 'EncoderDecoder'
    cfg.model.backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN'))
    head = dict(in_channels=64, in_index=3, channels=8, num_convs=1, num_classes=2, norm_cfg=dict(type='BN'))
    cfg.model.decode_head = dict(type='FCNHead', **head)
    steps = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [step for step in steps if step.type != 'TokenizeText']
    segment = TextSegInferencer(cfg, random_model(cfg, tmp_path), 'cpu')
    bare = segment(pictures[0])
    assert bare.text == ''
    counted = count_calls(segment, monkeypatch)
    answers = segment(pictures[0], SENTENCES)
    assert counted['backbone'] == 1
    assert [answer.text for answer in answers] == SENTENCES
    assert all(np.array_equal(answer.mask, bare.mask) for answer in answers)
    assert np.ptp(bare.probability) > 0.01
    several = segment(pictures, batch_size=3)
    assert [answer.mask.shape for answer in several] == [(64, 64), (64, 64), (50, 70), (64, 64), (50, 70)]
    assert_same(several, [segment(path) for path in pictures])
    assert not np.allclose(several[0].probability, several[1].probability, atol=1e-3)


def test_threshold(segment, pictures):
    answer = segment(pictures[0], LEFT)
    for threshold in (0.0, 0.3, 0.9, 1.0):
        mask = segment(pictures[0], LEFT, threshold=threshold).mask
        assert np.array_equal(mask, answer.probability > threshold)
        assert np.array_equal(mask, answer.above(threshold).mask)


@pytest.mark.parametrize(
    ('images', 'texts', 'options', 'said'),
    [
        (2, SENTENCES, {}, '2 pictures and 3 sentences: give one sentence for all pictures'),
        (1, SENTENCES, {}, 'need the picture itself, not a list'),
        (0, LEFT, {}, 'image is an empty list'),
        (2, [], {}, 'without empty ones'),
        (2, None, {}, 'must be a sentence'),
        (2, ' ', {}, 'must be a sentence'),
        (2, [LEFT, ''], {}, 'without empty ones'),
        (2, LEFT, dict(batch_size=0), 'batch_size must be 1 or more'),
        (2, LEFT, dict(threshold=2), 'threshold must be 0 to 1'),
    ],
)
def test_numbers_that_do_not_fit(segment, pictures, images, texts, options, said):
    with pytest.raises(ValueError, match=said):
        segment(pictures[:images], texts, **options)


def test_a_config_object_needs_a_checkpoint(tiny_config, checkpoint):
    with pytest.raises(ConfigError, match='no checkpoint given'):
        TextSegInferencer(load_config(tiny_config, checkpoint=checkpoint))
