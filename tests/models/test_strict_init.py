import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.registry import WEIGHT_INITIALIZERS, DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.models import BertTextEncoder, StrictPretrained, TextEncoderError, WeightsError
from mmseg_textseg.models.layers.strict_init import StrictInitModule


def net(extra=None):
    layers = dict(stem=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4))
    if extra:
        layers[extra] = nn.Linear(2, 2)
    return nn.ModuleDict(layers)


def snapshot(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(module, state):
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[k], state[k]) for k in own)


@pytest.fixture
def save(tmp_path):
    def write(state):
        path = str(tmp_path / 'weights.pth')
        torch.save(state, path)
        return path

    return write


def test_is_registered():
    built = WEIGHT_INITIALIZERS.build(dict(type='StrictPretrained', checkpoint='x.pth', new=['language']))
    assert isinstance(built, StrictPretrained)
    assert built.new == ('language',)


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: dict(state_dict=s, meta=dict(epoch=3))])
def test_every_matching_key_arrives(save, wrap):
    source, target = net(), net()
    nn.init.normal_(source['norm'].running_mean)
    StrictPretrained(save(wrap(source.state_dict())))(target)
    assert same(target, source.state_dict())


def test_reports_matched_missing_and_left_keys(save, log_lines):
    state = {**net().state_dict(), 'head.weight': torch.zeros(1)}
    StrictPretrained(save(state), new=['^language'])(net('language'))
    report = next(line for line in log_lines if 'keys matched' in line)
    assert '7 keys matched' in report  # 2 of the convolution, 5 of the norm
    assert '2 of the model keep their own' in report
    assert 'language.weight' in report
    assert '1 of the file not used (head.weight)' in report


def test_prefix_takes_only_the_keys_under_it(save):
    backbone, other, target = net(), net(), net()
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    # 'momentum.' is as long as 'backbone.': cutting instead of comparing would take it.
    state |= {f'momentum.{k}': v for k, v in other.state_dict().items()} | dict(other.state_dict())
    StrictPretrained(save(dict(state_dict=state)), prefix='backbone.')(target)
    assert same(target, backbone.state_dict())


def test_new_keys_keep_their_own_initialisation(save):
    source, target = net(), net('language')
    own = target['language'].weight.clone()
    StrictPretrained(save(source.state_dict()), new=('language',))(target)
    assert torch.equal(target['language'].weight, own)
    assert torch.equal(target['stem'].weight, source['stem'].weight)


def test_a_missing_counter_is_no_error(save):
    source, target = net(), net()
    state = {k: v for k, v in source.state_dict().items() if not k.endswith('num_batches_tracked')}
    StrictPretrained(save(state))(target)
    assert torch.equal(target['stem'].weight, source['stem'].weight)


def without(state, *keys):
    return {k: v for k, v in state.items() if k not in keys}


BROKEN = [
    # name, checkpoint from a good state, arguments, words that the message must hold
    ('missing weight', lambda s: without(s, 'stem.bias'), {}, ['absent: stem.bias']),
    ('missing statistic', lambda s: without(s, 'norm.running_var'), {}, ['absent: norm.running_var']),
    ('new does not cover', lambda s: without(s, 'stem.bias'), dict(new=['norm']), ['absent: stem.bias']),
    ('reshaped', lambda s: {**s, 'stem.weight': torch.zeros(4, 1, 1, 1)}, {}, ['(4, 1, 1, 1)', '(4, 3, 1, 1)']),
    ('reshaped though new', lambda s: {**s, 'norm.bias': torch.zeros(9)}, dict(new=['norm']), ['norm.bias', '(9,)']),
    (
        'nothing matches',
        lambda s: {f'backbone.{k}': v for k, v in s.items()},
        {},
        ['no key', 'backbone.stem', 'prefix'],
    ),
    ('nothing matches, all new', lambda s: dict(other=torch.zeros(1)), dict(new=['.*']), ['no key', 'other']),
    ('nothing under prefix', lambda s: s, dict(prefix='backbone.'), ["'backbone.'", 'stem.weight']),
]


