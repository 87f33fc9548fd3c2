"""An inferencer on the tiny model, and a tiny BERT in a folder."""

import pytest

from mmseg_textseg.apis import TextSegInferencer

WORDS = ['the', 'lesion', 'lesions', 'left', 'right', 'lobe', 'in', 'large', 'small', '.']


@pytest.fixture(scope='session')
def segment(tiny_config, checkpoint) -> TextSegInferencer:
    return TextSegInferencer(tiny_config, checkpoint, device='cpu')


@pytest.fixture(scope='session')
def bert_folder(tmp_path_factory) -> str:
    """A BERT 32 wide: config, weights, tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp('weights') / 'bert-tiny'
    folder.mkdir()
    vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS]
    (folder / 'vocab.txt').write_text('\n'.join(vocab))
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(BertConfig(vocab_size=len(vocab), **sizes)).save_pretrained(folder)
    return str(folder)
