"""The command-line tools from training to a mask, and MMSegmentation's own tools on the config that a run dumps.

Importing everything costs seconds a process, so commands that do not need a process of their own share one; so does
mmengine's layout of a config, which it works out anew seven times a training.
"""

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmcv
import mmengine
import mmseg
import numpy as np
import pytest
import torch
from one_process import ROOT, TOOLS, environment, shell, steps, table

import mmseg_textseg
from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.datasets.phantom import make_phantom

pytestmark = pytest.mark.slow

THEIR_TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
SENTENCE = 'The large lesion in the left lobe.'

CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, norm_cfg=dict(type='GN', num_groups=4)
    ),
)
loader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=4, max_keep_ckpts=-1))
"""


@pytest.fixture(scope='module')
def env(tmp_path_factory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp('site'))


@pytest.fixture(scope='module')
def run(place, env):
    with shell(place.here, env) as run:
        yield run


def balanced(place: SimpleNamespace, checkpoint: Path) -> Path:
    """The checkpoint with a bias that makes half of a picture foreground: six iterations learn to say nothing."""
    picture = str(sorted((place.data / 'images').iterdir())[0])
    probability = TextSegInferencer(str(place.config), str(checkpoint), 'cpu')(picture, SENTENCE).probability
    loaded = torch.load(checkpoint, weights_only=False)
    loaded['state_dict']['decode_head.conv_seg.bias'][1] -= float(np.median(np.log(probability / (1 - probability))))
    torch.save(loaded, place.here / 'balanced.pth')
    return place.here / 'balanced.pth'


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> SimpleNamespace:
    """Folder of the runs; data, a config."""
    here = tmp_path_factory.mktemp('runs')
    data = here / 'phantom'
    sizes = dict(size=64, slices_per_case=(2, 2), lesions=(1, 2), splits=(0.4, 0.2, 0.4))
    make_phantom(data, 6, difficulty='easy', progress=False, **sizes)
    config = here / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix()))
    return SimpleNamespace(here=here, data=data, config=config, work=here / 'work')


@pytest.fixture(scope='module')
def trained(place, env) -> SimpleNamespace:
    """Four iterations in a process of their own, and the config that the run dumped."""
    command = [sys.executable, TOOLS / 'train.py', place.config, '--work-dir', place.work]
    done = subprocess.run(command, cwd=place.here, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # The same name is dumped anew by later runs.
    place.dumped = place.here / 'dumped.py'
    place.dumped.write_bytes((place.work / 'tiny.py').read_bytes())
    return place


@pytest.fixture(scope='module')
def resumed(trained, run) -> SimpleNamespace:
    """Two more, in mixed precision; afterwards the training text is another."""
    trained.first = steps(trained.work)
    more = ['--resume', '--amp', '--cfg-options', 'train_cfg.max_iters=6']
    end = run(TOOLS / 'train.py', trained.config, '--work-dir', trained.work, *more)
    assert end.code == 0, end.output[-3000:]
    trained.checkpoint = balanced(trained, trained.work / 'iter_6.pth')
    row = json.loads((trained.data / 'train.jsonl').read_text().splitlines()[0])
    with (trained.data / 'train.jsonl').open('a') as file:
        file.write(json.dumps({**row, 'expression': 'wholly unheard zebra words'}) + '\n')
    return trained


@pytest.fixture(scope='module')
def used(resumed, run) -> SimpleNamespace:
    """Test, test with shuffled text, predict; and commands that cannot run."""
    here, config, checkpoint = resumed.here, resumed.config, resumed.checkpoint
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    picture = cv2.resize(picture, (45, 70), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(here / 'picture.png'), picture)
    test = [TOOLS / 'test.py', config, checkpoint, '--work-dir', here / 'test']
    predict = [TOOLS / 'predict.py', config, checkpoint, '--text', SENTENCE, '--image']
    refhl = ROOT / 'configs/lsms/lsms-t_refhl_480x480.py'
    elsewhere = 'model.text_encoder.tokenizer.build_from=gone/train.jsonl'
    commands = dict(
        test=[*test, '--out', here / 'right', '--save-masks'],
        shuffle=[*test, '--out', here / 'shuffled', '--shuffle-text'],
        network=[*test, '--out', here / 'network', '--evaluate-at', 'network', '--protocol', 'ris', 'lvit', 'boundary'],
        predict=[*predict, here / 'picture.png', '--out', here / 'new' / 'mask.png'],
        no_picture=[*predict, here / 'gone.png', '--out', here / 'never.png'],
        no_folder=[*predict, here / 'picture.png', '--out', here / 'picture.png' / 'never.png'],
        no_weights=[TOOLS / 'predict.py', config, here / 'gone.pth', *predict[3:], here / 'picture.png']
        + ['--out', here / 'never.png'],
        no_refhl=[TOOLS / 'train.py', refhl],
        no_scratch=[TOOLS / 'train.py', refhl, '--cfg-options', 'model.text_encoder.pretrained=scratch'],
        no_phantom=[TOOLS / 'train.py', ROOT / 'configs/phantom/lsms-xs_phantom_96x96.py'],
        no_words=[TOOLS / 'train.py', config, '--work-dir', here / 'no_words', '--cfg-options', elsewhere],
        no_checkpoint=[TOOLS / 'test.py', config, here / 'gone.pth'],
        no_config=[TOOLS / 'train.py', here / 'gone.py'],
    )
    ends = {name: run(*command) for name, command in commands.items()}
    return SimpleNamespace(**vars(resumed), picture=picture, ends=ends)


def test_training_logs_validates_and_saves(resumed):
    assert [line['step'] for line in resumed.first] == [1, 2, 3, 4]
    assert all(np.isfinite(line['loss']) for line in resumed.first)
    assert all(line['decode.loss_seg'] > 0 and line['decode.loss_con'] > 0 for line in resumed.first)
    assert list(resumed.work.glob('best_dice_iter_*.pth'))


def test_resuming_goes_on_in_mixed_precision(resumed):
    assert [line['step'] for line in steps(resumed.work)] == [5, 6]
    assert (resumed.work / 'last_checkpoint').read_text().strip().endswith('iter_6.pth')
    assert 'BFloat16OptimWrapper' in (resumed.work / 'tiny.py').read_text()
    assert 'BFloat16OptimWrapper' not in resumed.dumped.read_text()
    old, new = (torch.load(resumed.work / f'iter_{i}.pth', weights_only=False) for i in (4, 6))
    assert new['meta']['iter'] == 6
    key = 'decode_head.conv_seg.weight'
    assert not torch.equal(old['state_dict'][key], new['state_dict'][key])
    assert new['state_dict'][key].dtype == torch.float32
    moments = new['optimizer']['state'][0]['step']
    assert int(moments) == 6, 'the optimizer went on with its own state'


def test_test_writes_summary_table_and_masks(used):
    """With the vocabulary of the checkpoint: the training table has other words by now."""
    end, out = used.ends['test'], used.here / 'right'
    assert end.code == 0, end.output
    items = (used.data / 'test.jsonl').read_text().splitlines()
    summary = json.loads((out / 'metrics.json').read_text())
    assert summary['items'] == len(items)
    assert summary['name'] == 'tiny'
    digest = hashlib.sha256(used.checkpoint.read_bytes()).hexdigest()
    assert summary['checkpoint'] == dict(path=str(used.checkpoint), sha256=digest)
    assert summary['config']['path'] == str(used.config)
    assert re.fullmatch('[0-9a-f]{64}', summary['config']['sha256'])
    usual = dict(shuffled_text=False, partial_text=None, tta=False, network_size=False, int8_encoder=False)
    assert summary['conditions'] == usual
    assert summary['versions'] == {
        'python': platform.python_version(),
        **{m.__name__: m.__version__ for m in (torch, mmengine, mmcv, mmseg, mmseg_textseg, np)},
    }
    rows = table(out)
    assert [row['expression'] for row in rows] == [json.loads(item)['expression'] for item in items]
    assert list(summary['protocols']) == ['lvit', 'two-class', 'pooled']
    dice = summary['protocols']['lvit']['dice']
    assert np.mean([float(row['dice']) for row in rows]) == pytest.approx(dice, abs=1e-6)
    assert dice > 0
    assert 0 < sum(int(row['predicted_pixels']) for row in rows) < len(rows) * 64 * 64
    assert {path.stem for path in (out / 'masks').iterdir()} == {row['sample_id'] for row in rows}
    for row in rows:
        mask = cv2.imread(str(out / 'masks' / f'{row["sample_id"]}.png'), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) <= {0, 255}
        assert (mask == 255).sum() == int(row['predicted_pixels'])


def test_shuffled_text_is_of_another_image(used):
    end, out = used.ends['shuffle'], used.here / 'shuffled'
    assert end.code == 0, end.output
    right, shuffled = (json.loads((used.here / name / 'metrics.json').read_text()) for name in ('right', 'shuffled'))
    assert shuffled['conditions']['shuffled_text'] is True
    assert right['config']['sha256'] != shuffled['config']['sha256']
    assert right['checkpoint'] == shuffled['checkpoint']
    assert not (out / 'masks').exists()
    right, shuffled = table(used.here / 'right'), table(out)
    assert [row['sample_id'] for row in shuffled] == [row['sample_id'] for row in right]
    assert [row['pixels'] for row in shuffled] == [row['pixels'] for row in right], 'the truth stays'
    count = lambda rows: Counter(row['expression'] for row in rows)  # noqa: E731
    assert count(shuffled) == count(right)
    assert [row['expression'] for row in shuffled] != [row['expression'] for row in right]
    images = {}
    for row in right:
        images.setdefault(row['expression'], set()).add(row['image'])
    assert all(images[row['expression']] - {row['image']} for row in shuffled)


def test_evaluation_at_the_size_of_the_network(used):
    """Pictures of 64 x 64, which the network sees as 96 x 96."""
    end, out = used.ends['network'], used.here / 'network'
    assert end.code == 0, end.output
    summary = json.loads((out / 'metrics.json').read_text())
    assert list(summary['protocols']) == ['ris', 'lvit', 'boundary']
    assert summary['conditions']['network_size'] is True
    assert summary['versions']['monai']
    own, rows = table(used.here / 'right'), table(out)
    assert [row['sample_id'] for row in rows] == [row['sample_id'] for row in own]
    assert {row['counted_pixels'] for row in own} == {str(64 * 64)}
    assert {row['counted_pixels'] for row in rows} == {str(96 * 96)}
    for one, other in zip(own, rows, strict=True):
        assert int(other['pixels']) == pytest.approx(int(one['pixels']) * 2.25, rel=0.15)
        assert float(other['dice']) == pytest.approx(float(one['dice']), abs=0.1)
    miou = summary['protocols']['ris']['miou']
    assert np.mean([float(row['ris_iou']) for row in rows]) == pytest.approx(miou, abs=1e-6)
    assert all(row['boundary_hd95_mm'] for row in rows if row['predicted_pixels'] != '0'), 'the table has the spacing'
    text = end.output[end.output.index('ris: expressions') :]
    assert text.index('P@0.5') < text.index('lvit: means over items') < text.index('HD95 (mm)')


def test_predict_writes_mask_and_overlay_at_the_size_of_the_picture(used):
    end = used.ends['predict']
    assert end.code == 0, end.output
    mask = cv2.imread(str(used.here / 'new' / 'mask.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (70, 45)
    assert set(np.unique(mask)) <= {0, 255}
    assert f'{(mask == 255).sum()} pixels' in end.output
    drawn = cv2.imread(str(used.here / 'new' / 'mask_overlay.png'))
    assert drawn.shape[1] == 45
    assert drawn.shape[0] > 70, 'the sentence is below'
    outside = mask == 0
    assert np.array_equal(drawn[:70][outside], used.picture[outside]), 'colours in the right order'


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('no_picture', 'gone.png is not there'),
        ('no_weights', 'no checkpoint at'),
        ('no_folder', 'FileExistsError'),
        ('no_refhl', 'make refhl-phantom'),
        ('no_scratch', 'make refhl-phantom'),
        ('no_phantom', 'no annotation table data/phantom_96/train.jsonl'),
        ('no_words', 'gone/train.jsonl'),
        ('no_checkpoint', 'no checkpoint at'),
        ('no_config', 'no config file at'),
    ],
)
def test_what_cannot_run_says_why_in_a_few_lines(used, name, said):
    end = used.ends[name]
    # no_words is found when the Runner, which has logged its settings by then, builds the model.
    output = end.output if name != 'no_words' else end.output[end.output.index('FileNotFoundError') :]
    lines = [line for line in output.splitlines() if line.strip() and 'OneDL' not in line]
    assert end.code == 1
    assert 'Traceback' not in end.output
    assert said in end.output
    assert len(lines) <= 12
    assert not (used.here / 'never.png').exists()


def test_their_tools_run_the_dumped_config_unchanged(used, env, tmp_path):
    """MMSegmentation's tools know nothing of this package but the config's custom_imports."""
    before = used.dumped.read_bytes()
    with shell(tmp_path, env) as run:
        train = run(THEIR_TOOLS / 'train.py', used.dumped, '--work-dir', tmp_path / 'train')
        test = run(THEIR_TOOLS / 'test.py', used.dumped, used.checkpoint, '--work-dir', tmp_path / 'test')
    assert train.code == 0, train.output
    assert [line['step'] for line in steps(tmp_path / 'train')] == [1, 2, 3, 4]
    assert (tmp_path / 'train' / 'iter_4.pth').is_file()
    assert test.code == 0, test.output
    (scores,) = (tmp_path / 'test').glob('*/*.json')
    ours = json.loads((used.here / 'right' / 'metrics.json').read_text())
    theirs = json.loads(scores.read_text())
    for protocol, prefix in (('lvit', ''), ('two-class', 'two_class_'), ('pooled', 'pooled_')):
        for key, value in ours['protocols'][protocol].items():
            assert theirs[prefix + key] == pytest.approx(value, abs=1e-3)
    assert used.dumped.read_bytes() == before


def test_two_processes_give_the_figures_of_one(used, env):
    """gloo, an odd number of items: each is counted once."""
    out = used.here / 'two'
    rows = table(used.here / 'right')
    rows = rows[: len(rows) - 1 + len(rows) % 2]
    options = ['--cfg-options', f'test_dataloader.dataset.indices={len(rows)}']
    command = [
        TOOLS / 'test.py',
        used.config,
        used.checkpoint,
        '--work-dir',
        out,
        '--out',
        out,
        '--launcher',
        'pytorch',
    ]
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    done = subprocess.run([*launch, *command, *options], cwd=used.here, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert table(out) == rows
    summary = json.loads((out / 'metrics.json').read_text())
    mean = np.mean([float(row['dice']) for row in rows])
    assert summary['protocols']['lvit']['dice'] == pytest.approx(mean, abs=1e-6)
    assert summary['items'] == len(rows)
