"""Configs of two stages: several training tables, and an encoder that an earlier run has trained."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS

from mmseg_textseg.apis import ConfigError, find_missing, init_from, load_config
from mmseg_textseg.apis.config import SCRATCH_ARCH, find, innermost
from mmseg_textseg.models import TextEncoderError
from mmseg_textseg.safe_load import CheckpointError
from mmseg_textseg.tokenization import load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
MEDICAL = str(ROOT / 'configs/mptpn/ppe-simsiam-c16_medical_224x224.py')
MONUSEG = str(ROOT / 'configs/mptpn/mptpn-c16_monuseg_224x224.py')
STAGE1 = str(ROOT / 'configs/phantom/ppe-simsiam-c8_phantom_96x96.py')
STAGE2 = str(ROOT / 'configs/phantom/mptpn-c8_phantom_96x96.py')
SCRATCH = {'model.text_encoder.pretrained': 'scratch'}
VOCAB = '[PAD] [UNK] [CLS] [SEP] [MASK] stored words'
ARCH = dict(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def tokenizers(cfg) -> list:
    live = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    return [step.tokenizer for key in live for step in find(cfg.get(key), type='TokenizeText')]


# Several tables


def test_innermost_finds_every_part_of_what_wraps_datasets():
    a, b, c = (dict(type='TextSegDataset', ann_file=f'{name}.csv') for name in 'abc')
    repeat = dict(type='RepeatDataset', times=2, dataset=a)
    inner = dict(type='ConcatDataset', datasets=[b, dict(type='RepeatDataset', times=1, dataset=repeat)])
    both = ConfigDict(type='ClassBalancedDataset', dataset=dict(type='ConcatDataset', datasets=[inner, c]))
    assert [part.ann_file for part in innermost(both)] == ['b.csv', 'a.csv', 'c.csv']
    assert [part.ann_file for part in innermost(ConfigDict(a))] == ['a.csv']
    assert list(innermost(ConfigDict())) == [{}]
    for part in innermost(both):
        part.shuffle_text = True
    assert both.dataset.datasets[1].shuffle_text, 'the parts themselves'


@pytest.fixture
def two_tables(tmp_path) -> dict:
    """Options that put a table of its own behind each part of the concatenated training data."""
    (tmp_path / 'cells.csv').write_text('image,text\na.png,alpha nuclei\n')
    (tmp_path / 'breast.csv').write_text('image,text\nb.png,beta lesion\n')
    datasets = 'train_dataloader.dataset.datasets'
    return {
        f'{datasets}.0.dataset.data_root': str(tmp_path),
        f'{datasets}.0.dataset.ann_file': 'cells.csv',
        f'{datasets}.1.data_root': str(tmp_path),
        f'{datasets}.1.ann_file': 'breast.csv',
    }


def test_scratch_builds_one_vocabulary_of_several_tables(two_tables, tmp_path):
    cfg = load_config(MEDICAL, {**SCRATCH, **two_tables})
    vocab = cfg.model.text_encoder.tokenizer.vocab.split()
    assert {'alpha', 'nuclei', 'beta', 'lesion'} <= set(vocab)
    tables = [str(tmp_path / name) for name in ('cells.csv', 'breast.csv')]
    assert vocab == load_tokenizer(dict(build_from=tables)).vocab
    assert tokenizers(cfg) == [cfg.model.text_encoder.tokenizer] * 2
    assert cfg.model.backbone.text_channels == SCRATCH_ARCH['hidden_size']
    assert find_missing(cfg) == []


def test_scratch_reads_several_tables_as_the_datasets_do(two_tables, tmp_path):
    for name in ('cells', 'breast'):
        (tmp_path / f'{name}.csv').write_text(f'image,said,caption\na.png,{name} heard,never\n')
    said = {f'train_dataloader.dataset.datasets.{key}.text_column': 'said' for key in ('0.dataset', '1')}
    vocab = load_config(MEDICAL, {**SCRATCH, **two_tables, **said}).model.text_encoder.tokenizer.vocab.split()
    assert {'cells', 'breast', 'heard'} <= set(vocab)
    assert 'never' not in vocab


def test_one_missing_table_of_several_is_left_to_the_report(two_tables, tmp_path):
    (tmp_path / 'breast.csv').unlink()
    cfg = load_config(MEDICAL, {**SCRATCH, **two_tables})
    tables = [str(tmp_path / name) for name in ('cells.csv', 'breast.csv')]
    assert cfg.model.text_encoder.tokenizer == dict(build_from=tables)
    (missing,) = find_missing(cfg)
    assert missing.what == f'data: no annotation table {tables[1]}'


# Freezing is for weights that know something


def test_scratch_drops_frozen_and_the_lower_rate(two_tables):
    assert load_config(MEDICAL, two_tables).model.text_encoder.frozen
    keys = {'optim_wrapper.paramwise_cfg': dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1), backbone=dict()))}
    cfg = load_config(MEDICAL, {**SCRATCH, **two_tables, **keys})
    assert 'frozen' not in cfg.model.text_encoder
    assert set(cfg.optim_wrapper.paramwise_cfg.custom_keys) == {'backbone'}
    encoder = MODELS.build(cfg.model.text_encoder)
    assert all(p.requires_grad for p in encoder.parameters())


def stored(tmp_path, **encoder) -> str:
    """Checkpoint of a stage 1 that fits STAGE2 but for its text encoder."""
    cfg = Config.fromfile(STAGE1)
    config = dict(type='BertTextEncoder', pretrained=None, tokenizer=dict(vocab=VOCAB), arch=ARCH)
    cfg.model.pop('data_preprocessor')
    cfg.model.text_encoder = ConfigDict({**config, **encoder})
    cfg.model.backbone.text_channels = cfg.model.text_encoder.arch.hidden_size
    model = MODELS.build(cfg.model)
    path = str(tmp_path / 'stage1.pth')
    save_checkpoint(dict(state_dict=model.state_dict(), meta=dict(iter=3)), path)
    return path


def test_a_checkpoint_from_scratch_loads_where_the_config_freezes(tmp_path):
    """A run with ``pretrained=scratch`` is tested with the config it was trained with, options not repeated."""
    assert load_config(MONUSEG).model.text_encoder.frozen
    cfg = load_config(MONUSEG, checkpoint=stored(tmp_path))
    assert cfg.model.text_encoder.pretrained is None
    assert 'frozen' not in cfg.model.text_encoder
    assert MODELS.build(cfg.model.text_encoder).out_channels == 24


def test_an_option_freezes_what_stage_1_trained_from_scratch(tmp_path):
    path = stored(tmp_path)
    cfg = load_config(MONUSEG, {'model.text_encoder.frozen': True}, checkpoint=path)
    init_from(cfg, path)
    assert MODELS.build(cfg.model.text_encoder).frozen


def test_a_checkpoint_of_a_pretrained_encoder_keeps_the_freezing(tmp_path, bert_folder):
    path = stored(tmp_path, pretrained=bert_folder, tokenizer=bert_folder, arch=dict(hidden_size=32), frozen=True)
    cfg = load_config(MONUSEG, checkpoint=path)
    assert cfg.model.text_encoder.pretrained == bert_folder
    assert cfg.model.text_encoder.frozen
    assert cfg.model.backbone.text_channels == 32


# Stage 2 from stage 1


def test_vocabulary_and_widths_are_those_of_stage_1(tmp_path):
    """Also where the training table that the config names is not there."""
    cfg = load_config(STAGE2, checkpoint=stored(tmp_path))
    assert cfg.model.text_encoder.tokenizer == dict(vocab=VOCAB)
    assert tokenizers(cfg) == [dict(vocab=VOCAB)] * 3
    assert cfg.model.text_encoder.arch.hidden_size == cfg.model.backbone.text_channels == 24
    assert 'text_channels' not in cfg.model.decode_head


def test_init_from_starts_both_parts_strictly(tmp_path):
    path = stored(tmp_path)
    cfg = load_config(STAGE2, {'model.backbone.init_cfg.new': ['a key of before']}, checkpoint=path)
    init_from(cfg, path)
    for part in ('backbone', 'text_encoder'):
        assert cfg.model[part].init_cfg == dict(type='StrictPretrained', checkpoint=path, prefix=f'{part}.')
    assert 'init_cfg' not in cfg.model.decode_head
    cfg.dump(str(tmp_path / 'dumped.py'))
    assert Config.fromfile(str(tmp_path / 'dumped.py')).model == cfg.model
    model = MODELS.build(cfg.model)
    model.init_weights()
    state, found = torch.load(path, weights_only=True)['state_dict'], model.state_dict()
    shared = [key for key in found if key.startswith(('backbone.', 'text_encoder.'))]
    assert len(shared) > 100
    assert all(torch.equal(found[key], state[key]) for key in shared)
    assert set(shared) == {key for key in state if not key.startswith('predictors.')}


def test_init_from_in_a_text_free_model(tmp_path):
    cfg = load_config(STAGE2, {'model.text_encoder': None, 'model.backbone.text_channels': None})
    init_from(cfg, 'x.pth')
    assert cfg.model.text_encoder is None
    assert cfg.model.backbone.init_cfg == dict(type='StrictPretrained', checkpoint='x.pth', prefix='backbone.')


def test_frozen_from_scratch_needs_weights(tmp_path):
    cfg = load_config(STAGE2, {'model.text_encoder.frozen': True})
    cfg.model.text_encoder.tokenizer = dict(vocab=VOCAB)
    assert MODELS.build(cfg.model.text_encoder).frozen, 'init_cfg names them'
    cfg.model.text_encoder.init_cfg = None
    with pytest.raises(TextEncoderError, match='freeze random'):
        MODELS.build(cfg.model.text_encoder)


def test_scratch_reads_each_table_with_its_own_options(two_tables, tmp_path):
    (tmp_path / 'cells.csv').write_text('image,note,said\na.png,an aside,alpha nuclei\n')
    own = {'train_dataloader.dataset.datasets.0.dataset.text_column': 'said'}
    vocab = load_config(MEDICAL, {**SCRATCH, **two_tables, **own}).model.text_encoder.tokenizer.vocab.split()
    assert {'alpha', 'beta'} < set(vocab)
    assert 'aside' not in vocab


def test_another_text_encoder_than_stage_1s_is_refused(tmp_path):
    path = stored(tmp_path)
    with pytest.raises(
        ConfigError, match=r'pretrained=some/bert, but .*stage1\.pth has a text encoder .* from scratch'
    ):
        load_config(STAGE2, {'model.text_encoder.pretrained': 'some/bert'}, checkpoint=path)
    assert load_config(STAGE2, SCRATCH, checkpoint=path).model.text_encoder.tokenizer == dict(vocab=VOCAB)


@pytest.mark.parametrize('content', [b'# a text file\n', b'some words', b''])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / 'notes.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'notes\.pth is no checkpoint'):
        load_config(STAGE2, checkpoint=str(path))


def test_a_checkpoint_without_tensors_is_named(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match=r'list\.pth holds a list'):
        load_config(STAGE2, checkpoint=str(tmp_path / 'list.pth'))


def test_text_free_test_time_augmentation_keeps_its_branches(tmp_path):
    """A list that held TokenizeText alone goes: an empty one would leave TestTimeAug without views."""
    path = tmp_path / 'free.py'
    path.write_text(
        f'_base_ = [{STAGE2!r}]\n'
        'model = dict(text_encoder=None, backbone=dict(text_channels=None))\n'
        "tokenize = dict(type='TokenizeText', tokenizer='x')\n"
        "tta_pipeline = [dict(type='TestTimeAug', transforms=[[dict(type='LoadMask')], [tokenize],\n"
        "    [tokenize, dict(type='PackTextSegInputs')]])]\n"
    )
    (augment,) = load_config(str(path)).tta_pipeline
    assert [[step.type for step in branch] for branch in augment.transforms] == [['LoadMask'], ['PackTextSegInputs']]
