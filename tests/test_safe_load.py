"""Checkpoints: what could run code is refused at every door; what trainings and publishers write comes back equal."""

import os
import pickle
import runpy
import sys
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner import checkpoint as mmcheckpoint
from safetensors.torch import save_file
from torch import nn
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals
from torch.utils.data import Dataset

from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.models.layers.strict_init import StrictInitModule
from mmseg_textseg.safe_load import TRUST, CheckpointError, read_checkpoint

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


class Call:
    """Pickled as the call of a function."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def write(path):
    return f'open({str(path)!r}, "w").close()'


def by_getattr(marker):
    """Through ``getattr``, which mmengine allows, and a function of PyTorch that calls another."""
    builtins = Call(getattr, (getattr, '__self__'))
    call = (Call(getattr, (builtins, 'exec')), torch.Tensor, (write(marker),), None)
    return Call(torch._tensor._rebuild_from_type_v2, call)


def by_history(marker):
    """A history whose ``__setstate__`` is ``exec``."""
    return Call(HistoryBuffer, (), dict(__setstate__=Call(getattr, (Call(getattr, (getattr, '__self__')), 'exec'))))


ATTACKS = dict(
    system=lambda marker: Call(os.system, (f'touch {marker}',)),
    exec=lambda marker: Call(exec, (write(marker),)),
    open=lambda marker: Call(open, (str(marker), 'w')),
    getattr=by_getattr,
    history=by_history,
)


@pytest.fixture
def marker(tmp_path):
    """A file that an attack makes; not there in the end."""
    path = tmp_path / 'marker'
    yield path
    assert not path.exists()


@pytest.fixture
def evil(tmp_path, marker):
    """A checkpoint with weights that fit nothing, beside code."""
    path = str(tmp_path / 'evil.pth')
    torch.save(dict(state_dict=OrderedDict(w=torch.ones(1)), meta=dict(cfg=ATTACKS['system'](marker))), path)
    return path


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('attack', ATTACKS)
def test_code_is_refused(tmp_path, marker, attack, new):
    path = str(tmp_path / 'evil.pth')
    torch.save(dict(state_dict=ATTACKS[attack](marker)), path, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match=rf'evil\.pth was not read: it asks for \S+, .*run code.*{TRUST}=1'):
        CheckpointLoader.load_checkpoint(path)


@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_plain_pickles_run_nothing(tmp_path, marker, protocol):
    path = tmp_path / 'evil.pkl'
    path.write_bytes(pickle.dumps(ATTACKS['system'](marker), protocol))
    with pytest.raises(CheckpointError, match=r'evil\.pkl '):
        read_checkpoint(path)


# dtype.__setstate__ takes flags as they come: objects without the flag of objects are read from bytes as addresses.
@pytest.mark.parametrize(
    ('code', 'state', 'data'),
    [
        ('O', ('|', None, None, None, -1, -1, 0), b'A' * 8),
        ('O', ('|', None, None, None, -1, -1, 63), b'A' * 8),
        ('f8', ('<', None, None, None, -1, -1, 63), b'A' * 8),
        ('f8', ('<', None, None, None, -1, -1, 0), [1.0]),
        ('V8', ('|', None, ('a',), dict(a=(np.dtype('O'), 0)), 8, 1, 0), b'A' * 8),
    ],
)
def test_arrays_of_addresses_are_refused(tmp_path, code, state, data):
    class Dtype:
        def __reduce__(self):
            return np.dtype, (code, False, True), (3, *state)

    class Array:
        def __reduce__(self):
            rebuild = np.zeros(1).__reduce__()[0]
            return rebuild, (np.ndarray, (0,), b'b'), (1, (1,), Dtype(), False, data)

    torch.save(dict(a=Array()), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='was not read: it has an array'):
        read_checkpoint(tmp_path / 'a.pth')


def test_views_of_bytes_as_objects_are_refused(tmp_path):
    torch.save(dict(a=Call(np.ndarray, ((1,), 'O', bytearray(b'A' * 8)))), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='no checkpoint, or a damaged one'):
        read_checkpoint(tmp_path / 'a.pth')


class Numbers(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.full((3,), float(index)))


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.layer(inputs).square().mean())


def runner_of(work_dir, max_iters=3, **settings):
    """Of mmengine's parts, those that put most into a checkpoint."""
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Numbers(),
            sampler=dict(type='InfiniteSampler'),
            batch_size=2,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='OneCycleLR', eta_max=0.1, total_steps=3, by_epoch=False),
            dict(type='PolyLR', power=0.9, by_epoch=False),
        ],
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3)),
        experiment_name=Path(work_dir).name,
        default_scope='mmengine',
        **settings,
    )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Checkpoint of a training with mmengine's Runner."""
    folder = tmp_path_factory.mktemp('trained')
    runner_of(folder).train()
    return str(folder / 'iter_3.pth')


