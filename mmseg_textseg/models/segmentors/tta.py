"""Test-time augmentation with text: every turn of the picture, and models of one output channel."""

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor

from ...datasets.turns import QUARTER_TURNS, canonical_turn, inverse_turn

# np.rot90's and torch.rot90's k, after a mirror at the vertical axis or not.
_TURNS = {
    'diagonal': (False, 2),
    'rot90': (False, 1),
    'rot270': (False, 3),
    'transpose': (True, 1),
    'antitranspose': (True, 3),
}
"""The turns that MMSegmentation's post-processing does not know: it turns back 'horizontal' and 'vertical'."""


@MODELS.register_module()
class TextSegTTAModel(SegTTAModel):
    """``SegTTAModel`` that turns back quarter turns too, with the right mean for models of one output channel.

    Used as ``tta_model=dict(type='TextSegTTAModel')`` beside a ``tta_pipeline``. The text rides in the data samples
    of every view, so the model needs nothing else; a view that is flipped or turned needs ``SwapDirectionWords``
    after the turn, see docs/augmentation.md. With several channels the mean is the stock class's.

    With one channel, ``postprocess_result`` has applied the sigmoid already when it fills ``seg_logits``; the stock
    class applies it again, which leaves no value below 0.5. Here the views' probabilities are averaged as they are
    and compared with ``decode_head.threshold``.

    Args:
        module, data_preprocessor: of :class:`mmengine.model.BaseTTAModel`.
    """

    def test_step(self, data: dict) -> SampleList:
        """Merged predictions of a batch of a ``TestTimeAug`` pipeline.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views of a list of images. Left unchanged.

        Returns:
            As :meth:`merge_preds`.
        """
        views = [[_as_if_upright(sample) for sample in view] for view in data['data_samples']]
        return super().test_step({**data, 'data_samples': views})

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
        data_samples_list = [[_turned_back(sample) for sample in views] for views in data_samples_list]
        merged = super().merge_preds(data_samples_list)
        if self.module.out_channels == 1:
            for sample, views in zip(merged, data_samples_list, strict=True):
                probability = torch.stack([view.seg_logits.data for view in views]).mean(0)
                mask = (probability > self.module.decode_head.threshold).to(probability)
                sample.set_data(dict(seg_logits=PixelData(data=probability), pred_sem_seg=PixelData(data=mask)))
        return merged


def _as_if_upright(sample: SegDataSample) -> SegDataSample:
    """The sample of a view, such that post-processing leaves the prediction turned as the view is."""
    turn = canonical_turn(sample.flip_direction) if sample.get('flip') else None
    if turn not in _TURNS:
        return sample
    shape = sample.ori_shape[::-1] if turn in QUARTER_TURNS else sample.ori_shape
    return sample.new(metainfo={**sample.metainfo, 'flip': False, 'ori_shape': shape, 'turned_by': turn})


def _turned_back(sample: SegDataSample) -> SegDataSample:
    """A new sample, its prediction as the picture lies, and all told as :func:`_as_if_upright` found it."""
    turn = sample.get('turned_by')
    if turn is None:
        return sample.new()
    metainfo = {key: value for key, value in sample.metainfo.items() if key != 'turned_by'}
    shape = sample.ori_shape[::-1] if turn in QUARTER_TURNS else sample.ori_shape
    back = sample.new(metainfo={**metainfo, 'flip': True, 'ori_shape': shape})
    for key in ('seg_logits', 'pred_sem_seg'):
        # PixelData holds one size, so the field is made anew.
        back.set_field(PixelData(data=_turn(sample.get(key).data, inverse_turn(turn))), key, dtype=PixelData)
    return back


def _turn(maps: Tensor, turn: str) -> Tensor:
    """Maps (C, H, W) turned by one of ``_TURNS``."""
    mirrored, quarters = _TURNS[turn]
    return torch.rot90(maps.flip(-1) if mirrored else maps, quarters, (-2, -1)).contiguous()
