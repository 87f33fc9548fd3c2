"""Scores of text-guided segmentation, with one stated rule for empty masks."""

import csv
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from prettytable import PrettyTable

from ..fileio import whole_file, write_png
from .overlap import Counts, accuracy, count, dice, iou, mean_iou, pool, precision, recall, to_mask

# Name in the results: (heading of the table, function of counts).
SCORES = dict(
    dice=('Dice', dice),
    iou=('IoU', iou),
    miou=('mIoU', mean_iou),
    acc=('Acc', accuracy),
    precision=('Precision', precision),
    recall=('Recall', recall),
)
# Dice and IoU stand before the pixels in per_sample.csv, whose first columns keep their places.
LATER = [name for name in SCORES if name not in ('dice', 'iou')]


@METRICS.register_module()
class TextSegMetric(BaseMetric):
    """Per-image means (as LSMS and LViT report) and pooled values, at the truth's size.

    Returned, as fractions of 1, with the pixels of prediction and truth: both (tp), prediction only (fp), truth
    only (fn), neither (tn):

    - ``dice``: 2 tp / (2 tp + fp + fn);
    - ``iou``: tp / (tp + fp + fn), of the foreground alone. Papers on binary masks often call this one mIoU;
    - ``miou``: mean of ``iou`` and the background's, tn / (tn + fp + fn) (MPTPN eq. 13);
    - ``acc``: (tp + tn) / (tp + fp + fn + tn) (MPTPN eq. 12);
    - ``precision``: tp / (tp + fp), and ``recall``: tp / (tp + fn), of the foreground.

    Each is the mean over items, each (image, expression) weighing the same; under ``pooled_<name>`` it is worked
    out once, from counts summed over the set, each pixel weighing the same.

    Empty masks: where prediction and truth are both empty, dice, iou, precision and recall are 1 (``empty='one'``),
    or the item is left out of all values, ``acc``, ``miou`` and the pooled ones too (``empty='skip'``). Where only
    one of them is empty those four are 0. Where neither has background, the background's IoU is 1.

    ``per_sample.csv`` has a row for every item, also for one left out (with the scores of ``empty='one'``):
    sample_id, image, expression, dice, iou, pixels (of the truth's foreground), predicted_pixels, miou, acc,
    precision, recall, counted_pixels (tp + fp + fn + tn: all that are not ignored).

    Args:
        empty: rule where both masks are empty.
        ignore_index: label of the truth that counts nowhere.
        output_dir: where to write ``metrics.json`` and ``per_sample.csv``; None writes nothing.
        save_masks: also write predictions as ``output_dir/masks/<sample_id>.png``, 0 / 255.
        info: kept as it is in metrics.json (config, checkpoint).
        collect_device, prefix: of :class:`mmengine.evaluator.BaseMetric`.
        **_: what MMSegmentation's test tool sets for its own metric (``keep_results``).
    """

    # Not None, which mmengine warns of at each start.
    default_prefix = ''

    def __init__(
        self,
        empty: Literal['one', 'skip'] = 'one',
        ignore_index: int = 255,
        output_dir: str | None = None,
        save_masks: bool = False,
        info: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **_,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if empty not in ('one', 'skip'):
            raise ValueError(f"empty must be 'one' or 'skip', got {empty!r}")
        if save_masks and output_dir is None:
            raise ValueError('save_masks=True needs output_dir')
        self.empty = empty
        self.ignore_index = ignore_index
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.save_masks = save_masks
        self.info = dict(info or {})

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count each sample's pixels; predictions arrive at the original size.

        Raises:
            KeyError: a sample without truth.
        """
        for sample in data_samples:
            path = sample.get('img_path', '')
            if 'gt_sem_seg' not in sample:
                raise KeyError(f'no truth for {path}: the test pipeline needs LoadMask before PackTextSegInputs')
            pred = to_mask(sample['pred_sem_seg']['data'])
            row = dict(
                sample_id=sample.get('sample_id', Path(path).stem),
                image=os.path.basename(path),
                expression=sample.get('text', ''),
                counts=count(pred, to_mask(sample['gt_sem_seg']['data']), self.ignore_index),
            )
            if self.save_masks:
                write_png(self.output_dir / 'masks' / f'{row["sample_id"]}.png', (pred != 0).numpy() * np.uint8(255))
            self.results.append(row)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Means over all items, pooled values, and the files of ``output_dir``.

        Raises:
            ValueError: ``empty='skip'`` leaves nothing to average.
        """
        counts = [Counts(*row['counts']) for row in results]
        kept = [c for c in counts if not (self.empty == 'skip' and c.empty)]
        if not kept:
            raise ValueError(f'nothing to average: all {len(counts)} items are empty in truth and prediction')
        together = pool(kept)
        metrics = {name: statistics.fmean(score(c) for c in kept) for name, (_, score) in SCORES.items()}
        metrics.update({f'pooled_{name}': score(together) for name, (_, score) in SCORES.items()})
        self._print(metrics, len(kept), len(counts))
        if self.output_dir is not None:
            self._write(metrics, results, counts)
        return metrics

    def _print(self, metrics: dict, kept: int, total: int) -> None:
        table = PrettyTable(['', *(heading for heading, _ in SCORES.values())])
        for row, prefix in ((f'per image ({kept} items)', ''), ('pooled', 'pooled_')):
            table.add_row([row, *(f'{100 * metrics[prefix + name]:.2f}' for name in SCORES)])
        skipped = f'; {total - kept} items empty in both left out' if total > kept else ''
        print_log(f'percent; mIoU and Acc of both classes, the rest of the foreground{skipped}:\n{table}', 'current')

    def _write(self, metrics: dict, results: list[dict], counts: list[Counts]) -> None:
        # Away first and back last: its presence means that all the rest is there and of the same run.
        (self.output_dir / 'metrics.json').unlink(missing_ok=True)
        with whole_file(self.output_dir / 'per_sample.csv', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            columns = ['sample_id', 'image', 'expression', 'dice', 'iou', 'pixels', 'predicted_pixels']
            writer.writerow([*columns, *LATER, 'counted_pixels'])
            for row, c in zip(results, counts, strict=True):
                scores = {name: f'{score(c):.6f}' for name, (_, score) in SCORES.items()}
                old = [scores['dice'], scores['iou'], c.tp + c.fn, c.tp + c.fp]
                new = [*(scores[name] for name in LATER), sum(c)]
                writer.writerow([row['sample_id'], row['image'], row['expression'], *old, *new])
        with whole_file(self.output_dir / 'metrics.json', encoding='utf-8') as file:
            json.dump({**metrics, 'items': len(counts), 'empty': self.empty, **self.info}, file, indent=2)
        print_log(f'written to {self.output_dir}: metrics.json, per_sample.csv', logger='current')
