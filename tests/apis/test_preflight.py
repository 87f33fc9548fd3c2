"""What a run lacks is found before it starts, without the network, and the report's command does without."""

import runpy
import shlex
import socket
import sys
from pathlib import Path
from urllib.error import URLError

import pytest

from mmseg_textseg.apis import find_missing, load_config, preflight
from mmseg_textseg.apis.cli import require
from mmseg_textseg.apis.preflight import Missing, report

ROOT = Path(__file__).resolve().parents[2]
LSMS = str(ROOT / 'configs/lsms/lsms_refhl_480x480.py')
STAGE1, STAGE2 = (str(ROOT / f'configs/phantom/{n}-c8_phantom_96x96.py') for n in ('ppe-simsiam', 'mptpn'))
MEDICAL = str(ROOT / 'configs/mptpn/ppe-simsiam-c16_medical_224x224.py')
WEIGHTS = 'mscan_b_20230227-3ab7d230.pth'


@pytest.fixture(autouse=True)
def nothing_in_reach(monkeypatch, tmp_path):
    """No network, empty caches, and a working directory without data."""

    def refuse(*_, **__):
        raise URLError('no network in tests')

    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(preflight, 'urlopen', refuse)
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.chdir(tmp_path)


def with_data(phantom, **options) -> dict:
    return {**{f'{split}_dataloader.dataset.data_root': str(phantom) for split in ('train', 'val', 'test')}, **options}


def parse(command: str):
    """Arguments of tools/train.py as it reads them itself; the command starts with ``python <script>``."""
    words = shlex.split(command)
    assert words[0] == 'python'
    before, sys.argv = sys.argv, words[1:]
    try:
        return runpy.run_path(str(ROOT / 'tools/train.py'), run_name='tool')['parse_args']()
    finally:
        sys.argv = before


def test_everything_missing_at_once():
    data, text, weights = find_missing(load_config(LSMS))
    assert 'data/refhl/train.jsonl' in data.what
    assert 'make refhl-phantom' in data.get
    assert "'bert-base-uncased'" in text.what
    assert text.option == 'model.text_encoder.pretrained=scratch'
    assert weights.what.startswith('model.backbone weights: https://')
    assert WEIGHTS in weights.what
    assert weights.option == 'model.backbone.init_cfg=None'


def test_the_stand_in_is_offered_for_its_own_place_only(tmp_path):
    (missing,) = find_missing(load_config(LSMS, with_data(tmp_path / 'mine')), weights=False)
    assert str(tmp_path / 'mine' / 'train.jsonl') in missing.what
    assert 'refhl-phantom' not in missing.get
    assert 'docs/datasets.md' in missing.get


def test_only_the_splits_of_the_run_are_looked_for(phantom, tmp_path):
    options = with_data(phantom)
    options['train_dataloader.dataset.data_root'] = str(tmp_path / 'gone')
    cfg = load_config(LSMS, options)
    assert find_missing(cfg, ('val',), weights=False) == find_missing(cfg, ('test',), weights=False) == []
    assert [m.what.split(':')[0] for m in find_missing(cfg, ('test', 'train'), weights=False)] == ['data']


def test_nothing_missing(phantom, bert_folder, tiny_config, tmp_path):
    assert find_missing(load_config(tiny_config), ('train', 'val', 'test')) == []
    weights = tmp_path / 'mscan.pth'
    weights.touch()
    options = {
        'model.text_encoder.pretrained': bert_folder,
        'model.backbone.init_cfg.checkpoint': str(weights),
    }
    assert find_missing(load_config(LSMS, with_data(phantom, **options))) == []


def test_a_checkpoint_that_follows_needs_no_initial_weights(phantom):
    assert find_missing(load_config(LSMS, with_data(phantom)), ('test',), weights=False) == []


