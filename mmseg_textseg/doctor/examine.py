"""All checks, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .duplicates import near_images, same_images, shared_cases
from .findings import Finding, plural, worst_first
from .masks import coverage, picture_findings, wrong_sides
from .rows import Problem, cores, read_files
from .splits import Split
from .tables import Rows, refusals
from .texts import common_texts, repeated_rows, text_statistics, tokenizer_findings

NEAR_DISTANCE = 6
SAID = {
    'unreadable': ('file', 'cannot be read'),
    'mask-refused': ('mask', 'not as the loading wants them'),
    'size-mismatch': ('mask', 'not of the size of the image'),
    'odd-mask': ('mask', 'with greys between background and foreground, as jpg and smooth resizing leave them'),
}


@dataclass(frozen=True)
class Examination:
    """Result of :func:`examine`.

    Attributes:
        findings: the worst first.
        rows: the tables.
        images, masks: what is known of each file (``doctor.rows``).
    """

    findings: list[Finding]
    rows: Rows
    images: np.ndarray
    masks: np.ndarray

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(finding.severity == 'error' for finding in self.findings)


def examine(
    splits: Sequence[Split],
    *,
    workers: int | None = None,
    near_distance: int | None = NEAR_DISTANCE,
    case_column: str | None = None,
    progress: bool = True,
) -> Examination:
    """Read every row and file of every split, and judge them.

    Args:
        splits: from :func:`config_splits` or :func:`table_splits`.
        workers: processes that read files; by default as many as there are cores.
        near_distance: bits of a 64-bit perceptual hash in which images of two splits may differ to be called near;
            ``None`` leaves that check out.
        case_column: column that names the case; by default found by its name.
        progress: whether to show a bar.

    Raises:
        ValueError: for ``workers`` or ``near_distance`` out of range.
        ImportError: without ImageHash.
    """
    if workers is not None and workers < 1:
        raise ValueError(f'workers is {workers}; expected at least 1')
    if near_distance is not None and not 0 <= near_distance <= 16:
        raise ValueError(f'near_distance is {near_distance}; expected 0 to 16 bits, or None')
    try:
        import imagehash  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the doctor needs ImageHash: pip install 'mmseg_textseg[data]', or ImageHash alone"
        ) from error
    rows = Rows(splits, case_column)
    images, masks, problems = read_files(rows, workers or cores(), progress)
    findings = [*rows.findings, *_file_findings(rows, problems)]
    findings += same_images(rows, images)
    findings += shared_cases(rows)
    if near_distance is None:
        findings.append(Finding('skipped', 'near images: switched off', 0))
    else:
        findings += near_images(rows, images, near_distance)
    findings += wrong_sides(rows, masks)
    findings += tokenizer_findings(rows)
    findings += repeated_rows(rows)
    findings += common_texts(rows, masks)
    findings += coverage(rows, masks)
    findings += picture_findings(rows, images)
    findings += [_numbers(rows), *filter(None, [text_statistics(rows)])]
    if rows.without_cases:
        column = rows.case_column or 'case_id, patient_id, ...'
        message = f'cases of {", ".join(rows.without_cases)}: no column names them ({column}); --case-column does'
        findings.append(Finding('skipped', message, len(rows.without_cases)))
    if not any(finding.severity == 'error' for finding in findings):
        findings += refusals(splits)
    return Examination(worst_first(findings), rows, images, masks)


def _file_findings(rows: Rows, problems: Sequence[Problem]) -> list[Finding]:
    """What is wrong with files, at the first row that uses each."""
    if not problems:
        return []
    first_of_image = dict(zip(*map(np.ndarray.tolist, np.unique(rows.image, return_index=True)), strict=True))
    first_of_pair = dict(zip(*map(np.ndarray.tolist, np.unique(rows.pair, return_index=True)), strict=True))
    uses = dict(image=np.bincount(rows.image), pair=np.bincount(rows.pair))
    found: dict[str, list[dict]] = {}
    for check, image, pair, detail in problems:
        entry = first_of_image[image] if pair is None else first_of_pair[pair]
        count = int(uses['image'][image] if pair is None else uses['pair'][pair])
        times = f' ({plural(count, "sample")})' if count > 1 else ''
        found.setdefault(check, []).append(rows.example(entry, detail + times))
    return [
        Finding(check, f'{plural(len(examples), SAID[check][0])} {SAID[check][1]}', len(examples), examples)
        for check, examples in found.items()
    ]


def _numbers(rows: Rows) -> Finding:
    lines = []
    for number, split in enumerate(rows.splits):
        mine = rows.split == number
        pairs = np.unique(rows.pair[mine])
        masks = len({rows.pair_mask[p] for p in pairs} - {None})
        cases = len(np.unique(rows.case[mine & (rows.case >= 0)]))
        lines.append(
            f'{split.name}: {plural(rows.counts[number], "good row")}, {plural(int(mine.sum()), "sentence")}, '
            f'{plural(len(np.unique(rows.image[mine])), "image")}, {plural(masks, "mask")}'
            + (f', {plural(cases, "case")}' if cases else '')
            + f' ({split.table})'
        )
    return Finding('splits', '\n'.join(lines), len(rows.splits))
