"""Every backbone with every head, with text and without: builds, trains a step, predicts in three ways, is restored.

One model a combination, and all checks on it. What the checks themselves are worth is shown on fewer models in
test_model_contract.py. `tools/make_mixing_table.py` runs this file and writes docs/mixing.md from its results.
"""

import copy
import io

import pytest
import torch
from mixing_parts import BACKBONES, MIXES, NO_CONFIG, REFUSED, SENTENCES, TOKENIZER, TOKENS, UNREAD, Mix
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import MixingError
from mmseg_textseg.tokenization import load_tokenizer

SIZE, WINDOW, STRIDE = 64, 32, 16


def build(mix: Mix):
    preprocessor = dict(
        type='SegDataPreProcessor',
        mean=[127.5] * 3,
        std=[64.0] * 3,
        bgr_to_rgb=True,
        size_divisor=16,
        test_cfg=dict(size_divisor=16),
    )
    config = dict(type='TextEncoderDecoder', data_preprocessor=preprocessor, test_cfg=dict(mode='whole'), **mix.parts())
    return MODELS.build(ConfigDict(copy.deepcopy(config)))


def batch(mix: Mix, *sentences: str, seed: int = 0) -> dict:
    """What a data loader gives."""
    draw = torch.Generator().manual_seed(seed)
    images, samples = [], []
    for sentence in sentences:
        shapes = dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (SIZE, SIZE))
        sample = SegDataSample(metainfo=dict(img_path='a.png', **shapes))
        truth = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
        truth[:, SIZE // 4 : SIZE // 2, : SIZE // 2] = 1
        sample.gt_sem_seg = PixelData(data=truth)
        if mix.text:
            ids = torch.from_numpy(load_tokenizer(TOKENIZER).encode(sentence, TOKENS)[0])
            sample.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
        images.append(torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=draw))
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def scores(model, data: dict) -> torch.Tensor:
    """(B, C, H, W): logits, or with one channel the probability. LightHamHead draws its bases at each forward."""
    torch.manual_seed(0)
    with torch.no_grad():
        results = model.test_step(copy.deepcopy(data))
    for result in results:
        found = result.seg_logits.data
        chosen = found[0] > model.decode_head.threshold if model.out_channels == 1 else found.argmax(0)
        assert torch.equal(result.pred_sem_seg.data[0].long(), chosen.long())
    return torch.stack([result.seg_logits.data for result in results])


def check_training(mix: Mix, model) -> None:
    """A step from the weights that training starts with: every weight has a finite gradient, every part moves."""
    model.init_weights()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    grads, optimizer = {}, torch.optim.SGD(model.parameters(), 0.01)
    optimizer.register_step_pre_hook(lambda *_: grads.update({n: p.grad for n, p in model.named_parameters()}))
    log = model.train().train_step(batch(mix, *SENTENCES), OptimWrapper(optimizer))
    assert 0 < log['loss'].item() < float('inf')
    none = [name for name, grad in grads.items() if grad is None]
    if mix in UNREAD:
        assert none
        assert all(name.startswith('backbone.') for name in none)
    else:
        assert none == [], 'distributed training stops at the second step'
    assert [name for name, grad in grads.items() if grad is not None and not grad.isfinite().all()] == []
    still = {name.split('.')[0] for name, p in model.named_parameters()} - {
        name.split('.')[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])
    }
    assert still == set()


def check_slide(model, data: dict) -> None:
    """Three windows side by side: what only the first covers is the first's."""
    model.test_cfg.update(mode='slide', crop_size=(SIZE, WINDOW), stride=(SIZE, STRIDE))
    slid = scores(model, data)
    model.test_cfg.mode = 'whole'
    window = copy.deepcopy(data)
    window['inputs'] = [image[..., :WINDOW] for image in window['inputs']]
    for sample in window['data_samples']:
        del sample.gt_sem_seg
        sample.set_metainfo(dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (SIZE, WINDOW)))
    torch.testing.assert_close(slid[..., :STRIDE], scores(model, window)[..., :STRIDE], rtol=1e-3, atol=1e-3)


def check_tta(model, data: dict) -> None:
    """Two views, one mirrored: the mean of both."""
    mirrored = copy.deepcopy(data)
    mirrored['inputs'] = [image.flip(-1) for image in mirrored['inputs']]
    for sample in mirrored['data_samples']:
        sample.set_metainfo(dict(flip=True, flip_direction='horizontal'))
    views = (data, mirrored)
    torch.manual_seed(0)
    with torch.no_grad():
        alone = [model.test_step(copy.deepcopy(view))[0].seg_logits.data for view in views]  # turned back already
        torch.manual_seed(0)
        tta = ROOT_MODELS.build(dict(type='TextSegTTAModel', module=model))
        merged = tta.test_step({key: [view[key] for view in views] for key in data})
    assert not torch.equal(*alone)
    if model.out_channels == 1:
        expected = torch.stack(alone).mean(0)[0] > model.decode_head.threshold
    else:
        expected = torch.stack([found.softmax(0) for found in alone]).mean(0).argmax(0).bool()
    assert torch.equal(merged[0].pred_sem_seg.data.reshape(SIZE, SIZE).bool(), expected)


@pytest.mark.parametrize('mix', [m for m in MIXES if m not in REFUSED and m not in NO_CONFIG], ids=str)
def test_parts_mix(mix, randomise):
    if not BACKBONES[mix.backbone].installed:
        pytest.skip(f'needs {BACKBONES[mix.backbone].package}')
    model = build(mix)
    check_training(mix, model)
    for name, part in model.eval().named_children():
        if name != 'data_preprocessor':  # its mean and deviation are buffers too
            randomise(part)
    data = batch(mix, SENTENCES[0])
    whole = scores(model, data)
    assert whole.shape == (1, model.out_channels, SIZE, SIZE)
    assert whole.isfinite().all()
    if mix.text:
        change = (scores(model, batch(mix, SENTENCES[1])) - whole).abs().max()
        assert change > 1e-3 * whole.std(), 'the sentence changes nothing'
    check_slide(model, data)
    check_tta(model, data)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    restored = build(mix).eval()
    restored.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(scores(restored, data), whole)


@pytest.mark.parametrize('mix', list(REFUSED), ids=str)
def test_what_cannot_mix_says_so_when_it_is_built(mix, record_property):
    with pytest.raises(MixingError, match=f'decode_head .* does not fit (backbone|neck) .*: {REFUSED[mix]}') as caught:
        build(mix)
    record_property('reason', str(caught.value))  # for the table
