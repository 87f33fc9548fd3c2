"""tools/test.py: what its options make of a config. What it writes: test_tools_end_to_end.py."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmseg.datasets.transforms import PackSegInputs

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.config import innermost
from mmseg_textseg.datasets.transforms import PackTextSegInputs
from mmseg_textseg.evaluation.comparison.runs import read_runs

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'test.py'


@pytest.fixture(scope='module')
def tool() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


@pytest.fixture
def cfg() -> Config:
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadMask'), dict(type='PackTextSegInputs')]
    parts = [dict(type='TextSegDataset', ann_file=f'{name}.csv', pipeline=steps) for name in 'ab']
    views = [[dict(type='Resize', scale_factor=1)], [dict(type='PackTextSegInputs')]]
    return Config(
        dict(
            model=dict(type='EncoderDecoder'),
            test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=parts)),
            test_evaluator=[dict(type='IoUMetric'), dict(type='TextSegMetric')],
            tta_model=dict(type='TextSegTTAModel'),
            tta_pipeline=[dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=views)],
        )
    )


def parse(tool, monkeypatch, *argv):
    monkeypatch.setattr(sys, 'argv', ['test.py', 'config.py', 'weights.pth', *argv])
    return tool.parse_args()


def types(dataset) -> list[str]:
    return [step['type'] for step in dataset.pipeline]


@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        (['--save-masks'], '--save-masks needs --out DIR'),
        (['--protocol', 'lvit', 'mean'], "invalid choice: 'mean'"),
        (['--evaluate-at', '224'], "invalid choice: '224'"),
        (['--evaluate-at', 'network', '--out', 'o', '--save-masks'], 'masks of the original size'),
        (['--evaluate-at', 'network', '--tta'], 'may be of several sizes'),
    ],
)
def test_options_that_do_not_go_together(tool, monkeypatch, capsys, argv, said):
    with pytest.raises(SystemExit) as stop:
        parse(tool, monkeypatch, *argv)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_options_as_they_are_read(tool, monkeypatch):
    args = parse(tool, monkeypatch, '--protocol', 'ris', 'gres', '--evaluate-at', 'network', '--partial-text', '0.5')
    assert (args.protocol, args.evaluate_at, args.partial_text) == (['ris', 'gres'], 'network', 0.5)
    plain = parse(tool, monkeypatch)
    assert (plain.protocol, plain.evaluate_at, plain.partial_text) == (None, None, None), "the config's"


def test_size_is_set_in_every_dataset_once(tool, cfg):
    datasets = list(innermost(cfg.test_dataloader.dataset))
    for _ in range(2):
        tool.set_size(datasets, 'network')
        wanted = ['LoadImageFromFile', 'LoadMask', 'EvaluateAtNetworkSize', 'PackTextSegInputs']
        assert [types(dataset) for dataset in datasets] == [wanted, wanted]
    tool.set_size(datasets, 'original')
    wanted.remove('EvaluateAtNetworkSize')
    assert [types(dataset) for dataset in datasets] == [wanted, wanted]


def test_a_pipeline_that_does_not_pack_is_an_error(tool, cfg):
    datasets = list(innermost(cfg.test_dataloader.dataset))
    datasets[1].pipeline.pop()
    with pytest.raises(ConfigError, match='--evaluate-at network needs a pipeline with PackTextSegInputs or Pack'):
        tool.set_size(datasets, 'network')


def test_slices_say_where_they_are(tool, cfg):
    (dataset, _) = innermost(cfg.test_dataloader.dataset)
    dataset.pipeline.insert(2, dict(type='PackSegInputs', meta_keys=('img_path', 'slice_view')))
    tool.keep_slice_views(dataset.pipeline)
    assert dataset.pipeline[2]['meta_keys'] == ('img_path', 'slice_view')
    keys = dataset.pipeline[3].meta_keys
    assert set(keys) == {*PackSegInputs().meta_keys, 'slice_view'}
    assert 'text' in PackTextSegInputs(meta_keys=keys).meta_keys
    tool.keep_slice_views(cfg.tta_pipeline)
    assert 'slice_view' in cfg.tta_pipeline[1].transforms[1][0].meta_keys


def test_the_metric_among_others(tool, cfg):
    assert tool.our_metric(cfg, '--out') is cfg.test_evaluator[1]
    cfg.test_evaluator = dict(type='TextSegMetric')
    assert tool.our_metric(cfg, '--out') is cfg.test_evaluator
    cfg.test_evaluator = dict(type='IoUMetric')
    with pytest.raises(ConfigError, match='--protocol needs a TextSegMetric among test_evaluator'):
        tool.our_metric(cfg, '--protocol')


def test_test_time_augmentation(tool, cfg):
    datasets = list(innermost(cfg.test_dataloader.dataset))
    tool.use_tta(cfg, datasets, 'c.py')
    assert cfg.model == dict(type='TextSegTTAModel', module=dict(type='EncoderDecoder'))
    assert [types(dataset)[-1] for dataset in datasets] == ['TestTimeAug', 'TestTimeAug']


def test_test_time_augmentation_that_cannot_be(tool, cfg):
    cfg.test_evaluator[1].threshold = 0.3
    with pytest.raises(ConfigError, match='--tta averages decisions of its own: leave threshold out'):
        tool.use_tta(cfg, [], 'c.py')
    cfg.pop('tta_pipeline')
    with pytest.raises(ConfigError, match=r'c\.py has no tta_pipeline for --tta'):
        tool.use_tta(cfg, [], 'c.py')


@pytest.mark.slow  # importing MONAI
def test_versions_name_monai_where_it_measured(tool):
    usual = {'python', 'torch', 'mmengine', 'mmcv', 'mmseg', 'mmseg_textseg', 'numpy'}
    assert tool.versions({}).keys() == usual
    assert tool.versions(dict(protocol=['lvit', 'boundary'])).keys() == usual | {'monai'}


@pytest.mark.parametrize('wrappers', [0, 1, 2])
def test_rewritten_model_takes_the_place_of_the_model_in_its_wrappers(tool, monkeypatch, wrappers):
    space = tool.RewriteHook.before_test_epoch.__globals__
    monkeypatch.setitem(space, 'fuse', lambda model: SimpleNamespace(fused=True, text_encoder=list(model.text_encoder)))
    monkeypatch.setitem(space, 'quantize_text_encoder', lambda encoder: encoder.append('int8'))
    for fused, text_int8 in ((True, False), (False, True), (True, True)):
        model = SimpleNamespace(text_encoder=[])  # another hook, as EMA's, knows it
        runner = SimpleNamespace(model=model)
        for _ in range(wrappers):
            runner.model = SimpleNamespace(module=runner.model)
        tool.RewriteHook(fused, text_int8).before_test_epoch(runner)
        found = runner.model
        for _ in range(wrappers):
            found = found.module
        assert found is not model
        assert hasattr(found, 'fused') == fused
        assert found.text_encoder == (['int8'] if text_int8 else [])
        assert model.text_encoder == []


@pytest.mark.slow
def test_a_fused_test_gives_the_same_values(tool, tiny_model, tmp_path, monkeypatch):
    """It tests with the folded model, made of the checkpoint's weights and not of those before."""
    space, models, calls = tool.RewriteHook.before_test_epoch.__globals__, [], []
    fuse = space['fuse']

    def watched(model):
        models.append(fuse(model))
        models[-1].backbone.register_forward_pre_hook(lambda *_: calls.append(1))
        return models[-1]

    monkeypatch.setitem(space, 'fuse', watched)
    found = []
    for options in ((), ('--fuse',)):
        argv = [tiny_model.config, tiny_model.checkpoint, '--out', tmp_path, '--work-dir', tmp_path / 'work', *options]
        monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, argv)])
        tool.main()
        found.append(json.loads((tmp_path / 'metrics.json').read_text()))
        assert len(models) == bool(options)
    assert calls
    weights = torch.load(tiny_model.checkpoint, weights_only=False)['state_dict']
    assert torch.equal(models[0].decode_head.conv_seg.weight, weights['decode_head.conv_seg.weight'])
    assert [summary.pop('fused') for summary in found] == [False, True]
    plain, fused = (summary['protocols'] for summary in found)
    for name, values in plain.items():
        assert fused[name] == pytest.approx(values, abs=0.01), name


