"""What the field reports, by name: which values, over what they are averaged, and what counts where a mask is empty.

All work on pixels of the foreground of prediction and truth: both (tp), prediction only (fp), truth only (fn), neither
(tn). Values are fractions of 1, lengths are in mm or pixels; NaN is undefined, and left out of means.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .overlap import Counts, accuracy, dice, iou, mean_iou, pool, precision, recall


class Item(NamedTuple):
    """What is kept of an (image, expression): its pixels, and its outlines' values if they were asked for."""

    counts: Counts
    outlines: dict[str, float] = {}


class Score(NamedTuple):
    """A value of a set and over how many items it was taken."""

    value: float
    items: int


def mean(values: Iterable[float]) -> Score:
    """Mean of those that are defined."""
    kept = [value for value in values if not math.isnan(value)]
    return Score(statistics.fmean(kept) if kept else math.nan, len(kept))


class Protocol:
    """One way to report. Subclasses are the published ones.

    Attributes:
        NAME: by which it is asked for.
        PREFIX: what makes its names unique among those of all protocols.
        HEADINGS: value -> heading in the printed table.
        TITLE: what the table says above the values.

    Args:
        empty_score: for an item whose masks are both empty, where the protocol leaves that open; NaN leaves the item
            out.
        min_pixels: for ``gres``.
    """

    NAME = ''
    PREFIX = ''
    HEADINGS: dict[str, str] = {}
    TITLE = ''

    def __init__(self, empty_score: float = 1.0, min_pixels: int = 1) -> None:
        self.empty_score, self.min_pixels = empty_score, min_pixels

    def of_item(self, item: Item) -> dict[str, float]:
        """Values of one item."""
        return {}

    def of_set(self, items: Sequence[Item], values: Sequence[dict[str, float]]) -> dict[str, Score]:
        """Values of a set; here the means.

        Args:
            items: all of the set, at least one.
            values: what :meth:`of_item` gave for each.
        """
        names = dict.fromkeys(name for row in values for name in row)
        return {name: mean(row[name] for row in values if name in row) for name in self.HEADINGS if name in names}

    def note(self, items: Sequence[Item]) -> str:
        """What a reader of the values must know of this set; mostly nothing."""
        return ''

    def _left_out(self, items: Sequence[Item]) -> str:
        count = sum(item.counts.empty for item in items) if math.isnan(self.empty_score) else 0
        return f'{count} items empty in both left out' if count else ''


class LViT(Protocol):
    """``lvit``: Dice and IoU of the foreground, an item each, and their means over items.

    - ``dice``: 2 tp / (2 tp + fp + fn). ``iou``: tp / (tp + fp + fn); the papers call it mIoU.
    - Empty masks: only one of them, 0. Both, ``empty_score``: no paper says. LViT's released test gives 0 (its
      smoothing stands below the fraction only), its validation 1 (on both sides); their test sets have no such item.
    - Threshold: LViT's probability > 0.5; argmax, where a model has two channels.
    - Size: LViT evaluates at the network's, 224 x 224; ``dice`` and ``iou`` are at whatever size the truth has here.
    - Used by: LViT (Li et al., IEEE TMI 2024), LSMS (Ouyang et al. 2024), and with them most of the field.
    """

    NAME = 'lvit'
    HEADINGS = dict(dice='Dice', iou='IoU')
    TITLE = 'means over items, foreground'

    def of_item(self, item: Item) -> dict[str, float]:
        return dict(dice=dice(item.counts, self.empty_score), iou=iou(item.counts, self.empty_score))

    def note(self, items: Sequence[Item]) -> str:
        return self._left_out(items)


class Pooled(Protocol):
    """``pooled``: the same of pixels counted over the whole set, so that large objects weigh more.

    - ``dice``, ``iou``, ``precision`` tp / (tp + fp) and ``recall`` tp / (tp + fn) of the foreground, ``acc``
      (tp + tn) / (tp + fp + fn + tn), ``miou`` the mean of the foreground's and the background's IoU.
    - Empty masks: an item has no value of its own, so no rule is needed; all items count, whatever ``empty`` says. NaN
      where the whole set has no foreground, in truth and prediction.
    - Threshold: LanGuideMedSeg's probability > 0.5.
    - Size: LanGuideMedSeg evaluates at the network's, 224 x 224.
    - Used by: LanGuideMedSeg (Zhong et al., MICCAI 2023), by torchmetrics: its acc, dice, and what it calls MIoU, which
      is ``iou`` here; MMSegmentation's IoUMetric (per class).
    """

    NAME = 'pooled'
    PREFIX = 'pooled_'
    HEADINGS = dict(dice='Dice', iou='IoU', miou='mIoU', acc='Acc', precision='Precision', recall='Recall')
    TITLE = 'pixels of the whole set; mIoU and Acc of both classes, the rest of the foreground'

    def of_set(self, items: Sequence[Item], values: Sequence[dict[str, float]]) -> dict[str, Score]:
        counts = pool([item.counts for item in items])
        scores = dict(dice=dice, iou=iou, miou=mean_iou, acc=accuracy, precision=precision, recall=recall)
        return {name: Score(score(counts, math.nan), len(items)) for name, score in scores.items()}


