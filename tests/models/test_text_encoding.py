"""Equal sentences of a batch are encoded once: values and gradients against the batch encoded row by row."""

import numpy as np
import pytest
import torch
from text_samples import VOCABULARY, A, B, C, row_by_row, sample

from mmseg_textseg.models import BertTextEncoder
from mmseg_textseg.models.text_encoding import encode_samples, sentence_keys


@pytest.fixture
def trained(tiny_bert):
    """Function (**changes of arch) -> an encoder that is trained, in float64."""

    def make(**changes):
        return BertTextEncoder('bert-base-uncased', arch={**tiny_bert, 'vocab_size': VOCABULARY, **changes}).double()

    return make


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('batch', [[A, C, A, B, A, B], [A, A], [A, B, C], [C]], ids=['mixed', 'one', 'all', 'single'])
def test_values_and_gradients_are_those_of_every_row(trained, batch, training):
    encoder, samples = trained().train(training), [sample(ids) for ids in batch]
    longest, found = max(map(len, batch)), []
    # Another weight for each row, so that a gradient that reaches the wrong row, or one of several only, shows.
    pull = torch.randn(len(batch), longest, 16, dtype=torch.float64)
    pull_pooled = torch.randn(len(batch), 16, dtype=torch.float64)
    for encode in (encode_samples, row_by_row):
        encoder.zero_grad()
        text = encode(encoder, samples)
        ((text.tokens * pull).sum() + (text.pooled * pull_pooled).sum()).backward()
        found.append((*text, *(p.grad.clone() for p in encoder.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_each_sentence_goes_through_bert_once_and_no_padding_beyond_the_longest(trained):
    encoder, seen = trained(), []
    encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].tolist()))
    encode_samples(encoder, [sample(ids) for ids in (A, C, A, C, A)])
    assert seen == [[[*A, 0, 0], C]]


def test_equal_sentences_share_one_draw_of_dropout(trained):
    encoder = trained(hidden_dropout_prob=0.5).train()
    text = encode_samples(encoder, [sample(ids) for ids in (A, B, A)])
    assert torch.equal(text.tokens[0], text.tokens[2])
    again = encode_samples(encoder, [sample(ids) for ids in (A, B, A)])
    assert not torch.equal(text.tokens, again.tokens), 'the next batch has a draw of its own'


def test_sentences_that_differ_in_one_thing_are_not_taken_for_equal(trained):
    hole = torch.tensor([True, False, True, True])
    samples = [sample(A), sample(B), sample(A[:3]), sample(A, hole), sample([*A, 0])]
    encoder = trained().eval()
    text, expected = encode_samples(encoder, samples), row_by_row(encoder, samples)
    torch.testing.assert_close(text.tokens, expected.tokens, rtol=1e-9, atol=1e-9)
    assert torch.equal(text.mask, expected.mask)
    keys = sentence_keys(
        torch.stack([sample(s).text_ids for s in (A, B, A, A)]), torch.stack([hole | True] * 3 + [hole])
    )
    assert len(set(keys)) == 3


def test_a_key_is_the_ids_without_padding():
    ids = torch.tensor([[2, 7, 3, 0, 0], [2, 7, 3, 9, 9], [2, 7, 3, 0, 0], [5, 5, 5, 5, 5]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]]).bool()
    keys = [np.frombuffer(key, np.int64).tolist() for key in sentence_keys(ids, mask)]
    assert keys == [[2, 7, 3], [2, 7, 3], [2, 7, 3, 0], []]
    assert sentence_keys(ids.int(), mask) == sentence_keys(ids, mask)
