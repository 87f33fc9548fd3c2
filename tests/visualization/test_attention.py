"""Recorded attention against eq. 7-8 and multi-head attention written out, and that recording changes nothing."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_textseg.models.backbones import PPE, LanguageBranch, SVLAEncoder
from mmseg_textseg.tokenization import build_vocab, load_tokenizer
from mmseg_textseg.visualization import (
    Pass,
    StageAttention,
    Word,
    attend,
    attention_figure,
    caption,
    heat,
    record_attention,
)
from mmseg_textseg.visualization.attention_figure import CELL, FOOT, GAP, LABEL, TITLE

C_TEXT = 12
TOKENIZER = dict(vocab=build_vocab(['the left lesion']))


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def svla(tiny_arch, randomise) -> SVLAEncoder:
    arch = {**tiny_arch, 'depths': (2, 1, 1, 2)}
    return randomise(SVLAEncoder(arch, text_channels=C_TEXT, drop_path_rate=0.0)).eval()


@pytest.fixture
def ppe(randomise) -> PPE:
    settings = dict(base_channels=8, img_size=16, patch_size=4, num_heads=2, mlp_ratio=2)
    return randomise(PPE(text_channels=C_TEXT, token_mixing='attention', **settings)).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize('name', ['svla', 'ppe'])
def test_recording_changes_no_bit_and_leaves_nothing_behind(name, request, make_text):
    model, x, text = request.getfixturevalue(name), torch.randn(2, 3, 32, 20), make_text((5, 3))
    keys = {key: set(vars(module)) for key, module in model.named_modules()}
    alone = model(x, text=text)
    with record_attention(model) as passes:
        assert hooks(model) > 0
        watched = model(x, text=text)
        model(x[:1], text=make_text((4,)))
    after = model(x, text=text)
    assert len(passes) == 2, 'and none after the block'
    for a, b, c in zip(alone, watched, after, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    assert hooks(model) == 0
    assert {key: set(vars(module)) for key, module in model.named_modules()} == keys


def test_an_error_within_the_block_leaves_no_hook(svla):
    with pytest.raises(RuntimeError, match='stop'), record_attention(svla):
        raise RuntimeError('stop')
    assert hooks(svla) == 0


def test_recording_takes_no_gradient_and_keeps_that_of_the_model(svla, make_text):
    text = make_text((5, 3), requires_grad=True)
    with record_attention(svla) as passes:
        svla(torch.randn(2, 3, 32, 32), text=text)[3].sum().backward()
    assert text.tokens.grad.abs().sum() > 0
    assert not any(stage.weights.requires_grad or stage.features.requires_grad for stage in passes[0].stages)


def test_weights_of_words_sum_to_one_and_padding_gets_none(svla, ppe, make_text):
    text = make_text((5, 3, 0), pad_to=6)
    for model in (svla, ppe):
        with record_attention(model) as passes:
            model(torch.randn(3, 3, 32, 20), text=text)
        for stage in passes[0].stages:
            total = stage.weights.sum(-1)
            torch.testing.assert_close(total[:2], torch.ones_like(total[:2]))
            assert stage.weights[2].eq(0).all(), 'a sentence without tokens'
            assert stage.weights[0, ..., 5:].eq(0).all()
            assert stage.weights[1, ..., 3:].eq(0).all()
            assert stage.weights.ge(0).all()


def test_stages_that_are_not_returned_are_left_out(svla, tiny_arch, make_text):
    arch = {**tiny_arch, 'depths': (2, 1, 1, 2)}
    some = SVLAEncoder(arch, text_channels=C_TEXT, out_indices=(0, 2)).eval()
    assert not some.load_state_dict(svla.state_dict(), strict=False).missing_keys
    x, text, seen = torch.randn(2, 3, 32, 20), make_text((5, 3)), {}
    for model in (svla, some):
        with record_attention(model) as passes:
            model(x, text=text)
        seen[model] = {stage.name: stage for stage in passes[0].stages}
    assert list(seen[some]) == ['stage 1', 'stage 3']
    for name, stage in seen[some].items():
        assert torch.equal(stage.weights, seen[svla][name].weights)
        assert torch.equal(stage.features, seen[svla][name].features)


def branch_inputs(model: nn.Module, x, text) -> dict[LanguageBranch, tuple]:
    """What every language branch is given."""
    seen = {}
    handles = [
        m.register_forward_pre_hook(lambda m, inputs: seen.update({m: inputs}))
        for m in model.modules()
        if isinstance(m, LanguageBranch)
    ]
    model(x, text=text)
    for handle in handles:
        handle.remove()
    return seen


def word_weights(branch: LanguageBranch, pre, text):
    """Eq. 7-8 for one image at a time, pixel by pixel: (B, h, w, T)."""
    conv, l1 = branch.v1[0], branch.l1
    out = torch.zeros(len(pre), *pre.shape[2:], text.mask.shape[1])
    for b in range(len(pre)):
        query = torch.einsum('oc,chw->ohw', conv.weight[:, :, 0, 0], pre[b])
        mean = query.mean((1, 2), keepdim=True)
        query = (query - mean) / ((query - mean).square().mean((1, 2), keepdim=True) + 1e-5).sqrt()
        count = int(text.mask[b].sum())
        keys = text.tokens[b, :count] @ l1.weight.T + l1.bias  # (T, C)
        for i in range(pre.shape[2]):
            for j in range(pre.shape[3]):
                score = torch.exp(keys @ query[:, i, j] / C_TEXT**0.5)
                out[b, i, j, :count] = score / score.sum()
    return out


@torch.no_grad()
def test_svla_weights_are_the_mean_over_a_stages_blocks(svla, make_text):
    x, text = torch.randn(2, 3, 32, 20), make_text((5, 3))
    with record_attention(svla) as passes:
        maps = svla(x, text=text)
    assert passes[0].size == (32, 20)
    assert [stage.name for stage in passes[0].stages] == ['stage 1', 'stage 2', 'stage 3', 'stage 4']
    inputs = branch_inputs(svla, x, text)
    for i, stage in enumerate(passes[0].stages, 1):
        branches = [m for m in getattr(svla, f'block{i}').modules() if isinstance(m, LanguageBranch)]
        assert len(branches) == (2, 1, 1, 2)[i - 1]
        expected = sum(word_weights(branch, *inputs[branch]) for branch in branches) / len(branches)
        torch.testing.assert_close(stage.weights, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stage.features, maps[i - 1].square().sum(1).sqrt())


@torch.no_grad()
def test_ppe_weights_are_the_mean_over_heads(ppe, make_text):
    x, text = torch.randn(2, 3, 13, 18), make_text((5, 3))
    seen = []
    handle = ppe.mixing.register_forward_pre_hook(lambda m, inputs: seen.append(inputs))
    ppe(x, text=text)
    handle.remove()
    patches, words, mask = seen[0]
    with record_attention(ppe) as passes:
        ppe(x, text=text)
    (stage,) = passes[0].stages
    assert passes[0].size == (16, 20), 'patches of 4 that stand over the picture'
    assert stage.weights.shape == (2, 4, 5, 5)
    assert stage.features.shape == (2, 16, 20)
    attention, query = ppe.mixing.attention, ppe.mixing.norm(patches)
    (wq, wk, _), (bq, bk, _) = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    expected = torch.zeros(2, 20, 5)
    for b in range(2):
        count = int(mask[b].sum())
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            q, k = (query[b] @ wq.T + bq)[:, part], (words[b, :count] @ wk.T + bk)[:, part]
            expected[b, :, :count] += torch.softmax(q @ k.T / 2, dim=1) / 2
    torch.testing.assert_close(stage.weights.flatten(1, 2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('backbone', 'text_encoder', 'said'),
    [
        (dict(type=SVLAEncoder, text_channels=None), None, 'sees no text'),
        (dict(type=PPE, base_channels=8, img_size=16, text_channels=C_TEXT), nn.Identity(), "token_mixing='attention'"),
        (dict(type=nn.Identity), nn.Identity(), 'no part of this model attends to words'),
    ],
)
def test_models_with_nothing_to_show_say_so(backbone, text_encoder, said, tiny_arch):
    kind = backbone.pop('type')
    if kind is SVLAEncoder:
        backbone['arch'] = tiny_arch
    model = nn.Module()
    model.backbone, model.text_encoder = kind(**backbone), text_encoder
    with pytest.raises(ValueError, match=said), record_attention(model):
        pass


def segmentor(tiny_arch, tiny_bert, **test_cfg):
    """A tiny LSMS that pads its images to multiples of 32."""
    return MODELS.build(
        dict(
            type='TextEncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', size_divisor=32, test_cfg=dict(size_divisor=32), seg_pad_val=255
            ),
            text_encoder=dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert),
            backbone=dict(type='SVLAEncoder', arch=tiny_arch, text_channels=16),
            decode_head=dict(
                type='FullScaleHead',
                in_channels=(16, 24, 32),
                ham_channels=24,
                channels=16,
                rank=4,
                norm_cfg=dict(type='GN', num_groups=4),
                loss_decode=dict(type='BoundaryWeightedSegLoss'),
            ),
            train_cfg=dict(),
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        )
    ).eval()


def packed(height=40, width=56) -> dict:
    ids, _ = load_tokenizer(TOKENIZER).encode('the left lesion', 20)
    sample = SegDataSample(metainfo=dict(ori_shape=(80, 112), img_shape=(height, width), text='the left lesion'))
    sample.set_data(dict(text_ids=torch.tensor(ids), text_mask=torch.ones(len(ids), dtype=torch.bool)))
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 80, 112, dtype=torch.uint8))
    return dict(inputs=torch.randint(0, 256, (3, height, width), dtype=torch.uint8), data_samples=sample)


def test_attend_gives_prediction_and_the_padded_size(tiny_arch, tiny_bert):
    seen, result = attend(segmentor(tiny_arch, tiny_bert), packed())
    assert seen.size == (64, 64)
    assert [tuple(stage.weights.shape) for stage in seen.stages] == [(1, n, n, 5) for n in (16, 8, 4, 2)]
    assert result.pred_sem_seg.data.shape == (1, 80, 112)


def test_windows_are_refused(tiny_arch, tiny_bert):
    model = segmentor(tiny_arch, tiny_bert, mode='slide', crop_size=(32, 32), stride=(32, 32))
    with pytest.raises(ValueError, match=r'looked at 4 windows; set model\.test_cfg\.mode=whole'):
        attend(model, packed())


def one_stage(weights, size=(8, 8)) -> Pass:
    """A pass with one stage of given weights (h, w, T)."""
    weights = torch.tensor(weights, dtype=torch.float32)[None]
    return Pass(size, [StageAttention('stage 1', weights, torch.zeros(1, 2, 2))])


def word_cells(page: np.ndarray, number: int) -> list[np.ndarray]:
    """Maps of the words of a figure of one band and one stage."""
    top = page.shape[0] - CELL - GAP - FOOT
    left = [LABEL + (i + 1) * (CELL + GAP) for i in range(number)]
    return [page[top : top + CELL, x : x + CELL] for x in left]


def test_figure_puts_each_word_where_it_looked():
    # The first word has the upper left quarter, the second the rest; a third, special, all of it.
    weights = np.zeros((2, 2, 3))
    weights[..., 1] = 0.2
    weights[0, 0] = 0.4, 0, 0
    weights[..., 2] = 0.6
    words = [Word('left', (0,), False), Word('lesion', (1,), False), Word('[SEP]', (2,), True)]
    black = np.zeros((8, 8, 3), np.uint8)
    page = attention_figure(black, 'left lesion', words, one_stage(weights))
    left, lesion = word_cells(page, 2)
    half = CELL // 2
    strong, weak = (0.85 * heat(np.array([[1.0]])), 0.2 * heat(np.array([[0.0]])))
    assert np.abs(left[:half, :half] - strong).max() <= 1
    assert np.abs(left[half:] - weak).max() <= 1
    assert np.abs(lesion[:half, :half] - weak).max() <= 1
    assert np.abs(lesion[half:, half:] - (0.2 + 0.65 / 2) * heat(np.array([[0.5]]))).max() <= 1
    wider = attention_figure(black, 'left lesion', words, one_stage(weights), special=True)
    assert np.array_equal(word_cells(wider, 2)[0], left), 'special tokens do not change the scale'
    assert np.abs(word_cells(wider, 3)[2] - strong).max() <= 1


def test_figure_leaves_the_padding_out():
    weights = np.zeros((2, 2, 1))
    weights[0, 0] = 1
    words = [Word('left', (0,), False)]
    # A picture of 4 x 4 in an image padded to 8 x 8 is the upper left quarter of the map: strong all over.
    page = attention_figure(np.zeros((4, 4, 3), np.uint8), 'left', words, one_stage(weights))
    assert np.abs(word_cells(page, 1)[0] - 0.85 * heat(np.array([[1.0]]))).max() <= 1
    assert np.array_equal(page[-FOOT:, LABEL + CELL + GAP :][:, : CELL + GAP], caption('1.000', CELL + GAP, 11, FOOT))


def test_figure_adds_up_the_pieces_of_a_word():
    weights = np.zeros((2, 2, 3))
    weights[..., :] = 0.2, 0.3, 0.1
    words = [Word('lesions', (0, 2), False), Word('left', (1,), False)]
    page = attention_figure(np.zeros((8, 8, 3), np.uint8), '', words, one_stage(weights))
    whole, left = word_cells(page, 2)
    assert np.array_equal(whole, left)
    assert np.abs(whole - 0.85 * heat(np.array([[1.0]]))).max() <= 1


def test_figure_breaks_long_sentences_into_bands_of_one_length():
    words = [Word(f'word{i}', (i,), False) for i in range(13)]
    weights = np.full((2, 2, 13), 1 / 13)
    page = attention_figure(np.zeros((8, 8, 3), np.uint8), 'text', words, one_stage(weights), columns=5)
    band = TITLE + CELL + GAP + FOOT
    assert page.shape[0] == CELL + GAP + FOOT + 3 * band
    assert page.shape[1] == LABEL + 6 * (CELL + GAP), 'features and five words'


def test_figure_shows_the_mask_on_the_picture_and_any_shape():
    words = [Word('left', (0,), False)]
    image, mask = np.full((6, 8, 3), 50, np.uint8), np.zeros((60, 80), bool)
    mask[10:50, 10:70] = True
    weights = np.full((2, 2, 1), 1.0)
    with_mask = attention_figure(image, '', words, one_stage(weights), mask)
    without = attention_figure(image, '', words, one_stage(weights))
    changed = (with_mask != without).any(-1)
    assert changed[: CELL + GAP].sum() > 1000
    assert not changed[CELL + GAP :].any()
    assert attention_figure(image, '', [], one_stage(weights)).shape[0] > CELL
