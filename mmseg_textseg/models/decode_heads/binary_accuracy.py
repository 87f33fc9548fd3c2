"""The pixel accuracy that training logs, for heads with one logit."""

from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor


def binary_accuracy(logits: Tensor, truth: Tensor, threshold: float, ignore_index: int, align_corners: bool) -> Tensor:
    """Percent of the valid pixels that are right.

    ``BaseDecodeHead`` takes the largest of several logits, which of one is always the first class.

    Args:
        logits: of the foreground (B, 1, h, w), resized to the truth.
        truth: (B, 1, H, W), 0 / 1 / ignore_index.
        threshold: of the foreground's probability.
        ignore_index: label of pixels that do not count.
        align_corners: of the resizing.
    """
    logits = resize(logits.detach(), size=truth.shape[2:], mode='bilinear', align_corners=align_corners)
    right = (logits.sigmoid() > threshold) == (truth > 0)
    valid = truth != ignore_index
    return 100 * (right & valid).sum() / valid.sum().clamp(min=1)


class BinaryAccuracyMixin:
    """Before a ``BaseDecodeHead`` that may have one logit."""

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict:
        """As :class:`BaseDecodeHead`'s, the accuracy of one logit mended."""
        losses = super().loss_by_feat(seg_logits, batch_data_samples)
        if self.out_channels == 1:
            truth = self._stack_batch_gt(batch_data_samples)
            losses['acc_seg'] = binary_accuracy(
                seg_logits, truth, self.threshold, self.ignore_index, self.align_corners
            )
        return losses
