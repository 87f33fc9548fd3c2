"""Pictures of predictions while validating and testing."""

from collections.abc import Sequence

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader

from ..visualization.pictures import image_loader, load_picture


@HOOKS.register_module()
class TextSegVisualizationHook(SegVisualizationHook):
    """MMSegmentation's hook for items with sentences, and for CT and MRI.

    Other than the stock one it loads images as the dataset does, names a picture by its ``sample_id`` (an image has
    several sentences), draws the same items at each validation, so that TensorBoard and W&B show one item over the
    training, and keeps to ``interval`` in testing too.

    Args:
        *args: of :class:`mmseg.engine.hooks.SegVisualizationHook`. ``draw=False``, the default, does nothing;
            ``interval`` counts items: 0, interval, 2 interval, ... are drawn.
        **kwargs: as ``args``.
    """

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw the items of a batch whose turn it is."""
        if self.draw:
            self._draw('val', runner.val_dataloader, batch_idx, outputs, runner.iter)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw the items of a batch whose turn it is."""
        if self.draw:
            self._draw('test', runner.test_dataloader, batch_idx, outputs, runner.iter)

    def _draw(
        self, split: str, dataloader: DataLoader, batch_idx: int, outputs: Sequence[SegDataSample], step: int
    ) -> None:
        # The last batch may be smaller, so its own length does not tell where it begins.
        first = batch_idx * (dataloader.batch_size or len(outputs))
        due = [sample for number, sample in enumerate(outputs, first) if number % self.interval == 0]
        if not due:
            return
        loader = image_loader(dataloader.dataset)
        for sample in due:
            self._visualizer.add_datasample(
                f'{split}_{sample.metainfo.get("sample_id") or sample.img_path.rsplit("/", 1)[-1]}',
                load_picture(sample, loader),
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                step=step,
            )
