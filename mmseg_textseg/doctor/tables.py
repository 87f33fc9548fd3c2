"""Rows of all splits, in arrays: a million of them take megabytes."""

import os.path as osp
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ..datasets.annotations import AnnotationError, AnnotationRow, iter_annotations
from ..datasets.image_caption_dataset import ImageCaptionDataset
from ..datasets.packed_list import PackedList
from ..datasets.sample_names import SampleNames
from ..datasets.text_seg_dataset import TextSegDataset
from .findings import DoctorError, Finding, example, plural
from .splits import Split

# Compared without case, spaces, '_' and '-'.
CASE_COLUMNS = (
    *('case', 'caseid', 'casename', 'patient', 'patientid', 'subject', 'subjectid', 'study', 'studyid'),
    *('studyinstanceuid', 'volume', 'volumeid', 'scan', 'scanid'),
)
# What a problem of a row is about, by the words of annotations.py; any other is a broken row.
KINDS = (
    ('missing-file', re.compile(r'no (?:image|mask) of that name or stem in ')),
    ('blank-expression', re.compile(r'(?:is empty|is an empty list): expected an expression')),
)
_SOURCE = re.compile(r'^(.*? (?:row|annotation|image) \d+(?: \(id [^)]*\))?): (.*)$', re.DOTALL)


class Rows:
    """Every (image, mask, sentence) of every split: an *entry*. Files, sentences and cases have numbers.

    Args:
        splits: what to read.
        case_column: column that names the case; by default found by its name.

    Attributes:
        split, pair, text, case: number of each entry (case -1: none), int arrays.
        pair_image: image of each (image, mask), int array.
        pair_mask: path of its mask or None.
        images: (number of the loading, path, slice of a volume or None).
        texts, cases: by number.
        loadings: the different ways in which files are read.
        findings: what is wrong with the tables.
        counts: good rows of each split.

    Raises:
        DoctorError: no table has the case column that was asked for.
    """

    def __init__(self, splits: Sequence[Split], case_column: str | None = None) -> None:
        self.splits = list(splits)
        self.case_column = case_column
        self.loadings = list({split.loading.key: split.loading for split in splits}.values())
        self.images: list[tuple[int, str, str | None]] = []
        self.pair_mask: list[str | None] = []
        self.texts: list[str] = []
        self.cases: list[str] = []
        self.findings: list[Finding] = []
        self.counts = [0] * len(splits)
        self._columns = {name: array('i') for name in ('split', 'pair', 'text', 'case', 'pair_image')}
        self._numbers: dict[str, dict] = dict(image={}, pair={}, text={}, case={})
        self._problems: dict[str, list[dict]] = {}
        self.without_cases: list[str] = []
        self._known_columns: dict[str, None] = {}
        self._places = PackedList(self._read())
        del self._numbers
        if case_column is not None and len(self.without_cases) == sum(map(bool, self.counts)) > 0:
            raise DoctorError(
                f'no table has the case column {case_column!r}; their other columns are '
                f'{", ".join(self._known_columns) or "none"}'
            )
        for name, column in self._columns.items():
            setattr(self, name, np.array(column, dtype=np.int64))
        self.image = self.pair_image[self.pair] if len(self.pair) else self.pair
        roles = [split.role for split in splits]
        self.roles = list(dict.fromkeys(roles))
        self.role = np.array([self.roles.index(role) for role in roles], dtype=np.int64)[self.split]
        self._sum_up()

    def __len__(self) -> int:
        return len(self._places)

    def example(self, entry: int, detail: str) -> dict:
        """An entry as an example of a finding."""
        row, sample = self._places[int(entry)]
        split = self.splits[self.split[entry]]
        return example(split.name, split.table, row, sample, detail)

    def places(self) -> Iterator[tuple[str, str]]:
        """Row and sample of each entry."""
        return iter(self._places)

    def sample(self, entry: int) -> str:
        """The dataset's ``sample_id`` of an entry."""
        return self._places[int(entry)][1]

    def where(self, entry: int) -> str:
        """``'test: test.jsonl row 12'``."""
        return f'{self.splits[self.split[entry]].name}: {self._places[int(entry)][0]}'

    def image_path(self, entry: int) -> str:
        """Path of an entry's image."""
        return self.images[self.image[entry]][1]

    def mask_path(self, entry: int) -> str | None:
        """Path of an entry's mask."""
        return self.pair_mask[self.pair[entry]]

    def _number(self, kind: str, key, values: list, value) -> int:
        known = self._numbers[kind]
        number = known.setdefault(key, len(known))
        if number == len(values):
            values.append(value)
        return number

    def _read(self) -> Iterator[tuple[str, str]]:
        for number, split in enumerate(self.splits):
            loading = next(i for i, known in enumerate(self.loadings) if known.key == split.loading.key)
            names, problems = SampleNames(), []
            grouped = split.dataset.expressions == 'group' or isinstance(split.dataset, ImageCaptionDataset)
            case_column = None
            try:
                for row in table_rows(split.dataset, problems):
                    if self.counts[number] == 0:
                        case_column = self._case_column(row, split)
                    self.counts[number] += 1
                    case = self._case(row.attributes.get(case_column))
                    key = loading, osp.abspath(row.image), row.slice
                    image = self._number('image', key, self.images, (loading, row.image, row.slice))
                    pair = self._number('pair', (image, row.mask), self.pair_mask, row.mask)
                    if pair == len(self._columns['pair_image']):
                        self._columns['pair_image'].append(image)
                    sample = names.of(row.image, row.mask, row.slice)
                    for text in row.expressions:
                        known = self._number('text', text, self.texts, text)
                        for name, value in dict(split=number, pair=pair, text=known, case=case).items():
                            self._columns[name].append(value)
                        count = '' if grouped else f'-{names.count(row.image, row.mask, row.slice)}'
                        yield row.source, sample + count
            except AnnotationError as error:
                self._note_problems(split, error.problems, whole=True)
            except (OSError, ImportError) as error:
                self._problems.setdefault('table', []).append(example(split.name, split.table, '', None, str(error)))
            self._note_problems(split, problems)

    def _case_column(self, row: AnnotationRow, split: Split) -> str | None:
        wanted = CASE_COLUMNS if self.case_column is None else (_letters(self.case_column),)
        self._known_columns.update(dict.fromkeys(row.attributes))
        found = next((name for name in row.attributes if _letters(name) in wanted), None)
        if found is None:
            self.without_cases.append(split.name)
        return found

    def _case(self, value) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            return -1
        name = str(value).strip()
        return self._number('case', name, self.cases, name)

    def _note_problems(self, split: Split, problems: Sequence[str], whole: bool = False) -> None:
        for problem in problems:
            match = _SOURCE.match(problem)
            row, detail = match.groups() if match else ('', problem)
            kind = next((name for name, words in KINDS if words.search(problem)), 'broken-row')
            kind = 'table' if whole and match is None else kind
            self._problems.setdefault(kind, []).append(example(split.name, split.table, row, None, detail))

    def _sum_up(self) -> None:
        nouns = {'table': 'table', 'broken-row': 'row', 'missing-file': 'file', 'blank-expression': 'expression'}
        said = {
            'table': 'cannot be used',
            'broken-row': 'cannot be read',
            'missing-file': 'named by a row but not there',
            'blank-expression': 'missing or blank',
        }
        for kind, examples in self._problems.items():
            message = f'{plural(len(examples), nouns[kind])} {said[kind]}'
            self.findings.append(Finding(kind, message, len(examples), examples))


