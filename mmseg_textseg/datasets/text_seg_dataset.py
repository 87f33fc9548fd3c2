"""The dataset of all text-guided segmentation: an annotation table beside folders of images and masks."""

from collections.abc import Iterable, Iterator, Sequence

import cv2
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from .annotations import AnnotationRow, iter_annotations
from .errors import PictureError
from .packed_list import PackedList
from .partial_text import PartialText
from .sample_names import Repeats, SampleNames
from .text_controls import make_text_change, same_text, shuffle_texts


@DATASETS.register_module()
class TextSegDataset(BaseSegDataset):
    """Images, masks, and expressions that say which mask is meant.

    Each item has ``img_path``, ``seg_map_path`` (not without masks), ``text`` or ``texts``, ``attributes`` (the
    other columns of the row), ``sample_id`` (unique in the dataset and the same in every run), and
    MMSegmentation's ``label_map``, ``reduce_zero_label`` and ``seg_fields``.

    A dataset with a published layout is a subclass that sets ``METAINFO``, ``DATA_PREFIX`` (its folders) and, where
    names in the table and on disk differ by more than the extension, :meth:`image_name` or :meth:`mask_name`.

    Args:
        ann_file: annotation table, absolute or relative to ``data_root``; xlsx, csv, tsv, json or jsonl.
        data_prefix: ``img_path`` and ``seg_map_path``, folders relative to ``data_root``; without the key
            ``seg_map_path`` the items have no mask. ``None`` takes the folders of the class, ``DATA_PREFIX``.
        expressions: ``'all'``, one item per (image, mask, expression), alternatives of a cell in their order;
            or ``'group'``, one item per (image, mask) with the list ``texts``, for the transform ``PickText``,
            and the attributes of its first row. Each slice of a volume (column ``slice``) is an image.
        image_column: column of the table; found by its name when ``None``, as are the next two.
        mask_column: without such a column the mask is named like the image.
        text_column: column of the expressions.
        prompt: which value to take of MedVLSM's ``prompts``, p0 to p6.
        sheet: worksheet of an xlsx that has several with content.
        allow_empty_text: let empty expressions pass, for text-free baselines.
        partial_text: a test: sentences say only a share of what they said (:class:`PartialText`); a share, names of
            attributes, or a dict of PartialText's options.
        change_text: a control: sentences are emptied (``'empty'``), contradicted (``'contradict'``) or reworded
            (``'paraphrase'``); a name, or a dict with ``type`` and options (:func:`make_text_change`).
        shuffle_text: a control: every item gets the sentence of another image (:func:`shuffle_texts`).
        constant_text: a control: every item gets the most frequent sentence of the set (:func:`same_text`).
        serialize_data: as in BaseDataset, but off: the items are a :class:`PackedList`, which is smaller and is shared
            by worker processes as well.
        kwargs: of :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        FileNotFoundError: if the table or a folder is missing.
        AnnotationError: with all rows that cannot be used.
    """

    METAINFO: dict = dict(classes=('background', 'lesion'), palette=[[0, 0, 0], [220, 20, 60]])
    DATA_PREFIX: dict = dict(img_path='', seg_map_path='')
    REQUIRED_COLUMNS: tuple[str, ...] = ()

    def __init__(
        self,
        ann_file: str,
        *,
        data_prefix: dict | None = None,
        expressions: str = 'all',
        image_column: str | None = None,
        mask_column: str | None = None,
        text_column: str | None = None,
        prompt: str = 'p6',
        sheet: str | None = None,
        allow_empty_text: bool = False,
        partial_text: float | Sequence[str] | dict | None = None,
        change_text: str | dict | None = None,
        shuffle_text: bool = False,
        constant_text: bool = False,
        serialize_data: bool = False,
        **kwargs,
    ) -> None:
        if expressions not in ('all', 'group'):
            raise ValueError(f"expressions is {expressions!r}; expected 'all' or 'group'")
        # Before super().__init__(), which loads the table.
        self.expressions = expressions
        self.shuffle_text = shuffle_text
        self.constant_text = constant_text
        self.change_text = None if change_text is None else make_text_change(change_text)
        options = partial_text if isinstance(partial_text, dict) else dict(keep=partial_text)
        self.partial_text = None if partial_text is None else PartialText(**options)
        self.reader_options = dict(
            image_column=image_column,
            mask_column=mask_column,
            text_column=text_column,
            prompt=prompt,
            sheet=sheet,
            allow_empty_text=allow_empty_text,
        )
        self.prompt = prompt
        if self.partial_text is not None:
            self.reader_options['prompt'] = self.partial_text.level(prompt)
        prefix = self.DATA_PREFIX if data_prefix is None else data_prefix
        super().__init__(ann_file=ann_file, data_prefix=prefix, serialize_data=serialize_data, **kwargs)

    @staticmethod
    def image_name(cell: str) -> str:
        """Name of the image file that a cell of the image column means; here the cell itself."""
        return cell

    @staticmethod
    def mask_name(image_name: str) -> str:
        """Name of the mask of an image, for tables without a mask column; here the image's, found by stem."""
        return image_name

    def iter_rows(self) -> Iterator[AnnotationRow]:
        """Read and check the table; what is wrong raises one error after its last row."""
        rows = iter_annotations(
            self.ann_file,
            self.data_prefix.get('img_path', ''),
            self.data_prefix.get('seg_map_path'),
            required_columns=self.REQUIRED_COLUMNS,
            image_name=self.image_name,
            mask_name=self.mask_name,
            backend_args=self.backend_args,
            **self.reader_options,
        )
        return rows if self.partial_text is None else self.partial_text.shorten_rows(rows, self.ann_file, self.prompt)

    def prepare_data(self, idx: int) -> dict | None:
        """The item after its pipeline.

        Raises:
            PictureError: naming the files, where one is no picture that the pipeline's loaders read.
        """
        try:
            return super().prepare_data(idx)
        except (AssertionError, cv2.error, OSError) as error:
            if not _undecoded(error):
                raise
            why = 'a folder' if isinstance(error, IsADirectoryError) else 'empty, cut off or no picture'
            item = self.get_data_info(idx)
            roles = dict(image='img_path', mask='seg_map_path')
            files = ' or '.join(f'{role} {item[key]}' for role, key in roles.items() if key in item)
            raise PictureError(
                f'{files} cannot be decoded, being {why}: expected PNG, JPEG or another picture that OpenCV reads; '
                'copy the file again, or load NIfTI, DICOM and pictures of floats with LoadMedicalImage'
            ) from error

    def load_data_list(self) -> Sequence[dict]:
        """Items of the table; see the class for what an item holds."""
        return self._hold(self._grouped_items() if self.expressions == 'group' else self._single_items())

    def _hold(self, items: Iterable[dict]) -> Sequence[dict]:
        items = PackedList(items)
        items = shuffle_texts(items) if self.shuffle_text else items
        items = same_text(items) if self.constant_text else items
        return list(items) if self.serialize_data else items  # BaseDataset serialises a list only

    def _single_items(self) -> Iterator[dict]:
        names, repeats = SampleNames(), Repeats()
        for row in self.iter_rows():
            name = names.of(row.image, row.mask, row.slice)
            for text in row.expressions:
                repeats.note(row, text)
                number = names.count(row.image, row.mask, row.slice)
                yield self._item(row, sample_id=f'{name}-{number}', text=self._changed(text, row))
        repeats.warn(self.ann_file)

    def _grouped_items(self) -> Iterator[dict]:
        """Rows of a pair may stand anywhere in the table, so its item is known after the last one."""
        names, repeats = SampleNames(), Repeats()
        texts: dict[str, list[str]] = {}

        def first_rows() -> Iterator[dict]:
            for row in self.iter_rows():
                name = names.of(row.image, row.mask, row.slice)
                known = name in texts
                texts.setdefault(name, []).extend(self._changed(text, row) for text in row.expressions)
                for text in row.expressions:
                    repeats.note(row, text)
                if not known:
                    yield self._item(row, sample_id=name)

        for item in PackedList(first_rows()):
            yield {**item, 'texts': texts[item['sample_id']]}
        repeats.warn(self.ann_file)

    def _changed(self, text: str, row: AnnotationRow) -> str:
        return text if self.change_text is None else self.change_text(text, row)

    def _item(self, row: AnnotationRow, **values) -> dict:
        item = dict(
            img_path=row.image,
            attributes=dict(row.attributes),
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
            **values,
        )
        if row.mask is not None:
            item['seg_map_path'] = row.mask
        return item


def _undecoded(error: Exception) -> bool:
    """Whether mmcv's and MMSegmentation's loaders say with an error that a file is no picture; they do not name it."""
    if isinstance(error, OSError):
        return error.filename is None or isinstance(error, IsADirectoryError)
    return 'failed to load image' in str(error) or 'imdecode' in str(error)
