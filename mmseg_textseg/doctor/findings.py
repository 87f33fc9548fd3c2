"""What the doctor can find: its checks, how bad each is, and the mend."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SEVERITIES = ('error', 'warning', 'note')


class DoctorError(RuntimeError):
    """What keeps the doctor from its work."""


class Check(NamedTuple):
    """A check: how bad a finding is and what to do about it."""

    severity: str
    mend: str


# In the order of the report.
CHECKS: dict[str, Check] = {
    'table': Check('error', 'mend the table, or ann_file, data_root and data_prefix'),
    'broken-row': Check('error', 'mend the row in the table'),
    'missing-file': Check('error', 'add the file or mend the cell'),
    'blank-expression': Check('error', 'write the sentence, or allow_empty_text=True for a text-free baseline'),
    'unreadable': Check('error', 'copy the file again from where it came from'),
    'mask-refused': Check('error', 'save the mask as the loading wants it, or change its options in the pipeline'),
    'size-mismatch': Check('error', 'save image and mask in one size'),
    'same-image': Check('error', 'keep the image in one split: what is tested on must not be trained on'),
    'shared-case': Check('error', 'keep all images of a case in one split'),
    'dataset-refuses': Check('error', 'mend what the dataset class asks for'),
    'near-image': Check('warning', 'look at both; pictures of one patient or one scene belong in one split'),
    'wrong-side': Check('warning', 'look at them: the sentence, the mask or a flip made before may be wrong'),
    'truncated-text': Check('warning', 'raise max_tokens of TokenizeText'),
    'unknown-words': Check('warning', 'spell the words as the vocabulary does, or use another text encoder'),
    'duplicate-row': Check('warning', 'delete the repeats, which weigh more in training and in figures'),
    'ambiguous-text': Check('warning', 'reword, so that a sentence means one mask of its image'),
    'common-text': Check('warning', 'a sentence that fits many images teaches and tests little'),
    'odd-mask': Check('warning', 'save masks as png, or raise threshold of LoadMask to half of the largest value'),
    'empty-mask': Check('warning', 'legal; make sure that nothing to be seen is what is meant'),
    'full-mask': Check('warning', 'make sure that the mask is not inverted'),
    'class-balance': Check('warning', 'crop or raise the resolution, or use a loss that stands it (Dice, focal)'),
    'renamed-image': Check('warning', 'give one image one name; with two masks they may contradict one another'),
    'blank-image': Check('warning', 'make sure that a picture of one grey value is meant'),
    'deep-image': Check('warning', 'convert to 8 bits with a window of your choice, or load with LoadMedicalImage'),
    'sizes-vary': Check('warning', 'Resize with keep_ratio and pad, or crop, so that shapes stay true'),
    'splits': Check('note', ''),
    'skipped': Check('note', ''),
    'images': Check('note', ''),
    'masks': Check('note', ''),
    'texts': Check('note', ''),
    'sides': Check('note', ''),
}


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name in ``CHECKS``.
        message: one sentence, or a few lines.
        count: how many rows, files, sentences or cases; the message says of what.
        examples: all of them, dicts of ``split``, ``table`` (the file), ``row`` (where in it), ``sample`` (the
            dataset's ``sample_id``; None where the row is no sample) and ``detail``.
    """

    check: str
    message: str
    count: int
    examples: Sequence[dict] = field(default_factory=tuple)

    @property
    def severity(self) -> str:
        """``'error'``, ``'warning'`` or ``'note'``."""
        return CHECKS[self.check].severity

    @property
    def mend(self) -> str:
        """What to do about it."""
        return CHECKS[self.check].mend


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Errors, warnings, notes; within them the order of ``CHECKS``."""
    order = {name: number for number, name in enumerate(CHECKS)}
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), order[finding.check]))


def example(split: str, table: str, row: str, sample: str | None, detail: str) -> dict:
    """One example of a finding."""
    return dict(split=split, table=table, row=row, sample=sample, detail=detail)


def plural(number: int, noun: str) -> str:
    """``'1 image'``, ``'1,200 images'``."""
    ending = '' if number == 1 else 'es' if noun.endswith('x') else 's'
    return f'{number:,} {noun}{ending}'
