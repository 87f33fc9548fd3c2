"""load_config: one key decides the text encoder, and every tokenizer and text width follows it."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS

from mmseg_textseg.apis import ConfigError, find_missing, load_config, settle_text_encoder
from mmseg_textseg.apis.config import SCRATCH_ARCH, checkpoint_encoder, find
from mmseg_textseg.models import BertTextEncoder, TextEncoderError
from mmseg_textseg.tokenization import load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
LSMS = str(ROOT / 'configs/lsms/lsms_refhl_480x480.py')
STORED = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'stored', 'words']
SPELT = dict(vocab=' '.join(STORED))


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def tokenizers(cfg) -> list:
    """Of every TokenizeText that a run can use; variables at the top of a file are dead once it is read."""
    live = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline', 'model')
    return [step.tokenizer for key in live if key in cfg for step in find(cfg[key], type='TokenizeText')]


def widths(cfg) -> dict[str, int | None]:
    return {name: cfg.model[name].get('text_channels') for name in ('backbone', 'decode_head')}


def data_options(folder) -> dict:
    return {f'{split}_dataloader.dataset.data_root': str(folder) for split in ('train', 'val', 'test')}


@pytest.fixture
def stored_checkpoint(tmp_path) -> str:
    """Checkpoint of a text encoder with the vocabulary STORED, written by mmengine."""
    encoder = dict(
        type='BertTextEncoder',
        pretrained=None,
        tokenizer=dict(vocab=STORED),
        arch=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16),
    )
    model = torch.nn.ModuleDict(dict(text_encoder=MODELS.build(encoder)))
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(tmp_path / 'stored.pth'))
    return str(tmp_path / 'stored.pth')


def test_missing_file_names_the_path(tmp_path):
    with pytest.raises(ConfigError, match=r'no config file at .*nowhere\.py'):
        load_config(str(tmp_path / 'nowhere.py'))


def test_options_merge():
    cfg = load_config(LSMS, {'train_dataloader.batch_size': 3, 'model.backbone.init_cfg': None, 'train_cfg.new': 'x'})
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.model.backbone.init_cfg is None
    assert cfg.train_cfg.new == 'x'
    assert cfg.model.decode_head.ham_channels == 768, 'the rest stays'


def test_default_is_the_named_bert_without_a_look_at_the_hub():
    cfg = load_config(LSMS)
    assert cfg.model.text_encoder.tokenizer == 'bert-base-uncased'
    assert tokenizers(cfg) == ['bert-base-uncased'] * 3
    assert widths(cfg) == dict(backbone=768, decode_head=768)


def test_scratch_takes_vocabulary_and_width_everywhere(phantom):
    cfg = load_config(LSMS, {'model.text_encoder.pretrained': 'scratch', **data_options(phantom)})
    encoder = cfg.model.text_encoder
    assert encoder.pretrained is None
    assert encoder.arch == SCRATCH_ARCH
    vocab = load_tokenizer(dict(build_from=str(phantom / 'train.jsonl'))).vocab
    assert 'lesion' in vocab
    assert set(encoder.tokenizer) == {'vocab'}, 'spelt out: the table is needed no more'
    assert isinstance(encoder.tokenizer.vocab, str), 'a list takes mmengine seconds to print'
    assert encoder.tokenizer.vocab.split() == vocab
    assert load_tokenizer(encoder.tokenizer.to_dict()).vocab == vocab
    assert tokenizers(cfg) == [encoder.tokenizer] * 3
    assert widths(cfg) == dict(backbone=SCRATCH_ARCH['hidden_size'], decode_head=SCRATCH_ARCH['hidden_size'])


def test_scratch_of_another_size(phantom):
    options = {'model.text_encoder.pretrained': 'scratch', 'model.text_encoder.arch.hidden_size': 64}
    cfg = load_config(LSMS, {**options, **data_options(phantom)})
    assert cfg.model.text_encoder.arch == {**SCRATCH_ARCH, 'hidden_size': 64}
    assert widths(cfg) == dict(backbone=64, decode_head=64)


def test_scratch_reads_the_table_as_the_dataset_does(tmp_path):
    (tmp_path / 'train.csv').write_text('image,said,caption\na.png,alpha beta,gamma\n')
    options = {
        'model.text_encoder.pretrained': 'scratch',
        'train_dataloader.dataset.ann_file': 'train.csv',
        'train_dataloader.dataset.text_column': 'said',
        **data_options(tmp_path),
    }
    vocab = load_config(LSMS, options).model.text_encoder.tokenizer.vocab.split()
    assert {'alpha', 'beta'} <= set(vocab)
    assert 'gamma' not in vocab


def test_scratch_with_a_given_vocabulary_needs_no_table():
    options = {'model.text_encoder.pretrained': 'scratch', 'model.text_encoder.tokenizer': dict(vocab=STORED)}
    cfg = load_config(LSMS, options)
    assert cfg.model.text_encoder.tokenizer == SPELT
    assert tokenizers(cfg) == [SPELT] * 3


@pytest.mark.parametrize('how', ['scratch', 'build_from'])
def test_a_missing_training_table_is_left_to_the_report(tiny_config, tmp_path, how):
    """The source stays as it is; find_missing names the table, and so does whoever builds the model all the same."""
    table = str(tmp_path / 'train.jsonl')
    options = {
        'scratch': {'model.text_encoder.pretrained': 'scratch'},
        'build_from': {'model.text_encoder.tokenizer.build_from': table},
    }[how]
    cfg = load_config(tiny_config, {**options, **data_options(tmp_path)})
    assert cfg.model.text_encoder.tokenizer == dict(build_from=table)
    assert tokenizers(cfg) == [dict(build_from=table)] * 3
    width = cfg.model.text_encoder.arch.hidden_size
    assert widths(cfg) == dict(backbone=width, decode_head=width)
    (missing,) = find_missing(cfg)
    assert table in missing.what
    with pytest.raises(FileNotFoundError, match=re.escape(table)):
        MODELS.build(cfg.model)


def test_one_of_several_tables_missing(tiny_config, phantom):
    tables = [str(phantom / 'train.jsonl'), '/gone/more.csv']
    cfg = load_config(tiny_config, {'model.text_encoder.tokenizer.build_from': tables})
    assert cfg.model.text_encoder.tokenizer == dict(build_from=tables)
    with pytest.raises(FileNotFoundError, match=r'/gone/more\.csv'):
        MODELS.build(cfg.model)


def test_pipeline_of_test_time_augmentation_follows_too(tiny_config, tmp_path):
    steps = "[dict(type='TestTimeAug', transforms=[[dict(type='TokenizeText', tokenizer='bert-base-uncased')]])]"
    path = tmp_path / 'tta.py'
    path.write_text(f'_base_ = {tiny_config!r}\ntta_pipeline = {steps}\n')
    cfg = load_config(str(path))
    assert 'lesion' in cfg.model.text_encoder.tokenizer.vocab.split()
    assert tokenizers(cfg) == [cfg.model.text_encoder.tokenizer] * 4


def test_local_bert_sets_tokenizers_and_widths(bert_folder):
    cfg = load_config(LSMS, {'model.text_encoder.pretrained': bert_folder})
    assert cfg.model.text_encoder.tokenizer == bert_folder
    assert tokenizers(cfg) == [bert_folder] * 3
    assert widths(cfg) == dict(backbone=32, decode_head=32)


def test_local_bert_in_place_of_one_from_scratch(bert_folder, tiny_config):
    """``pretrained`` decides alone: the folder's vocabulary and width, not those of the encoder it replaces."""
    cfg = load_config(tiny_config, {'model.text_encoder.pretrained': bert_folder})
    assert cfg.model.text_encoder.tokenizer == bert_folder
    assert tokenizers(cfg) == [bert_folder] * 3
    assert 'arch' not in cfg.model.text_encoder
    assert widths(cfg) == dict(backbone=32, decode_head=32)
    model = MODELS.build(cfg.model)
    model.text_encoder.init_weights()


