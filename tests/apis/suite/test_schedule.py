"""Schedules of another length: learning rates of mmengine's own schedulers against closed forms."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import SGD

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite.schedule import run_settings, scale_schedulers


def rates(schedulers, iterations, epoch_length=None):
    """Learning rate of each iteration, from 1; ``epoch_length``: mmengine converts epochs itself."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    built = []
    for scheduler in schedulers:
        scheduler = dict(scheduler, optimizer=optimizer)
        convert = dict(convert_to_iter_based=True, epoch_length=epoch_length) if epoch_length else {}
        scheduler.pop('convert_to_iter_based', None)
        built.append(PARAM_SCHEDULERS.build(scheduler | convert))
    found = []
    for _ in range(iterations):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return found


WARM_POLY = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, begin=50, end=800, eta_min=0.0, by_epoch=False),
]


def test_warm_up_and_poly_of_half_the_length():
    found = rates(scale_schedulers(WARM_POLY, 800, False, 12, 400), 400)
    wanted = [0.1 + 0.9 * i / 24 for i in range(25)] + [(1 - (i - 25) / 374) ** 0.9 for i in range(25, 400)]
    assert found == pytest.approx(wanted, abs=1e-9)
    assert found[-1] == pytest.approx(0, abs=1e-9)  # poly to its end


def test_the_same_length_is_the_same_schedule():
    assert rates(scale_schedulers(WARM_POLY, 800, False, 12, 800), 800) == rates(WARM_POLY, 800)


def test_epochs_become_iterations_as_mmengine_converts_them():
    epochs = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
        dict(type='PolyLR', power=0.9, begin=1, end=4, by_epoch=True, convert_to_iter_based=True),
    ]
    scaled = scale_schedulers(epochs, 4, True, 10, 40)
    assert all(one['by_epoch'] is False and 'convert_to_iter_based' not in one for one in scaled)
    assert rates(scaled, 40) == pytest.approx(rates(epochs, 40, epoch_length=10))


def test_iterations_within_a_training_of_epochs():
    # 4 epochs of 10: a warm-up of 20 iterations is half of it.
    (warm,) = scale_schedulers([dict(type='LinearLR', by_epoch=False, begin=0, end=20)], 4, True, 10, 100)
    assert (warm['begin'], warm['end']) == (0, 50)


@pytest.mark.parametrize(
    ('scheduler', 'wanted'),
    [
        (dict(type='MultiStepLR', milestones=[6, 8], gamma=0.1), lambda i: 0.1 ** ((i >= 60) + (i >= 80))),
        (dict(type='StepLR', step_size=5, gamma=0.5), lambda i: 0.5 ** (i // 50)),
        (
            dict(type='CosineAnnealingLR', T_max=10, eta_min=0.0, begin=0, end=10),
            lambda i: (1 + math.cos(math.pi * i / 100)) / 2,
        ),
        # After a share of the training as much is left as before: 0.5 an epoch, ten iterations to an epoch.
        (dict(type='ExponentialLR', gamma=0.5), lambda i: 0.5 ** (i / 10)),
        (dict(type='ConstantLR', factor=1.0, begin=0, end=10), lambda i: 1.0),
    ],
)
def test_other_schedulers_of_ten_epochs_over_a_hundred_iterations(scheduler, wanted):
    scaled = scale_schedulers([dict(scheduler, by_epoch=True)], 10, True, 7, 100)
    assert rates(scaled, 100) == pytest.approx([wanted(i) for i in range(100)], abs=1e-9)


def test_what_is_shorter_than_two_iterations_is_left_out():
    # 50 of 800 are 0.6 of 10: a warm-up of one iteration would keep the rate at a tenth for ever.
    (poly,) = scale_schedulers(WARM_POLY, 800, False, 12, 10)
    assert poly['type'] == 'PolyLR'
    assert rates([poly], 10)[-1] == pytest.approx(0, abs=1e-9)
    assert scale_schedulers(WARM_POLY, 800, False, 12, 1) == []


def test_schedulers_of_several_optimizers_and_none():
    both = scale_schedulers(dict(a=WARM_POLY, b=WARM_POLY[1]), 800, False, 12, 400)
    assert [one['end'] for one in both['a']] == [25, 400]
    assert both['b'][0]['begin'] == 25
    assert scale_schedulers(None, 800, False, 12, 400) is None


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(ConfigError, match='ReduceOnPlateauLR follows validations'):
        scale_schedulers([dict(type='ReduceOnPlateauLR', monitor='dice')], 800, False, 12, 400)
    with pytest.raises(ConfigError, match=r'PolyLR goes by epochs .* by_epoch=False'):
        scale_schedulers([dict(type='PolyLR', end=8)], 800, False, 12, 400)


EPOCHS = dict(
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1),
    param_scheduler=[dict(type='PolyLR', begin=0, end=4, by_epoch=True)],
    train_dataloader=dict(batch_size=8, sampler=dict(type='DefaultSampler', shuffle=True)),
    default_hooks=dict(
        logger=dict(type='LoggerHook', interval=50),
        checkpoint=dict(type='CheckpointHook', interval=1, save_best='dice', rule='greater'),
    ),
    randomness=dict(seed=0, deterministic=True),
)


def merged(base, **run):
    cfg = Config(base)
    cfg.merge_from_dict(run_settings(cfg, **(dict(iterations=25, per_epoch=10, validations=1, seed=7) | run)))
    return cfg


def test_settings_of_a_config_that_counts_epochs():
    cfg = merged(EPOCHS)
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=25, val_interval=25)
    assert cfg.param_scheduler[0].end == 25
    assert cfg.train_dataloader == dict(batch_size=8, sampler=dict(type='InfiniteSampler', shuffle=True))
    assert cfg.randomness == dict(seed=7, deterministic=True)
    # With one validation there is no best one: the last checkpoint is tested.
    assert cfg.default_hooks.checkpoint == dict(type='CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1)
    assert (cfg.default_hooks.logger.interval, cfg.default_hooks.logger.log_metric_by_epoch) == (10, False)
    assert cfg.log_processor.by_epoch is False


def test_several_validations_choose_the_best():
    cfg = merged(EPOCHS, validations=4)
    assert cfg.train_cfg.val_interval == 7  # 7, 14, 21, and the end
    assert (cfg.default_hooks.checkpoint.save_best, cfg.default_hooks.checkpoint.rule) == ('dice', 'greater')


@pytest.mark.parametrize(('iterations', 'interval'), [(50, 100), (1000, 100), (2005, 201)])
def test_ten_checkpoints_at_most_and_none_of_them_soon_after_another(iterations, interval):
    assert merged(EPOCHS, iterations=iterations).default_hooks.checkpoint.interval == interval


def test_settings_leave_no_delete_where_there_is_nothing_to_delete():
    bare = dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=100), train_dataloader=dict(batch_size=2))
    cfg = merged(bare, iterations=4)
    assert '_delete_' not in repr(cfg.to_dict())
    assert 'sampler' not in cfg.train_dataloader


def test_another_loop_is_refused():
    with pytest.raises(ConfigError, match=r'train_cfg\.type=MyLoop: expected'):
        run_settings(Config(dict(train_cfg=dict(type='MyLoop'))), 1, 1, 1, 0)