def _letters(name: str) -> str:
    return ''.join(character for character in name.lower() if character not in ' _-')


def table_rows(dataset: TextSegDataset, problems: list[str]) -> Iterator[AnnotationRow]:
    """Good rows of a dataset's table, as its ``iter_rows`` gives them; what is wrong with others goes to ``problems``.

    Raises:
        AnnotationError, OSError: if the table as a whole cannot be read.
    """
    rows = iter_annotations(
        dataset.ann_file,
        dataset.data_prefix.get('img_path', ''),
        dataset.data_prefix.get('seg_map_path'),
        required_columns=dataset.REQUIRED_COLUMNS,
        image_name=dataset.image_name,
        mask_name=dataset.mask_name,
        backend_args=dataset.backend_args,
        problems=problems,
        **dataset.reader_options,
    )
    if dataset.partial_text is None:
        return rows
    return dataset.partial_text.shorten_rows(rows, dataset.ann_file, dataset.prompt)


def refusals(splits: Sequence[Split]) -> list[Finding]:
    """What a dataset class has to say beyond the checks of tables, such as RefHL-Seg's on cases."""
    examples = []
    for split in splits:
        # A class that loads as its base does has no rules of its own.
        if type(split.dataset).load_data_list is TextSegDataset.load_data_list:
            continue
        try:
            split.dataset.load_data_list()
        except (AnnotationError, ValueError, OSError) as error:
            for problem in getattr(error, 'problems', (str(error),)):
                match = _SOURCE.match(problem)
                row, detail = match.groups() if match else ('', problem)
                examples.append(example(split.name, split.table, row, None, detail))
    if not examples:
        return []
    kinds = ', '.join(Counter(type(split.dataset).__name__ for split in splits))
    return [Finding('dataset-refuses', f'{kinds}: {plural(len(examples), "problem")}', len(examples), examples)]
