"""tools/audit_text.py on a tiny LSMS and a tiny phantom: files, a second run, what cannot run."""

import csv
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.evaluation import TextSegMetric

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'audit_text.py'
spec = importlib.util.spec_from_file_location('audit_text_tool', TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, norm_cfg=dict(type='GN', num_groups=4)
    ),
)
loader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> SimpleNamespace:
    """A phantom of 64 x 64, a config, and a checkpoint of random weights that marks about half of each picture."""
    here = tmp_path_factory.mktemp('audit')
    data = here / 'phantom'
    sizes = dict(size=64, slices_per_case=(1, 1), lesions=(2, 3), splits=(0.3, 0.2, 0.5))
    make_phantom(data, 6, difficulty='easy', progress=False, **sizes)
    config = here / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix()))
    torch.manual_seed(0)
    init_default_scope('mmseg')
    cfg = load_config(str(config))
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1.5 * parameter[0].numel() ** -0.5)
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        (result,) = model.test_step(pseudo_collate([dataset[0]]))
        background, foreground = result.seg_logits.data
        model.decode_head.conv_seg.bias[1] -= (foreground - background).median()
    torch.save(dict(state_dict=model.state_dict()), here / 'random.pth')
    return SimpleNamespace(here=here, data=data, config=str(config), checkpoint=str(here / 'random.pth'))


def run(place, *arguments):
    tool.main([place.config, place.checkpoint, '--device', 'cpu', *map(str, arguments)])


def test_files_and_a_second_run(place, capsys, monkeypatch):
    out = place.here / 'out'
    options = ['--out', out, '--limit', 12, '--conditions', 'empty', 'contradicted', 'without', '--batch-size', 6]
    run(place, *options)
    first = capsys.readouterr().out
    assert '| empty text' in first
    assert 'Image alone gives' in first
    assert f'written to {out}: audit.md, audit.png, items.csv, audit.json' in first

    told = json.loads((out / 'audit.json').read_text())
    assert told['name'] == 'tiny'
    assert (told['split'], told['limit']) == ('test', 12)
    assert told['config']['path'] == place.config
    assert len(told['checkpoint']['sha256']) == 64
    names = [condition['name'] for condition in told['conditions']]
    assert names[:2] == ['empty', 'contradicted']
    assert {'without:size', 'without:brightness'} <= set(names)
    with (out / 'items.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == told['items'] <= 12
    assert np.mean([float(row['full']) for row in rows]) == pytest.approx(told['full']['dice'], abs=1e-6)
    empty = told['conditions'][0]
    assert empty['items'] == told['items']
    assert np.mean([float(row['empty']) for row in rows]) == pytest.approx(empty['dice'], abs=1e-6)
    assert empty['difference'] == pytest.approx(empty['dice'] - told['full']['dice'], abs=1e-12)
    assert empty['words']['total'] == 0
    assert empty['difference'] != 0, 'a text model sees that the words are gone'
    verdict = (out / 'audit.md').read_text().splitlines()[2]
    assert verdict == f'- {told["verdict"][0]}'
    assert (out / 'audit.png').read_bytes().startswith(b'\x89PNG')

    def refuse(*_):
        raise AssertionError('all is known already')

    from mmseg_textseg.evaluation.text_audit import audit as module

    monkeypatch.setattr(module, 'build_model', refuse)
    run(place, *options)
    assert json.loads((out / 'audit.json').read_text()) == told


def test_figures_are_those_of_an_evaluation(place):
    """The full text's Dice is TextSegMetric's, over all of the split, one item at a time."""
    out = place.here / 'whole'
    run(place, '--out', out, '--conditions', 'empty', '--batch-size', 1)
    cfg = load_config(place.config, checkpoint=place.checkpoint)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(place.checkpoint, weights_only=False)['state_dict'])
    metric = TextSegMetric()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for i in range(len(dataset)):
        with torch.no_grad():
            (result,) = model.test_step(pseudo_collate([dataset[i]]))
        metric.process({}, [result.to_dict()])
    scores = metric.evaluate(len(dataset))
    full = json.loads((out / 'audit.json').read_text())['full']
    assert full['dice'] == pytest.approx(scores['dice'], abs=1e-9)
    assert full['iou'] == pytest.approx(scores['iou'], abs=1e-9)
    assert full['dice'] > 0


def test_words_of_ones_own(place):
    lexicon = place.here / 'words.json'
    lexicon.write_text(json.dumps(dict(opposites=[['lesion', 'lobe']], attributes={'noun': ['lesion']})))
    out = place.here / 'own'
    names = ['contradicted', 'without:noun', 'empty']
    run(place, '--out', out, '--limit', 4, '--lexicon', lexicon, '--conditions', *names)
    (path,) = (out / 'conditions').glob('without_noun-*.csv')
    assert 'lesion' not in path.read_text().replace('lesions', '')


def test_a_text_free_model_has_nothing_to_audit(place, capsys):
    config = ROOT / 'configs/phantom/unet-c16_phantom_96x96.py'
    torch.save(dict(state_dict={}), place.here / 'unet.pth')
    out = place.here / 'free'
    tool.main([str(config), str(place.here / 'unet.pth'), '--out', str(out)])
    assert 'a text-free model, nothing to audit' in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--conditions', 'emty'], 'AuditError: no condition emty; known: full, half'),
        (['--lexicon', 'gone.yaml'], 'no lexicon at gone.yaml'),
        (['--device', 'cuda:9'], "AuditError: device 'cuda:9' cannot be used"),
        (['--cfg-options', 'test_dataloader.dataset.data_root=gone'], 'no annotation table gone/test.jsonl'),
        (['--cfg-options', 'test_dataloader=None'], 'has no test_dataloader'),
    ],
)
def test_what_cannot_run_says_why(place, arguments, message):
    with pytest.raises(SystemExit) as stop:
        run(place, '--out', place.here / 'never', *arguments)
    assert message in str(stop.value)
    assert not (place.here / 'never' / 'audit.json').exists()


def test_checkpoints_that_do_not_fit(place):
    state = torch.load(place.checkpoint, weights_only=False)['state_dict']
    state.popitem(last=False)
    torch.save(dict(state_dict={k: v for k, v in state.items() if 'conv_seg' not in k}), place.here / 'half.pth')
    for checkpoint, message in (('half.pth', 'conv_seg'), ('gone.pth', 'no checkpoint at')):
        with pytest.raises(SystemExit, match=message):
            tool.main([place.config, str(place.here / checkpoint), '--out', str(place.here / 'never')])


def test_numbers_must_be_numbers(place, capsys):
    with pytest.raises(SystemExit):
        run(place, '--limit', 0)
    assert '--limit must be at least 1' in capsys.readouterr().err
