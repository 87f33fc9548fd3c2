"""Bad input of every kind: a message that names what is wrong and the mend, no traceback, nothing half-written."""

import runpy
from pathlib import Path

import pytest
from bad_input import ROOT, Case, Place
from bad_inputs import AREAS, lines
from mmengine.registry import DefaultScope

from mmseg_textseg.apis.cli import PLAIN

CASES = {f'{area}: {case.wrong}': case for area, cases in AREAS.items() for case in cases}
# What the tools print without a traceback; ValueError is of TextSegInferencer, whose tools print it too.
SENTENCES = (*PLAIN, ValueError, SystemExit)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    found = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def place(tmp_path, tiny_config, checkpoint, phantom, monkeypatch) -> Place:
    return Place(tmp_path, tiny_config, checkpoint, phantom, monkeypatch)


@pytest.mark.parametrize('case', [pytest.param(case, id=name) for name, case in CASES.items()])
def test_bad_input(case: Case, place: Place):
    made = case.make(place)
    before = files(place.folder)
    with DefaultScope.overwrite_default_scope('mmseg'):
        if case.error is None:
            case.run(made)
            return
        with pytest.raises(SENTENCES) as caught:
            case.run(made)
    assert type(caught.value) is case.error, caught.value
    message = rest = str(caught.value)
    assert 'Traceback' not in message
    assert len(message) < 2000, 'a sentence, whatever a file holds'
    for part in case.said:
        assert part in rest, message
        rest = rest.partition(part)[2]
    assert files(place.folder) == before


def test_enough_cases_and_each_is_told_once():
    assert len(CASES) == sum(map(len, AREAS.values())) >= 60
    for name, case in CASES.items():
        assert bool(case.said) == (case.error is not None) == (not case.works), name


def test_the_page_is_of_these_cases():
    """Run tools/make_bad_input_table.py where it is not."""
    tool = runpy.run_path(str(ROOT / 'tools' / 'make_bad_input_table.py'))
    page = (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8')
    assert tool['fill'](page, lines()) == page
    with pytest.raises(SystemExit, match='needs one line'):
        tool['fill']('no markers', lines())
