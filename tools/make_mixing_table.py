"""Run the mixing matrix and write its table into docs/mixing.md.

python tools/make_mixing_table.py [--page docs/mixing.md]

The combinations are those of tests/contract/mixing_parts.py; works is what tests/contract/test_mixing_matrix.py passes.
Minutes; nothing is written where a test fails.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / 'tests' / 'contract'
sys.path.insert(0, str(CONTRACT))

from mixing_parts import BACKBONES, HEADS, MIXES, NO_CONFIG, REFUSED, UNREAD, Mix

from mmseg_textseg.fileio import whole_file

BEGIN = '<!-- matrix: written by tools/make_mixing_table.py -->'
END = '<!-- end of matrix -->'


class Results:
    """A pytest plugin that keeps what became of each combination, and the reason where it was refused."""

    def __init__(self):
        self.outcomes: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report) -> None:
        name = report.nodeid.partition('[')[2].rstrip(']')
        if not name or (report.when != 'call' and report.passed):
            return
        properties = dict(report.user_properties)
        refused = report.passed and 'reason' in properties
        self.outcomes[name] = 'refused' if refused else report.outcome
        if refused:
            self.reasons[name] = properties['reason']


def cell(head: str, backbone: str, outcomes: Mapping[str, str], notes: list[str], reasons: Mapping[str, str]) -> str:
    """Where the text comes in, of which ways, or why not; new footnotes go to ``notes``."""
    words = []
    for mix in (Mix(backbone, head, False), Mix(backbone, head, True)):
        outcome = outcomes.get(str(mix), 'no config')
        word = mix.way if mix.text else 'free'
        if outcome == 'passed':
            note = 'UNREAD' if mix in UNREAD else ''
        elif outcome == 'skipped':
            word, note = '–', f'not run here: {BACKBONES[backbone].package} is not installed'
        else:
            # With a neck for the text in between the reason is the same.
            word, note = 'no', NO_CONFIG.get(mix) or reasons[str(mix._replace(text=False))]
        if note == 'UNREAD':
            note = (
                'trains, but maps of the backbone that this head does not read leave weights without a gradient: '
                'training on several devices needs `find_unused_parameters=True`'
            )
        if note and note not in notes:
            notes.append(note)
        words.append(f'{word} [{notes.index(note) + 1}]' if note else word)
    return words[0] if words[0] == words[1] else ', '.join(words)


def table(outcomes: Mapping[str, str], reasons: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Rows of the table, and its footnotes."""
    notes: list[str] = []
    rows = ['| | ' + ' | '.join(backbone.title for backbone in BACKBONES.values()) + ' |']
    rows.append('|---' * (len(BACKBONES) + 1) + '|')
    for head, column in HEADS.items():
        cells = [cell(head, backbone, outcomes, notes, reasons) for backbone in BACKBONES]
        rows.append(f'| {column.title} | ' + ' | '.join(cells) + ' |')
    return rows, [f'{i}. {note}' for i, note in enumerate(notes, 1)]


def summary(outcomes: Mapping[str, str]) -> str:
    """How many of the combinations work."""
    count = {kind: list(outcomes.values()).count(kind) for kind in ('passed', 'skipped')}
    return (
        f'{len(MIXES)} combinations: {count["passed"]} work, {len(REFUSED)} are refused when they are built, for '
        f'{len(NO_CONFIG)} there is no config, {count["skipped"]} were not run.'
    )


def fill(page: str, lines: list[str]) -> str:
    """The page with other lines between its markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f'the page needs one line {BEGIN} and one line {END}')
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + '\n' + '\n'.join(lines) + '\n\n' + END + rest.partition(END)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description='Run the mixing matrix and write its table')
    parser.add_argument('--page', type=Path, default=ROOT / 'docs' / 'mixing.md', help='the page with the markers')
    args = parser.parse_args()
    page = args.page.read_text(encoding='utf-8')
    fill(page, [])  # markers are there before minutes are spent
    results = Results()
    code = pytest.main(['-q', '-p', 'no:cacheprovider', str(CONTRACT / 'test_mixing_matrix.py')], plugins=[results])
    if code != pytest.ExitCode.OK:
        sys.exit('tests failed: the page is left as it was')
    rows, notes = table(results.outcomes, results.reasons)
    with whole_file(args.page, encoding='utf-8') as file:
        file.write(fill(page, [summary(results.outcomes), '', *rows, '', *notes]))
    print(f'{args.page}: {summary(results.outcomes)}')


if __name__ == '__main__':
    main()
