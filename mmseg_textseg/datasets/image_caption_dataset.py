"""Images with captions and without masks: what the first stage of MPTPN learns from."""

from collections.abc import Iterator, Sequence

import numpy as np
from mmseg.registry import DATASETS

from .annotations import AnnotationError, AnnotationRow
from .sample_names import SampleNames
from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class ImageCaptionDataset(TextSegDataset):
    """Images and sentences about them.

    The table is a COCO captions json, any other of :class:`TextSegDataset`, or that of a text-segmentation dataset,
    whose masks are then ignored: rows of one image are one image, whatever mask they name. Items are those of
    TextSegDataset without ``seg_map_path``.

    Args:
        ann_file: the table.
        captions: ``'first'``, one item an image, with the first caption in the order of the table; or ``'all'``,
            one item per distinct (image, caption).
        num_images: take only so many images, drawn at random and kept in the order of the table; ``None`` takes
            all. The paper takes 5,000 of COCO.
        seed: of that draw.
        names_like: registered dataset whose rule for file names the table follows, e.g. ``'QaTaCOV19Dataset'``,
            whose tables name the masks.
        data_prefix: ``img_path``, the folder of the images relative to ``data_root``.
        kwargs: of :class:`TextSegDataset`, but for ``expressions`` and ``mask_column``.

    Raises:
        ValueError: for a folder of masks or a bad option.
        AnnotationError: as TextSegDataset; with ``num_images``, if there are fewer images.
    """

    METAINFO: dict = dict(classes=(), palette=[])  # nothing is labelled; test_mode asks for the key
    DATA_PREFIX: dict = dict(img_path='')

    def __init__(
        self,
        ann_file: str,
        *,
        captions: str = 'first',
        num_images: int | None = None,
        seed: int = 0,
        names_like: str = 'TextSegDataset',
        data_prefix: dict | None = None,
        **kwargs,
    ) -> None:
        if captions not in ('first', 'all'):
            raise ValueError(f"captions is {captions!r}; expected 'first' or 'all'")
        if num_images is not None and num_images < 1:
            raise ValueError(f'num_images is {num_images}; expected at least 1, or None for all')
        if 'seg_map_path' in (data_prefix or {}):
            raise ValueError(
                f'data_prefix has seg_map_path={data_prefix["seg_map_path"]!r}, but ImageCaptionDataset has no masks: '
                'leave the key out, or use TextSegDataset'
            )
        for option in ('expressions', 'mask_column'):
            if option in kwargs:
                raise ValueError(f'ImageCaptionDataset has no option {option!r}: leave it out; see captions')
        kind = DATASETS.get(names_like)
        if not (isinstance(kind, type) and issubclass(kind, TextSegDataset)):
            raise ValueError(
                f'names_like is {names_like!r}; expected the name of a TextSegDataset, e.g. QaTaCOV19Dataset'
            )
        self.captions = captions
        self.num_images = num_images
        self.seed = seed
        self.image_name = kind.image_name
        super().__init__(ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> Sequence[dict]:
        """Items of the images, those of one image beside one another."""
        images: dict[str, dict[str, AnnotationRow]] = {}  # image -> caption -> the first row that has it
        for row in self.iter_rows():
            for caption in row.expressions:
                images.setdefault(row.image, {}).setdefault(caption, row)
        named = SampleNames()
        names = {image: named.of(image, None) for image in images}
        return self._hold(self._items(images, names))

    def _items(self, images: dict[str, dict[str, AnnotationRow]], names: dict[str, str]) -> Iterator[dict]:
        for image in self._drawn(list(images)):
            for number, (caption, row) in enumerate(images[image].items()):
                if self.captions == 'first':
                    yield self._item(row, sample_id=names[image], text=caption)
                    break
                yield self._item(row, sample_id=f'{names[image]}-{number}', text=caption)

    def _drawn(self, images: list[str]) -> list[str]:
        if self.num_images is None:
            return images
        if self.num_images > len(images):
            raise AnnotationError(
                self.ann_file,
                [f'num_images={self.num_images}, but {len(images)} images: set at most that, or None for all'],
            )
        chosen = np.random.default_rng(self.seed).choice(len(images), self.num_images, replace=False)
        return [images[i] for i in sorted(chosen)]
