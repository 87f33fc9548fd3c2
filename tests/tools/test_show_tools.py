"""tools/show_attention.py and tools/show_predictions.py on a tiny model with random weights."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.tokenization import load_tokenizer
from mmseg_textseg.visualization import TextSegVisualizer, group_words, read_tokens
from mmseg_textseg.visualization.attention_figure import CELL, FOOT, GAP, LABEL, TITLE

ROOT = Path(__file__).resolve().parents[2]
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
"""


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """data, config.py, model.pth."""
    here = tmp_path_factory.mktemp('show')
    sizes = dict(size=64, slices_per_case=(1, 1), lesions=(1, 2), splits=(0.4, 0.2, 0.4))
    make_phantom(here / 'data', 6, difficulty='easy', progress=False, **sizes)
    (here / 'config.py').write_text(CONFIG.format(root=ROOT.as_posix(), data=(here / 'data').as_posix()))
    with DefaultScope.overwrite_default_scope('mmseg'):
        torch.manual_seed(0)
        model = MODELS.build(load_config(str(here / 'config.py')).model)
        torch.save(dict(state_dict=model.state_dict()), here / 'model.pth')
    return here


@pytest.fixture
def run(place, monkeypatch, capsys):
    """Function tool, arguments -> exit status, what was printed."""

    def call(tool, *arguments):
        argv = [str(ROOT / 'tools' / f'{tool}.py'), place / 'config.py', place / 'model.pth', *arguments]
        monkeypatch.setattr(sys, 'argv', list(map(str, argv)))
        code = 0
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def image_of(place) -> Path:
    return sorted((place / 'data' / 'images').iterdir())[0]


def test_show_attention_writes_a_row_a_stage_and_a_column_a_word(run, place, tmp_path):
    code, said = run('show_attention', '--image', image_of(place), '--text', SENTENCE, '--out', tmp_path / 'a.png')
    assert code == 0, said
    tokenizer = load_tokenizer(dict(build_from=str(place / 'data' / 'train.jsonl')))
    words = group_words(read_tokens(tokenizer, tokenizer.encode(SENTENCE, 20)[0], SENTENCE))
    plain = [word for word in words if not word.special]
    height, width = cv2.imread(str(tmp_path / 'a.png')).shape[:2]
    assert width == LABEL + (1 + len(plain)) * (CELL + GAP)
    assert height == CELL + GAP + FOOT + TITLE + 4 * (CELL + GAP + FOOT)
    assert 'stage 1, stage 2, stage 3, stage 4; 10 tokens' in said
    code, _ = run(
        *('show_attention', '--image', image_of(place), '--text', SENTENCE, '--out', tmp_path / 'b.png'),
        *('--special', '--cfg-options', 'model.test_cfg.mode=slide', 'model.test_cfg.crop_size=32,32'),
    )
    assert code == 0
    assert cv2.imread(str(tmp_path / 'b.png')).shape[1] == LABEL + (1 + len(words)) * (CELL + GAP)


def test_show_attention_says_what_was_cut(run, place, tmp_path):
    code, said = run(
        *('show_attention', '--image', image_of(place), '--text', SENTENCE, '--out', tmp_path / 'a.png'),
        *('--cfg-options', 'test_dataloader.dataset.pipeline.3.max_tokens=6'),
    )
    assert code == 0, said
    assert 'cut from the sentence, which is too long: the left lobe .' in said


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(image='gone.png'), 'gone.png is not there'),
        (dict(image='config.py'), 'not a picture that can be read'),
        (dict(text=' '), '--text is empty'),
        (dict(out='a.jpg'), 'must end in .png'),
    ],
)
def test_mistakes_are_named(run, place, tmp_path, arguments, said):
    given = dict(image=image_of(place).name, text=SENTENCE, out='a.png') | arguments
    image = place / given['image'] if 'image' in arguments else image_of(place)
    out = tmp_path / given['out']
    code, text = run('show_attention', '--image', image, '--text', given['text'], '--out', out)
    assert code not in (0, None)
    assert said in f'{text}{code}'
    assert 'Traceback' not in text
    assert not out.exists()


def test_show_predictions_draws_items_spread_over_the_split(run, place, tmp_path):
    code, said = run('show_predictions', '--out', tmp_path, '--number', 3, '--side', 100)
    assert code == 0, said
    cfg = load_config(str(place / 'config.py'), checkpoint=str(place / 'model.pth'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    chosen = [0, round((len(dataset) - 1) / 2), len(dataset) - 1]
    names = [f'{n:03d}_{dataset[i]["data_samples"].sample_id}.png' for n, i in enumerate(chosen)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    # The last of them, drawn again from the model itself.
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(place / 'model.pth')['state_dict'])
    with torch.no_grad():
        sample = model.test_step(pseudo_collate([dataset[chosen[-1]]]))[0]
    image = cv2.imread(sample.img_path)[..., ::-1]
    expected = TextSegVisualizer(str(tmp_path), side=100).draw(image, sample)
    assert np.array_equal(cv2.imread(str(tmp_path / names[-1]))[..., ::-1], expected)


def test_show_predictions_puts_the_worst_first(run, place, tmp_path):
    code, said = run('show_predictions', '--out', tmp_path, '--number', 4, '--worst', '--split', 'val')
    assert code == 0, said
    cfg = load_config(str(place / 'config.py'), checkpoint=str(place / 'model.pth'))
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(place / 'model.pth')['state_dict'])
    scores = {}
    for item in dataset:
        with torch.no_grad():
            sample = model.test_step(pseudo_collate([item]))[0]
        p, t = sample.pred_sem_seg.data != 0, sample.gt_sem_seg.data != 0
        scores[sample.sample_id] = float(2 * (p & t).sum() / (p.sum() + t.sum()))
    worst = sorted(scores, key=scores.get)[:4]
    names = [path.stem.split('_', 1)[1] for path in sorted(tmp_path.iterdir())]
    assert [scores[name] for name in names] == [scores[name] for name in worst]


def test_show_predictions_names_a_checkpoint_that_is_not_there(monkeypatch, place, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['x', str(place / 'config.py'), str(place / 'gone.pth'), '--out', str(tmp_path)])
    with pytest.raises(SystemExit, match='no checkpoint at'):
        runpy.run_path(str(ROOT / 'tools' / 'show_predictions.py'), run_name='__main__')
    assert not list(tmp_path.iterdir())
