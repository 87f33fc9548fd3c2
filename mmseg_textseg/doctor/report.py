"""The report: text for people, json for programs."""

from collections import Counter

from .examine import Examination
from .findings import SEVERITIES, Finding, plural

FORMAT = 1


def as_text(examination: Examination, title: str, shown: int = 3) -> str:
    """The report as text, the worst first.

    Args:
        examination: what was found.
        title: what was examined.
        shown: examples of each finding.
    """
    lines = [title]
    for severity in SEVERITIES:
        findings = [finding for finding in examination.findings if finding.severity == severity]
        if findings:
            lines += ['', f'{severity.upper()}S']
        for finding in findings:
            lines += _paragraph(finding, shown)
    lines += ['', summary(examination)]
    return '\n'.join(lines)


def _paragraph(finding: Finding, shown: int) -> list[str]:
    first, *rest = finding.message.split('\n')
    lines = [f'  {finding.check}: {first}', *(f'    {line}' for line in rest)]
    if finding.check in ('splits', 'masks', 'texts'):
        lines = [f'  {finding.check}:', *(f'    {line}' for line in (first, *rest))]
    for one in finding.examples[:shown]:
        sample = '' if one['sample'] is None else f' ({one["sample"]})'
        place = f'{one["row"]}{sample}' if one['row'] else one['table']
        lines.append(f'    - {one["split"]}: {place}: {one["detail"]}')
    hidden = len(finding.examples) - shown
    if hidden > 0:
        lines.append(f'    - ... and {hidden:,} more')
    if finding.mend:
        lines.append(f'    mend: {finding.mend}')
    return lines


def summary(examination: Examination) -> str:
    """``'2 errors, 1 warning'``."""
    counts = Counter(finding.severity for finding in examination.findings)
    return ', '.join(plural(counts[severity], severity) for severity in SEVERITIES[:2])


def as_json(examination: Examination, title: str) -> dict:
    """The report with all examples; JSON types. ``format`` changes when a key changes its meaning."""
    rows = examination.rows
    return dict(
        format=FORMAT,
        title=title,
        exit_status=int(examination.failed),
        splits=[
            dict(name=split.name, table=split.table, dataset=type(split.dataset).__name__, rows=rows.counts[number])
            for number, split in enumerate(rows.splits)
        ],
        findings=[
            dict(
                check=finding.check,
                severity=finding.severity,
                count=finding.count,
                message=finding.message,
                mend=finding.mend,
                examples=list(finding.examples),
            )
            for finding in examination.findings
        ],
    )
