"""Features of a frozen encoder in memory: the same as encoded anew, and forgotten when a weight changes."""

import copy
import pickle

import pytest
import torch
from text_samples import VOCABULARY, A, B, C, encoded, row_by_row, sample

from mmseg_textseg.models import BertTextEncoder, TextEncoderError
from mmseg_textseg.models.text_encoders import TextCache
from mmseg_textseg.models.text_encoding import encode_samples

BATCHES = [[A, C, A], [B, A], [C, C], [A, B, C], [A]]


@pytest.fixture
def frozen(tiny_bert):
    """Function (**options) -> a frozen encoder of random weights."""

    def make(**options):
        arch = {**tiny_bert, 'vocab_size': VOCABULARY}
        return BertTextEncoder('bert-base-uncased', arch=arch, frozen=True, **options)

    return make


def encode(encoder, *batch):
    return encode_samples(encoder, [sample(ids) for ids in batch])


def assert_right(encoder, *batch, **tolerance):
    """The cache gives what the encoder gives now."""
    text = encode(encoder, *batch)
    expected = row_by_row(encoder, [sample(ids) for ids in batch])
    assert torch.equal(text.mask, expected.mask)
    torch.testing.assert_close(text.tokens, expected.tokens, **(tolerance or dict(rtol=1e-5, atol=1e-5)))
    torch.testing.assert_close(text.pooled, expected.pooled, **(tolerance or dict(rtol=1e-5, atol=1e-5)))
    assert text.tokens[~text.mask].eq(0).all()


def test_any_batch_is_as_encoded_anew(frozen):
    encoder = frozen().double()
    for batch in BATCHES * 2:
        assert_right(encoder, *batch, rtol=1e-10, atol=1e-10)


def test_a_sentence_is_encoded_once_in_training_and_evaluation(frozen):
    encoder = frozen()
    calls = encoded(encoder)
    for mode in (True, False, True):
        encoder.train(mode)
        for batch in BATCHES:
            encode(encoder, *batch)
    assert calls == [2, 1], 'A and C, then B'


def test_only_a_frozen_encoder_remembers_by_itself(tiny_bert):
    encoder = BertTextEncoder('bert-base-uncased', arch={**tiny_bert, 'vocab_size': VOCABULARY})
    calls = encoded(encoder)
    for training in (True, False):
        encoder.train(training)
        assert encode(encoder, A).tokens.requires_grad
        encode(encoder, A)
    assert calls == [1] * 4


def test_a_given_cache_serves_prediction_but_never_training(tiny_bert):
    """TextSegInferencer gives one to any encoder."""
    encoder = BertTextEncoder('bert-base-uncased', arch={**tiny_bert, 'vocab_size': VOCABULARY})
    encoder.cache = TextCache()
    calls = encoded(encoder)
    assert encode(encoder.train(), A).tokens.requires_grad
    assert encode(encoder.eval(), A).tokens.requires_grad, 'a gradient was asked for'
    with torch.no_grad():
        encode(encoder.train(), A)
        assert len(calls) == 3
        encode(encoder.eval(), A)
        encode(encoder, A)
    assert len(calls) == 4


def other_weights(encoder):
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        for value in other.parameters():
            value.add_(torch.randn_like(value) * 0.3)
    return other


def load(encoder):
    encoder.load_state_dict(other_weights(encoder).state_dict())


def assign(encoder):
    encoder.load_state_dict(other_weights(encoder).state_dict(), assign=True)


def initialise(encoder):
    encoder.init_cfg = dict(type='StrictPretrained', checkpoint=encoder.checkpoint)
    encoder.init_weights()


def step(encoder):
    weight = encoder.bert.encoder.layer[0].output.dense.weight
    weight.requires_grad_(True).grad = torch.randn_like(weight)
    torch.optim.SGD([weight], 0.1).step()


def replace(encoder):
    encoder.bert = other_weights(encoder).bert


@pytest.mark.parametrize('change', [load, assign, initialise, step, replace])
def test_changed_weights_are_noticed(frozen, change, tmp_path):
    encoder = frozen()
    encoder.checkpoint = str(tmp_path / 'other.pth')
    torch.save(other_weights(encoder).state_dict(), encoder.checkpoint)
    before = encode(encoder, A, C)
    change(encoder)
    after = encode(encoder, A, C)
    assert (after.tokens - before.tokens).abs().max() > 1e-3
    assert_right(encoder, A, C)