def test_local_weights_that_are_not_there(phantom, bert_folder):
    options = {'model.text_encoder.pretrained': bert_folder, 'model.backbone.init_cfg.checkpoint': 'gone/mscan.pth'}
    (missing,) = find_missing(load_config(LSMS, with_data(phantom, **options)))
    assert missing.what == 'model.backbone weights: gone/mscan.pth'
    assert 'model.backbone.init_cfg.checkpoint=FILE' in missing.get


def test_weights_in_torch_cache_count(phantom, bert_folder, tmp_path):
    cfg = load_config(LSMS, with_data(phantom, **{'model.text_encoder.pretrained': bert_folder}))
    assert len(find_missing(cfg)) == 1
    cache = tmp_path / 'torch' / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    (cache / WEIGHTS).touch()
    assert find_missing(cfg) == []


def test_weights_in_a_list_of_initialisers_are_found(tiny_config):
    option = {
        'model.decode_head.init_cfg': [dict(type='Normal', std=0.01), dict(type='Pretrained', checkpoint='g.pth')]
    }
    assert [m.option for m in find_missing(load_config(tiny_config, option))] == ['model.decode_head.init_cfg=None']


@pytest.mark.parametrize('weights', ['model.safetensors', 'pytorch_model.bin'])
def test_bert_in_the_cache_counts(phantom, tmp_path, monkeypatch, weights):
    options = with_data(phantom, **{'model.backbone.init_cfg': None})
    assert [m.what.split(':')[0] for m in find_missing(load_config(LSMS, options))] == ['text encoder']
    snapshot = tmp_path / 'hub' / 'models--bert-base-uncased' / 'snapshots' / 'abc'
    snapshot.mkdir(parents=True)
    (snapshot / 'config.json').write_text('{}')
    refs = tmp_path / 'hub' / 'models--bert-base-uncased' / 'refs'
    refs.mkdir()
    (refs / 'main').write_text('abc')
    # Building a model caches the config alone; the weights are what a run needs.
    assert [m.what.split(':')[0] for m in find_missing(load_config(LSMS, options))] == ['text encoder']
    (snapshot / weights).touch()
    assert find_missing(load_config(LSMS, options)) == []
    monkeypatch.delenv('HF_HUB_OFFLINE')
    monkeypatch.setattr('huggingface_hub.HfApi.model_info', lambda *_, **__: pytest.fail('asked the hub'))
    assert find_missing(load_config(LSMS, options)) == []


@pytest.mark.parametrize('reachable', [True, False])
def test_on_a_connected_machine_the_hub_is_asked(phantom, monkeypatch, reachable):
    asked = []

    def model_info(_, name, **__):
        asked.append(name)
        if not reachable:
            raise ConnectionError

    monkeypatch.delenv('HF_HUB_OFFLINE')
    monkeypatch.setattr('huggingface_hub.HfApi.model_info', model_info)
    missing = find_missing(load_config(LSMS, with_data(phantom, **{'model.backbone.init_cfg': None})))
    assert asked == ['bert-base-uncased']
    assert len(missing) == (0 if reachable else 1)


@pytest.mark.parametrize('folder', ['/no/such/bert', './bert', 'weights/bert/tiny', 'a b'])
def test_a_folder_that_is_not_there_is_missing_and_no_traceback(phantom, folder):
    """A mistyped folder is no valid hub name either."""
    options = {'model.text_encoder.pretrained': folder, 'model.backbone.init_cfg': None}
    (missing,) = find_missing(load_config(LSMS, with_data(phantom, **options)))
    assert f"'{folder}'" in missing.what


def test_report_is_short_and_has_one_complete_command(phantom):
    """Doing what the report says leaves nothing missing."""
    options = with_data(phantom)
    text = report(find_missing(load_config(LSMS, options)), ['tools/train.py', LSMS, '--resume'])
    lines = text.splitlines()
    assert len(lines) == 7
    assert lines[0] == 'This run cannot start:'
    commands = [line.strip() for line in lines if line.strip().startswith('python ')]
    assert commands == [lines[-1].strip()]
    args = parse(commands[0])
    assert args.config == LSMS
    assert args.resume
    assert find_missing(load_config(args.config, {**options, **args.cfg_options})) == []