class TwoClass(Protocol):
    """``two-class``: MPTPN's, an item each, and the means over items.

    - ``acc``: (tp + tn) / (tp + fp + fn + tn), eq. 12. ``miou``: the mean of tp / (tp + fp + fn) and
      tn / (tn + fp + fn), eq. 13. ``dice``: 2 tp / (2 tp + fp + fn), eq. 14, so ``dice`` of ``lvit``.
      ``precision``: tp / (tp + fp), ``recall``: tp / (tp + fn), of the foreground.
    - The paper does not say whether these are means over images or of all pixels; its t-tests are of images.
    - Empty masks: both, the foreground's IoU, Dice, precision and recall are ``empty_score`` (the paper is silent), and
      with NaN the item is left out of all five. One of them, 0, also for precision without a prediction. An item
      without background in both: the background's IoU is 1.
    - Threshold: probability > 0.5 (a sigmoid). Size: the network's, 224 x 224, as far as the paper lets know.
    - Used by: MPTPN (Han et al. 2023). Its tables' precision and recall do not agree with its Dice, see
      docs/fidelity.md.
    """

    NAME = 'two-class'
    PREFIX = 'two_class_'
    HEADINGS = dict(dice='Dice', miou='mIoU', acc='Acc', precision='Precision', recall='Recall')
    TITLE = 'means over items; mIoU and Acc of both classes, the rest of the foreground'

    def of_item(self, item: Item) -> dict[str, float]:
        scores = dict(dice=dice, miou=mean_iou, acc=accuracy, precision=precision, recall=recall)
        if item.counts.empty and math.isnan(self.empty_score):
            return dict.fromkeys(scores, math.nan)
        return {name: score(item.counts, self.empty_score) for name, score in scores.items()}

    def note(self, items: Sequence[Item]) -> str:
        return self._left_out(items)


class RIS(Protocol):
    """``ris``: referring image segmentation of natural images.

    - ``miou``: the mean over expressions of tp / (tp + fp + fn), an item's ``iou``. ``oiou``: overall IoU, the sum of
      tp over the sum of tp + fp + fn. ``p50`` to ``p90``: Precision@X, the share of expressions whose IoU is X or more.
    - Empty masks: an item with both empty has IoU 0, as in LAVT's evaluation (RefCOCO has none), and adds nothing to
      ``oiou``, which is NaN where the whole set is empty.
    - Threshold: argmax of two channels. Size: the network's, 480 x 480, in LAVT's released test.
    - Used by: LAVT (Yang et al., CVPR 2022) and the works on RefCOCO, RefCOCO+ and RefCOCOg before and after it.
    """

    NAME = 'ris'
    PREFIX = 'ris_'
    PRECISION_AT = dict(p50=0.5, p60=0.6, p70=0.7, p80=0.8, p90=0.9)
    HEADINGS = dict(miou='mIoU', oiou='oIoU', **{name: f'P@{least}' for name, least in PRECISION_AT.items()})
    TITLE = 'expressions, foreground'

    def of_item(self, item: Item) -> dict[str, float]:
        return dict(iou=iou(item.counts, 0.0))

    def of_set(self, items: Sequence[Item], values: Sequence[dict[str, float]]) -> dict[str, Score]:
        ious = [row['iou'] for row in values]
        together = pool([item.counts for item in items])
        precisions = {name: mean(float(value >= least) for value in ious) for name, least in self.PRECISION_AT.items()}
        return dict(miou=mean(ious), oiou=Score(iou(together, math.nan), len(items)), **precisions)


