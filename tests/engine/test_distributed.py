"""Two gloo processes train to the weights of one process with the doubled batch, and no parameter is left out.

In float64 without dropout; norms are GN or keep their statistics, since SyncBN does not run on a CPU.
"""

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_textseg.apis.cli import _distribute_on_cpu

STEPS, BATCH, SIDE = 3, 2, 32
VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *(f'word{i}' for i in range(8))]
BERT = dict(
    type='BertTextEncoder',
    pretrained=None,
    tokenizer=dict(vocab=VOCABULARY),
    arch=dict(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
)
FROZEN_BERT = {**BERT, 'frozen': True, 'init_cfg': dict(type='StrictPretrained', checkpoint='not loaded here')}
GN = dict(type='GN', num_groups=4)
SVLA = dict(
    type='SVLAEncoder',
    arch=dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
    text_channels=16,
    drop_path_rate=0.0,
    norm_cfg=GN,
)
FULL_SCALE = dict(
    type='FullScaleHead',
    in_channels=(16, 24, 32),
    ham_channels=16,
    channels=16,
    rank=4,
    norm_cfg=GN,
    text_channels=16,
    dropout_ratio=0.0,
    loss_decode=dict(type='BoundaryWeightedSegLoss'),
    loss_contrast=dict(type='VisionLanguageContrastiveLoss'),
)
PPE = dict(
    type='PPE', base_channels=8, img_size=SIDE, text_channels=16, num_text_tokens=10, patch_size=8, num_heads=2,
    mlp_ratio=2, dropout=0.0,
)  # fmt: skip
UP_ATTENTION = dict(type='MSFFUpAttentionHead', in_channels=(8, 16, 32))
MODELS_TRAINED = {
    'lsms': dict(text_encoder=BERT, backbone=SVLA, decode_head=FULL_SCALE),
    'lsms, checkpointed': dict(text_encoder=BERT, backbone={**SVLA, 'with_cp': True}, decode_head=FULL_SCALE),
    'lsms, frozen text': dict(text_encoder=FROZEN_BERT, backbone=SVLA, decode_head=FULL_SCALE),
    'lsms, text-free': dict(
        backbone={**SVLA, 'text_channels': None},
        decode_head={**FULL_SCALE, 'text_channels': None, 'loss_contrast': None},
    ),
    'mptpn': dict(text_encoder=BERT, backbone=PPE, decode_head=UP_ATTENTION),
}


def build(name: str):
    """In float64, norms with running statistics in evaluation mode; the same weights in every process."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(
            dict(type='TextEncoderDecoder', train_cfg=dict(), test_cfg=dict(mode='whole'), **MODELS_TRAINED[name])
        ).double()
    with torch.no_grad():
        for value in model.parameters():  # layer scales and norms as they start hide what follows them
            value.normal_(0, value[0].numel() ** -0.5) if value.dim() > 1 else value.add_(torch.randn_like(value) / 5)
    for module in model.train().modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return model


def batch(step: int, rows: slice) -> dict:
    """Of four images: the last two without foreground, then the first two, then all; unlike numbers of pixels count.

    Sentences are equal in both halves, different in one, and in the last step the second half has none.
    """
    draw = torch.Generator().manual_seed(step)
    images = torch.randn(2 * BATCH, 3, SIDE, SIDE, generator=draw, dtype=torch.float64)
    samples = []
    for i in range(2 * BATCH):
        truth = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
        if (step == 0 and i < 2) or (step == 1 and i >= 2):
            truth[:, 4 + 2 * i : 24, 3 : 12 + 5 * i] = 1
        truth[:, :, SIDE - 4 * i :] = 255
        made = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE)))
        made.gt_sem_seg = PixelData(data=truth)
        ids = torch.tensor([2, 5 + i % 2, 7, 3])
        made.set_data(dict(text_ids=ids, text_mask=torch.full((4,), step < 2 or i < 2)))
        samples.append(made)
    return dict(inputs=images[rows], data_samples=samples[rows])


def train(model, wrapped, rows: slice) -> dict:
    """Three steps of SGD as the Runner takes them: what came out of them."""
    optimizer, without, encoded = torch.optim.SGD(model.parameters(), lr=0.05), [], []
    optimizer.register_step_pre_hook(
        lambda *_: without.extend(n for n, p in model.named_parameters() if p.requires_grad and p.grad is None)
    )
    if model.text_encoder is not None:
        model.text_encoder.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0])))
    wrapper = OptimWrapper(optimizer)
    for step in range(STEPS):
        wrapped.train_step(batch(step, rows), wrapper)
    return dict(
        weights={name: p.detach().clone() for name, p in model.named_parameters()}, without=without, encoded=encoded
    )


def worker(rank: int, folder: str) -> None:
    limit = timedelta(seconds=60)  # a process that waits for ever must fail the test
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2, timeout=limit)
    try:
        cfg = Config(dict())
        _distribute_on_cpu(cfg)
        assert 'find_unused_parameters' not in {**cfg, **cfg.model_wrapper_cfg}
        runner = SimpleNamespace(cfg=cfg, distributed=True)
        results = {}
        for name in MODELS_TRAINED:
            model = build(name)
            with DefaultScope.overwrite_default_scope('mmseg'):
                wrapped = Runner.wrap_model(runner, cfg.model_wrapper_cfg, model)
            results[name] = train(model, wrapped, slice(rank * BATCH, rank * BATCH + BATCH))
        torch.save(results, f'{folder}/rank{rank}.pth')
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> list[dict]:
    """What each of two processes has of each model."""
    folder = tmp_path_factory.mktemp('two')
    os.environ['LOCAL_RANK'] = '0'
    # Forked: a spawned process would import everything anew, which takes longer than the training.
    mp.start_processes(worker, (str(folder),), nprocs=2, start_method='fork')
    return [torch.load(Path(folder) / f'rank{rank}.pth') for rank in (0, 1)]


@pytest.mark.parametrize('name', list(MODELS_TRAINED))
def test_two_processes_train_to_the_weights_of_one(name, trained):
    first, second = (results[name] for results in trained)
    model = build(name)
    start = {key: value.detach().clone() for key, value in model.named_parameters()}
    alone = train(model, model, slice(None))
    assert first['without'] == second['without'] == alone['without'] == [], 'parameters without a gradient'
    for key, value in alone['weights'].items():
        torch.testing.assert_close(first['weights'][key], value, rtol=0, atol=1e-12, msg=key)
        assert torch.equal(first['weights'][key], second['weights'][key])
    assert max((alone['weights'][key] - value).abs().max() for key, value in start.items()) > 5e-3


def test_a_frozen_text_encoder_encodes_a_sentence_once_in_each_process(trained):
    """DDP's copies of buffers must not make the cache believe in new weights."""
    first, second = (results['lsms, frozen text'] for results in trained)
    assert first['encoded'] == [2]
    assert second['encoded'] == [2, 1]  # with the one that has no token
    start = dict(build('lsms, frozen text').named_parameters())
    kept = {key: value for key, value in first['weights'].items() if key.startswith('text_encoder.')}
    assert kept
    assert all(torch.equal(value, start[key]) for key, value in kept.items())
