"""PPE's weights: frozen ones, those of a checkpoint, fresh ones."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import PPE, TextFeatures, WeightsError

C, C_TEXT, T = 8, 12, 5
SIZE = (32, 48)  # 2 x 3 patches
SMALL = dict(base_channels=C, img_size=SIZE, text_channels=C_TEXT, num_text_tokens=T, num_heads=2)


def save(module, tmp_path, prefix=''):
    path = str(tmp_path / 'ppe.pth')
    torch.save(dict(state_dict={prefix + k: v.clone() for k, v in module.state_dict().items()}), path)
    return path


def strict(path, **kwargs):
    return dict(type='StrictPretrained', checkpoint=path, **kwargs)


def test_frozen_stays_as_it_is_while_a_head_is_trained(tmp_path, randomise):
    settings = dict(base_channels=C, img_size=32, text_channels=None, num_heads=2)
    path = save(randomise(PPE(**settings)), tmp_path, 'backbone.')
    for frozen in (True, False):
        model = MODELS.build(
            dict(
                type='EncoderDecoder',
                backbone=dict(
                    type='PPE', **settings, frozen=frozen, init_cfg=strict(path, prefix='backbone.')
                ),
                decode_head=dict(type='MSFFUpAttentionHead', in_channels=(C, 2 * C, 4 * C)),
                test_cfg=dict(mode='whole'),
            )
        )  # fmt: skip
        model.init_weights()
        assert all(module.training is not frozen for module in model.backbone.modules())  # before train() is called
        model.train()
        ppe, before = model.backbone, {k: v.clone() for k, v in model.state_dict().items()}
        assert all(module.training is not frozen for module in ppe.modules())
        assert all(p.requires_grad is not frozen for p in ppe.parameters())
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        truth = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(2, (1, 32, 32)))) for _ in range(2)]
        loss, _ = model.parse_losses(model(torch.randn(2, 3, 32, 32), truth, mode='loss'))
        loss.backward()
        optimizer.step()
        moved = {k.split('.')[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
        assert moved == ({'decode_head'} if frozen else {'decode_head', 'backbone'})
        norms = [k for k in before if k.startswith('backbone') and 'running_mean' in k]
        assert norms
        assert all(torch.equal(model.state_dict()[k], before[k]) is frozen for k in norms)


def test_positions_of_a_checkpoint_are_resized(tmp_path, randomise, log_lines):
    """Whose grid is 2 x 2, into 2 x 3; the rest arrives as it is."""
    settings = {**SMALL, 'token_mixing': 'attention'}
    theirs = randomise(PPE(**{**settings, 'img_size': 32}))
    ours = PPE(**settings, init_cfg=strict(save(theirs, tmp_path, 'backbone.'), prefix='backbone.'))
    ours.init_weights()
    state = theirs.state_dict()
    for key, value in ours.state_dict().items():
        expected = state[key]
        if key.endswith('position'):
            expected = F.interpolate(expected, size=(2, 3), mode='bicubic', align_corners=False)
        assert torch.equal(value, expected), key
    assert sum('resized from (2, 2) to (2, 3)' in line for line in log_lines) == 3
    x, text = torch.randn(2, 3, *SIZE), TextFeatures.empty(2, 3, C_TEXT, torch.zeros(1))
    for a, b in zip(ours.eval()(x, text), theirs.eval()(x, text), strict=True):  # theirs resizes as it goes
        torch.testing.assert_close(a, b)


MISFITS = [
    (dict(img_size=32), r'mixing\.conv\.conv\.weight \(6, 5, 3\) instead of \(4, 5, 3\)'),
    (dict(num_text_tokens=7), r'mixing\.conv\.conv\.weight \(6, 5, 3\) instead of \(6, 7, 3\)'),
    (dict(token_mixing='attention'), r'absent: mixing\.norm'),
    (dict(base_channels=16), r'stem\.conv\.weight \(8, 3, 3, 3\) instead of \(16, 3, 3, 3\)'),
]


@pytest.mark.parametrize(('change', 'message'), MISFITS, ids=[str(m[0]) for m in MISFITS])
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, change, message):
    """Among them convolutional mixing of another image size, or of other tokens."""
    path = save(PPE(**SMALL), tmp_path)
    with pytest.raises(WeightsError, match=f'does not fill PPE: .*{message}'):
        PPE(**{**SMALL, **change}, init_cfg=strict(path)).init_weights()


def test_init_weights_draws_small_projections():
    torch.manual_seed(0)
    ppe = PPE(base_channels=16, img_size=64, text_channels=None)
    ppe.init_weights()
    for patches in ppe.patches:
        assert patches.embed.projection.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert patches.embed.projection.bias.eq(0).all()
        assert patches.position.std().item() == pytest.approx(0.02, rel=0.2)