class GRES(Protocol):
    """``gres``: generalised referring segmentation, where an expression may name nothing (no-target: an empty truth).

    - ``giou``: the mean over items of their ``iou``: tp / (tp + fp + fn); of a no-target item 1 where nothing is
      predicted, else 0; of another item 0 where nothing is predicted. ``ciou``: the sum of tp over the sum of
      tp + fp + fn: what is predicted for a no-target item enters below, one that is rightly empty adds nothing.
      ``n_acc``: the share of no-target items for which nothing is predicted. ``t_acc``: the share of the others for
      which something is. NaN without such items (the release: 0).
    - Nothing is predicted: fewer than ``min_pixels`` pixels, which are then cleared; 1, the paper's definition, clears
      none. ReLA's release takes the word of a no-target head of its own instead, and has no such rule.
    - Threshold: argmax of two channels. Size: of the network's input in ReLA's release.
    - Used by: GRES / ReLA (Liu et al., CVPR 2023) and works on gRefCOCO.
    """

    NAME = 'gres'
    PREFIX = 'gres_'
    HEADINGS = dict(giou='gIoU', ciou='cIoU', n_acc='N-acc', t_acc='T-acc')
    TITLE = 'expressions, some without a target'

    def cleared(self, counts: Counts) -> Counts:
        """The counts where a prediction of too few pixels is none."""
        tp, fp, fn, tn = counts
        return Counts(0, 0, tp + fn, fp + tn) if tp + fp < self.min_pixels else counts

    def of_item(self, item: Item) -> dict[str, float]:
        return dict(iou=iou(self.cleared(item.counts), 1.0))

    def of_set(self, items: Sequence[Item], values: Sequence[dict[str, float]]) -> dict[str, Score]:
        every = [self.cleared(item.counts) for item in items]
        silent = [(counts.tp + counts.fn == 0, counts.tp + counts.fp == 0) for counts in every]
        together = pool(every)
        return dict(
            giou=mean(row['iou'] for row in values),
            ciou=Score(iou(together, math.nan), len(items)),
            n_acc=mean(float(nothing) for no_target, nothing in silent if no_target),
            t_acc=mean(float(not nothing) for no_target, nothing in silent if not no_target),
        )

    def note(self, items: Sequence[Item]) -> str:
        without = sum(item.counts.tp + item.counts.fn == 0 for item in items)
        return f'{without} without a target, {len(items) - without} with one'


class Boundary(Protocol):
    """``boundary``: how far the outlines are apart, an item each, and the means over items.

    - ``hd95_mm``: 95 % Hausdorff distance; ``assd_mm``: average symmetric surface distance
      (:func:`~mmseg_textseg.evaluation.boundaries.surface_distances`, MONAI's). ``iou``: Boundary IoU with bands of 2 %
      of the diagonal, in pixels (:func:`~mmseg_textseg.evaluation.boundaries.boundary_iou`).
    - In mm where the sample says its spacing; else in pixels, as ``hd95_px`` and ``assd_px``. A set of both kinds has
      all four, each the mean over its own items.
    - Empty masks: with one or both empty there is no distance; the item is left out of the means, and the table says
      how many were. A model that finds nothing on hard images gains by that: read it beside ``lvit``. ``iou`` as there.
    - Ignored pixels belong to neither mask.
    - Threshold and size: no rule. Used by: challenges of medical segmentation (HD95, ASSD), instance segmentation
      (Boundary IoU: Cheng et al., CVPR 2021).
    """

    NAME = 'boundary'
    PREFIX = 'boundary_'
    HEADINGS = dict(
        hd95_mm='HD95 (mm)',
        assd_mm='ASSD (mm)',
        hd95_px='HD95 (pixels)',
        assd_px='ASSD (pixels)',
        iou='Boundary IoU',
    )
    TITLE = 'means over items'

    def of_item(self, item: Item) -> dict[str, float]:
        return item.outlines

    def note(self, items: Sequence[Item]) -> str:
        one = sum(0 in (c.tp + c.fp, c.tp + c.fn) and not c.empty for c in (item.counts for item in items))
        both = sum(item.counts.empty for item in items)
        known = sum('hd95_mm' in item.outlines for item in items)
        said = []
        if one or both:
            said.append(f'no distance for {one} items with one mask empty and {both} with both')
        if 0 < known < len(items):
            said.append(f'{known} items in mm, {len(items) - known} of unknown spacing in pixels')
        return '; '.join(said)


PROTOCOLS: dict[str, type[Protocol]] = {kind.NAME: kind for kind in (LViT, TwoClass, Pooled, RIS, GRES, Boundary)}
