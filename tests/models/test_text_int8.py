"""A text encoder in int8: near the float one, smaller, and never in a checkpoint."""

import copy
import io

import pytest
import torch
from text_samples import VOCABULARY, A, B, C, sample
from torch import nn

from mmseg_textseg.models import BertTextEncoder, TextEncoderError
from mmseg_textseg.models.text_encoders import quantize_text_encoder
from mmseg_textseg.models.text_encoding import encode_samples

SAMPLES = [sample(ids) for ids in (A, B, C)]


@pytest.fixture
def encoder(randomise):
    arch = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256)
    made = BertTextEncoder('bert-base-uncased', arch={**arch, 'vocab_size': VOCABULARY, 'max_position_embeddings': 32})
    return randomise(made).eval()


def bytes_of(module) -> int:
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.tell()


def test_features_are_near_and_weights_smaller(encoder):
    small = quantize_text_encoder(copy.deepcopy(encoder))
    with torch.no_grad():
        ours, theirs = encode_samples(small, SAMPLES), encode_samples(encoder, SAMPLES)
    error = (ours.tokens - theirs.tokens).norm() / theirs.tokens.norm()
    assert 1e-4 < error < 0.05, 'neither the float model nor another one'
    assert torch.equal(ours.mask, theirs.mask)
    assert ours.tokens.dtype == torch.float32
    assert not ours.tokens.requires_grad
    # Embeddings stay; scales, zero points and the file's own structure are much of so small a model.
    assert bytes_of(small.bert.encoder) < 0.4 * bytes_of(encoder.bert.encoder)


def test_weights_are_rounded_channel_by_channel(encoder):
    """A channel of large weights must not take the steps of the others: at most half a step of 1/127 of its own."""
    weight = encoder.bert.encoder.layer[0].output.dense.weight
    with torch.no_grad():
        weight[0] *= 1000
    before = weight.detach().clone()
    quantize_text_encoder(encoder)
    after = encoder.bert.encoder.layer[0].output.dense.weight().dequantize()
    step = before.abs().amax(1, keepdim=True) / 127
    assert ((after - before).abs() <= 0.51 * step).all()


def test_only_linear_layers_change(encoder):
    kept = {name: v.clone() for name, v in encoder.named_parameters() if 'embeddings' in name or 'LayerNorm' in name}
    quantize_text_encoder(encoder)
    assert not any(isinstance(module, nn.Linear) for module in encoder.modules())
    assert {name for name, _ in encoder.named_parameters()} == set(kept)
    assert all(torch.equal(v, kept[name]) for name, v in encoder.named_parameters())


def test_no_checkpoint_is_changed_by_it(encoder):
    model = nn.ModuleDict(dict(text_encoder=encoder))
    state = model.state_dict()
    quantize_text_encoder(encoder)
    with pytest.raises(TextEncoderError, match='save or load the float model'):
        model.state_dict()
    with pytest.raises(TextEncoderError, match='save or load the float model'):
        model.load_state_dict(state)


def test_files_of_the_float_weights_are_not_read(tmp_path, tiny_bert):
    arch = {**tiny_bert, 'vocab_size': VOCABULARY}
    frozen = BertTextEncoder('bert-base-uncased', arch=arch, frozen=True, cache=str(tmp_path))
    before = encode_samples(frozen, SAMPLES)
    frozen.cache.write()
    after = encode_samples(quantize_text_encoder(frozen), SAMPLES)
    assert not torch.equal(before.tokens, after.tokens)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_quantised(encoder):
    with pytest.raises(TextEncoderError, match=r"float64.*device='cpu'"):
        quantize_text_encoder(copy.deepcopy(encoder).double())
    with pytest.raises(TextEncoderError, match=r"found meta.*device='cpu'"):
        quantize_text_encoder(copy.deepcopy(encoder).to('meta'))
    quantize_text_encoder(encoder)
    with pytest.raises(TextEncoderError, match='already'):
        quantize_text_encoder(encoder)


def test_a_pytorch_without_it_says_so(encoder, monkeypatch):
    import torch.ao.quantization as quantization

    monkeypatch.delattr(quantization, 'quantize_dynamic')
    with pytest.raises(TextEncoderError, match='no dynamic quantisation any more'):
        quantize_text_encoder(encoder)
