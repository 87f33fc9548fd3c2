"""MMSegmentation's visualizer for sentences and masks."""

import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor

from ..evaluation.overlap import foreground_probability
from .panel import panel


@VISUALIZERS.register_module()
class TextSegVisualizer(SegLocalVisualizer):
    """Draws the panel of a prediction (:func:`mmseg_textseg.visualization.panel`) and hands it to every vis backend.

    Works with MMSegmentation's hook, inferencer and ``show_result_pyplot`` as the stock visualizer does.

    Args:
        name: of the instance.
        *args: of :class:`mmseg.visualization.SegLocalVisualizer`.
        side: of a picture on the panel, pixels: its longer one.
        **kwargs: as ``args``.
    """

    # mmengine's metaclass wants the word ``name`` in the signature.
    def __init__(self, name: str = 'visualizer', *args, side: int = 320, **kwargs):
        super().__init__(name, *args, **kwargs)
        self.side = side

    def draw(
        self,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
    ) -> np.ndarray:
        """The panel of a sample.

        Args:
            image: (H, W, 3) uint8 RGB.
            data_sample: what there is of it is drawn: ``gt_sem_seg``, ``pred_sem_seg``, ``seg_logits`` and, in the
                metainfo, ``text``.
            draw_gt: whether to draw the truth.
            draw_pred: whether to draw prediction and probability.

        Returns:
            RGB page.
        """
        sample = SegDataSample() if data_sample is None else data_sample
        parts = {}
        if draw_gt and 'gt_sem_seg' in sample:
            parts['truth'] = _plane(sample.gt_sem_seg.data)
        if draw_pred and 'pred_sem_seg' in sample:
            parts['prediction'] = _plane(sample.pred_sem_seg.data)
        if draw_pred and 'seg_logits' in sample:
            parts['probability'] = foreground_probability(torch.as_tensor(sample.seg_logits.data)).cpu().numpy()
        return panel(image, sample.metainfo.get('text') or '', side=self.side, **parts)

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        **_,
    ) -> None:
        """Draw a sample; to a window, and to a file or all backends.

        Args:
            name: of the picture.
            image, data_sample, draw_gt, draw_pred: as in :meth:`draw`.
            show: also in a window, for ``wait_time`` seconds (0: until a key is pressed).
            wait_time: see ``show``.
            out_file: write this file instead of using the backends.
            step: of the run, for the backends.
            **_: what MMSegmentation's tools set for its own drawing (``with_labels``).
        """
        drawn = self.draw(image, data_sample, draw_gt, draw_pred)
        self.set_image(drawn)  # for get_image(), which MMSegmentation's inferencer calls
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(drawn), out_file)
        else:
            self.add_image(name, drawn, step)


def _plane(data: Tensor | np.ndarray) -> np.ndarray:
    return torch.as_tensor(data).squeeze(0).cpu().numpy()
