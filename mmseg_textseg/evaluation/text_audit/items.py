"""Items of a dataset under a condition, and what a model makes of them."""

import csv
import logging
import os.path as osp
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from ...fileio import whole_file
from ...tokenization import TextTokenizer
from ..errors import EvaluationError
from ..overlap import count, dice, iou, predicted_mask, to_mask


@dataclass(frozen=True)
class Item:
    """One (image, expression), before the model has seen it.

    Attributes:
        sample_id: the same in every condition.
        image: file name, with the slice of a volume.
        mask: file name.
        group: ``'case <case_id>'`` where the table has it, else ``'image <path>'``; the bootstrap draws groups.
        text: the sentence.
    """

    sample_id: str
    image: str
    mask: str
    group: str
    text: str


@dataclass(frozen=True)
class Scored(Item):
    """An item and what came of it.

    Attributes:
        ids: token ids as the model saw them, special tokens included, joined by blanks.
        dice, iou: of the foreground; 1 where prediction and truth are both empty.
    """

    ids: str
    dice: float
    iou: float


@contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """A dataset says the same each time it is built."""
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def list_items(dataset: Dataset) -> list[Item]:
    """The items of a dataset, in its order."""
    return [_item(dataset.get_data_info(i)) for i in range(len(dataset))]


def _item(info: Mapping) -> Item:
    attributes = info.get('attributes') or {}
    number = attributes.get('slice')
    image = osp.basename(info['img_path'])
    return Item(
        sample_id=info['sample_id'],
        image=image if number is None else f'{image} slice {number}',
        mask=osp.basename(info.get('seg_map_path', '')),
        group=f'case {attributes["case_id"]}' if attributes.get('case_id') else f'image {info["img_path"]}',
        text=info['text'] if 'text' in info else info['texts'][0],
    )


def choose(items: Sequence[Item], limit: int | None, seed: int) -> set[str]:
    """Sample ids of whole images drawn at random, at least one, of together at most ``limit`` items if possible."""
    by_image: dict[tuple[str, str], list[str]] = {}
    for item in items:
        by_image.setdefault((item.group, item.image), []).append(item.sample_id)
    images = sorted(by_image)
    random.Random(seed).shuffle(images)
    chosen: list[str] = []
    for image in images:
        if limit is not None and chosen and len(chosen) + len(by_image[image]) > limit:
            break
        chosen += by_image[image]
    return set(chosen)


class Scorer:
    """Runs a model on items of a dataset.

    Args:
        model: with ``test_step``; ready to be asked.
        batch_size: items at a time.
        workers: processes that read pictures.
        ignore_index, threshold: as of TextSegMetric.
    """

    def __init__(
        self, model, batch_size: int = 8, workers: int = 0, ignore_index: int = 255, threshold: float | None = None
    ) -> None:
        self.model, self.batch_size, self.workers = model, batch_size, workers
        self.ignore_index, self.threshold = ignore_index, threshold

    def __call__(self, dataset: Dataset, items: Sequence[Item], indices: Sequence[int], title: str) -> list[Scored]:
        """Score some items.

        Args:
            dataset: whose pipeline packs text, image and truth.
            items: all of its items.
            indices: of those to score.
            title: for the progress bar.

        Raises:
            EvaluationError: an item without truth, or without logits for a threshold.
        """
        loader = DataLoader(
            Subset(dataset, indices), self.batch_size, num_workers=self.workers, collate_fn=pseudo_collate
        )
        scored: list[Scored] = []
        for batch in tqdm(loader, desc=title, leave=False, disable=None):
            with torch.no_grad():
                results = self.model.test_step(batch)
            scored += [
                self._score(result.to_dict(), items[indices[len(scored) + i]]) for i, result in enumerate(results)
            ]
        return scored

    def _score(self, sample: dict, item: Item) -> Scored:
        if 'gt_sem_seg' not in sample:
            raise EvaluationError(f'no truth for {item.image}: the pipeline needs LoadMask before PackTextSegInputs')
        pred = predicted_mask(sample, self.threshold)
        counts = count(pred, to_mask(sample['gt_sem_seg']['data']), self.ignore_index)
        ids = ' '.join(map(str, sample['text_ids'].tolist()))
        return Scored(**asdict(item), ids=ids, dice=dice(counts), iou=iou(counts))


def write_scored(path: Path, scored: Sequence[Scored]) -> None:
    """Write a csv with a row an item."""
    with whole_file(path, newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, [column.name for column in fields(Scored)])
        writer.writeheader()
        # repr() of a float is exact, so that a run that was taken up gives the figures of one that was not.
        writer.writerows(asdict(one) for one in scored)


def read_scored(path: Path) -> list[Scored]:
    """Read what :func:`write_scored` wrote."""
    with path.open(newline='', encoding='utf-8') as file:
        return [Scored(**{**row, 'dice': float(row['dice']), 'iou': float(row['iou'])}) for row in csv.DictReader(file)]


class Words(NamedTuple):
    """Words of some sentences; of them unknown to the vocabulary, and of them in pieces (``me ##ta ##stasis``)."""

    total: int
    unknown: int
    pieces: int

    def share(self, number: int) -> float:
        """Of all words; 0 where there are none."""
        return number / self.total if self.total else 0.0

    @property
    def unfamiliar(self) -> float:
        """Share of words that are unknown or in pieces."""
        return self.share(self.unknown + self.pieces)


class Vocabulary:
    """Tells familiar words from others, by their token ids."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._special = {int(i) for i in tokenizer.backend.all_special_ids}
        self._unknown = tokenizer.backend.unk_token_id
        self._special -= {self._unknown}
        self._continues = {i for i, entry in enumerate(tokenizer.vocab) if entry.startswith('##')}

    def count(self, scored: Sequence[Scored]) -> Words:
        """Words of all sentences together."""
        total = unknown = pieces = 0
        for one in scored:
            ids = [i for i in map(int, one.ids.split()) if i not in self._special]
            heads = [i not in self._continues for i in ids]
            total += sum(heads)
            unknown += ids.count(self._unknown)
            pieces += sum(head and not after for head, after in pairwise(heads))
        return Words(total, unknown, pieces)
