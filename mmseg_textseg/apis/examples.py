"""A few pictures with sentences to try a model on."""

import os.path as osp
from itertools import groupby
from pathlib import Path

from mmengine.config import Config
from mmseg.registry import DATASETS

from ..datasets.annotations import load_annotations
from ..datasets.phantom import make_phantom
from .config import find, innermost
from .inferencer import Query

PICTURES = 3


def read_examples(table: str, images: str | None = None) -> list[Query]:
    """Examples of an annotation table.

    Args:
        table: with columns image and expression.
        images: folder of the pictures; default: ``images`` beside the table.

    Raises:
        FileNotFoundError: no such table or folder.
        AnnotationError: with every row that cannot be used.
    """
    rows = load_annotations(table, images or str(Path(table).parent / 'images'))
    return _spread([Query(row.image, text, row.attributes) for row in rows for text in row.expressions])


def find_examples(cfg: Config, folder: Path) -> list[Query]:
    """Examples of what a model was trained on: of its test set, or of a phantom made now where that is one.

    Args:
        cfg: of the model.
        folder: for the phantom.

    Returns:
        None where the test set is not on this machine and is no phantom.
    """
    dataset = next(innermost(cfg.test_dataloader.dataset))
    root = dataset.get('data_root') or ''
    if 'ann_file' not in dataset:
        return []
    if osp.isfile(osp.join(root, dataset.ann_file)):
        items = DATASETS.build({**dataset, 'pipeline': [], 'expressions': 'all'})
        infos = [items.get_data_info(i) for i in range(len(items))]
        return _spread([Query(i['img_path'], i['text'], i.get('attributes')) for i in infos])
    if not osp.basename(osp.normpath(root)).startswith('phantom'):
        return []
    scale = next((step.scale for step in find(dataset.pipeline, type='Resize')), (96, 96))
    # Not the seed of the demos: the model must not have been trained on these.
    sizes = dict(size=max(64, min(scale)), seed=1, slices_per_case=2, lesions=(2, 3), difficulty='easy')
    make_phantom(folder, 6, splits=(0.2, 0.2, 0.6), progress=False, **sizes)
    return read_examples(str(folder / 'test.jsonl'))


def _spread(queries: list[Query]) -> list[Query]:
    """Two sentences each of a few pictures, those that differ most in what they name."""
    groups = [list(group) for _, group in groupby(queries, key=lambda q: (q.image, (q.attributes or {}).get('slice')))]
    step = max(1, len(groups) / PICTURES)
    chosen = []
    for number in range(min(PICTURES, len(groups))):
        group = groups[int(number * step)]
        chosen += [group[0], group[-1]] if group[-1].text != group[0].text else group[:1]
    return chosen
