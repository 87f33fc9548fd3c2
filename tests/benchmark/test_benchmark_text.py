"""The contenders do the same job: features, gradients and what is encoded."""

import pytest
import torch

from mmseg_textseg.benchmark import text
from mmseg_textseg.benchmark.text import encode_all, encoder, groups, int8_cost, sentences
from mmseg_textseg.models.text_encoding import encode_samples

TINY = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=1000)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(text, 'EPOCH', 2)


def test_all_groups_run():
    found = {}
    for group in groups(batches=(1, 8), arch=TINY):
        found[group.name] = list(group.contenders)
        for call in group.contenders.values():
            call()
            call()
    assert list(found) == [
        'text/frozen/1',
        'text/int8/1',
        *(f'text/repeated/{distinct}of8' for distinct in (1, 2, 8)),
        'text/padding/8',
        'text/frozen/8',
        'text/int8/8',
    ]
    assert found['text/frozen/8'] == ['encoded', 'from memory', 'from disk, first epoch']


def rows(group, monkeypatch) -> dict[str, tuple[int, int]]:
    """Contender -> sentences and tokens, padding included, that went through BERT in a call."""
    counted, seen = {}, []
    forward = text.BertTextEncoder.forward
    monkeypatch.setattr(
        text.BertTextEncoder, 'forward', lambda self, ids, mask: seen.append(ids.shape) or forward(self, ids, mask)
    )
    for name, call in group.contenders.items():
        seen.clear()
        call()
        counted[name] = sum(shape[0] for shape in seen), sum(shape.numel() for shape in seen)
    monkeypatch.setattr(text.BertTextEncoder, 'forward', forward)
    return counted


def test_what_each_contender_encodes(monkeypatch):
    made = {group.name: rows(group, monkeypatch) for group in groups(batches=(8,), arch=TINY)}
    longest = max(len(sample.text_ids) for sample in sentences(8))
    assert {name: n for name, (n, _) in made['text/repeated/2of8'].items()} == {'every row': 8, 'each sentence once': 2}
    assert made['text/padding/8'] == {'to 48': (8, 8 * 48), 'to the longest': (8, 8 * longest)}
    frozen = {name: n for name, (n, _) in made['text/frozen/8'].items()}
    assert frozen == {'encoded': 16, 'from memory': 0, 'from disk, first epoch': 0}
    assert set(made['text/int8/8'].values()) == {(8, 8 * longest)}


def test_the_plain_form_is_the_same_sum():
    own, samples = encoder(TINY).double(), sentences(3)
    plain, ours = encode_all(own, samples * 2, 48), encode_samples(own, samples * 2)
    length = ours.tokens.shape[1]
    assert torch.equal(plain.mask[:, :length], ours.mask)
    torch.testing.assert_close(plain.tokens[:, :length], ours.tokens, rtol=1e-9, atol=1e-9)
    assert plain.tokens[:, length:].eq(0).all()


def test_cost_of_int8():
    own = encoder(TINY).train()
    state = {name: value.clone() for name, value in own.state_dict().items()}
    cost = int8_cost(own, sentences(4))
    assert 1e-4 < cost['tokens'] < 0.05
    assert 1e-4 < cost['pooled'] < 0.05
    assert 0.99 < cost['cosine'] < 1
    floats = sum(value.numel() for value in own.parameters())
    products = sum(m.weight.numel() for m in own.modules() if isinstance(m, torch.nn.Linear))
    assert cost['float_mb'] == pytest.approx(4e-6 * floats, rel=1e-6)
    assert cost['float_mb'] - cost['int8_mb'] == pytest.approx(3e-6 * products, rel=1e-6)
    assert own.training
    assert all(torch.equal(value, state[name]) for name, value in own.state_dict().items())
