"""The choice of stack: every mix of installed distributions, and stock configs by `mmseg::`."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from mmengine.config import Config, utils

import mmseg_textseg
from mmseg_textseg.stack import STACKS, StackError, detect_stack, point_stock_configs

ROOT = Path(mmseg_textseg.__file__).parents[1]
ONEDL = STACKS['onedl']
OPENMMLAB = STACKS['openmmlab']


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make exactly the named distributions visible to importlib.metadata, as pip records them."""
    paths = sysconfig.get_paths()
    stdlib = [paths['stdlib'], paths['platstdlib'], f'{paths["platstdlib"]}/lib-dynload']
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *stdlib])

    def write(*distributions):
        for name in distributions:
            info = tmp_path / f'{name.replace("-", "_")}-1.0.dist-info'
            info.mkdir()
            (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')

    return write


@pytest.mark.parametrize('name', STACKS)
def test_each_stack_alone_is_found(install, name):
    install(*STACKS[name], 'numpy', 'some-mmcv-plugin')
    assert detect_stack() == name


@pytest.mark.parametrize(
    ('distributions', 'expected'),
    [
        ((), ['none of them']),
        # Other people's packages with similar names are not a stack.
        (('mmdet', 'onedl-mmdetection'), ['none of them']),
        (ONEDL[:1], ['onedl-mmengine without onedl-mmcv, onedl-mmsegmentation']),
        (ONEDL[:2], ['onedl-mmengine, onedl-mmcv without onedl-mmsegmentation']),
        (OPENMMLAB[1:], ['mmcv, mmsegmentation without mmengine']),
    ],
)
def test_incomplete_stack_says_what_is_missing_and_the_mend(install, distributions, expected):
    install(*distributions)
    with pytest.raises(StackError) as error:
        detect_stack()
    for text in (*expected, 'pip install', 'onedl-mmsegmentation', 'mmsegmentation ftfy', 'docs/install.md'):
        assert text in str(error.value)


@pytest.mark.parametrize(
    'distributions',
    [
        (*ONEDL, *OPENMMLAB),
        (*ONEDL, 'mmcv'),
        (*OPENMMLAB, 'onedl-mmengine'),
        ('onedl-mmcv', 'mmengine'),
    ],
)
def test_two_stacks_are_refused_by_name(install, distributions):
    install(*distributions)
    with pytest.raises(StackError) as error:
        detect_stack()
    lines = str(error.value).splitlines()
    uninstall = next(line.split() for line in lines if 'pip uninstall' in line)
    assert uninstall[:3] == ['pip', 'uninstall', '-y']
    assert sorted(uninstall[3:]) == sorted(distributions)
    assert any('pip install onedl-mmengine onedl-mmcv' in line for line in lines)


def test_stack_error_is_an_import_error():
    assert issubclass(StackError, ImportError)


def test_import_stops_at_the_stack_error_before_anything_else():
    """`import mmseg_textseg` in an environment that has nothing but the standard library."""
    code = (
        f'import sys; sys.path.insert(0, {str(ROOT)!r})\n'
        'try:\n    import mmseg_textseg\n'
        'except ImportError as error:\n    print(type(error).__name__, "torch" in sys.modules)\n'
    )
    # -I -S: no site-packages, no PYTHONPATH.
    run = subprocess.run([sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ['StackError', 'False'], run.stderr


def test_extras_match_the_stacks_and_neither_is_required(monkeypatch):
    setuptools = pytest.importorskip('setuptools')
    captured = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **kwargs: captured.update(kwargs))
    monkeypatch.chdir(ROOT)
    source = (ROOT / 'setup.py').read_text(encoding='utf-8')
    exec(compile(source, str(ROOT / 'setup.py'), 'exec'), {'__file__': str(ROOT / 'setup.py'), '__name__': 'setup'})

    assert captured['version'] == mmseg_textseg.__version__
    extras = {
        extra: {re.match(r'[\w-]+', requirement).group() for requirement in requirements}
        for extra, requirements in captured['extras_require'].items()
    }
    assert set(ONEDL) <= extras['onedl']
    assert not extras['onedl'] & set(OPENMMLAB)
    assert set(OPENMMLAB) <= extras['openmmlab']
    assert not extras['openmmlab'] & set(ONEDL)
    required = ' '.join(captured['install_requires'])
    assert not any(package in required for package in ('mmengine', 'mmcv', 'mmseg'))


@pytest.mark.parametrize('name', STACKS)
def test_point_stock_configs_names_the_installed_mmsegmentation(monkeypatch, name):
    monkeypatch.setitem(utils.MODULE2PACKAGE, 'mmseg', 'neither')
    point_stock_configs(name)
    assert utils.MODULE2PACKAGE['mmseg'] == STACKS[name][2]


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = ['mmseg::_base_/default_runtime.py', 'mmseg::_base_/models/fcn_unet_s5-d16.py']\n")
    return path


def test_stock_configs_are_reached_after_the_import(config_file):
    config = Config.fromfile(config_file)
    assert config.default_scope == 'mmseg'
    assert config.model.backbone.type == 'UNet'


@pytest.mark.skipif(detect_stack() != 'onedl', reason='OpenMMLab needs no mend')
def test_stock_configs_are_out_of_reach_without_the_mend(config_file, monkeypatch):
    monkeypatch.setitem(utils.MODULE2PACKAGE, 'mmseg', 'mmsegmentation')
    with pytest.raises(Exception, match='mmsegmentation'):
        Config.fromfile(config_file)
