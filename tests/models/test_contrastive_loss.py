"""Eq. 14 against its naive form, which holds all pairs; and the memory that ours does not take."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_textseg.models import VisionLanguageContrastiveLoss, vision_language_contrastive_loss
from mmseg_textseg.models.losses import vision_language_contrastive as module

SHAPE = (4, 5, 6, 7)  # B, C, H, W
FORMS = ['infonce', 'ratio']


def naive(features, language, mask, tau=0.1, form='infonce', normalize=True):
    total = 0
    for image, word, label in zip(features, language, mask, strict=True):
        if normalize:
            image, word = image / image.norm(dim=0, keepdim=True), word / word.norm()
        positive, negative = image[:, label == 1].T, image[:, label == 0].T  # (P, C), (Q, C)
        if len(positive) and len(negative):
            pull = torch.exp(positive @ word / tau)
            push = torch.exp(positive @ negative.T / tau).sum(1)
            ratio = pull / (pull + push)
            total = total - (ratio.log() if form == 'infonce' else ratio).mean()
    return total / len(features)


def batch(dtype=torch.float64, scale=1.0):
    features = scale * torch.randn(SHAPE, dtype=dtype)
    return features.requires_grad_(), torch.randn(SHAPE[:2], dtype=dtype, requires_grad=True)


def labels(kind):
    mask = (torch.rand(SHAPE[0], *SHAPE[2:]) < 0.3).long()
    mask[:, 0, :2] = torch.tensor([0, 1])  # both kinds everywhere
    if kind == 'some without positives or negatives':
        mask[1], mask[2] = 0, 1
    elif kind == 'ignored':
        mask[torch.rand(mask.shape) < 0.2] = 255
        mask[torch.rand(mask.shape) < 0.1] = 2
        mask[0, 2:] = 255
    elif kind == 'one positive':
        mask[:] = 0
        mask[:, 3, 3] = 1
    return mask


def value_and_gradients(function, inputs, *args, **kwargs):
    loss = function(*inputs, *args, **kwargs)
    return loss, *torch.autograd.grad(3 * loss, inputs)


KINDS = ['all', 'some without positives or negatives', 'ignored', 'one positive']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('normalize', [True, False], ids=['unit', 'raw'])
@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('tau', [0.1, 1.0])
def test_equals_the_naive_form(kind, normalize, form, tau):
    inputs, mask = batch(scale=1.0 if normalize else 0.3), labels(kind)
    ours = value_and_gradients(vision_language_contrastive_loss, inputs, mask, tau, form, normalize)
    theirs = value_and_gradients(naive, inputs, mask, tau, form, normalize)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert ours[1].abs().max() > 1e-6
    assert ours[2].abs().max() > 1e-6


def test_by_hand():
    """One positive pixel p, negatives n1 and n2, tau 1: e^(p.l) / (e^(p.l) + e^(p.n1) + e^(p.n2))."""
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]).T.view(1, 2, 1, 3).double()
    language, mask = torch.tensor([[0.5, 3.0]]).double(), torch.tensor([[[1, 0, 0]]])
    ratio = torch.tensor([0.5, 0.0, 2.0]).double().softmax(0)[0].item()
    for form, value in (('ratio', -ratio), ('infonce', -math.log(ratio))):
        loss = vision_language_contrastive_loss(features, language, mask, 1.0, form, False)
        assert loss.item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize('pairs', [1, 7, 30, 64, 10**9])
@pytest.mark.parametrize('normalize', [True, False], ids=['unit', 'raw'])
def test_chunks_change_nothing(monkeypatch, pairs, normalize):
    inputs, mask = batch(scale=0.3), labels('all')
    expected = value_and_gradients(naive, inputs, mask, normalize=normalize)
    monkeypatch.setattr(module, 'CHUNK_PAIRS', pairs)
    ours = value_and_gradients(vision_language_contrastive_loss, inputs, mask, normalize=normalize)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('normalize', [True, False], ids=['unit', 'raw'])
def test_gradcheck(monkeypatch, form, normalize):
    monkeypatch.setattr(module, 'CHUNK_PAIRS', 8)
    features = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    language = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[[1, 0, 1], [0, 255, 0]], [[1, 1, 1], [0, 0, 1]]])
    assert torch.autograd.gradcheck(
        lambda f, w: vision_language_contrastive_loss(f, w, mask, 0.5, form, normalize), (features, language)
    )


@pytest.mark.parametrize('value', [0, 1, 255])
def test_a_batch_without_pairs_adds_zero_and_keeps_its_graph(value):
    inputs = batch(torch.float32)
    loss = vision_language_contrastive_loss(*inputs, torch.full((SHAPE[0], *SHAPE[2:]), value))
    assert loss == 0
    loss.backward()
    for leaf in inputs:
        assert leaf.grad.eq(0).all()


def test_an_image_without_pairs_counts_in_the_mean():
    inputs, mask = batch(), labels('all')
    single = vision_language_contrastive_loss(inputs[0][:1], inputs[1][:1], mask[:1])
    mask[1:] = 0
    torch.testing.assert_close(vision_language_contrastive_loss(*inputs, mask), single / 4)


def test_no_negative_of_another_image_is_used():
    (features, language), mask = batch(), labels('all')
    gradient = torch.autograd.grad(vision_language_contrastive_loss(features[:1], language[:1], mask[:1]), features)[0]
    both = vision_language_contrastive_loss(features[:2], language[:2], mask[:2])
    torch.testing.assert_close(torch.autograd.grad(both, features)[0][0], gradient[0] / 2)


@pytest.mark.parametrize('form', FORMS)
def test_pixels_may_be_permuted(form):
    (features, language), mask = batch(), labels('ignored')
    order = torch.randperm(SHAPE[2] * SHAPE[3])
    moved = features.flatten(2)[..., order].view(SHAPE), mask.flatten(1)[:, order].view(mask.shape)
    a = vision_language_contrastive_loss(features, language, mask, form=form)
    b = vision_language_contrastive_loss(moved[0], language, moved[1], form=form)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_unit_length_makes_size_irrelevant():
    (features, language), mask = batch(), labels('all')
    torch.testing.assert_close(
        vision_language_contrastive_loss(features * 7, language * 0.1, mask),
        vision_language_contrastive_loss(features, language, mask),
    )


@pytest.mark.parametrize('form', FORMS)
def test_a_descent_step_pulls_positives_to_the_sentence(form):
    (features, language), mask = batch(), labels('all')
    (gradient,) = torch.autograd.grad(vision_language_contrastive_loss(features, language, mask, 1.0, form), features)
    moved = features - 10 * gradient / gradient.norm()
    near = [torch.cosine_similarity(f, language[..., None, None], dim=1)[mask == 1].mean() for f in (features, moved)]
    assert near[1] > near[0] + 0.01


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_layout_does_not_matter(layout):
    (features, language), mask = batch(), labels('all')
    other = features.detach().contiguous(memory_format=layout).requires_grad_()
    a = value_and_gradients(vision_language_contrastive_loss, (features, language), mask)
    b = value_and_gradients(vision_language_contrastive_loss, (other, language), mask)
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('normalize', [True, False], ids=['unit', 'raw'])
def test_large_similarities_do_not_overflow(normalize):
    inputs = batch(torch.float32, scale=100.0)
    loss = vision_language_contrastive_loss(*inputs, labels('all'), 0.01, normalize=normalize)
    loss.backward()
    assert loss.isfinite()
    assert all(leaf.grad.isfinite().all() for leaf in inputs)


def test_pixels_of_length_zero_are_finite():
    """ReLU features may be all zero."""
    features, language = torch.zeros(SHAPE, requires_grad=True), torch.randn(SHAPE[:2])
    vision_language_contrastive_loss(features, language, labels('all')).backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize('autocast', [False, True])
def test_bfloat16_features_are_computed_in_float32(autocast):
    features, language = (x.detach() for x in batch(torch.bfloat16))
    features.requires_grad_()
    with torch.autocast('cpu', enabled=autocast):
        loss = vision_language_contrastive_loss(features, language, labels('all'))
    assert loss.dtype == torch.float32
    loss.backward()
    assert features.grad.dtype == torch.bfloat16
    full = features.detach().float().requires_grad_()
    torch.manual_seed(0)
    batch(torch.bfloat16)  # the same labels are drawn next
    expected = vision_language_contrastive_loss(full, language.float(), labels('all'))
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(features.grad.float(), full.grad, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_at_full_size_is_finite(dtype):
    """The sum of 120 x 120 x 256 features is beyond float16, and inf * 0 is NaN."""
    features = torch.rand(1, 256, 120, 120).to(dtype)
    mask = torch.zeros(1, 120, 120)
    mask[:, 40:44, 40:44] = 1
    assert vision_language_contrastive_loss(features, torch.randn(1, 256), mask).isfinite()


def test_bool_mask():
    inputs, mask = batch(), labels('all')
    a, b = (vision_language_contrastive_loss(*inputs, m) for m in (mask, mask.bool()))
    torch.testing.assert_close(a, b)


def test_errors():
    (features, language), mask = batch(), labels('all')
    with pytest.raises(ValueError, match="'infonce' or 'ratio'"):
        vision_language_contrastive_loss(features, language, mask, form='triplet')
    for wrong in (mask[:, None], mask[:, :-1], mask[:2]):
        with pytest.raises(ValueError, match='mask must be'):
            vision_language_contrastive_loss(features, language, wrong)


# The registered loss


@pytest.mark.parametrize('form', FORMS)
def test_module_shrinks_the_mask_and_weighs(form):
    features, language = batch(torch.float32)
    small = labels('ignored')
    large = small.repeat_interleave(8, 1).repeat_interleave(8, 2)
    loss = VisionLanguageContrastiveLoss(tau=0.2, form=form, loss_weight=0.5)
    expected = 0.5 * vision_language_contrastive_loss(features, language, small, 0.2, form)
    torch.testing.assert_close(loss(features, language, large), expected)


def test_shrinking_never_mixes_labels():
    """Labels 0 and 255 side by side must not average to a 1, nor 0 and 2."""
    features, language = batch(torch.float32)
    mask = torch.zeros(SHAPE[0], 48, 56, dtype=torch.long)
    mask[:, ::2] = 2
    mask[:, :, ::3] = 255
    mask[:, :8, :8] = 0
    assert VisionLanguageContrastiveLoss()(features, language, mask) == 0


def test_defaults_are_the_papers():
    loss = MODELS.build(dict(type='VisionLanguageContrastiveLoss'))
    assert (loss.tau, loss.form, loss.normalize, loss.loss_weight) == (0.1, 'infonce', True, 0.125)


# Memory

MEASURE = """
import torch
from mmseg_textseg.models import vision_language_contrastive_loss

