"""What an export leaves: files and what they say, the script without this package, nothing after a failure."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.export import ExportError, export
from mmseg_textseg.models import WeightsError

run_module = importlib.import_module('mmseg_textseg.export.run')

# sitecustomize.py of the script's process: what a user of an export does not have is not there.
BLOCKED = """
import sys
for name in ('torch', 'mmseg', 'mmcv', 'mmengine', 'mmseg_textseg', 'transformers', 'einops', 'onnx', 'onnxscript'):
    sys.modules[name] = None
"""


def call(folder: Path, tmp_path: Path, *arguments) -> subprocess.CompletedProcess:
    (tmp_path / 'site').mkdir(exist_ok=True)
    (tmp_path / 'site' / 'sitecustomize.py').write_text(BLOCKED)
    command = [sys.executable, folder / 'predict.py', *arguments]
    env = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_the_script_needs_neither_torch_nor_this_package(exported, data, tmp_path):
    """Its mask is the segmentor's: on a picture of another size than the network's, for two sentences."""
    made = exported('lsms')
    picture = cv2.imread(str(data / 'images/2.png'))
    assert picture.shape == (70, 60, 3)
    segment = TextSegInferencer(made.files.config, made.files.checkpoint, 'cpu')
    masks = []
    for sentence in ('the bright square', 'dark left.'):
        done = call(made.folder, tmp_path, data / 'images/2.png', sentence, tmp_path / 'mask.png')
        assert done.returncode == 0, done.stderr
        mask = cv2.imread(str(tmp_path / 'mask.png'), cv2.IMREAD_UNCHANGED)
        expected = segment(picture, sentence)
        sure = np.abs(expected.probability - 0.5) > 1e-4
        assert set(np.unique(mask)) == {0, 255}
        assert sure.mean() > 0.99
        assert np.array_equal((mask > 0)[sure], expected.mask[sure])
        masks.append(mask)
    assert not np.array_equal(*masks)
    assert sum(bool(line.strip()) for line in (made.folder / 'predict.py').read_text().splitlines()) <= 34


@pytest.mark.slow
def test_what_an_export_says_of_itself(exported, data):
    made, about = exported('lsms'), exported('lsms').about
    assert names(made.folder) == ['export.json', 'model.onnx', 'predict.py', 'tokenizer.json']
    assert json.loads((made.folder / 'export.json').read_text()) == about
    assert list(about['inputs']) == ['image', 'token_ids', 'token_mask']
    assert about['inputs']['image']['shape'] == ['batch', 3, 'height', 'width']
    assert (about['image_size'], about['size_multiple'], about['threshold']) == ([64, 64], 16, 0.5)
    assert about['classes'] == ['background', 'lesion']
    assert (about['text']['max_tokens'], about['text']['token_limit'], about['text']['vocabulary']) == (8, 16, 22)
    assert about['text']['special_tokens']['pad'] == dict(token='[PAD]', id=0)
    assert about['other_steps'] == []
    for key, path in (('config', made.files.config), ('checkpoint', made.files.checkpoint)):
        assert about[key] == dict(path=path, sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest())
    runs = about['check']['runs']
    assert about['check']['max_difference'] == max(run['max_difference'] for run in runs) <= about['check']['tolerance']
    assert [run['batch'] for run in runs if run['samples'] == 'test set'] == [3, 1, 1, 1], 'all three items'
    assert {run['samples'] for run in runs} == {'random', 'random, other size', 'test set'}
    assert about['versions']['torch'] == importlib.metadata.version('torch')
    ids = Tokenizer.from_file(str(made.folder / 'tokenizer.json')).encode('the dark square').ids
    assert ids == [2, 5, 7, 8, 3]


def test_a_text_free_model(make, data, tmp_path):
    made = make('one-conv')
    about = export(made.cfg, made.checkpoint, tmp_path / 'out', size=(20, 30))
    assert names(tmp_path / 'out') == ['export.json', 'model.onnx', 'predict.py']
    assert list(about['inputs']) == ['image']
    assert about['text'] is None
    assert about['image_size'] == [20, 30]
    done = call(tmp_path / 'out', tmp_path, data / 'images/0.png', tmp_path / 'mask.png')
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / 'mask.png'), cv2.IMREAD_UNCHANGED).shape == (70, 40)
    for arguments, said in (
        ([data / 'images/0.png', 'a sentence', tmp_path / 'mask.png'], 'python predict.py IMAGE'),
        ([tmp_path / 'gone.png', tmp_path / 'mask.png'], 'gone.png is not a picture'),
        ([data / 'images/0.png', tmp_path / 'gone' / 'mask.png'], 'could not be written'),
    ):
        done = call(tmp_path / 'out', tmp_path, *arguments)
        assert done.returncode == 1
        assert said in done.stderr
        assert 'Traceback' not in done.stderr


def test_steps_that_are_not_in_the_graph_are_named(make, tmp_path):
    made = make('one-conv', init_cfg=None)
    made.cfg.test_dataloader.dataset.pipeline.insert(2, dict(type='CLAHE'))
    assert export(made.cfg, made.checkpoint, tmp_path / 'out', 'torch')['other_steps'] == ['CLAHE']


def _off(run):
    return lambda arrays: run(arrays) + 8e-4  # a quarter of it in probability, at most


def test_nothing_is_left_of_an_export_that_differs(make, tmp_path, monkeypatch):
    made, out = make('one-conv'), tmp_path / 'a' / 'out'
    monkeypatch.setattr(run_module, 'open_torch', lambda path, opened=run_module.open_torch: _off(opened(path)))
    with pytest.raises(ExportError, match=r'differs from the segmentor by 0\.0002'):
        export(made.cfg, made.checkpoint, out, 'torch')
    assert names(tmp_path / 'a') == []
    about = export(made.cfg, made.checkpoint, out, 'torch', tolerance=3e-4)
    assert about['check']['tolerance'] == 3e-4
    assert names(tmp_path / 'a') == ['out']
    before = {name: (out / name).read_bytes() for name in names(out)}
    with pytest.raises(ExportError, match='differs'):
        export(made.cfg, made.checkpoint, out, 'torch', overwrite=True)
    assert {name: (out / name).read_bytes() for name in names(out)} == before, 'the old one stays'
    assert names(tmp_path / 'a') == ['out']


def test_folders_that_hold_something(make, tmp_path):
    made, out = make('one-conv'), tmp_path / 'out'
    export(made.cfg, made.checkpoint, out, 'torch')
    (out / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty: choose another folder, or pass --overwrite'):
        export(made.cfg, made.checkpoint, out)
    assert names(out) == ['export.json', 'model.pt2', 'notes.txt']
    export(made.cfg, made.checkpoint, out, overwrite=True)
    assert names(out) == ['export.json', 'model.onnx', 'notes.txt', 'predict.py'], 'the model of the other format goes'
    with pytest.raises(FileExistsError, match='is a file'):
        export(made.cfg, made.checkpoint, out / 'notes.txt')


def test_weights_that_do_not_fill_the_model(make, tmp_path):
    made = make('one-conv')
    loaded = torch.load(made.checkpoint, weights_only=False)
    del loaded['state_dict']['decode_head.conv_seg.bias']
    torch.save(loaded, tmp_path / 'short.pth')
    with pytest.raises(WeightsError, match=r'conv_seg\.bias'):
        export(made.cfg, str(tmp_path / 'short.pth'), tmp_path / 'out')
    assert names(tmp_path) == ['short.pth']


def test_without_the_libraries(make, tmp_path, monkeypatch):
    made = make('one-conv')
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ImportError, match=r"needs onnxscript: pip install 'mmseg_textseg\[export\]'"):
        export(made.cfg, made.checkpoint, tmp_path / 'out')
    assert names(tmp_path) == []
    export(made.cfg, made.checkpoint, tmp_path / 'out', 'torch')
