"""A config's training brought to another number of iterations, its learning-rate schedule in proportion."""

from collections.abc import Sequence
from math import ceil

from mmengine.config import Config

from ..config import ConfigError

# Where mmengine's schedulers have no end.
NEVER = 10**9
TIMES = ('begin', 'end', 'T_max', 'step_size', 'total_steps')
LISTS = ('milestones', 'periods')
# A run can be gone on with from the last of so many checkpoints, or fewer: each has the config in it, which mmengine
# lays out anew in a second or more.
CHECKPOINTS = 10
CHECKPOINT_INTERVAL = 100
LOG_INTERVAL = 10


def scale_schedulers(
    schedulers: dict | Sequence[dict] | None, length: int, by_epoch: bool, per_epoch: int, iterations: int
) -> dict | list[dict] | None:
    """Schedulers for a training of another length, all of them by iteration.

    What happened after a share of the training happens after the same share of the new one. A scheduler that would
    last less than two iterations is left out, since mmengine's warm-ups would never let go of their first value.

    Args:
        schedulers: ``param_scheduler`` of a config.
        length: epochs or iterations that they were made for.
        by_epoch: whether ``length`` are epochs.
        per_epoch: iterations of an epoch.
        iterations: of the new training.

    Raises:
        ConfigError: one that follows validations, or epochs in a training without any.
    """
    if schedulers is None:
        return None
    if isinstance(schedulers, dict) and 'type' not in schedulers:  # of several optimizers
        return {
            name: scale_schedulers(one, length, by_epoch, per_epoch, iterations) for name, one in schedulers.items()
        }
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    scaled = [_scale(dict(one), length, by_epoch, per_epoch, iterations) for one in schedulers]
    return [one for one in scaled if one.get('end', NEVER) - one.get('begin', 0) >= 2]


def _scale(scheduler: dict, length: int, by_epoch: bool, per_epoch: int, iterations: int) -> dict:
    kind = scheduler['type']
    if kind.startswith('ReduceOnPlateau'):
        raise ConfigError(f'{kind} follows validations, whose number a suite sets: another schedule is needed')
    in_epochs = scheduler.pop('by_epoch', True)
    scheduler.pop('convert_to_iter_based', None)
    if in_epochs and not by_epoch:
        raise ConfigError(
            f'{kind} goes by epochs (by_epoch, True unless said otherwise), but train_cfg.type is IterBasedTrainLoop, '
            'where it would never step: by_epoch=False'
        )
    # Length of the training in the scheduler's own unit.
    whole = length * per_epoch if by_epoch and not in_epochs else length

    def time(value: float) -> int:
        return NEVER if value >= NEVER else round(value * iterations / whole)

    scheduler.update({key: time(scheduler[key]) for key in TIMES if scheduler.get(key) is not None})
    scheduler.update({key: [time(value) for value in scheduler[key]] for key in LISTS if key in scheduler})
    if 'step_size' in scheduler:
        scheduler['step_size'] = max(1, scheduler['step_size'])
    if kind.startswith('Exponential'):
        scheduler['gamma'] **= whole / iterations
    return dict(scheduler, by_epoch=False)


def run_settings(cfg: Config, iterations: int, per_epoch: int, validations: int, seed: int) -> dict:
    """What a run of a suite sets in its config, as a child config writes it.

    Args:
        cfg: config of the row.
        iterations: of the training.
        per_epoch: iterations of an epoch of the row's data.
        validations: how many, the last one at the end. With one there is nothing to choose the best of.
        seed: of the run.

    Raises:
        ConfigError: a loop or a schedule that cannot be brought to that length.
    """
    kind = cfg.train_cfg.get('type', 'EpochBasedTrainLoop' if cfg.train_cfg.get('by_epoch') else 'IterBasedTrainLoop')
    if kind not in ('EpochBasedTrainLoop', 'IterBasedTrainLoop'):
        raise ConfigError(f'train_cfg.type={kind}: expected EpochBasedTrainLoop or IterBasedTrainLoop')
    by_epoch = kind == 'EpochBasedTrainLoop'
    length = cfg.train_cfg.max_epochs if by_epoch else cfg.train_cfg.max_iters
    best = dict(save_best='dice', rule='greater') if validations > 1 else {}
    settings = dict(
        train_cfg=dict(
            type='IterBasedTrainLoop', max_iters=iterations, val_interval=ceil(iterations / validations), _delete_=True
        ),
        param_scheduler=scale_schedulers(cfg.get('param_scheduler'), length, by_epoch, per_epoch, iterations),
        randomness=dict(seed=seed),
        log_processor=dict(by_epoch=False, window_size=LOG_INTERVAL),
        default_hooks=dict(
            # Each iteration's time is logged once, so that the log has the time of the training.
            logger=dict(type='LoggerHook', interval=min(LOG_INTERVAL, iterations), log_metric_by_epoch=False),
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch=False,
                interval=max(CHECKPOINT_INTERVAL, ceil(iterations / CHECKPOINTS)),
                max_keep_ckpts=1,
                **best,
                _delete_=True,
            ),
        ),
    )
    if cfg.train_dataloader.get('sampler', {}).get('type') == 'DefaultSampler':
        # Without epochs mmengine would start the workers anew, and wait for two seconds, after each pass.
        shuffle = cfg.train_dataloader.sampler.get('shuffle', True)
        settings['train_dataloader'] = dict(sampler=dict(type='InfiniteSampler', shuffle=shuffle, _delete_=True))
    return _for(cfg, settings)


def _for(base: dict, settings: dict) -> dict:
    """Without ``_delete_`` where the base has nothing to delete: mmengine would hand it to what is built."""
    cleaned = {}
    for key, value in settings.items():
        below = base.get(key)
        if isinstance(value, dict):
            if not isinstance(below, dict):
                value = {name: one for name, one in value.items() if name != '_delete_'}
            value = _for(below if isinstance(below, dict) else {}, value)
        cleaned[key] = value
    return cleaned
