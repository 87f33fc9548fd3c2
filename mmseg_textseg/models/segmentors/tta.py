"""Test-time augmentation that also fits models of one output channel."""

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList


@MODELS.register_module()
class TextSegTTAModel(SegTTAModel):
    """``SegTTAModel`` with the right mean for models of one output channel.

    Used as ``tta_model=dict(type='TextSegTTAModel')`` beside a ``tta_pipeline``. The text rides in the data samples
    of every view, so the model needs nothing else. With several channels it is the stock class.

    With one channel, ``postprocess_result`` has applied the sigmoid already when it fills ``seg_logits``; the stock
    class applies it again, which leaves no value below 0.5. Here the views' probabilities are averaged as they are
    and compared with ``decode_head.threshold``.

    Args:
        module, data_preprocessor: of :class:`mmengine.model.BaseTTAModel`.
    """

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """One prediction an image from those of its views.

        Args:
            data_samples_list: for each image the predictions of its views, at its original size. Left unchanged.

        Returns:
            For each image a new sample with ``pred_sem_seg`` (1, H, W) and what the stock class keeps: truth and
            ``img_path`` of the first view, all else of the last. With one channel ``seg_logits`` is the mean
            probability (1, H, W); with several it is the last view's, as in the stock class.
        """
        # The stock class writes into the sample of the last view.
        merged = super().merge_preds([[sample.new() for sample in views] for views in data_samples_list])
        if self.module.out_channels == 1:
            for sample, views in zip(merged, data_samples_list, strict=True):
                probability = torch.stack([view.seg_logits.data for view in views]).mean(0)
                mask = (probability > self.module.decode_head.threshold).to(probability)
                sample.set_data(dict(seg_logits=PixelData(data=probability), pred_sem_seg=PixelData(data=mask)))
        return merged