@pytest.mark.parametrize(('change', 'arguments', 'words'), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_an_error_names_the_keys_and_leaves_the_module_unchanged(save, change, arguments, words):
    target = net()
    before, path = snapshot(target), save(change(net().state_dict()))
    with pytest.raises(WeightsError) as error:
        StrictPretrained(path, **arguments)(target)
    assert all(word in str(error.value) for word in [*words, path, 'ModuleDict']), str(error.value)
    assert same(target, before)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        StrictPretrained(str(tmp_path / 'no.pth'))(net())


# A module that loads last


class Encoder(StrictInitModule):
    """Weights of its own, and a child that draws its own: mmcv's ConvModule, whenever a parent asks."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = ConvModule(3, 4, 3, norm_cfg=dict(type='BN'))
        self.linear = nn.Linear(4, 4)

    def fresh_weights(self):
        nn.init.constant_(self.linear.weight, 0.25)
        nn.init.constant_(self.conv.conv.weight, 0.25)


class Adapting(Encoder):
    new_weights = ('linear',)

    def adapt_weights(self, state):
        return {key: 2 * value for key, value in state.items() if not key.startswith('linear')}


def other(module):
    """State of a run that has moved every weight and statistic, with the names of ``module``."""
    return {k: v if v.dtype == torch.uint8 else v + 3 for k, v in module.state_dict().items()}


def strict(path, **arguments):
    return dict(type='StrictPretrained', checkpoint=path, **arguments)


def test_children_draw_after_the_module_without_a_checkpoint():
    encoder = Encoder()
    nn.init.constant_(encoder.conv.bn.weight, 9)
    encoder.init_weights()
    assert encoder.linear.weight.eq(0.25).all(), 'fresh_weights'
    assert encoder.conv.bn.weight.eq(1).all(), "the child's own"
    assert encoder.conv.conv.weight.std() > 0, "the child's own over it"
    nn.init.constant_(encoder.linear.weight, 9)
    encoder.init_weights()
    assert encoder.linear.weight.eq(9).all(), 'done once'


@pytest.mark.parametrize('type_', ['StrictPretrained', 'Pretrained'])
@pytest.mark.parametrize('within', [False, True], ids=['alone', 'in a model'])
def test_a_checkpoint_is_loaded_over_what_children_draw(save, type_, within):
    state = other(Encoder())
    encoder = Encoder(dict(type=type_, checkpoint=save(state)))
    given = dict(encoder.init_cfg)
    top = encoder
    if within:
        top = BaseModule(dict(type='Constant', layer=['Conv2d', 'Linear'], val=5))
        top.backbone, top.head = encoder, nn.Linear(1, 1)
    top.init_weights()
    assert same(encoder, state)
    assert encoder.init_cfg == given
    assert encoder.is_init
    if within:
        assert top.head.weight.eq(5).all()


def test_pretrained_is_strict(save):
    path = save(without(other(Encoder()), 'linear.bias'))
    for init_cfg in (dict(type='Pretrained', checkpoint=path), strict(path)):
        encoder = Encoder(init_cfg)
        with pytest.raises(WeightsError, match=r'absent: linear\.bias'):
            encoder.init_weights()
        assert encoder.init_cfg['type'] == 'StrictPretrained'


def test_initialisers_that_load_nothing_come_last_too():
    encoder = Encoder(dict(type='Constant', layer=['Conv2d', 'Linear'], val=5))
    encoder.init_weights()
    assert encoder.linear.weight.eq(5).all()
    assert encoder.conv.conv.weight.eq(5).all()


def test_a_checkpoint_is_adapted_before_it_is_compared(save):
    state = other(Encoder())
    encoder = Adapting(strict(save(state)))
    encoder.init_weights()
    assert torch.equal(encoder.conv.conv.weight, 2 * state['conv.conv.weight'])
    assert encoder.linear.weight.eq(0.25).all(), 'new_weights may be absent and stay fresh'
    with pytest.raises(WeightsError, match=r'absent: linear\.weight'):
        StrictPretrained(save(other(Encoder())), new=['nothing'])(Adapting())


# Our encoders


VOCABULARIES = ['[PAD] [UNK] [CLS] [SEP] [MASK] left right', '[PAD] [UNK] [CLS] [SEP] [MASK] right left']
PPE = dict(type='PPE', base_channels=8, img_size=32, text_channels=16, num_text_tokens=6, patch_size=8, num_heads=2)
HEADS = dict(
    PPE=dict(type='MSFFUpAttentionHead', in_channels=(8, 16, 32)),
    SVLAEncoder=dict(
        type='FullScaleHead', in_channels=(16, 24, 32), ham_channels=16, channels=16, rank=4,
        norm_cfg=dict(type='GN', num_groups=4),
    ),
)  # fmt: skip


@pytest.fixture
def parts(tiny_arch, tiny_bert):
    """Configs of the parts of ours that load strictly."""
    return dict(
        PPE=PPE,
        SVLAEncoder=dict(type='SVLAEncoder', arch=tiny_arch, text_channels=16),
        BertTextEncoder=dict(
            type='BertTextEncoder', pretrained=None, tokenizer=dict(vocab=VOCABULARIES[0]), arch=tiny_bert
        ),
    )


@pytest.mark.parametrize('name', ['PPE', 'SVLAEncoder', 'BertTextEncoder'])
def test_parts_of_ours_hold_exactly_what_was_loaded(save, parts, name):
    state = other(MODELS.build(parts[name]))
    part = MODELS.build({**parts[name], 'init_cfg': strict(save(state))})
    part.init_weights()
    assert same(part, state)
    with pytest.raises(WeightsError, match='no key of'):
        MODELS.build({**parts[name], 'init_cfg': strict(save(dict(x=torch.zeros(1))))}).init_weights()
    first = next(key for key in state if key.endswith('weight'))
    lacking = dict(type='Pretrained', checkpoint=save(without(state, first)))
    with pytest.raises(WeightsError, match=f'absent: {first}'):
        MODELS.build({**parts[name], 'init_cfg': lacking}).init_weights()


@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('name', ['PPE', 'SVLAEncoder'])
def test_a_model_starts_from_the_parts_of_a_checkpoint(tmp_path, parts, log_lines, name, frozen):
    """A file as a run of stage 1 leaves it."""
    freeze = dict(frozen=True) if frozen else {}
    stage1 = dict(type='PPESimSiam', backbone=parts[name], text_encoder=parts['BertTextEncoder'])
    state = other(MODELS.build(ConfigDict(stage1)))
    backbone, encoder = (
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        for prefix in ('backbone.', 'text_encoder.')
    )
    path = str(tmp_path / 'epoch_1.pth')
    save_checkpoint(dict(state_dict=state, meta=dict(epoch=1)), path)
    own = freeze if name == 'PPE' else {}
    config = dict(
        type='TextEncoderDecoder',
        backbone={**parts[name], **own, 'init_cfg': strict(path, prefix='backbone.')},
        text_encoder={**parts['BertTextEncoder'], **freeze, 'init_cfg': strict(path, prefix='text_encoder.')},
        decode_head=HEADS[name],
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(ConfigDict(config))
    assert not same(model.backbone, backbone)
    model.init_weights()
    assert same(model.backbone, backbone)
    assert same(model.text_encoder, encoder)
    said = [line for line in log_lines if 'keys matched' in line]
    for part, loaded in ((name, backbone), ('BertTextEncoder', encoder)):
        (line,) = (line for line in said if line.startswith(f'{part} from'))
        assert f'{len(loaded)} keys matched; 0 of the model keep their own initialisation (none); 0 of the file' in line
        prefix = 'text_encoder.' if part == 'BertTextEncoder' else 'backbone.'
        assert f"'{path}' under prefix '{prefix}'" in line
    trained = {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    held = {'text_encoder' for _ in freeze} | {'backbone' for _ in own}
    assert trained == {'backbone', 'text_encoder', 'decode_head'} - held


def test_position_embeddings_of_another_size_are_resized(save, parts):
    state = MODELS.build({**PPE, 'text_channels': None, 'img_size': 64}).state_dict()
    encoder = MODELS.build({**PPE, 'text_channels': None, 'init_cfg': strict(save(state))})
    encoder.init_weights()
    assert encoder.patches[0].position.shape == (1, 8, 4, 4)
    expected = nn.functional.interpolate(state['patches.0.position'], (4, 4), mode='bicubic', align_corners=False)
    assert torch.equal(encoder.patches[0].position, expected)
    assert torch.equal(encoder.stem.conv.weight, state['stem.conv.weight'])


def test_a_text_encoder_refuses_weights_of_another_vocabulary(save, parts, tiny_bert):
    theirs = MODELS.build({**parts['BertTextEncoder'], 'tokenizer': dict(vocab=VOCABULARIES[1])})
    longer = MODELS.build({**parts['BertTextEncoder'], 'tokenizer': dict(vocab=f'{VOCABULARIES[0]} lobe')})
    for source, error, words in (
        (theirs, TextEncoderError, 'was trained with vocabulary'),
        (longer, WeightsError, r'word_embeddings.weight \(8, 16\) instead of \(7, 16\)'),
    ):
        encoder = MODELS.build({**parts['BertTextEncoder'], 'init_cfg': strict(save(source.state_dict()))})
        before = snapshot(encoder)
        with pytest.raises(error, match=words):
            encoder.init_weights()
        assert same(encoder, before)


def test_weights_of_another_run_go_before_those_of_the_folder(save, tiny_bert):
    """So neither the folder's nor the hub's weights are asked for."""
    state = other(BertTextEncoder('bert-base-uncased', arch=tiny_bert))
    encoder = BertTextEncoder('bert-base-uncased', arch=tiny_bert, frozen=True, init_cfg=strict(save(state)))
    encoder.init_weights()
    assert same(encoder, state)
    assert not encoder.train().training


def test_a_list_of_initialisations_is_taken_too():
    one = dict(type='Pretrained', checkpoint='weights.pth')
    assert [c['type'] for c in StrictInitModule([one, dict(type='Constant', val=1.0)]).init_cfg] == [
        'StrictPretrained',
        'Constant',
    ]