def test_buffers_written_anew_with_what_was_there_are_no_change(frozen):
    """As DDP does at each step; with something else in them they are."""
    encoder = frozen()
    encoder.register_buffer('shift', torch.zeros(()))
    encoder.register_forward_hook(lambda module, _, text: text._replace(tokens=text.tokens + module.shift))
    calls = encoded(encoder)
    for _ in range(3):
        for buffer in encoder.buffers():
            buffer.copy_(buffer.clone())
        before = encode(encoder, A, C)
    assert calls == [2]
    encoder.shift.fill_(1)
    after = encode(encoder, A, C)
    assert calls == [2, 2]
    assert ((after.tokens - before.tokens)[after.mask] - 1).abs().max() < 1e-5


def test_fresh_tensors_in_the_place_of_fresh_ones_are_noticed(frozen):
    """Nothing was ever written into either: only where they are tells them apart."""
    encoder, kept = frozen(), []
    for _ in range(2):
        state = {name: value.clone() for name, value in other_weights(encoder).state_dict().items()}
        encoder.load_state_dict(state, assign=True)
        kept.append([p._version for p in encoder.parameters()])
        assert_right(encoder, A)
    assert kept[0] == kept[1]


def test_another_precision_is_another_feature(frozen):
    encoder = frozen()
    single = encode(encoder, A)
    double = encode(encoder.double(), A)
    assert (single.tokens.dtype, double.tokens.dtype) == (torch.float32, torch.float64)
    assert_right(encoder, A, rtol=1e-10, atol=1e-10)


def test_autocast_leaves_nothing_in_half_precision(frozen, randomise):
    encoder = randomise(frozen())
    with torch.autocast('cpu', torch.bfloat16):
        half = row_by_row(encoder, [sample(A)])
        first = encode(encoder, A)
    later, single = encode(encoder, A), row_by_row(encoder, [sample(A)])
    assert first.tokens.dtype == torch.float32
    assert torch.equal(first.tokens, later.tokens)
    torch.testing.assert_close(later.tokens, single.tokens, rtol=1e-5, atol=1e-5)
    assert (half.tokens - single.tokens).abs().max() > 1e-3, 'bfloat16 would have shown'


def test_what_inference_mode_leaves_can_be_trained_on(frozen):
    encoder, head = frozen(), torch.nn.Linear(16, 1)
    with torch.inference_mode():
        encode(encoder, A, C)
    head(encode(encoder, A, C).pooled).sum().backward()
    assert head.weight.grad.abs().sum() > 0


def test_no_graph_whatever_a_hook_thaws(frozen):
    encoder = frozen()
    encoder.requires_grad_(True)
    assert encode(encoder, A).tokens.grad_fn is None
    assert not encode(encoder, A).tokens.requires_grad


def test_what_a_caller_writes_into_features_stays_with_them(frozen):
    encoder = frozen()
    for _ in range(2):
        encode(encoder, A).tokens.fill_(9)
    assert_right(encoder, A)


def test_memory_is_bounded_and_the_oldest_goes_first(frozen):
    encoder = frozen()
    encoder.cache = TextCache(most_bytes=(len(A) + len(B)) * 16 * 4)
    calls = encoded(encoder)
    for sentence in (A, B, A, C):  # C takes the room of both
        encode(encoder, sentence)
    assert len(encoder.cache) == 1
    assert calls == [1, 1, 1]
    for sentence in (A, B, A):
        encode(encoder, sentence)
    assert len(calls) == 5
    encode(encoder, B[:2])  # puts out B, the older one
    encode(encoder, A)
    assert len(calls) == 6
    encode(encoder, B)
    assert len(calls) == 7
    for batch in BATCHES:  # and a batch larger than the memory is whole
        assert_right(encoder, *batch)


def test_a_sentence_without_tokens(frozen):
    encoder = frozen()
    for _ in range(2):
        text = encode_samples(encoder, [sample(A), sample(A, torch.zeros(4, dtype=torch.bool))])
        assert text.tokens[1].eq(0).all()
        assert text.tokens[0].ne(0).any()
        alone = encode_samples(encoder, [sample(A, torch.zeros(4, dtype=torch.bool))])
        assert alone.tokens.shape == (1, 4, 16)


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
def test_a_copy_of_the_model_has_a_memory_of_its_own(frozen, duplicate, tmp_path):
    encoder = frozen(cache=str(tmp_path))
    encode(encoder, A)
    encoder.cache.write()
    other = duplicate(encoder)
    assert len(other.cache) == 0
    assert other.cache.folder == str(tmp_path)
    load(other)
    assert_right(other, A)
    assert_right(encoder, A)


def test_a_cache_on_disk_needs_a_frozen_encoder(tiny_bert):
    with pytest.raises(TextEncoderError, match=r"cache='some/folder'.*needs frozen=True.*cache=None"):
        BertTextEncoder('bert-base-uncased', arch={**tiny_bert, 'vocab_size': 9}, cache='some/folder')