torch.set_num_threads(1)

def status(key):  # KiB
    line = next(line for line in open('/proc/self/status') if line.startswith(key))
    return int(line.split()[1])

def inputs(size):
    features = torch.randn(1, 256, size, size).contiguous(memory_format=torch.channels_last)
    mask = torch.zeros(1, size, size)
    mask.view(-1)[: size * size // 3] = 1
    return features.requires_grad_(), torch.randn(1, 256, requires_grad=True), mask

def extra_peak(features, language, mask):
    # ru_maxrss would begin with the peak of the imports, or with the parent's: clear the high-water mark instead.
    open('/proc/self/clear_refs', 'w').write('5')
    before = status('VmRSS')
    assert status('VmHWM') - before < 1024
    vision_language_contrastive_loss(features, language, mask).backward()
    return (status('VmHWM') - before) / 1024

extra_peak(*inputs(24))  # threads, kernels and allocator are there
leaves = inputs(120)
print('new gradients:', extra_peak(*leaves))
assert leaves[0].grad.abs().max() > 0
print('into gradients:', extra_peak(*leaves))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='only Linux tells and clears the peak')
def test_memory_at_full_size(record_property):
    """4800 x 9600 pairs in float32 alone are 176 MiB; features and their gradient are 14 MiB each.

    Counted is all that is resident beyond the inputs: first with the gradients themselves, then with gradient
    buffers that exist already, to which backward adds.
    """
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get('PYTHONPATH')]))
    # Above a fixed size glibc gives memory back at once; by default the peak holds up to 28 MiB of what it keeps.
    environment = {**os.environ, 'PYTHONPATH': path, 'MALLOC_MMAP_THRESHOLD_': '65536'}
    command = [sys.executable, '-c', MEASURE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split(': ') for line in done.stdout.splitlines() if ' gradients: ' in line]
    extra = {name: float(value) for name, value in lines}
    print(extra)
    assert len(extra) == 2
    assert max(extra.values()) < 64
    assert min(extra.values()) > 14  # the measurement sees at least one copy of the features
