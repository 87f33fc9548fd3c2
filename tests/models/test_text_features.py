import pytest
import torch

from mmseg_textseg.models import TextFeatures


def test_pooled_is_the_mean_of_the_real_tokens():
    tokens = torch.tensor([[[1.0, 10.0], [3.0, 30.0], [99.0, 99.0]], [[2.0, 4.0], [7.0, 7.0], [7.0, 7.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    text = TextFeatures.from_tokens(tokens, mask)
    assert text.pooled.tolist() == [[2.0, 20.0], [2.0, 4.0]]
    assert text.tokens is tokens
    assert text.mask is mask


def test_masked_tokens_need_not_come_last():
    text = TextFeatures.from_tokens(torch.tensor([[[5.0], [1.0], [3.0]]]), torch.tensor([[False, True, True]]))
    assert text.pooled.item() == 2.0


def test_a_sentence_without_tokens_pools_to_zeros_with_finite_gradient():
    tokens = torch.randn(2, 3, 4, requires_grad=True)
    text = TextFeatures.from_tokens(tokens, torch.tensor([[False] * 3, [True] * 3]))
    assert text.pooled[0].eq(0).all()
    text.pooled.sum().backward()
    assert tokens.grad[0].eq(0).all()
    torch.testing.assert_close(tokens.grad[1], torch.full((3, 4), 1 / 3))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype):
    text = TextFeatures.from_tokens(torch.randn(2, 3, 4, dtype=dtype), torch.ones(2, 3, dtype=torch.bool))
    assert text.pooled.dtype == dtype


def test_empty_takes_dtype_of_like_and_equals_a_fully_masked_batch():
    like = torch.zeros(1, dtype=torch.float64)
    empty = TextFeatures.empty(2, 5, 3, like)
    masked = TextFeatures.from_tokens(empty.tokens, empty.mask)
    assert empty.tokens.shape == (2, 5, 3)
    assert empty.mask.shape == (2, 5)
    assert not empty.mask.any()
    assert empty.mask.dtype == torch.bool
    for ours, theirs in zip(empty, masked, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    assert empty.pooled.dtype == torch.float64
