"""What every model of this package does, whatever it is made of. The list of models is in conftest.py."""

import copy
import io

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import TextFeatures, TextFusion

SHORT, LONG = 'the bright square', 'the dark square left of it'


def test_every_part_of_ours_is_under_contract(used_types):
    ours = {
        name
        for name, part in MODELS.module_dict.items()
        if part.__module__.startswith('mmseg_textseg.models.')
        and part.__module__.split('.')[2] not in ('losses', 'segmentors', 'pretraining')
        and issubclass(part, BaseModule | TextFusion)
    }
    assert {'PPE', 'SVLAEncoder', 'LAVTSwin', 'LViTHead', 'MSFF', 'BertTextEncoder', 'LanguageFusion'} < ours
    assert ours - used_types == set()


# Training


def text_weights(model) -> list[str]:
    """Parameters that only text reaches. Not biases: of keys, and before norms, they change nothing."""
    parts = ('text_encoder.', '.text_convs.', '.mixing.', '.language.', '.fusions.', '.text_fusion.', '.text_proj.')
    return [n for n, p in model.named_parameters() if any(part in n for part in parts) and p.dim() > 1]


def test_a_training_step(subject):
    """As the Runner does it, from the weights that training starts with."""
    model = subject.build()
    model.init_weights()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    grads, optimizer = {}, torch.optim.SGD(model.parameters(), 0.01)
    # After it the wrapper clears them.
    optimizer.register_step_pre_hook(lambda *_: grads.update({n: p.grad for n, p in model.named_parameters()}))
    log = model.train().train_step(subject.raw(), OptimWrapper(optimizer))
    assert log['loss'].isfinite()
    assert log['loss'] > 0
    assert grads.keys() == before.keys()
    unused = {name for name, grad in grads.items() if grad is None}
    assert unused == set(), 'distributed training stops at the second step'
    assert [name for name, grad in grads.items() if not grad.isfinite().all()] == []
    assert [name for name, p in model.named_parameters() if not p.isfinite().all()] == []
    for part in {name.split('.')[0] for name in before}:
        moved = [n for n, p in model.named_parameters() if n.startswith(part) and not torch.equal(p, before[n])]
        assert moved, part
    reached = text_weights(model)
    assert bool(reached) == subject.text
    assert [name for name in reached if not grads[name].any()] == []


def test_gradients_reach_the_words(text_subject):
    model = text_subject.build()
    model.init_weights()
    inputs, samples = text_subject.batch(SHORT, LONG)
    loss, _ = model.train().parse_losses(model.loss(inputs, samples))
    loss.backward()
    words = model.text_encoder.bert.embeddings.word_embeddings.weight.grad.abs().sum(1)
    used = torch.cat([sample.text_ids for sample in samples]).unique()
    assert words[used].gt(0).all()
    unused = torch.ones(len(words), dtype=torch.bool).index_fill_(0, used, False)
    assert not words[unused].any()


# Prediction


def check_predictions(model, results: list[SegDataSample], shapes: list[tuple[int, int]]) -> None:
    for result, shape in zip(results, shapes, strict=True):
        scores, mask = result.seg_logits.data, result.pred_sem_seg.data
        assert scores.shape == (model.out_channels, *shape)
        assert mask.shape == (1, *shape)
        assert scores.isfinite().all()
        chosen = scores[0] > model.decode_head.threshold if model.out_channels == 1 else scores.argmax(0)
        assert torch.equal(mask[0].long(), chosen.long())


def test_predicts_masks_of_the_original_size(subject):
    model, data = subject.random(), subject.raw()
    data['data_samples'][1].set_metainfo(dict(ori_shape=(50, 40)))
    results = model.test_step(data)
    check_predictions(model, results, [(subject.size, subject.size), (50, 40)])
    share = torch.cat([r.pred_sem_seg.data.flatten().float() for r in results]).mean()
    assert 0.02 < share < 0.98


def test_slide_inference_averages_windows(subject):
    """Models tied to an image size too, where that is the window's."""
    window, stride = subject.window, subject.window // 2
    shape = (window, 2 * window)
    model = subject.random().double()
    inputs = torch.randn(2, 3, *shape, dtype=torch.float64)
    total, hits = 0, torch.zeros(shape)
    for left in (0, stride, window):
        part = inputs[..., left : left + window]
        samples = [subject.sample(s, (window, window)) for s in (SHORT, LONG)]
        add = torch.zeros(2, model.out_channels, *shape, dtype=torch.float64)
        add[..., left : left + window] = subject.logits(model, part, samples)
        total = total + add
        hits[:, left : left + window] += 1
    model.test_cfg.update(mode='slide', crop_size=(window, window), stride=(stride, stride))
    slid = subject.logits(model, inputs, [subject.sample(s, shape) for s in (SHORT, LONG)])
    torch.testing.assert_close(slid, total / hits, rtol=1e-8, atol=1e-8)


def test_test_time_augmentation(subject):
    """Two views, one mirrored: the mean of both, the second turned back, each with the sentence."""
    model, data = subject.random(), subject.raw()
    mirrored = copy.deepcopy(data)
    mirrored['inputs'] = [image.flip(-1) for image in mirrored['inputs']]
    for i, view in enumerate((data, mirrored)):
        for sample in view['data_samples']:
            sample.set_metainfo(dict(flip=bool(i), flip_direction='horizontal' if i else None))
    views = {key: [data[key], mirrored[key]] for key in data}
    with torch.no_grad():
        alone = [model.test_step(copy.deepcopy(view)) for view in (data, mirrored)]
        merged = ROOT_MODELS.build(dict(type='TextSegTTAModel', module=model)).test_step(views)
    for result, *predictions in zip(merged, *alone, strict=True):
        scores = [p.seg_logits.data for p in predictions]  # turned back already
        if model.out_channels == 1:
            expected = torch.stack(scores).mean(0) > model.decode_head.threshold
        else:
            expected = torch.stack([s.softmax(0) for s in scores]).mean(0).argmax(0, keepdim=True)
        assert torch.equal(result.pred_sem_seg.data.bool().reshape(expected.shape), expected.bool())
        assert not torch.equal(*scores), 'views that say the same would prove nothing'