def assert_equal(left, right):
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        torch.testing.assert_close(left, right, rtol=0, atol=0)
    elif isinstance(left, (np.ndarray, np.generic)):
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        np.testing.assert_array_equal(left, right)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_equal(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_equal(*pair)
    elif isinstance(left, (HistoryBuffer, Namespace)):
        assert_equal(vars(left), vars(right))
    else:
        assert left == right


def test_a_checkpoint_of_a_training_comes_back_equal(trained):
    loaded = CheckpointLoader.load_checkpoint(trained, map_location='cpu')
    assert loaded['optimizer']['state']
    assert loaded['ema_state_dict']
    assert len(loaded['param_schedulers']) == 2
    assert loaded['param_schedulers'][0]['anneal_func'] is OneCycleParamScheduler._annealing_cos
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    assert len(history.data[0]) == 3
    assert history.statistics('mean', 3) == pytest.approx(history.data[0].mean())
    assert_equal(loaded, torch.load(trained, weights_only=False))
    assert loaded['state_dict']._metadata == torch.load(trained, weights_only=False)['state_dict']._metadata


def test_a_training_is_resumed(trained, tmp_path):
    runner = runner_of(tmp_path / 'more', max_iters=4, load_from=trained, resume=True)
    runner.train()
    assert runner.iter == 4
    assert len(MessageHub.get_current_instance().get_scalar('train/loss').data[0]) == 4
    runner.save_checkpoint(str(tmp_path), 'again.pth', by_epoch=False)
    again = read_checkpoint(tmp_path / 'again.pth')
    assert len(again['message_hub']['log_scalars']['train/loss'].data[0]) == 4


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('names', ['own', 'other'])
def test_values_of_numpy_come_back_equal(tmp_path, new, names):
    shared = np.arange(6, dtype='f4').reshape(2, 3)
    values = dict(
        state_dict=OrderedDict(w=torch.ones(2)),
        arrays=[shared, shared, np.asfortranarray(shared), shared.astype('>i2'), np.zeros((0, 2)), np.array(3.5)],
        more=(np.array(['left', 'lobe']), [np.array([True, False]), (np.float64(2.5), np.int64(-3), np.bool_(True))]),
        args=Namespace(lr=np.float32(0.1), sizes=np.array([3, 4])),
        dtype=np.dtype('f4'),
        # PyTorch's old format does not know uint16.
        pseudo_labels=dict(a=torch.tensor([1, 65535]).to(torch.uint16 if new else torch.int16)),
        best=dict(score=np.float64(0.5), names=('a', 1, None, True, 2.5, b'x', {1, 2})),
    )
    path = tmp_path / 'a.pth'
    torch.save(values, path, _use_new_zipfile_serialization=new)
    if names == 'other' and new:
        pytest.skip('the archive has a checksum; the other format shows it')
    if names == 'other':  # numpy 1 and 2 name the module differently
        mine = b'numpy._core.multiarray' if b'numpy._core.multiarray' in path.read_bytes() else b'numpy.core.multiarray'
        other = {b'numpy._core.multiarray': b'numpy.core.multiarray'}.get(mine, b'numpy._core.multiarray')
        path.write_bytes(path.read_bytes().replace(mine, other))
    loaded = read_checkpoint(path)
    assert_equal(loaded, values)
    assert loaded['arrays'][0] is loaded['arrays'][1]
    assert loaded['arrays'][2].flags.f_contiguous
    loaded['arrays'][0][0, 0] = 7  # writeable


def test_published_weights_and_safetensors(tmp_path):
    state = OrderedDict((name, value + 1) for name, value in nn.Linear(3, 2).state_dict().items())
    published = dict(
        meta=dict(mmseg_version='0.19.0', config='model = dict()', CLASSES=('a', 'b'), PALETTE=[[0, 0, 0], [1, 1, 1]]),
        state_dict=state,
    )
    torch.save(published, tmp_path / 'a.pth')
    save_file(dict(state), tmp_path / 'a.safetensors')
    for name in ('a.pth', 'a.safetensors'):
        layer = nn.Linear(3, 2)
        load_checkpoint(layer, str(tmp_path / name), map_location='cpu', strict=True)
        assert_equal(layer.state_dict(), state)


def test_map_location_is_passed_on(trained):
    places = []
    read_checkpoint(trained, lambda storage, place: places.append(place) or storage)
    assert places
    assert set(places) == {'cpu'}
    assert read_checkpoint(trained, 'meta')['state_dict']['layer.weight'].device.type == 'meta'


def test_every_scheme_of_mmengine_is_ours():
    strangers = {prefix for prefix, loader in CheckpointLoader._schemes.items() if 'safe_load' not in loader.__module__}
    assert not strangers
    assert CheckpointLoader._get_checkpoint_loader('C:/x/y.pth').__name__ == 'load_from_local'
    assert CheckpointLoader._get_checkpoint_loader('https://a/b.pth').__name__ == 'load_from_http'
    assert CheckpointLoader._get_checkpoint_loader('abc:s3://a/b.pth').__name__ == 'load_from_ceph'


class Part(StrictInitModule):
    def __init__(self, path):
        super().__init__(dict(type='Pretrained', checkpoint=path))
        self.layer = nn.Linear(3, 2)


@pytest.mark.parametrize('door', ['load_checkpoint', 'Runner.load_checkpoint', 'Runner.resume', 'StrictInitModule'])
def test_every_door_in_mmengine_refuses(evil, tmp_path, door):
    def enter():
        if door == 'load_checkpoint':
            load_checkpoint(nn.Linear(3, 2), evil)
        elif door == 'StrictInitModule':
            Part(evil).init_weights()
        elif door == 'Runner.resume':
            runner_of(tmp_path / 'resume', load_from=evil, resume=True).train()
        else:
            runner_of(tmp_path / 'load').load_checkpoint(evil)

    with pytest.raises(CheckpointError, match=r'evil\.pth was not read: it asks for posix\.system|nt\.system'):
        enter()


@pytest.mark.parametrize(
    'command',
    [
        ['test.py', 'CONFIG', 'EVIL'],
        ['train.py', 'CONFIG', '--init-from', 'EVIL'],
        ['predict.py', 'CONFIG', 'EVIL', '--text', 'lesion', '--image', 'EVIL', '--out', 'a_mask.png'],
        ['export.py', 'CONFIG', 'EVIL', '--out', 'OUT'],
    ],
    ids=lambda command: command[0],
)
def test_the_tools_refuse(evil, tiny_config, tmp_path, monkeypatch, command):
    words = dict(CONFIG=tiny_config, EVIL=evil, OUT=str(tmp_path / 'out'))
    argv = [str(TOOLS / command[0]), *(words.get(word, word) for word in command[1:])]
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r'^CheckpointError: .*evil\.pth was not read: it asks for '):
        runpy.run_path(argv[0], run_name='__main__')


