"""RefHL-Seg: referring segmentation of focal liver lesions in CT slices (the dataset of LSMS)."""

import logging
import os.path as osp

from mmengine import fileio
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from .annotation_readers import AnnotationError, Table, read_table
from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class RefHLSegDataset(TextSegDataset):
    """RefHL-Seg, or made-up slices in its layout.

    ``data_root`` holds ``images/``, ``masks/`` and one jsonl a split (``train.jsonl``, ...). A row is
    ``{"case_id", "image", "mask", "expression", "segment", "diameter_mm", "shape", "boundary", "enhancement",
    "type"}``, image and mask being file names inside their folders, null meaning unknown; ``kind``, ``side``,
    ``pixel_spacing_mm`` and others are kept as attributes where they are there.

    The splits never share a case: the jsonl files beside ``ann_file`` are read to make sure.

    Args:
        ann_file: the split, e.g. ``'train.jsonl'``.
        data_prefix: the two folders.
        kwargs: of :class:`TextSegDataset`.

    Raises:
        AnnotationError: as TextSegDataset, and for a case that stands in two splits.
    """

    METAINFO: dict = dict(classes=('background', 'lesion'), palette=[[0, 0, 0], [220, 20, 60]])
    REQUIRED_COLUMNS = ('case_id', 'segment', 'diameter_mm', 'shape', 'boundary', 'enhancement', 'type')

    def __init__(
        self,
        ann_file: str,
        *,
        data_prefix: dict = dict(img_path='images', seg_map_path='masks'),
        image_column: str = 'image',
        mask_column: str = 'mask',
        text_column: str = 'expression',
        **kwargs,
    ) -> None:
        super().__init__(
            ann_file,
            data_prefix=data_prefix,
            image_column=image_column,
            mask_column=mask_column,
            text_column=text_column,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Items of the split, after the checks of the whole dataset."""
        items = super().load_data_list()
        self._check_splits()
        marker = osp.join(self.data_root or osp.dirname(self.ann_file), 'phantom.json')
        if fileio.exists(marker, backend_args=self.backend_args):
            print_log(
                f'{self.ann_file}: these are made-up pictures ({marker}), not patients; no figure got from them says '
                'anything about RefHL-Seg or any clinic',
                logger='current',
                level=logging.WARNING,
            )
        return items

    def _check_splits(self) -> None:
        folder = osp.dirname(self.ann_file)
        own = osp.basename(self.ann_file)
        names = fileio.list_dir_or_file(folder or '.', list_dir=False, suffix='.jsonl', backend_args=self.backend_args)
        problems: list[str] = []
        cases = self._cases(read_table(self.ann_file, backend_args=self.backend_args), problems)
        for name in sorted(set(names) - {own}):
            other = read_table(osp.join(folder, name), backend_args=self.backend_args)
            shared = sorted(cases & self._cases(other, problems))
            problems += [f'case {case!r} stands in {own} and in {name}: keep it in one split' for case in shared]
        if problems:
            raise AnnotationError(self.ann_file, problems)

    @staticmethod
    def _cases(table: Table, problems: list[str]) -> set[str]:
        problems += table.problems
        cases = set()
        for record in table.records:
            case = record.values.get('case_id')
            if isinstance(case, str) and case.strip():
                cases.add(case.strip())
            else:
                problems.append(f"{record.source}: 'case_id' is {case!r}: expected the name of the case")
        return cases
