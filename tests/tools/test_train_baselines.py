"""tools/train.py on MMSegmentation's own segmentors: text-free baselines train, parts that do not fit are refused."""

import re

import pytest
from one_process import ROOT, TOOLS, environment, shell

pytestmark = pytest.mark.slow

BASELINES = ('segnext-xs', 'segformer-xs', 'swin-upernet-xs')


@pytest.fixture(scope='module')
def train(phantom, tmp_path_factory):
    """Function (config, work_dir, options...) -> ``code`` and ``output`` of two iterations on six tiny cases."""
    work = tmp_path_factory.mktemp('work')
    short = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.logger.interval=1']
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        short += [f'{loader}.dataset.data_root={phantom}', f'{loader}.batch_size=2', f'{loader}.num_workers=0']
        short += [f'{loader}.persistent_workers=False']

    with shell(work, environment(tmp_path_factory.mktemp('site'))) as run:

        def call(config, work_dir, *options):
            config = ROOT / 'configs' / 'phantom' / f'{config}_phantom_96x96.py'
            return run(TOOLS / 'train.py', config, '--work-dir', work / work_dir, '--cfg-options', *short, *options)

        yield call


@pytest.mark.parametrize('name', BASELINES)
def test_a_baseline_trains(train, name):
    ended = train(name, name)
    assert ended.code == 0, ended.output[-2000:]
    # In one process mmengine's writer stays in the first run's folder, but each run has its own log.
    losses = re.findall(r'Iter\(train\) \[\d/2\].* loss: ([\d.]+)', ended.output)
    assert len(losses) == 2
    assert all(0 < float(loss) < 10 for loss in losses)


@pytest.mark.parametrize(
    ('name', 'option', 'message'),
    [
        (
            'segformer-xs',
            'model.decode_head.in_channels=[24,48,96,160]',
            'MixingError: decode_head SegformerHead expects in_channels=[24, 48, 96, 160] at in_index=[0, 1, 2, 3], '
            'but backbone MixVisionTransformer gives 4 maps, [24, 48, 96, 168] wide: set in_channels=[24, 48, 96, 168]',
        ),
        (
            'lsms-xs',
            'model.decode_head.in_channels=[48,96,160]',
            'MixingError: decode_head FullScaleHead expects in_channels=[48, 96, 160] at in_index=[1, 2, 3], but '
            'backbone SVLAEncoder gives 4 maps, [24, 48, 96, 128] wide: set in_channels=[48, 96, 128]',
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_without_a_traceback(train, phantom, name, option, message):
    options = [option]
    if name == 'lsms-xs':
        options.append(f'model.text_encoder.tokenizer.build_from={phantom}/train.jsonl')
    ended = train(name, f'{name}-misfit', *options)
    assert ended.code == 1
    assert message in ended.output
    assert 'Traceback' not in ended.output
