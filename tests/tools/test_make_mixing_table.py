"""The table of docs/mixing.md: of the parts that there are, filled in as the results say."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / 'tools' / 'make_mixing_table.py'))
BACKBONES, HEADS, MIXES, NO_CONFIG = (TOOL[name] for name in ('BACKBONES', 'HEADS', 'MIXES', 'NO_CONFIG'))
REFUSED = TOOL['REFUSED']
BEGIN, END, cell, fill, table = (TOOL[name] for name in ('BEGIN', 'END', 'cell', 'fill', 'table'))

PAGE = ROOT / 'docs' / 'mixing.md'


def outcomes(convnext: str) -> dict[str, str]:
    """As they are where all tests pass."""
    found = {str(mix): 'refused' if mix in REFUSED else 'passed' for mix in MIXES if mix not in NO_CONFIG}
    return found | {name: convnext for name in found if name.startswith('convnext-')}


def written() -> list[str]:
    text = PAGE.read_text(encoding='utf-8')
    return text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()


def words(line: str) -> list[str]:
    """Cells without the numbers of their footnotes."""
    return [re.sub(r' \[\d+\]', '', part.strip()) for part in line.strip('|').split('|')]


def test_the_page_is_of_the_parts_that_there_are():
    """Run tools/make_mixing_table.py where it is not."""
    lines = written()
    reasons = {str(mix): reason for mix, reason in REFUSED.items()}
    on_page = 'skipped' if 'is not installed' in lines[-1] or any('not run here' in x for x in lines) else 'passed'
    expected, _ = table(outcomes(on_page), reasons)
    assert [words(line) for line in lines if line.startswith('|')] == [words(line) for line in expected]
    assert lines[0].startswith(f'{len(MIXES)} combinations: ')
    notes = [line for line in lines if re.match(r'\d+\. ', line)]
    used = set(re.findall(r'\[(\d+)\]', '\n'.join(line for line in lines if line.startswith('|'))))
    assert used == {note.partition('.')[0] for note in notes}
    for reason in {*REFUSED.values(), *NO_CONFIG.values()}:
        assert sum(reason in note for note in notes) >= 1


def test_every_cell_says_how_or_why_not():
    notes, reasons = [], {str(mix): 'too narrow' for mix in REFUSED}
    found = outcomes('skipped')
    assert cell('fcn', 'svla', found, notes, reasons) == 'free, backbone'
    assert cell('fcn', 'resnet', found, notes, reasons) == 'free, neck'
    assert cell('full-scale', 'resnet', found, notes, reasons) == 'free, head'
    assert notes == []
    assert cell('up-attention', 'vit', found, notes, reasons) == 'no [1]'
    assert cell('fcn', 'vit-pyramid', found, notes, reasons) == 'free, no [2]'
    assert cell('lvit', 'vit', found, notes, reasons) == 'no [1]'
    assert cell('single-stage', 'ppe', found, notes, reasons) == 'free [3], backbone [3]'
    assert cell('fcn', 'convnext', found, notes, reasons) == '– [4]'
    assert notes[0] == 'too narrow'
    assert 'one neck' in notes[1]
    assert 'find_unused_parameters' in notes[2]
    assert notes[3] == 'not run here: mmpretrain is not installed'
    rows, _ = table(found, reasons)
    assert len(rows) == 2 + len(HEADS)
    assert all(len(words(row)) == 1 + len(BACKBONES) for row in rows)


def test_only_what_stands_between_the_markers_changes():
    page = f'before\n{BEGIN}\nold\n{END}\nafter\n'
    assert fill(page, ['new', 'lines']) == f'before\n{BEGIN}\nnew\nlines\n\n{END}\nafter\n'
    with pytest.raises(SystemExit, match='needs one line'):
        fill('before\nafter\n', ['new'])


SUITE = """
import pytest

@pytest.mark.parametrize('name', ['a-free', 'a-text', 'b-free', 'b-text'])
def test_parts(name, record_property):
    if name == 'a-text':
        record_property('reason', 'too narrow')
    if name == 'b-free':
        pytest.skip('not installed')
    assert name != 'b-text'
"""


def test_results_are_those_of_the_tests(tmp_path):
    (tmp_path / 'test_suite_of_parts.py').write_text(SUITE)
    results = TOOL['Results']()
    code = pytest.main(['-q', '-p', 'no:cacheprovider', str(tmp_path)], plugins=[results])
    assert code == pytest.ExitCode.TESTS_FAILED
    assert results.outcomes == {'a-free': 'passed', 'a-text': 'refused', 'b-free': 'skipped', 'b-text': 'failed'}
    assert results.reasons == {'a-text': 'too narrow'}
