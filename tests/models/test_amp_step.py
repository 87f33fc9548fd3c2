"""A training step of whole models in bfloat16, as BFloat16OptimWrapper makes it, beside float32's."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny_lsms import LSMS

from mmseg_textseg.engine import BFloat16OptimWrapper

SIDE = 64
CHECKPOINTED = {**LSMS, 'backbone': {**LSMS['backbone'], 'with_cp': True}}
PPE = dict(type='PPE', base_channels=8, img_size=SIDE, text_channels=16, patch_size=8, num_heads=2, dropout=0.0)
MPTPN = dict(backbone=PPE, decode_head=dict(type='MSFFUpAttentionHead', in_channels=(8, 16, 32)))


@pytest.fixture
def model(request, tiny_bert, randomise):
    vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *'abcdef']
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(
            dict(
                type='TextEncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size=(SIDE, SIDE)),
                text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=dict(vocab=vocab), arch=tiny_bert),
                **copy.deepcopy(request.param),
            )
        )
        for name, part in model.named_children():
            if name != 'data_preprocessor':
                randomise(part)
        yield model.train()


def batch():
    samples = []
    for i, length in enumerate((5, 3, 4, 2)):
        truth = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
        truth[:, 4:20, 6 : 20 + i] = 1
        text = dict(text_ids=torch.randint(5, 11, (length,)), text_mask=torch.ones(length, dtype=torch.bool))
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=truth)))
        samples[-1].set_data(text)
    return dict(inputs=list(torch.randn(4, 3, SIDE, SIDE)), data_samples=samples)


@pytest.mark.parametrize('model', [CHECKPOINTED, MPTPN], indirect=True, ids=['lsms', 'mptpn'])
def test_a_step_is_close_to_float32s(model):
    data, results = batch(), []
    for wrapper in (OptimWrapper, BFloat16OptimWrapper):
        one = copy.deepcopy(model)
        logs = one.train_step(copy.deepcopy(data), wrapper(torch.optim.SGD(one.parameters(), lr=0.1)))
        results.append(({key: value for key, value in logs.items() if 'loss' in key}, one))
    (exact, plain), (rough, half) = results
    assert exact.keys() == rough.keys() >= {'loss'}
    for key, value in exact.items():
        assert value.isfinite()
        torch.testing.assert_close(rough[key].float(), value, rtol=0.05, atol=0.01)
    assert rough['loss'] != exact['loss'], 'nothing was computed in bfloat16'
    before, moves = dict(model.named_parameters()), []
    for one in (plain, half):
        assert all(p.dtype == torch.float32 for p in one.parameters())
        moves.append(torch.cat([(p - before[name]).flatten() for name, p in one.named_parameters()]))
    # Of random weights: instance norms of nearly even maps, and what lies before them, are rough in bfloat16.
    assert torch.cosine_similarity(*moves, dim=0) > 0.7
