"""Models by name: of a config file, and in an index of OpenMMLab's format."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmseg_textseg.apis import ConfigError, TextSegInferencer
from mmseg_textseg.apis.model_names import find_model

METAFILE = """
Models:
- Name: tiny_phantom
  Alias: [tiny, smallest]
  Config: configs/own/tiny.py
  Weights: weights/tiny.pth
- Name: far
  Config: configs/own/tiny.py
  Weights: https://example.org/far.pth
- Name: untrained
  Config: configs/own/tiny.py
"""


@pytest.fixture
def root(tmp_path, tiny_config, checkpoint) -> Path:
    """A checkout with an index."""
    (tmp_path / 'configs' / 'own').mkdir(parents=True)
    (tmp_path / 'weights').mkdir()
    shutil.copy(tiny_config, tmp_path / 'configs' / 'own' / 'tiny.py')
    shutil.copy(checkpoint, tmp_path / 'weights' / 'tiny.pth')
    (tmp_path / 'configs' / 'own' / 'metafile.yaml').write_text(METAFILE)
    (tmp_path / 'model-index.yml').write_text('Import:\n- configs/own/metafile.yaml\n')
    return tmp_path


def test_an_index_knows_config_and_weights(root):
    config = str(root / 'configs' / 'own' / 'tiny.py')
    own = str(root / 'weights' / 'tiny.pth')
    for name in ('tiny_phantom', 'Tiny_Phantom', 'smallest'):
        assert find_model(name, roots=[root]) == (config, own)
    assert find_model('tiny_phantom', 'other.pth', roots=[root]) == (config, 'other.pth')
    assert find_model('far', roots=[root]) == (config, 'https://example.org/far.pth')
    with pytest.raises(ConfigError, match=r'no checkpoint given for .*tiny\.py'):
        find_model('untrained', roots=[root])


def test_a_named_model_answers(root, monkeypatch, segment, phantom):
    monkeypatch.chdir(root)
    picture, text = sorted((phantom / 'images').iterdir())[0], 'The lesion.'
    answer = TextSegInferencer('tiny_phantom', device='cpu')(picture, text)
    assert np.array_equal(answer.probability, segment(picture, text).probability)


def test_the_name_of_a_config_file_is_enough(root):
    assert find_model('lsms-xs_phantom_96x96', 'a.pth')[0].endswith('configs/phantom/lsms-xs_phantom_96x96.py')
    assert Path(find_model('lsms-xs_phantom_96x96', 'a.pth')[0]).is_file()
    (root / 'model-index.yml').unlink()
    assert find_model('tiny', 'a.pth', roots=[root]) == (str(root / 'configs' / 'own' / 'tiny.py'), 'a.pth')
    (root / 'configs' / 'more').mkdir()
    shutil.copy(root / 'configs' / 'own' / 'tiny.py', root / 'configs' / 'more' / 'tiny.py')
    with pytest.raises(ConfigError, match=r'tiny may be .*more.*own.*: give the path'):
        find_model('tiny', 'a.pth', roots=[root])


def test_paths_are_left_alone():
    assert find_model('some/where.py', 'a.pth') == ('some/where.py', 'a.pth')
    assert find_model('where.py', 'a.pth') == ('where.py', 'a.pth')
    with pytest.raises(ConfigError, match=r'no checkpoint given for where\.py'):
        find_model('where.py')


def test_unknown_names_get_a_hint(root):
    with pytest.raises(ConfigError, match='did you mean lsms-xs_phantom_96x96'):
        find_model('lsms-xs_phantom_96x9', 'a.pth')
    with pytest.raises(ConfigError, match='give the path of a config file'):
        find_model('qqqqqqqqqqqqqqqqqqqqqq', 'a.pth', roots=[root])


@pytest.mark.parametrize(
    'broken',
    [
        dict(index='Import:\n- configs/gone.yaml\n'),
        dict(index='Models: []\n'),
        dict(index='just text\n'),
        dict(metafile='Models:\n- Config: a.py\n'),
        dict(metafile='[]\n'),
        dict(metafile='Models: [a: b: c\n'),
    ],
)
def test_a_broken_index_is_named(root, broken):
    files = dict(index=root / 'model-index.yml', metafile=root / 'configs' / 'own' / 'metafile.yaml')
    for name, text in broken.items():
        files[name].write_text(text)
    with pytest.raises(ConfigError, match=r'model-index\.yml cannot be read'):
        find_model('tiny_phantom', 'a.pth', roots=[root])
