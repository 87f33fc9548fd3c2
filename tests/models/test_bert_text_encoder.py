import os
import shutil
import time

import pytest
import torch
from mmengine.runner import checkpoint as mmcheckpoint
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.models import BertTextEncoder, TextEncoderError
from mmseg_textseg.models.text_encoders.bert import read_encoder
from mmseg_textseg.tokenization import TokenizerError, build_vocab, load_tokenizer

VOCAB = build_vocab(['left lung lesion 3 mm', 'round cyst of the right lobe'])
OTHER = build_vocab(['upper spleen', 'round cyst of the right lobe'])
SENTENCE = 'round lesion of the left lobe'


@pytest.fixture
def scratch(tiny_bert):
    """Function (**changes) -> an encoder from scratch, 16 wide."""

    def make(vocab=VOCAB, **changes):
        return BertTextEncoder(None, dict(vocab=vocab), {**tiny_bert, **changes})

    return make


@pytest.fixture
def folder(tmp_path, tiny_bert):
    """A local folder with a BERT and its vocabulary, and the BERT itself."""
    from transformers import BertConfig, BertModel

    path = tmp_path / 'bert'
    bert = BertModel(BertConfig(vocab_size=len(VOCAB), **tiny_bert), add_pooling_layer=False)
    bert.save_pretrained(path)
    (path / 'vocab.txt').write_text('\n'.join(VOCAB))
    return str(path), bert


def batch(*lengths, size=None):
    size = size or max(1, max(lengths))
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    return torch.randint(5, len(VOCAB), (len(lengths), size)) * mask, mask


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


# From scratch


def test_output_is_berts_last_hidden_state_with_zero_padding(scratch):
    encoder, (ids, mask) = scratch().eval(), batch(6, 4)
    text = encoder(ids, mask)
    expected = encoder.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    assert torch.equal(text.tokens[mask], expected[mask])
    assert text.tokens[~mask].eq(0).all()
    assert torch.equal(text.mask, mask)
    torch.testing.assert_close(text.pooled[1], expected[1, :4].mean(0))
    assert text.tokens.shape == (2, 6, 16)
    assert encoder.out_channels == 16


def test_from_scratch_fits_its_vocabulary(scratch):
    encoder = MODELS.build(
        dict(
            type='BertTextEncoder',
            pretrained=None,
            tokenizer=dict(vocab=VOCAB),
            arch=dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8),
        )
    )
    assert encoder.bert.embeddings.word_embeddings.weight.shape == (len(VOCAB), 8)
    assert encoder.bert.pooler is None
    encoder.init_weights()
    ids, _ = load_tokenizer(encoder.tokenizer_source).encode(SENTENCE, 20)
    ids = torch.from_numpy(ids)[None]
    assert encoder(ids, torch.ones_like(ids, dtype=torch.bool)).tokens.shape == (1, 8, 8)


def test_words_and_their_order_matter(scratch):
    encoder, (ids, mask) = scratch().eval(), batch(6)
    other = ids.clone()
    other[0, 3] = 5 + (ids[0, 3] - 4) % (len(VOCAB) - 5)
    swapped = ids.clone()
    ids[0, 1:3] = swapped[0, 1:3] = torch.tensor([7, 9])
    swapped[0, 1:3] = torch.tensor([9, 7])
    base = encoder(ids, mask).pooled
    assert (encoder(other, mask).pooled - base).abs().max() > 1e-3
    assert (encoder(swapped, mask).pooled - base).abs().max() > 1e-5


