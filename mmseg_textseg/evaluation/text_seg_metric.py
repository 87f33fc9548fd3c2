"""Scores of text-guided segmentation, by stated protocols."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from ..datasets.spacing import pixel_spacing
from .boundaries import boundary_iou, load_monai, surface_distances
from .errors import EvaluationError
from .mask_files import StoredSlice, write_label_volumes, write_mask
from .overlap import Counts, Masks, compare, predicted_mask, to_mask
from .protocols import PROTOCOLS, Item, LViT
from .report import table, write_samples, write_summary

EMPTY_SCORES = dict(one=1.0, zero=0.0, skip=math.nan)


@METRICS.register_module()
class TextSegMetric(BaseMetric):
    """Scores as the field reports them, at the truth's size.

    Each protocol is a class of :mod:`mmseg_textseg.evaluation.protocols`, whose docstring states formulas, averaging,
    the rule for empty masks, threshold, size, and who uses it; docs/metrics.md has them side by side:

    - ``'lvit'``: ``dice``, ``iou``;
    - ``'two-class'``: ``two_class_dice``, ``two_class_miou``, ``two_class_acc``, ``two_class_precision``,
      ``two_class_recall``;
    - ``'pooled'``: ``pooled_dice``, ``pooled_iou``, ``pooled_miou``, ``pooled_acc``, ``pooled_precision``,
      ``pooled_recall``;
    - ``'ris'``: ``ris_miou``, ``ris_oiou``, ``ris_p50``, ``ris_p60``, ``ris_p70``, ``ris_p80``, ``ris_p90``;
    - ``'gres'``: ``gres_giou``, ``gres_ciou``, ``gres_n_acc``, ``gres_t_acc``;
    - ``'boundary'``: ``boundary_hd95_mm``, ``boundary_assd_mm`` (``_px`` where the spacing is unknown),
      ``boundary_iou``; needs MONAI and costs milliseconds an item.

    Values are fractions of 1 but for lengths; an undefined one is NaN (null in metrics.json, an empty cell in
    per_sample.csv) and left out of means. Truth and prediction are compared at the truth's size, the picture's own
    unless the pipeline has ``EvaluateAtNetworkSize``.

    Args:
        protocol: a name or several.
        empty: what an item scores whose truth and prediction are both empty, in the protocols that leave it open
            (``lvit``, ``two-class``, the ``iou`` of ``boundary``): ``'one'``; ``'zero'``, as LViT's released test;
            ``'skip'``, nothing: it is left out of their means.
        ignore_index: label of the truth that counts nowhere.
        threshold: a pixel is foreground where its probability is larger; None takes the model's own decision (argmax,
            or the threshold of a head with one channel). Not with test-time augmentation, which leaves no mean of
            several channels.
        gres_min_pixels: ``gres`` takes a prediction of fewer pixels for none.
        output_dir: where to write ``metrics.json`` and ``per_sample.csv``; None writes nothing.
        save_masks: also write predictions into ``output_dir/masks``: ``<sample_id>.png``, 0 / 255; of slices of a NIfTI
            volume label volumes, if the samples' metainfo has ``slice_view`` (see ``meta_keys`` of PackTextSegInputs).
        info: kept as it is in metrics.json (config, checkpoint).
        keep_results: set by MMSegmentation's test tool for its own metric; nothing depends on it here.
        collect_device, prefix: of :class:`mmengine.evaluator.BaseMetric`.

    Raises:
        EvaluationError: for an unknown option.
        ImportError: ``'boundary'`` without MONAI.
    """

    # Not None, which mmengine warns of at each start.
    default_prefix = ''

    def __init__(
        self,
        protocol: str | Sequence[str] = ('lvit', 'two-class', 'pooled'),
        empty: Literal['one', 'zero', 'skip'] = 'one',
        ignore_index: int = 255,
        threshold: float | None = None,
        gres_min_pixels: int = 1,
        output_dir: str | None = None,
        save_masks: bool = False,
        info: dict | None = None,
        keep_results: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        names = list(dict.fromkeys([protocol] if isinstance(protocol, str) else protocol))
        unknown = [name for name in names if name not in PROTOCOLS]
        if unknown or not names:
            raise EvaluationError(f'protocol is {protocol!r}: expected one or several of {", ".join(PROTOCOLS)}')
        if empty not in EMPTY_SCORES:
            raise EvaluationError(f"empty must be 'one', 'zero' or 'skip', got {empty!r}")
        if threshold is not None and not 0 <= threshold < 1:
            raise EvaluationError(
                f'threshold is {threshold}: expected a probability, 0 or more and less than 1, or None'
            )
        if gres_min_pixels < 1:
            raise EvaluationError(
                f'gres_min_pixels is {gres_min_pixels}: expected at least 1, with which none is cleared'
            )
        if save_masks and output_dir is None:
            raise EvaluationError('save_masks=True needs output_dir')
        self.empty_score = EMPTY_SCORES[empty]
        self.protocols = [PROTOCOLS[name](self.empty_score, gres_min_pixels) for name in names]
        self.outlines = 'boundary' in names
        if self.outlines:
            load_monai()  # now, not after the first batch
        self.ignore_index = ignore_index
        self.threshold = threshold
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.save_masks = save_masks
        settings = dict(empty=empty, ignore_index=ignore_index, threshold=threshold, gres_min_pixels=gres_min_pixels)
        self.info = dict(info or {}, settings=settings)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count each sample's pixels; write its mask.

        Raises:
            EvaluationError: a sample without truth, or without logits for a threshold; prediction and truth of two
                sizes.
            MedicalImageError: a spacing that is none; the mask of a volume's slice at another size.
        """
        if self.output_dir is not None and not self.results:
            # Away first and back last: its presence means that all the rest is there and of the same run.
            (self.output_dir / 'metrics.json').unlink(missing_ok=True)
        for sample in data_samples:
            path = sample.get('img_path', '')
            if 'gt_sem_seg' not in sample:
                raise EvaluationError(f'no truth for {path}: the test pipeline needs LoadMask before PackTextSegInputs')
            pred = predicted_mask(sample, self.threshold)
            masks = compare(pred, to_mask(sample['gt_sem_seg']['data']), self.ignore_index)
            name = sample.get('sample_id', Path(path).stem)
            row = dict(
                sample_id=name,
                image=os.path.basename(path),
                expression=sample.get('text', ''),
                counts=masks.counts,
                outlines=self._outlines(masks, sample) if self.outlines else {},
            )
            if self.save_masks:
                row['slice'] = write_mask(self.output_dir / 'masks', sample, name, (pred != 0).numpy())
            self.results.append(row)

    def _outlines(self, masks: Masks, sample: dict) -> dict[str, float]:
        spacing = pixel_spacing(sample)
        found = surface_distances(masks.pred, masks.truth, spacing or (1.0, 1.0))
        unit = 'px' if spacing is None else 'mm'
        overlap = boundary_iou(masks.pred, masks.truth, self.empty_score)
        return {f'hd95_{unit}': found.hd95, f'assd_{unit}': found.assd, 'iou': overlap}

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Every protocol's values of the set, and the files of ``output_dir``; on the first process only.

        Args:
            results: rows of all processes in the order of the dataset, each once.
        """
        # mmengine's way to the CPU makes plain tuples of them.
        items = [Item(Counts(*row['counts']), row['outlines']) for row in results]
        scores, metrics, blocks = {}, {}, []
        columns = [LViT(self.empty_score).of_item(item) for item in items]
        for protocol in self.protocols:
            values = [protocol.of_item(item) for item in items]
            found = scores[protocol.NAME] = protocol.of_set(items, values)
            metrics.update({protocol.PREFIX + name: score.value for name, score in found.items()})
            blocks.append(table(protocol, found, items))
            for column, value in zip(columns, values, strict=True):
                column.update({protocol.PREFIX + name: one for name, one in value.items()})
        print_log('\n'.join(['values in percent, lengths in their unit, - is undefined', *blocks]), 'current')
        if self.output_dir is not None:
            slices = [StoredSlice(*row['slice']) for row in results if row.get('slice') is not None]
            write_label_volumes(self.output_dir / 'masks', slices)
            write_samples(self.output_dir / 'per_sample.csv', results, items, columns)
            write_summary(self.output_dir / 'metrics.json', scores, len(items), self.info)
            masks = ', masks' if self.save_masks else ''
            print_log(f'written to {self.output_dir}: metrics.json, per_sample.csv{masks}', logger='current')
        return metrics