def test_the_inferencer_refuses(evil, tiny_config):
    with pytest.raises(CheckpointError):
        TextSegInferencer(tiny_config, evil, 'cpu')


def test_damage_is_named(trained, tmp_path):
    content = Path(trained).read_bytes()
    torch.save(dict(a=torch.arange(1000)), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    old = (tmp_path / 'old.pth').read_bytes()
    torch.jit.trace(nn.Linear(1, 1), torch.ones(1)).save(tmp_path / 'script.pt')
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as file:
        file.writestr('pictures/a.txt', 'a')
    with tarfile.open(tmp_path / 'a.tar', 'w') as file:
        file.add(tmp_path / 'a.zip', 'storages')
    cases = [
        (b'', 'is no checkpoint but empty'),
        (content[: len(content) // 2], 'no whole checkpoint: its end is missing, [0-9,]+ bytes are there'),
        (content[: len(content) - 30], 'no whole checkpoint: its end is missing'),
        (old[: len(old) // 2], 'no checkpoint, or a damaged one'),
        (old[:5], 'no checkpoint, or a damaged one'),
        (b'# a text file\n', 'no checkpoint, or a damaged one'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
        (b'\n<!DOCTYPE html><html>', 'a web page'),
        ((tmp_path / 'a.zip').read_bytes(), 'a zip archive of something else'),
        ((tmp_path / 'script.pt').read_bytes(), 'was not read: it is a TorchScript program'),
        ((tmp_path / 'a.tar').read_bytes(), 'was not read: it is a tar archive'),
    ]
    for bytes_, message in cases:
        path = tmp_path / 'broken.pth'
        path.write_bytes(bytes_)
        with pytest.raises(CheckpointError, match=rf'broken\.pth .*{message}'):
            read_checkpoint(path)
    (tmp_path / 'a.safetensors').write_bytes(b'no such thing')
    with pytest.raises(CheckpointError, match=r'a\.safetensors is no safetensors file'):
        read_checkpoint(tmp_path / 'a.safetensors')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match=r'list\.pth holds a list; expected a dict'):
        read_checkpoint(tmp_path / 'list.pth')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*gone\.pth'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'gone.pth'))


def test_whoever_trusts_a_file_may_say_so(tmp_path, monkeypatch, log_lines):
    path = tmp_path / 'own.pth'
    marker = tmp_path / 'made'
    torch.save(dict(a=ATTACKS['system'](marker)), path)
    monkeypatch.setenv(TRUST, '0')
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not marker.exists()
    monkeypatch.setenv(TRUST, '1')
    assert read_checkpoint(path) == dict(a=0)
    assert marker.exists()
    assert any(TRUST in line and 'own.pth' in line for line in log_lines)


def test_what_others_allow_is_neither_taken_nor_lost(tmp_path, marker):
    torch.save(dict(a=ATTACKS['exec'](marker)), tmp_path / 'evil.pth')
    before = get_safe_globals()
    add_safe_globals([exec])
    try:
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / 'evil.pth')
        assert set(get_safe_globals()) == {*before, exec}
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def test_downloads_are_read_in_the_same_way(tmp_path, monkeypatch, evil):
    content = dict(evil=Path(evil).read_bytes())
    torch.save(dict(state_dict=dict(w=torch.ones(2))), tmp_path / 'good.pth')
    content['good'] = (tmp_path / 'good.pth').read_bytes()
    asked = []

    def download(url, path, progress):
        asked.append(url)
        if 'gone' in url:
            raise OSError('HTTP Error 404')
        Path(path).write_bytes(content[Path(path).stem])

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    urls = dict(known='https://here.org/v1/good.pth?x=1', bad='https://here.org/evil.pth')
    monkeypatch.setattr(mmcheckpoint, 'get_external_models', lambda: urls)
    monkeypatch.setattr(mmcheckpoint, 'get_mmcls_models', lambda: urls)
    for name in (urls['known'], 'open-mmlab://known', 'openmmlab://known'):
        assert_equal(CheckpointLoader.load_checkpoint(name)['state_dict']['w'], torch.ones(2))
    assert asked == [urls['known']]  # then it is there
    for name in (urls['bad'], 'open-mmlab://bad', 'mmcls://bad'):
        with pytest.raises(CheckpointError, match=r'evil\.pth was not read'):
            CheckpointLoader.load_checkpoint(name)
    with pytest.raises(CheckpointError, match=r'https://gone\.org/a\.pth cannot be downloaded \(HTTP Error 404\)'):
        CheckpointLoader.load_checkpoint('https://gone.org/a.pth')
    with pytest.raises(CheckpointError, match=r'open-mmlab://what: mmengine knows bad, known'):
        CheckpointLoader.load_checkpoint('open-mmlab://what')
    with pytest.raises(CheckpointError, match='pavi'):
        CheckpointLoader.load_checkpoint('pavi://a/b.pth')