def test_report_of_missing_data_only_has_no_way_around():
    (missing,) = find_missing(load_config(LSMS), weights=False)
    assert missing.option == '', 'nothing does without data'
    text = report([Missing('data: no annotation table x.jsonl', 'make it', '')], ['tools/train.py', 'c.py'])
    assert text.splitlines() == ['This run cannot start:', '  - data: no annotation table x.jsonl', '      make it']


@pytest.mark.parametrize('after', [['--work-dir', 'my runs'], []], ids=['middle', 'end'])
def test_command_of_the_report_keeps_the_options_given(phantom, monkeypatch, after):
    given = [f'{key}={value}' for key, value in with_data(phantom).items()]
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', LSMS, '--cfg-options', *given, *after])
    with pytest.raises(SystemExit) as stopped:
        require(load_config(LSMS, with_data(phantom)), ('train', 'val'), weights=True)
    args = parse(stopped.value.code.splitlines()[-1].strip())
    assert args.work_dir == ('my runs' if after else None)
    assert args.cfg_options.items() >= with_data(phantom).items()
    assert find_missing(load_config(args.config, args.cfg_options)) == []


@pytest.mark.parametrize(
    ('given', 'suggested'),
    [
        ([], ['--cfg-options', 'a=1', 'b=2']),
        (['--resume'], ['--resume', '--cfg-options', 'a=1', 'b=2']),
        (['--cfg-options', 'a=0', 'c=3'], ['--cfg-options', 'a=0', 'c=3', 'a=1', 'b=2']),
        (['--cfg-options', 'a=0', '--amp'], ['--cfg-options', 'a=0', 'a=1', 'b=2', '--amp']),
        (['--cfg-options=a=0'], ['--cfg-options=a=0', '--cfg-options', 'a=1', 'b=2']),
    ],
)
def test_options_of_the_report_come_after_those_given(given, suggested):
    """Of two values for a key the last counts."""
    argv = ['tools/train.py', 'my config.py', *given]
    before = list(argv)
    items = [Missing('x', 'get x', 'a=1'), Missing('data', 'get data', ''), Missing('y', 'get y', 'b=2')]
    lines = report(items, argv).splitlines()
    assert shlex.split(lines[-1]) == ['python', 'tools/train.py', 'my config.py', *suggested]
    assert argv == before
    args = parse(lines[-1].strip())
    assert args.config == 'my config.py'
    assert {key: args.cfg_options[key] for key in 'ab'} == dict(a=1, b=2)


def test_a_missing_encoder_given_as_an_option_is_overruled(phantom, monkeypatch):
    given = {**with_data(phantom), 'model.text_encoder.pretrained': 'gone/bert', 'model.backbone.init_cfg': 'None'}
    words = [f'{key}={value}' for key, value in given.items()]
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', LSMS, '--cfg-options', *words])
    options = parse(shlex.join(['python', *sys.argv])).cfg_options
    with pytest.raises(SystemExit) as stopped:
        require(load_config(LSMS, options), ('train', 'val'), weights=True)
    args = parse(stopped.value.code.splitlines()[-1].strip())
    assert args.cfg_options['model.text_encoder.pretrained'] == 'scratch'
    assert find_missing(load_config(args.config, args.cfg_options)) == []


def test_missing_text_of_an_encoder_from_scratch_is_missing_data(tmp_path):
    """The vocabulary comes from the table that is not there: one line says it."""
    options = {'model.text_encoder.pretrained': 'scratch', 'model.backbone.init_cfg': None}
    (missing,) = find_missing(load_config(LSMS, with_data(tmp_path / 'mine', **options)))
    assert str(tmp_path / 'mine' / 'train.jsonl') in missing.what
    assert missing.option == ''


