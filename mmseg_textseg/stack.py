"""Which distribution provides ``mmengine``, ``mmcv`` and ``mmseg``, checked once at import.

Two distributions own the same folders of site-packages: OneDL's maintained forks and OpenMMLab's
own. pip cannot express "exactly one of them", so the package does it here.
"""

from importlib.metadata import PackageNotFoundError, version

STACKS = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'),
    'openmmlab': ('mmengine', 'mmcv', 'mmsegmentation'),
}
# Variants that own the same folders as the names above.
VARIANTS = {'onedl': (), 'openmmlab': ('mmcv-lite', 'mmcv-full', 'mmengine-lite')}


class StackError(ImportError):
    """No usable OpenMMLab stack, or two on top of each other."""


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def detect_stack() -> str:
    """Name the installed stack.

    Returns:
        ``'onedl'`` or ``'openmmlab'``.

    Raises:
        StackError: if neither is complete, or parts of both are installed; the message holds the
            pip commands that mend it.
    """
    present = {name: [d for d in dists + VARIANTS[name] if _installed(d)] for name, dists in STACKS.items()}
    if all(present.values()):
        both = present['onedl'] + present['openmmlab']
        raise StackError(
            f"mmseg_textseg found parts of two stacks: {', '.join(both)}. They overwrite each other's files "
            'in site-packages. Uninstall all of them, then install one:\n'
            f'    pip uninstall -y {" ".join(both)}\n'
            f'    pip install {" ".join(STACKS["onedl"])}'
        )
    for name, dists in STACKS.items():
        if set(dists) <= set(present[name]):
            return name
    missing = {name: [d for d in dists if d not in present[name]] for name, dists in STACKS.items()}
    started = next((name for name in STACKS if present[name]), None)
    have = f'{", ".join(present[started])} without {", ".join(missing[started])}' if started else 'none of them'
    raise StackError(
        'mmseg_textseg needs mmengine, mmcv and mmsegmentation, and found '
        f'{have}. Install the maintained forks:\n    pip install {" ".join(STACKS["onedl"])}\n'
        "or OpenMMLab's own packages (they take some care: docs/install.md):\n"
        f'    pip install {" ".join(STACKS["openmmlab"])} ftfy regex'
    )


def point_stock_configs(stack: str) -> None:
    """Let ``_base_ = 'mmseg::...'`` find the configs that the installed MMSegmentation ships.

    mmengine looks the package up under OpenMMLab's distribution name, which the forks do not have.
    """
    from mmengine.config import utils

    utils.MODULE2PACKAGE['mmseg'] = STACKS[stack][2]