def test_padding_never_matters(scratch):
    encoder, (ids, mask) = scratch().double().eval(), batch(6, 4)
    long_ids, long_mask = batch(6, 4, size=11)
    long_ids[:, :6] = ids
    long_ids = torch.where(long_mask, long_ids, torch.randint(5, len(VOCAB), long_ids.shape))  # garbage
    a, b = encoder(ids, mask), encoder(long_ids, long_mask)
    torch.testing.assert_close(b.tokens[:, :6], a.tokens, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(b.pooled, a.pooled, rtol=1e-10, atol=1e-10)
    alone = encoder(ids[1:, :4], mask[1:, :4])
    torch.testing.assert_close(alone.tokens, a.tokens[1:, :4], rtol=1e-10, atol=1e-10)


def test_a_row_without_tokens_is_zeros_and_never_nan(scratch):
    encoder, (ids, mask) = scratch().train(), batch(4, 0)
    text = encoder(ids, mask)
    assert text.tokens[1].eq(0).all()
    assert text.pooled[1].eq(0).all()
    text.tokens.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    torch.testing.assert_close(encoder(ids[:1], mask[:1]).tokens, text.tokens[:1])


def test_every_parameter_gets_a_gradient(scratch):
    encoder, (ids, mask) = scratch().train(), batch(6, 4)
    encoder(ids, mask).tokens.square().sum().backward()
    assert not [n for n, p in encoder.named_parameters() if p.grad is None]


def test_null_is_a_batch_of_sentences_without_tokens(scratch):
    text = scratch().double().null(3, length=4)
    assert text.tokens.shape == (3, 4, 16)
    assert text.tokens.dtype == torch.float64
    assert not text.mask.any()
    assert scratch().null(1, like=torch.zeros(1, dtype=torch.bfloat16)).pooled.dtype == torch.bfloat16


# Local folder


def test_a_folder_gives_exactly_its_weights(folder):
    path, bert = folder
    encoder = BertTextEncoder(path)
    assert encoder.out_channels == 16
    assert not equal(encoder.bert.state_dict(), bert.state_dict())
    encoder.init_weights()
    assert equal(encoder.bert.state_dict(), bert.state_dict())
    ids = torch.from_numpy(load_tokenizer(path).encode(SENTENCE, 20)[0])[None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    expected = bert.eval()(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    assert torch.equal(encoder.eval()(ids, mask).tokens, expected)
    assert [load_tokenizer(path).vocab[i] for i in ids[0]] == ['[CLS]', *SENTENCE.split(), '[SEP]']


def test_init_weights_within_a_model_keeps_the_folders_weights(folder):
    """A parent's init_weights comes through its children, and is called once by the runner."""
    from mmengine.model import BaseModule

    class Parent(BaseModule):
        def __init__(self):
            super().__init__(dict(type='Normal', layer='Linear', std=5.0))
            self.encoder = BertTextEncoder(folder[0])
            self.head = nn.Linear(2, 2)

    parent = Parent()
    parent.init_weights()
    assert equal(parent.encoder.bert.state_dict(), folder[1].state_dict())


def test_init_weights_is_done_once(folder):
    encoder = BertTextEncoder(folder[0])
    encoder.init_weights()
    with torch.no_grad():
        encoder.bert.embeddings.word_embeddings.weight.fill_(1)
    encoder.init_weights()
    assert encoder.bert.embeddings.word_embeddings.weight.eq(1).all()


def test_a_saved_masked_language_model_fills_the_encoder(tmp_path, tiny_bert):
    """What the hub holds: weights under 'bert.', with a pooler or heads that are not needed."""
    from transformers import BertConfig, BertForPreTraining

    model = BertForPreTraining(BertConfig(vocab_size=len(VOCAB), **tiny_bert))
    model.save_pretrained(tmp_path / 'mlm')
    encoder = BertTextEncoder(str(tmp_path / 'mlm'))
    encoder.init_weights()
    theirs = model.bert.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in encoder.bert.state_dict().items())


def test_weights_that_leave_layers_at_random_are_refused(folder):
    """A third layer that the folder does not have would stay as it was drawn."""
    encoder = BertTextEncoder(folder[0], arch=dict(num_hidden_layers=3))
    with pytest.raises(TextEncoderError):
        encoder.init_weights()


def test_a_folder_without_weights_or_config(tmp_path, folder):
    from transformers import BertConfig

    BertConfig(hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path / 'config only')
    encoder = BertTextEncoder(str(tmp_path / 'config only'), arch=dict(num_hidden_layers=1))
    with pytest.raises(TextEncoderError, match='config only'):
        encoder.init_weights()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(TextEncoderError, match=r'config\.json'):
        BertTextEncoder(str(tmp_path / 'empty'))


def test_a_folder_without_vocabulary_is_refused(folder):
    """transformers makes a tokenizer of five entries then, for which every word is [UNK]."""
    path, _ = folder
    os.remove(f'{path}/vocab.txt')
    with pytest.raises(TokenizerError, match=path):
        load_tokenizer(path)


def test_another_kind_of_model_is_refused(tmp_path):
    from transformers import RobertaConfig

    RobertaConfig().save_pretrained(tmp_path)
    with pytest.raises(TextEncoderError, match="'roberta'"):
        BertTextEncoder(str(tmp_path))


# Hub names, without a network


def test_a_hub_name_builds_offline_and_its_weights_are_asked_for_late(tiny_bert):
    start = time.perf_counter()
    encoder = BertTextEncoder('bert-base-uncased', arch=tiny_bert)
    with pytest.raises(TextEncoderError) as error:
        encoder.init_weights()
    assert time.perf_counter() - start < 5
    message = str(error.value)
    assert 'bert-base-uncased' in message
    assert 'model.text_encoder.pretrained' in message  # what to set
    assert 'folder' in message
    assert encoder.fingerprint == 'pretrained:bert-base-uncased'


def test_the_default_is_bert_base():
    with torch.device('meta'):
        encoder = BertTextEncoder()
    assert encoder.out_channels == 768
    assert len(encoder.bert.encoder.layer) == 12
    assert encoder.bert.embeddings.word_embeddings.weight.shape == (30522, 768)
    assert sum(p.numel() for p in encoder.parameters()) == 108_891_648  # 109,482,240 of the hub less the pooler


def test_an_unknown_name_without_a_shape_is_refused_at_once(tiny_bert):
    with pytest.raises(TextEncoderError, match='arch=dict'):
        BertTextEncoder('somebody/some-bert')
    assert BertTextEncoder('somebody/some-bert', arch={**tiny_bert, 'vocab_size': 9}).out_channels == 16


def test_from_scratch_needs_tokenizer_and_arch(tiny_bert):
    for arguments in (dict(), dict(tokenizer=dict(vocab=VOCAB)), dict(arch=tiny_bert)):
        with pytest.raises(TextEncoderError, match='tokenizer='):
            BertTextEncoder(None, **arguments)
    with pytest.raises(TextEncoderError, match='freeze random'):
        BertTextEncoder(None, dict(vocab=VOCAB), tiny_bert, frozen=True)


# Frozen


def test_frozen_means_no_gradient_no_dropout_no_graph(folder):
    from transformers import BertConfig, BertModel

    path, bert = folder
    BertModel(BertConfig(**{**bert.config.to_dict(), 'hidden_dropout_prob': 0.5}), False).save_pretrained(path)
    parent = nn.ModuleDict(dict(encoder=BertTextEncoder(path, frozen=True), head=nn.Linear(16, 1)))
    encoder = parent['encoder']
    encoder.init_weights()
    assert not any(p.requires_grad for p in encoder.parameters())
    parent.train()
    assert parent.training
    assert not any(m.training for m in encoder.modules())
    ids, mask = batch(5, 3)
    a, b = encoder(ids, mask), encoder(ids, mask)
    assert torch.equal(a.tokens, b.tokens)  # dropout of 0.5 would show
    assert a.tokens.grad_fn is None
    assert not a.pooled.requires_grad
    parent['head'](a.pooled).sum().backward()
    assert all(p.grad is None for p in encoder.parameters())
    assert torch.is_grad_enabled()
    encoder.requires_grad_(True)  # by a hook that thaws everything
    assert encoder(ids, mask).tokens.grad_fn is None


def test_trainable_follows_train_and_no_grad(scratch):
    encoder, (ids, mask) = scratch(hidden_dropout_prob=0.5), batch(5)
    encoder.train()
    assert not torch.equal(encoder(ids, mask).tokens, encoder(ids, mask).tokens)
    encoder.eval()
    assert torch.equal(encoder(ids, mask).tokens, encoder(ids, mask).tokens)
    assert encoder(ids, mask).tokens.requires_grad
    with torch.no_grad():
        assert not encoder(ids, mask).tokens.requires_grad


# The vocabulary in the state dict


def test_extra_state_round_trip(scratch, tmp_path):
    source, target = scratch(), scratch()
    torch.save(source.state_dict(), tmp_path / 'encoder.pth')
    state = torch.load(tmp_path / 'encoder.pth', weights_only=True)
    assert state['_extra_state'].dtype == torch.uint8
    target.load_state_dict(state, strict=True)
    assert equal(target.bert.state_dict(), source.bert.state_dict())
    assert read_encoder(state['_extra_state'])['tokenizer']['vocab'].split() == VOCAB


def test_extra_state_of_a_table_is_the_vocabulary_itself(tmp_path, tiny_bert):
    table = tmp_path / 'train.jsonl'
    table.write_text('{"image": "a.png", "text": "größere Läsion"}')
    encoder = BertTextEncoder(None, dict(build_from=str(table)), tiny_bert)
    source = read_encoder(encoder.state_dict()['_extra_state'])['tokenizer']
    assert source == dict(vocab=' '.join(build_vocab(['größere Läsion'])))


def test_extra_state_of_a_name(tiny_bert):
    encoder = BertTextEncoder('bert-base-uncased', arch=tiny_bert)
    assert read_encoder(encoder.get_extra_state())['tokenizer'] == 'bert-base-uncased'
    encoder.load_state_dict(encoder.state_dict(), strict=True)


def test_another_vocabulary_of_the_same_size_is_refused(scratch, tiny_bert):
    swapped = [*VOCAB[:5], *VOCAB[:4:-1]]
    for vocab in (swapped, OTHER):
        with pytest.raises(TextEncoderError, match='vocabulary'):
            scratch().load_state_dict(scratch(vocab).state_dict())
    named = BertTextEncoder('bert-base-uncased', arch={**tiny_bert, 'vocab_size': len(VOCAB)})
    for source, target in ((named, scratch()), (scratch(), named)):
        with pytest.raises(TextEncoderError, match='vocabulary'):
            target.load_state_dict(source.state_dict())


def test_a_folder_may_move_but_not_change_its_vocabulary(folder, tmp_path):
    path, _ = folder
    state = BertTextEncoder(path).state_dict()
    moved, changed = tmp_path / 'moved', tmp_path / 'changed'
    shutil.copytree(path, moved)
    shutil.copytree(path, changed)
    words = (changed / 'vocab.txt').read_text().split()
    (changed / 'vocab.txt').write_text('\n'.join([*words[:5], *words[:4:-1]]))
    (changed / 'tokenizer.json').unlink(missing_ok=True)
    BertTextEncoder(str(moved)).load_state_dict(state)
    with pytest.raises(TextEncoderError, match='vocabulary'):
        BertTextEncoder(str(changed)).load_state_dict(state)


class Model(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.text_encoder = encoder


def test_mmengine_saves_and_loads_it(scratch, tmp_path, log_lines):
    source, target = Model(scratch()), Model(scratch())
    state = mmcheckpoint.weights_to_cpu(mmcheckpoint.get_state_dict(source))
    assert state['text_encoder._extra_state'].dtype == torch.uint8
    path = str(tmp_path / 'epoch_1.pth')
    mmcheckpoint.save_checkpoint(dict(state_dict=state, meta=dict(epoch=1)), path)
    mmcheckpoint.load_checkpoint(target, path, map_location='cpu', strict=True)
    assert equal(target.state_dict(), source.state_dict())
    assert not [line for line in log_lines if 'do not match' in line]
    with pytest.raises(TextEncoderError, match='vocabulary'):
        mmcheckpoint.load_checkpoint(Model(scratch(OTHER)), path, map_location='cpu')
