"""L_LV: worked out by hand, and in LViTHead."""

import math

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_textseg.models import LViTHead, LVLoss, TextFeatures
from mmseg_textseg.models.lvit import lv_loss, most_similar

NO = 255
UP, DOWN = torch.tensor([[1, 1], [0, 0]]), torch.tensor([[0, 0], [1, 1]])
EAST, NORTH, NEARLY_EAST = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([10.0, 4.0])


def logits_of(prob):
    return torch.logit(torch.tensor(prob, dtype=torch.float64)).view(-1, 1, 2, 2)


def test_text_similarity_is_the_cosine():
    """Length says nothing: (10, 4) is nearer to (1, 0) than to (0, 100)."""
    known = torch.stack([100 * NORTH, EAST])
    assert most_similar(torch.stack([NEARLY_EAST, NORTH, -NORTH]), known).tolist() == [1, 0, 1]
    assert most_similar(EAST[None], torch.stack([EAST, EAST])).tolist() == [0]


def test_image_similarity_by_hand():
    """cos([.6 .8 0 0], [1 1 0 0]) = 1.4 / sqrt 2; of a mask with itself 1; of one with an empty one 0."""
    prob = torch.tensor([[[0.6, 0.8], [0, 0]]])
    assert lv_loss(prob, UP[None].float()).item() == pytest.approx(1 - 1.4 / math.sqrt(2), abs=1e-6)
    assert lv_loss(UP[None].float(), UP[None].float()).item() == pytest.approx(0, abs=1e-6)
    both = lv_loss(torch.stack([UP, UP]).float(), torch.stack([UP, UP * 0]).float())
    assert both.item() == pytest.approx(0.5, abs=1e-6)


def test_the_label_of_the_most_similar_sentence_guides():
    """A batch of two labelled images and one without: its sentence is the first one's, so UP is its label."""
    loss = LVLoss(loss_weight=0.1)
    logits = logits_of([[0.5] * 4, [0.5] * 4, [0.6, 0.8, 0.001, 0.001]]).requires_grad_()
    target = torch.stack([UP, DOWN, torch.full((2, 2), NO)])
    text = torch.stack([EAST, NORTH, NEARLY_EAST]).double()
    value = loss(logits, target, text, torch.tensor([True, True, False]))
    length = math.sqrt(0.36 + 0.64 + 2e-6)
    assert value.item() == pytest.approx(0.1 * (1 - 1.4 / (math.sqrt(2) * length)), abs=1e-9)
    value.backward()
    assert logits.grad[:2].abs().max() == 0, 'labelled images are not pulled'
    assert (logits.grad[2, 0, 1] > 0).all(), 'the gradient lowers what is outside of the label'
    assert logits.grad[2, 0, 0, 0] < 0 < logits.grad[2, 0, 0, 1], 'and evens out what is inside'


def test_two_logits_are_their_difference():
    one = logits_of([[0.6, 0.8, 0.3, 0.1]])
    two = torch.cat([one * 0 + 3, one + 3], 1)
    values = []
    for logits in (one, two):
        loss = LVLoss(loss_weight=1.0)
        loss(logits, UP[None], EAST[None], torch.tensor([True]))
        values.append(loss(logits, UP[None] * 0 + NO, EAST[None], torch.tensor([False])))
    torch.testing.assert_close(*values)


def test_labelled_images_are_remembered_and_forgotten():
    loss, logits = LVLoss(bank_size=1, loss_weight=1.0), logits_of([[0.9, 0.9, 0.1, 0.1]])
    unlabelled = (UP[None] * 0 + NO, EAST[None], torch.tensor([False]))
    assert loss(logits, *unlabelled).item() == 0, 'no label was met yet'
    assert loss(logits, UP[None], EAST[None], torch.tensor([True])).item() == 0
    high = loss(logits, *unlabelled).item()
    loss(logits, DOWN[None], NORTH[None], torch.tensor([True]))
    low = loss(logits, *unlabelled).item()
    assert high < 0.01 < 0.8 < low, 'the second label has taken the place of the first'
    assert not loss.state_dict()