def test_scratch_is_trained_so_that_nothing_of_it_is_kept(tiny_config, phantom):
    frozen = {'model.text_encoder.frozen': True, 'model.text_encoder.cache': 'somewhere'}
    cfg = load_config(tiny_config, {'model.text_encoder.pretrained': 'scratch', **frozen, **data_options(phantom)})
    assert not {'frozen', 'cache'} & cfg.model.text_encoder.keys()


def test_scratch_in_place_of_an_encoder_of_another_shape(tiny_config, phantom):
    cfg = load_config(tiny_config, {'model.text_encoder.pretrained': 'scratch', **data_options(phantom)})
    assert cfg.model.text_encoder.arch == SCRATCH_ARCH
    assert widths(cfg) == dict(backbone=128, decode_head=128)


def test_tokenizer_and_arch_given_beside_pretrained_stay(tiny_config):
    given = {'model.text_encoder.tokenizer': dict(vocab=STORED, _delete_=True)}
    cfg = load_config(tiny_config, {'model.text_encoder.pretrained': 'scratch', **given})
    assert cfg.model.text_encoder.tokenizer == SPELT
    assert cfg.model.text_encoder.arch == SCRATCH_ARCH
    given = {'model.text_encoder.arch.num_hidden_layers': 1}
    cfg = load_config(tiny_config, {'model.text_encoder.pretrained': 'scratch', **given})
    assert cfg.model.text_encoder.arch == {**SCRATCH_ARCH, 'num_hidden_layers': 1}, "not the config's own shape"
    assert 'lesion' in cfg.model.text_encoder.tokenizer.vocab.split()