def test_require_lets_a_complete_run_go(tiny_config):
    require(load_config(tiny_config), ('train', 'val', 'test'), weights=True)


# Two stages


def test_a_missing_stage_1_is_named_by_its_config(phantom, monkeypatch):
    """For each part that would start from it."""
    monkeypatch.chdir(ROOT)
    made = 'work_dirs/never-run/ppe-simsiam-c8_phantom_96x96/iter_200.pth'
    options = with_data(phantom, **{f'model.{p}.init_cfg.checkpoint': made for p in ('text_encoder', 'backbone')})
    missing = find_missing(load_config(STAGE2, options))
    assert [m.what for m in missing] == [f'model.{part} weights: {made}' for part in ('text_encoder', 'backbone')]
    command = 'python tools/train.py configs/phantom/ppe-simsiam-c8_phantom_96x96.py makes it'
    assert all(m.get.startswith(command) for m in missing)
    assert all('--init-from CHECKPOINT' in m.get for m in missing)
    text = report(missing, ['tools/train.py', STAGE2])
    args = parse(text.splitlines()[-1].strip())
    assert args.cfg_options == {'model.text_encoder.init_cfg': None, 'model.backbone.init_cfg': None}
    assert find_missing(load_config(args.config, {**options, **args.cfg_options})) == []


def test_a_checkpoint_that_no_config_makes_is_to_be_got_elsewhere(phantom, tmp_path):
    folder = tmp_path / 'configs' / 'mine'
    folder.mkdir(parents=True)
    (folder / 'stage-one.py').touch()
    options = with_data(phantom, **{'model.text_encoder.init_cfg': None})
    for path, words in (
        ('work_dirs/stage-one/epoch_3.pth', 'python tools/train.py configs/mine/stage-one.py makes it'),
        ('work_dirs/stage-two/epoch_3.pth', 'model.backbone.init_cfg.checkpoint=FILE'),
    ):
        cfg = load_config(STAGE2, {**options, 'model.backbone.init_cfg.checkpoint': path})
        (missing,) = find_missing(cfg)
        assert words in missing.get
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
        assert find_missing(cfg) == []


def test_weights_of_a_text_encoder_that_are_not_there(tiny_config):
    init_cfg = dict(type='StrictPretrained', checkpoint='gone/run.pth', prefix='text_encoder.')
    cfg = load_config(tiny_config, {'model.text_encoder.init_cfg': init_cfg})
    (missing,) = find_missing(cfg)
    assert missing == (
        'model.text_encoder weights: gone/run.pth',
        'download it elsewhere and set model.text_encoder.init_cfg.checkpoint=FILE',
        'model.text_encoder.init_cfg=None',
    )
    assert find_missing(cfg, weights=False) == []


def test_data_of_every_part_is_looked_for(phantom, tmp_path, bert_folder):
    datasets = 'train_dataloader.dataset.datasets'
    parts = {
        f'{datasets}.{key}': value
        for part in ('0.dataset', '1')
        for key, value in {f'{part}.data_root': str(phantom), f'{part}.ann_file': 'train.jsonl'}.items()
    }
    parts['model.text_encoder.pretrained'] = bert_folder
    assert find_missing(load_config(MEDICAL, parts)) == []
    for part in ('0.dataset', '1'):
        cfg = load_config(MEDICAL, {**parts, f'{datasets}.{part}.data_root': str(tmp_path / 'gone')})
        (missing,) = find_missing(cfg)
        assert missing.what == f'data: no annotation table {tmp_path / "gone" / "train.jsonl"}'


def test_stage_1_needs_no_data_to_evaluate(phantom):
    options = {'train_dataloader.dataset.data_root': str(phantom), 'model.text_encoder.pretrained': 'scratch'}
    cfg = load_config(STAGE1, options)
    assert find_missing(cfg, ('train', 'val', 'test')) == []
    assert cfg.val_dataloader is None