def test_a_label_of_another_size_is_resized():
    loss, logits = LVLoss(loss_weight=1.0), logits_of([[0.6, 0.8, 0.001, 0.001]])
    large = torch.nn.functional.interpolate(logits, size=(6, 6))
    loss(large, UP.repeat_interleave(3, 0).repeat_interleave(3, 1)[None], EAST[None], torch.tensor([True]))
    value = loss(logits, UP[None] * 0 + NO, EAST[None], torch.tensor([False]))
    assert value.item() == pytest.approx(lv_loss(logits.sigmoid()[:, 0], UP[None].double()).item(), abs=1e-9)


def test_text_gets_no_gradient_and_half_precision_decides_as_full():
    """Cosines 1 - 5e-5 and 1: bfloat16 would call both 1 and take the first."""
    loss, logits = LVLoss(loss_weight=1.0), logits_of([[0.9, 0.9, 0.1, 0.1]] * 3).float()
    text = torch.tensor([[1.0, 0.01], [1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    target = torch.stack([DOWN, UP, UP * 0 + NO])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(logits.requires_grad_(), target, text, torch.tensor([True, True, False]))
    assert value.item() < 0.02
    value.backward()
    assert text.grad is None


def test_bank_size():
    with pytest.raises(ValueError, match='bank_size must be at least 1'):
        LVLoss(bank_size=0)


# In the head


def features(rows):
    tokens = torch.stack(rows)[:, None]
    return TextFeatures.from_tokens(tokens, torch.ones(len(rows), 1, dtype=torch.bool))


def sample(mask, **metainfo):
    return SegDataSample(gt_sem_seg=PixelData(data=mask[None]), metainfo=metainfo)


@pytest.mark.parametrize('by_flag', [False, True], ids=['hidden', 'pseudo'])
def test_head_tells_labelled_from_not(randomise, by_flag):
    """By a mask that is ignored everywhere, or by ``labelled=False`` beside a pseudo label."""
    head = randomise(LViTHead((4, 8), in_index=(0, 1), loss_lv=dict(type='LVLoss', loss_weight=0.1)))
    assert head.uses_text
    maps = [torch.randn(2, 4, 4, 4), torch.randn(2, 8, 2, 2)]
    up = torch.zeros(8, 8, dtype=torch.long)
    up[:4] = 1
    second = sample(1 - up, labelled=False) if by_flag else sample(up * 0 + NO)
    losses = head.loss(maps, [sample(up), second], None, text=features([EAST, NEARLY_EAST]))
    assert losses.keys() == {'loss_wbce', 'loss_wdice', 'loss_lv', 'acc_seg'}
    logits = torch.nn.functional.interpolate(head(maps)[1:], size=(8, 8), mode='bilinear', align_corners=False)
    expected = 0.1 * lv_loss(logits.sigmoid()[:, 0], up[None].float())
    torch.testing.assert_close(losses['loss_lv'], expected)
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_an_unlabelled_item_adds_nothing_to_the_other_losses(randomise):
    head = randomise(LViTHead((4, 8), in_index=(0, 1)))
    maps = [torch.randn(2, 4, 4, 4, requires_grad=True), torch.randn(2, 8, 2, 2)]
    head.eval()
    losses = head.loss(maps, [sample(torch.ones(4, 4).long()), sample(torch.full((4, 4), NO))], None)
    (losses['loss_wbce'] + losses['loss_wdice']).backward()
    assert maps[0].grad[0].abs().max() > 0
    assert maps[0].grad[1].abs().max() == 0


def test_head_needs_text_for_it():
    head = LViTHead((4, 8), in_index=(0, 1), loss_lv=dict(type='LVLoss'))
    maps = [torch.randn(1, 4, 4, 4), torch.randn(1, 8, 2, 2)]
    with pytest.raises(ValueError, match='loss_lv needs text'):
        head.loss(maps, [sample(torch.ones(4, 4).long())], None)
    assert head.predict(maps, [dict(img_shape=(4, 4))], None, text=features([EAST])).shape == (1, 1, 4, 4)
