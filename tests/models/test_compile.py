"""torch.compile: what is one graph, and that it computes what the model does.

The backends ``eager`` and ``aot_eager`` trace as the default one does (the second also the backward pass) and run the
result without generating code, which takes minutes.
"""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny_lsms import LSMS

from mmseg_textseg.models import TextFeatures
from mmseg_textseg.models.fusing import fuse

SIDE = 32
BERT = dict(
    type='BertTextEncoder',
    pretrained=None,
    tokenizer=dict(vocab=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *'abcdef']),
    arch=dict(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
)
MPTPN = dict(
    backbone=dict(
        type='PPE',
        base_channels=8,
        img_size=SIDE,
        text_channels=16,
        num_text_tokens=8,
        patch_size=8,
        num_heads=2,
        dropout=0.0,
    ),
    decode_head=dict(type='MSFFUpAttentionHead', in_channels=(8, 16, 32)),
)


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
    torch.compiler.reset()


@pytest.fixture
def build(randomise):
    def make(parts):
        model = MODELS.build(
            dict(
                type='TextEncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size=(SIDE, SIDE)),
                text_encoder=BERT,
                test_cfg=dict(mode='whole'),
                **copy.deepcopy(parts),
            )
        )
        for name, part in model.named_children():
            if name != 'data_preprocessor':
                randomise(part)
        return model

    return make


def batch(lengths=(5, 3)):
    """As a data loader gives it."""
    samples = []
    for i, length in enumerate(lengths):
        sample = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), img_path=f'{i}.png'))
        truth = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
        truth[:, 4:20, 6 : 20 + i] = 1
        sample.gt_sem_seg = PixelData(data=truth)
        sample.set_data(dict(text_ids=torch.randint(5, 11, (length,)), text_mask=torch.ones(length, dtype=torch.bool)))
        samples.append(sample)
    return dict(inputs=list(torch.randn(len(lengths), 3, SIDE, SIDE)), data_samples=samples)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('parts', 'folded'), [(LSMS, False), (LSMS, True), (MPTPN, False)], ids=['lsms', 'lsms-folded', 'mptpn']
)
def test_prediction_from_encoded_words_is_one_graph(build, parts, folded):
    """Backbone, neck and head without a break."""
    model = build(parts).eval()
    model = fuse(model) if folded else model
    data = batch()
    inputs = torch.stack(data['inputs'])
    with torch.no_grad():
        text = model.encode_text(data['data_samples'])
        metas = [dict(img_shape=(SIDE, SIDE), text_features=text)] * 2
        expected = model.encode_decode(inputs, metas)
        compiled = torch.compile(model.encode_decode, backend='eager', fullgraph=True)
        torch.testing.assert_close(compiled(inputs, metas), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('parts', [LSMS, MPTPN], ids=['lsms', 'mptpn'])
def test_a_training_step_of_mmengines_compile_key(build, parts):
    """What the Runner's ``compile=dict(backend=...)`` does: ``model.train_step`` is compiled, whatever breaks in it."""
    data, results = batch(), []
    plain = build(parts).train()
    for model in (plain, copy.deepcopy(plain)):
        if results:
            model.train_step = torch.compile(model.train_step, backend='aot_eager')
        logs = model.train_step(copy.deepcopy(data), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
        results.append((logs, dict(model.named_parameters()), dict(model.named_buffers())))
    for eager, compiled in zip(*results, strict=True):
        assert compiled.keys() == eager.keys()
        for key, value in eager.items():
            torch.testing.assert_close(compiled[key], value, rtol=1e-3, atol=2e-5, msg=lambda m, k=key: f'{k}: {m}')


def test_checkpointed_blocks_stay_as_they_are(build):
    encoder = build({**LSMS, 'backbone': {**LSMS['backbone'], 'with_cp': True}}).backbone.train()
    x, text = torch.randn(2, 3, SIDE, SIDE), TextFeatures.from_tokens(torch.randn(2, 4, 16), torch.ones(2, 4).bool())
    results = []
    for one in (encoder, copy.deepcopy(encoder)):
        call = torch.compile(one, backend='aot_eager') if results else one
        call(x, text)[-1].square().sum().backward()
        results.append([p.grad for p in one.parameters() if p.grad is not None] + list(one.buffers()))
    for eager, compiled in zip(*results, strict=True):
        assert torch.equal(compiled, eager)
