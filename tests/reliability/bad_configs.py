"""Config files, --cfg-options, and options of the parts that a config names."""

from collections.abc import Callable

from bad_input import Case, Place, call, text_file
from mmengine.runner import Runner
from mmseg.registry import DATASETS, METRICS, MODELS, TRANSFORMS

from mmseg_textseg.apis import ConfigError, load_config
from mmseg_textseg.apis.cli import plain_errors

FILE = 't.py'


def here(place: Place) -> Place:
    return place


def option(**options) -> Callable[[Place], None]:
    """``--cfg-options``, with ``__`` for a dot."""
    return lambda place: load_config(place.config, {key.replace('__', '.'): value for key, value in options.items()})


def build(registry, path: str, **changes) -> Callable[[Place], None]:
    """The part at a path of the config with other options, built under a tool's eyes."""

    def run(place: Place) -> None:
        part = load_config(place.config)
        for key in path.split('.'):
            part = part[int(key) if key.isdigit() else key]
        part = part.to_dict()
        for key, value in changes.items():
            inner = part
            *above, last = key.split('__')
            for name in above:
                inner = inner[name]
            inner[last] = value
        with plain_errors():
            registry.build(part)

    return run


def dataloader(place: Place) -> None:
    cfg = load_config(place.config, {'test_dataloader.batchsize': 4})
    with plain_errors():
        Runner.build_dataloader(cfg.test_dataloader)


def config(content: str, name: str = FILE) -> Callable[[Place], str]:
    return text_file(name, content)


def missing_data(place: Place) -> None:
    call(
        'test',
        place.config,
        place.checkpoint,
        '--work-dir',
        place.folder / 'work',
        '--cfg-options',
        f'test_dataloader.dataset.data_root={place.folder}/nowhere',
    )


BUILT = SystemExit
CASES = [
    Case(
        'no such config',
        here,
        lambda place: load_config('gone.py'),
        ConfigError,
        ('no config file at gone.py',),
    ),
    Case(
        'a config that is no Python',
        config('model = dict(\n'),
        load_config,
        ConfigError,
        ('t.py cannot be read as a config', 'SyntaxError', 'mend it'),
    ),
    Case(
        'a config of another kind',
        config('model', 't.txt'),
        load_config,
        ConfigError,
        ('t.txt cannot be read as a config', 'Only py/yml/yaml/json', 'mend it'),
    ),
    Case(
        'a _base_ that is not there',
        config("_base_ = './gone.py'\n"),
        load_config,
        ConfigError,
        ('t.py cannot be read as a config', 'gone.py', 'a file of its _base_'),
    ),
    Case(
        'a config without a model',
        config('a = 1\n'),
        load_config,
        ConfigError,
        ('t.py has no model=dict(type=...)', 'is it a config of MMSegmentation'),
    ),
    Case(
        'data that is not there',
        here,
        missing_data,
        SystemExit,
        ('no annotation table', 'nowhere/test.jsonl', 'docs/datasets.md has the layout'),
    ),
    Case(
        'a mistyped key of --cfg-options',
        here,
        option(train_dataloder__batch_size=2),
        ConfigError,
        ('train_dataloder.batch_size: nothing reads the key', 'did you mean train_dataloader?'),
    ),
    Case(
        '--cfg-options with a key of another tool',
        here,
        option(seed=3),
        ConfigError,
        ("--cfg-options seed: nothing reads the key 'seed'", 'the config has'),
    ),
    Case(
        '--cfg-options with a place that a list has not',
        here,
        option(test_dataloader__dataset__pipeline__9__type='Resize'),
        ConfigError,
        ('test_dataloader.dataset.pipeline.9.type', 'places of lists by their number from 0'),
    ),
    Case(
        'a mistyped class of a model',
        here,
        build(MODELS, 'model', backbone__type='SVLAEncodr'),
        BUILT,
        ("type='SVLAEncodr' in the config is the name of no model that is registered", 'did you mean SVLAEncoder'),
    ),
    Case(
        'a mistyped option of a backbone',
        here,
        build(MODELS, 'model', backbone__text_chanels=16),
        BUILT,
        (
            "the config's SVLAEncoder cannot be built: no option 'text_chanels'",
            'did you mean text_channels?',
            'It takes ',
        ),
    ),
    Case(
        'a mistyped option of a decode head',
        here,
        build(MODELS, 'model', decode_head__rnk=4),
        BUILT,
        ("the config's FullScaleHead cannot be built: no option 'rnk'", 'did you mean rank?', 'channels'),
    ),
    Case(
        'a mistyped class of a transform',
        here,
        build(TRANSFORMS, 'test_dataloader.dataset.pipeline.0', type='LoadMsk'),
        BUILT,
        ("type='LoadMsk' in the config is the name of no transform that is registered", 'did you mean LoadMask'),
    ),
    Case(
        'a mistyped option of a transform',
        here,
        build(TRANSFORMS, 'test_dataloader.dataset.pipeline.0', type='LoadMask', treshold=9),
        BUILT,
        (
            "the config's LoadMask cannot be built: no option 'treshold'",
            'did you mean threshold?',
            'It takes threshold, backend_args',
        ),
    ),
    Case(
        'a mistyped option of a dataset',
        here,
        build(DATASETS, 'test_dataloader.dataset', expresions='all'),
        BUILT,
        ("cannot be built: no option 'expresions'", 'did you mean expressions?', 'data_root'),
    ),
    Case(
        'a value that an option of a dataset has not',
        here,
        build(DATASETS, 'test_dataloader.dataset', expressions='every'),
        BUILT,
        ("expressions is 'every'", "expected 'all' or 'group'"),
    ),
    Case(
        'a mistyped option of a metric',
        here,
        build(METRICS, 'test_evaluator', protocl=['lvit']),
        BUILT,
        ("the config's TextSegMetric cannot be built: no option 'protocl'", 'did you mean protocol?'),
    ),
    Case('a protocol that is none', here, build(METRICS, 'test_evaluator', protocol=['mean']), BUILT, ('mean', 'lvit')),
    Case(
        'a mistyped option of a dataloader',
        here,
        dataloader,
        BUILT,
        ("a dataloader of the config cannot be built: no option 'batchsize'", 'did you mean batch_size?'),
    ),
]
