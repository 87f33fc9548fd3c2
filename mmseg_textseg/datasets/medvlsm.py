"""The eleven datasets with MedVLSM's prompts (Poudel et al., "Exploring transfer learning in medical image segmentation
using vision-language models", MIDL 2024; github.com/naamiinepal/medvlsm)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmseg.registry import DATASETS

from .annotations import AnnotationError, AnnotationRow
from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class MedVLSMDataset(TextSegDataset):
    """BUSI, CAMUS, CheXlocalize, ISIC, DFU and the six sets of polyps, as published: ``images/``, ``masks/`` and a list
    of ``{"img_name", "mask_name", "prompts"}`` (and more) in ``anns/<split>.json`` below ``data_root``.

    ``prompts`` holds levels: p0 is empty, and each of p1, p2, ... says more than the one before, up to p5, p6 or p7;
    then other wordings up to p9. A level is a sentence or a list of sentences that mean the same.

    Args:
        ann_file: ``anns/<split>.json``.
        prompts: levels whose sentences are taken: with ``expressions='all'`` each is an item, with ``'group'`` they are
            the ``texts`` of one item a mask, of which ``PickText`` draws one. A sentence that levels share counts once.
            p0 needs ``allow_empty_text=True``.
        partial_text: as in TextSegDataset; takes a lower level, and so needs a single one in ``prompts``.
        kwargs: of :class:`TextSegDataset`, but for ``prompt``.

    Raises:
        ValueError: for a bad option.
        AnnotationError: as TextSegDataset, with what is wrong at any of the levels.
    """

    METAINFO: dict = dict(classes=('background', 'target'), palette=[[0, 0, 0], [220, 20, 60]])
    DATA_PREFIX: dict = dict(img_path='images', seg_map_path='masks')

    def __init__(self, ann_file: str, *, prompts: str | Sequence[str] = ('p6',), partial_text=None, **kwargs) -> None:
        self.prompts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
        if 'prompt' in kwargs:
            raise ValueError(f'MedVLSMDataset takes its levels as prompts: set prompts=({kwargs["prompt"]!r},)')
        if not self.prompts or len(set(self.prompts)) < len(self.prompts):
            raise ValueError(f"prompts is {prompts!r}; expected one level or several different ones, e.g. ('p6',)")
        if partial_text is not None and len(self.prompts) > 1:
            raise ValueError(f'partial_text lowers one level, but prompts is {self.prompts}: leave one')
        # The files also have 'sentences', empty ones, which could be taken for the text.
        columns = dict(image_column='img_name', mask_column='mask_name', text_column='prompts')
        super().__init__(ann_file, prompt=self.prompts[0], partial_text=partial_text, **{**columns, **kwargs})

    def iter_rows(self) -> Iterator[AnnotationRow]:
        """Read the table once a level; rows have the sentences of all."""
        if len(self.prompts) == 1:
            yield from super().iter_rows()
            return
        levels, problems = [], []
        for prompt in self.prompts:
            self.reader_options['prompt'] = prompt
            try:
                levels.append(list(super().iter_rows()))
            except AnnotationError as error:
                problems += error.problems
        if problems:
            raise AnnotationError(self.ann_file, list(dict.fromkeys(problems)))
        for rows in zip(*levels, strict=True):
            texts = dict.fromkeys(text for row in rows for text in row.expressions)
            yield replace(rows[0], expressions=tuple(texts))
