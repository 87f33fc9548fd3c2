"""Normalisation and batching of two views."""

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class TwoViewDataPreProcessor(SegDataPreProcessor):
    """SegDataPreProcessor for batches of two views, as PackViews and ``pseudo_collate`` make them.

    Both views of all samples are normalised and padded as one batch of MMSegmentation's, so they come out in one size.
    In training mode exactly one of ``size`` and ``size_divisor`` must be set, as in MMSegmentation
    (``size_divisor=1`` pads to the largest image of the batch); elsewhere all images of a batch must have one size.

    Args:
        *args: as in SegDataPreProcessor.
        **kwargs: likewise.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch the views.

        Args:
            data: ``inputs``, a list of two sequences of B tensors (3, H, W), and ``data_samples``, a list of B (which
                may be left out unless ``training``).
            training: whether the padding of training is meant, or that of ``test_cfg``.

        Returns:
            dict: ``inputs``, a list of two float tensors (B, 3, H, W), and ``data_samples`` on the device. The two
            tensors share one storage.

        Raises:
            ValueError: if ``inputs`` are not two views of as many images.
        """
        views = data['inputs']
        if len(views) != 2 or not all(isinstance(view, (list, tuple)) for view in views):
            raise ValueError(
                f'TwoViewDataPreProcessor got inputs of type {type(views).__name__} of '
                f'{[type(view).__name__ for view in views]}; expected two lists of images: pack with PackViews and '
                'collate with pseudo_collate (the default)'
            )
        count = len(views[0])
        if len(views[1]) != count:
            raise ValueError(f'TwoViewDataPreProcessor got {count} images in one view and {len(views[1])} in the other')
        samples = data.get('data_samples')
        if samples is not None:
            # Padding wants a sample an image; blank ones for the second view, so that no mask is padded twice.
            samples = [*samples, *(SegDataSample() for _ in range(count))]
        batch = super().forward(dict(inputs=[*views[0], *views[1]], data_samples=samples), training)
        batch['inputs'] = list(batch['inputs'].split(count))
        if samples is not None:
            batch['data_samples'] = batch['data_samples'][:count]
        return batch
