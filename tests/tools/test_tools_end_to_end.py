"""The command-line tools from training to a mask, and MMSegmentation's own tools on the config that a run dumps.

Importing everything costs seconds a process, so commands that do not need a process of their own share one.
"""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmseg
import numpy as np
import pytest
import torch

from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.datasets.phantom import make_phantom

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'
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

# Runs several scripts as a shell would, one after the other, and prints how each ended.
DRIVER = """
import contextlib, io, json, runpy, sys, traceback
ends = []
for argv in json.loads(sys.argv[1]):
    sys.argv, text, code = argv, io.StringIO(), 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            runpy.run_path(argv[0], run_name='__main__')
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            print(stop.code if isinstance(stop.code, str) else '')
        except BaseException:
            code = 1
            traceback.print_exc()
    ends.append(dict(code=code, output=text.getvalue()))
print('ENDS' + json.dumps(ends))
"""


def run(cwd: Path, *command) -> str:
    """Output of a process in ``cwd``, without network."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'HF_HUB_OFFLINE': '1', 'OMP_NUM_THREADS': '1'}
    env['https_proxy'] = env['http_proxy'] = 'http://127.0.0.1:9'
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def run_each(cwd: Path, *commands) -> list[SimpleNamespace]:
    """``code`` and ``output`` of several scripts, in one process."""
    output = run(cwd, '-c', DRIVER, json.dumps([list(map(str, command)) for command in commands]))
    return [SimpleNamespace(**end) for end in json.loads(output.split('ENDS')[-1].splitlines()[0])]


def steps(work_dir: Path) -> list[dict]:
    """Training iterations that the newest run in a work dir has logged."""
    log = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    return [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]


def table(folder: Path) -> list[dict]:
    with (folder / 'per_sample.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


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
def trained(place) -> SimpleNamespace:
    """Four iterations, and the config that the run dumped."""
    run(place.here, TOOLS / 'train.py', place.config, '--work-dir', place.work)
    # The same name is dumped anew by later runs.
    place.dumped = place.here / 'dumped.py'
    place.dumped.write_bytes((place.work / 'tiny.py').read_bytes())
    return place


@pytest.fixture(scope='module')
def resumed(trained) -> SimpleNamespace:
    """Two more, in mixed precision; afterwards the training text is another."""
    trained.first = steps(trained.work)
    more = ['--resume', '--amp', '--cfg-options', 'train_cfg.max_iters=6']
    run(trained.here, TOOLS / 'train.py', trained.config, '--work-dir', trained.work, *more)
    trained.checkpoint = balanced(trained, trained.work / 'iter_6.pth')
    row = json.loads((trained.data / 'train.jsonl').read_text().splitlines()[0])
    with (trained.data / 'train.jsonl').open('a') as file:
        file.write(json.dumps({**row, 'expression': 'wholly unheard zebra words'}) + '\n')
    return trained


@pytest.fixture(scope='module')
def used(resumed) -> SimpleNamespace:
    """Test, test with shuffled text, predict; and commands that cannot run."""
    here, config, checkpoint = resumed.here, resumed.config, resumed.checkpoint
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    picture = cv2.resize(picture, (45, 70), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(here / 'picture.png'), picture)
    test = [TOOLS / 'test.py', config, checkpoint, '--work-dir', here / 'test']
    predict = [TOOLS / 'predict.py', config, checkpoint, '--text', SENTENCE, '--image']
    ends = run_each(
        here,
        [*test, '--out', here / 'right', '--save-masks'],
        [*test, '--out', here / 'shuffled', '--shuffle-text'],
        [*predict, here / 'picture.png', '--out', here / 'new' / 'mask.png'],
        [*predict, here / 'gone.png', '--out', here / 'never.png'],
        [TOOLS / 'predict.py', config, here / 'gone.pth', '--text', SENTENCE, '--image', here / 'picture.png', '--out']
        + [here / 'never.png'],
        [TOOLS / 'train.py', ROOT / 'configs/lsms/lsms-t_refhl_480x480.py'],
        [TOOLS / 'train.py', ROOT / 'configs/phantom/lsms-xs_phantom_96x96.py'],
        [TOOLS / 'test.py', config, here / 'gone.pth'],
        [TOOLS / 'train.py', here / 'gone.py'],
    )
    names = ['test', 'shuffle', 'predict', 'no_picture', 'no_weights', 'no_refhl', 'no_phantom', 'no_checkpoint']
    names.append('no_config')
    return SimpleNamespace(**vars(resumed), picture=picture, ends=dict(zip(names, ends, strict=True)))


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
    assert summary['checkpoint'] == str(used.checkpoint)
    assert summary['shuffled_text'] is False
    rows = table(out)
    assert [row['expression'] for row in rows] == [json.loads(item)['expression'] for item in items]
    assert np.mean([float(row['dice']) for row in rows]) == pytest.approx(summary['dice'], abs=1e-6)
    assert summary['dice'] > 0
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
    assert json.loads((out / 'metrics.json').read_text())['shuffled_text'] is True
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
        ('no_refhl', 'make refhl-phantom'),
        ('no_phantom', 'data/phantom_96/train.jsonl'),
        ('no_checkpoint', 'no checkpoint at'),
        ('no_config', 'no config file at'),
    ],
)
def test_what_cannot_run_says_why_in_a_few_lines(used, name, said):
    end = used.ends[name]
    lines = [line for line in end.output.splitlines() if line.strip() and 'OneDL' not in line]
    assert end.code == 1
    assert 'Traceback' not in end.output
    assert said in end.output
    assert len(lines) <= 12
    assert not (used.here / 'never.png').exists()


def test_their_tools_run_the_dumped_config_unchanged(used, tmp_path):
    """MMSegmentation's tools know nothing of this package but the config's custom_imports."""
    before = used.dumped.read_bytes()
    train, test = run_each(
        tmp_path,
        [THEIR_TOOLS / 'train.py', used.dumped, '--work-dir', tmp_path / 'train'],
        [THEIR_TOOLS / 'test.py', used.dumped, used.checkpoint, '--work-dir', tmp_path / 'test'],
    )
    assert train.code == 0, train.output
    assert [line['step'] for line in steps(tmp_path / 'train')] == [1, 2, 3, 4]
    assert (tmp_path / 'train' / 'iter_4.pth').is_file()
    assert test.code == 0, test.output
    (scores,) = (tmp_path / 'test').glob('*/*.json')
    ours = json.loads((used.here / 'right' / 'metrics.json').read_text())
    theirs = json.loads(scores.read_text())
    for key in ('dice', 'iou', 'pooled_dice', 'pooled_iou'):
        assert theirs[key] == pytest.approx(ours[key], abs=1e-3)
    assert used.dumped.read_bytes() == before