def test_other_options_leave_the_encoder_of_the_config(tiny_config):
    before = load_config(tiny_config).model.text_encoder
    after = load_config(tiny_config, {'model.text_encoder.frozen': False}).model.text_encoder
    assert after == dict(before, frozen=False)


def test_folder_without_a_bert(tmp_path):
    with pytest.raises(TextEncoderError, match=r'config\.json'):
        load_config(LSMS, {'model.text_encoder.pretrained': str(tmp_path)})


def test_vocabulary_of_the_checkpoint_goes_before_the_config(tiny_config, stored_checkpoint):
    assert 'lesion' in load_config(tiny_config).model.text_encoder.tokenizer.vocab.split()
    cfg = load_config(tiny_config, checkpoint=stored_checkpoint)
    assert cfg.model.text_encoder.tokenizer == SPELT
    assert tokenizers(cfg) == [SPELT] * 3


@pytest.mark.parametrize(
    'options',
    [
        {'model.text_encoder.tokenizer.build_from': '/gone/train.jsonl'},
        {'model.text_encoder.pretrained': 'scratch', 'model.text_encoder.tokenizer': 'bert-base-uncased'},
    ],
    ids=['build_from', 'scratch'],
)
def test_vocabulary_of_the_checkpoint_needs_no_training_table(tiny_config, stored_checkpoint, options):
    """On the machine where a model is used, the training text need not be."""
    options = {**options, **data_options('/gone')}
    cfg = load_config(tiny_config, options, checkpoint=stored_checkpoint)
    assert cfg.model.text_encoder.tokenizer == SPELT
    assert tokenizers(cfg) == [SPELT] * 3


def test_checkpoint_that_is_not_there(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match=r'no checkpoint at .*gone\.pth'):
        load_config(tiny_config, checkpoint=str(tmp_path / 'gone.pth'))


def test_checkpoint_of_a_text_free_model(tmp_path):
    path = str(tmp_path / 'free.pth')
    save_checkpoint(dict(state_dict=torch.nn.Linear(1, 1).state_dict()), path)
    assert checkpoint_encoder(path) is None


def test_text_free_model_tokenises_nothing():
    free = Config(
        dict(
            model=dict(type='EncoderDecoder', backbone=dict(type='SVLAEncoder', text_channels=None)),
            train_dataloader=dict(
                dataset=dict(pipeline=[dict(type='LoadMask'), dict(type='TokenizeText', tokenizer='bert-base-uncased')])
            ),
        )
    )
    before = free.to_dict()
    settle_text_encoder(free)
    assert free.to_dict() == dict(before, train_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadMask')])))


def test_parts_without_text_keep_their_none(phantom):
    options = {
        'model.text_encoder.pretrained': 'scratch',
        'model.decode_head.text_channels': None,
        'model.decode_head.loss_contrast': None,
    }
    assert widths(load_config(LSMS, {**options, **data_options(phantom)})) == dict(backbone=128, decode_head=None)


@pytest.mark.parametrize('which', ['bert', 'scratch', 'folder'])
def test_result_can_be_dumped_and_read_again(which, bert_folder, tmp_path):
    pretrained, tokenizer = 'model.text_encoder.pretrained', 'model.text_encoder.tokenizer'
    options = {
        'bert': {},
        'scratch': {pretrained: 'scratch', tokenizer: dict(vocab=[*STORED, "it's", '"', 'größe'])},
        'folder': {pretrained: bert_folder},
    }[which]
    cfg = load_config(LSMS, options)
    dumped = str(tmp_path / 'dumped.py')
    cfg.dump(dumped)
    assert Config.fromfile(dumped).to_dict() == cfg.to_dict()
    assert load_config(dumped).to_dict() == cfg.to_dict(), 'settling twice changes nothing'


def test_shape_of_the_encoder_comes_with_the_checkpoint(tmp_path, tiny_config):
    """A run trained with options on the encoder is tested without repeating them."""
    hidden, heads = 24, 2
    encoder = BertTextEncoder(
        None, dict(vocab=STORED), dict(hidden_size=hidden, num_attention_heads=heads, num_hidden_layers=1)
    )
    path = str(tmp_path / 'x.pth')
    save_checkpoint(dict(state_dict={f'text_encoder.{k}': v for k, v in encoder.state_dict().items()}), path)
    for config in (tiny_config, LSMS):
        cfg = load_config(config, checkpoint=path)
        assert cfg.model.text_encoder.arch.hidden_size == hidden
        assert cfg.model.text_encoder.pretrained is None
        assert widths(cfg) == dict(backbone=hidden, decode_head=hidden)
        built = MODELS.build(cfg.model.text_encoder)
        built.load_state_dict(encoder.state_dict())