@pytest.mark.slow
def test_a_test_with_an_int8_text_encoder(tool, tiny_model, tmp_path, monkeypatch):
    """It moves the values hardly, and says so."""
    found, quantized = [], []
    space = tool.RewriteHook.before_test_epoch.__globals__
    quantize = space['quantize_text_encoder']
    monkeypatch.setitem(space, 'quantize_text_encoder', lambda encoder: quantized.append(quantize(encoder)))
    argv = [tiny_model.config, tiny_model.checkpoint, '--out', tmp_path, '--work-dir', tmp_path / 'work']
    for options in ((), ('--text-int8',)):
        monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, argv), *options])
        tool.main()
        found.append(json.loads((tmp_path / 'metrics.json').read_text()))
    assert len(quantized) == 1
    assert not any(type(module) is torch.nn.Linear for module in quantized[0].modules())
    assert [summary['conditions']['int8_encoder'] for summary in found] == [False, True]
    (run,) = read_runs([('int8', tmp_path)])
    assert (run.conditions, run.text_changed) == (dict(int8_encoder=True), False)
    plain, rounded = (summary['protocols'] for summary in found)
    for name, values in plain.items():
        assert rounded[name] == pytest.approx(values, abs=0.05), name


@pytest.mark.slow
def test_int8_text_encoder_of_a_model_without_text(tool, tiny_model, tmp_path, monkeypatch, capsys):
    root = Path(__file__).resolve().parents[2]
    argv = [root / 'configs/phantom/unet-c16_phantom_96x96.py', tiny_model.checkpoint, '--text-int8']
    argv += ['--work-dir', tmp_path, '--cfg-options', f'test_dataloader.dataset.data_root={tiny_model.data}']
    monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, argv)])
    with pytest.raises(SystemExit) as stop:
        tool.main()
    assert '--text-int8 is for models with a text encoder' in str(stop.value) + capsys.readouterr().err