def test_state_dict_holds_the_whole_model(subject):
    first, second = subject.random(), subject.build().eval()
    batch, file = subject.batch(), io.BytesIO()
    assert not torch.equal(subject.logits(second, *batch), subject.logits(first, *batch))
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(subject.logits(second, *batch), subject.logits(first, *batch))


def test_an_image_in_a_batch_is_predicted_as_alone(subject):
    """Also where its neighbour's sentence is longer."""
    model = subject.random().double()
    inputs, samples = subject.batch(SHORT, LONG, SHORT)
    inputs = inputs.double()
    together = subject.logits(model, inputs, samples)
    for i in range(3):
        alone = subject.logits(model, inputs[i : i + 1], samples[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-8, atol=1e-8)


def test_evaluation_repeats_bit_for_bit(subject):
    model, batch = subject.random(), subject.batch()
    first = subject.logits(model, *batch)
    torch.manual_seed(123)
    subject.logits(model, *subject.batch(LONG, SHORT))  # nothing is kept between calls
    assert torch.equal(subject.logits(model, *batch), first)


def test_channels_last_changes_memory_not_values(subject):
    on = subject.random()
    inputs, samples = subject.batch()
    if subject.config().type == 'EncoderDecoder':  # the stock class: as its user does it
        off, inputs_on = copy.deepcopy(on), inputs.contiguous(memory_format=torch.channels_last)
        on.to(memory_format=torch.channels_last)
    else:
        off, inputs_on = subject.build(channels_last=False).eval(), inputs
        off.load_state_dict(on.state_dict(), strict=True)
    layout = [p.is_contiguous(memory_format=torch.channels_last) for p in on.parameters() if p.dim() == 4]
    assert all(layout)
    assert not all(p.is_contiguous(memory_format=torch.channels_last) for p in off.parameters() if p.dim() == 4)
    expected = subject.logits(on, inputs_on, samples)
    torch.testing.assert_close(subject.logits(off, inputs, samples), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast(subject):
    model, batch = subject.random(), subject.batch()
    exact = subject.logits(model, *batch)
    with torch.autocast('cpu', torch.bfloat16):
        rough = subject.logits(model, *batch).float()
        losses = model.train().loss(*batch)
    assert rough.isfinite().all()
    assert not torch.equal(rough, exact), 'nothing was computed in bfloat16'
    assert (rough - exact).square().mean() < 0.02 * exact.var()
    assert all(value.isfinite() for value in losses.values())


# Text


def test_another_sentence_is_another_answer(text_subject):
    model = text_subject.random()
    inputs, samples = text_subject.batch(SHORT, LONG)
    one, other = (text_subject.logits(model, inputs, s) for s in (samples, samples[::-1]))
    change = (one - other).abs().amax((1, 2, 3))
    assert (change > 1e-2 * one.std()).all()


def test_padding_of_sentences_never_matters(text_subject):
    """Whatever ids stand behind the mask."""
    model = text_subject.random().double()
    inputs, samples = text_subject.batch(SHORT)
    expected = text_subject.logits(model, inputs.double(), samples)
    for filler in ((0, 0, 0), (7, 9, 11, 6)):
        padded = copy.deepcopy(samples)
        off = torch.zeros(len(filler), dtype=torch.bool)
        padded[0].text_ids = torch.cat([samples[0].text_ids, torch.tensor(filler)])
        padded[0].text_mask = torch.cat([samples[0].text_mask, off])
        found = text_subject.logits(model, inputs.double(), padded)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_text_models_refuse_images_without_text(text_subject, mode):
    model = text_subject.random()
    inputs, samples = text_subject.batch(SHORT, None)
    samples[1].set_metainfo(dict(img_path='folder/case7.png'))
    with pytest.raises(ValueError, match=r'needs a sentence for every image; none for folder/case7\.png\. Put'):
        model(inputs, samples, mode=mode)
    with pytest.raises(ValueError, match='text'):  # of the backbone, the neck or the head
        model.decode_head(model.extract_feat(inputs))


def test_text_models_need_an_encoder(text_subject):
    with pytest.raises(ValueError, match='needs text: set text_encoder='):
        text_subject.build(text_encoder=None)


def test_text_free_models_take_no_text(free_subject, randomise):
    """No encoder, no TextFeatures; tokens in a sample are another model's and change nothing."""
    encoder = dict(
        type='BertTextEncoder', pretrained=None, tokenizer=dict(vocab='[PAD] [UNK] [CLS] [SEP] [MASK] a'),
        arch=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16),
    )  # fmt: skip
    with pytest.raises(ValueError, match='no part of the model uses text'):
        free_subject.build(type='TextEncoderDecoder', text_encoder=encoder)
    model = free_subject.random()
    inputs, samples = free_subject.batch()
    text = TextFeatures.from_tokens(torch.randn(2, 3, 16), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises((ValueError, TypeError), match='text'):
        model.backbone(inputs, text=text)
    expected = free_subject.logits(model, inputs, samples)
    for sample in samples:
        sample.set_data(dict(text_ids=torch.tensor([2, 5, 3]), text_mask=torch.ones(3, dtype=torch.bool)))
    assert torch.equal(free_subject.logits(model, inputs, samples), expected)
