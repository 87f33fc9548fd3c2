"""The folder that a converter writes: written once, goes on after a stop, nothing outside, checksums."""

import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets.converters import Conversion, ConversionError
from mmseg_textseg.datasets.converters.conversion import CHECKSUMS, JOURNAL, RECORD
from mmseg_textseg.datasets.converters.pairs import noting


@pytest.fixture
def src(tmp_path):
    path = tmp_path / 'source.txt'
    path.write_text('source')
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def start(out, **arguments):
    return Conversion('made', out, arguments, progress=False)


def stop(out, *names, source):
    """A run that is stopped after some files."""
    with start(out) as conversion:
        for name in names:
            conversion.copy(name, source)
        raise KeyboardInterrupt


def copy(out, *names, source):
    with start(out) as conversion:
        for name in names:
            conversion.copy(name, source)


def never():
    raise AssertionError('made again')


def files(out):
    return {path.relative_to(out).as_posix() for path in out.rglob('*') if path.is_file()}


def test_what_is_written(src, out):
    picture = np.array([[0, 300], [65535, 7]], np.uint16)
    with start(out, size=3) as conversion:
        conversion.write('a/numbers.png', lambda: picture, src)
        conversion.copy('b.txt', src)
        conversion.table('t.jsonl', [dict(text='größer')])
        conversion.count('files', 2)
        conversion.count('files')
    assert files(out) == {'a/numbers.png', 'b.txt', 't.jsonl', CHECKSUMS, RECORD}
    np.testing.assert_array_equal(cv2.imread(str(out / 'a/numbers.png'), cv2.IMREAD_UNCHANGED), picture)
    assert (out / 'b.txt').read_text() == 'source'
    assert (out / 't.jsonl').read_text(encoding='utf-8') == '{"text": "größer"}\n'
    record = json.loads((out / RECORD).read_text())
    assert record['arguments'] == dict(converter='made', size=3)
    assert record['counts'] == dict(files=3)


def test_checksums_are_those_of_the_files(src, out):
    with start(out) as conversion:
        conversion.copy('b.txt', src)
        conversion.copy('a/b.txt', src)
    lines = [line.split('  ') for line in (out / CHECKSUMS).read_text().splitlines()]
    assert [name for _, name in lines] == ['a/b.txt', 'b.txt']
    for digest, name in lines:
        assert digest == hashlib.sha256((out / name).read_bytes()).hexdigest()


def test_a_second_run_makes_nothing(src, out):
    with start(out) as conversion:
        conversion.write('a', lambda: b'1', src)
    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    assert {RECORD, CHECKSUMS} < set(before)
    with start(out) as conversion:
        conversion.write('a', never, src)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before


def test_a_changed_source_is_converted_anew(src, out):
    for text in ('one', 'three'):
        src.write_text(text)
        with start(out) as conversion:
            conversion.copy('a', src)
    assert (out / 'a').read_text() == 'three'


@pytest.mark.parametrize('spoil', [lambda path: path.unlink(), lambda path: path.write_text('cut')])
def test_a_lost_or_cut_file_is_made_anew(src, out, spoil):
    for _ in range(2):
        with start(out) as conversion:
            conversion.copy('a', src)
            conversion.copy('b', src)
        kept = (out / 'b').stat().st_mtime_ns
        last = (out / 'a').read_text()
        spoil(out / 'a')
    assert last == 'source'
    with start(out) as conversion:
        conversion.copy('a', src)
        conversion.write('b', never, src)
    assert (out / 'a').read_text() == 'source'
    assert (out / 'b').stat().st_mtime_ns == kept


def test_a_stopped_run_goes_on(src, out):
    with pytest.raises(KeyboardInterrupt):
        stop(out, 'a', source=src)
    assert files(out) == {'a', JOURNAL}
    with start(out) as conversion:
        conversion.write('a', never, src)
        conversion.copy('b', src)
    assert files(out) == {'a', 'b', CHECKSUMS, RECORD}


def test_a_killed_run_leaves_half_a_line(src, out):
    with pytest.raises(KeyboardInterrupt):
        stop(out, 'a', 'b', source=src)
    journal = out / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    with start(out) as conversion:
        conversion.write('a', never, src)
        conversion.copy('b', src)
        conversion.copy('c', src)
    assert (out / 'b').read_text() == 'source'
    assert len((out / CHECKSUMS).read_text().splitlines()) == 3


def test_a_write_that_fails_leaves_no_part_of_a_file(src, out, monkeypatch):
    def replaced(self, target, replace=Path.replace):
        if target.name == 'b':
            raise OSError('disk')
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'replace', replaced)
        with pytest.raises(OSError, match='disk'):
            copy(out, 'a', 'b', source=src)
    assert files(out) == {'a', JOURNAL}


def test_a_refused_run_leaves_no_trace(out):
    with pytest.raises(ConversionError), start(out, size=3):
        raise ConversionError('table', ['no row'])
    assert not out.exists()
    out.mkdir()
    with pytest.raises(ConversionError), start(out, size=3):
        raise ConversionError('table', ['no row'])
    assert not list(out.iterdir())


def test_files_of_the_run_before_go_and_others_stay(src, out):
    with start(out) as conversion:
        conversion.copy('old', src)
        conversion.copy('kept', src)
    (out / 'mine.txt').write_text('mine')
    with start(out) as conversion:
        conversion.copy('kept', src)
    assert files(out) == {'kept', 'mine.txt', CHECKSUMS, RECORD}


def test_other_arguments_are_refused(src, out):
    with start(out, size=3) as conversion:
        conversion.copy('a', src)
    for other in (dict(size=4), dict()):
        with pytest.raises(ConversionError, match='holds another conversion'):
            start(out, **other)
    with pytest.raises(ConversionError, match='holds another conversion'):
        Conversion('another', out, dict(size=3))


def test_a_folder_of_somebody_else_is_refused(out):
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    with pytest.raises(ConversionError, match='is not empty and was not written by this tool'):
        start(out)
    with pytest.raises(ConversionError, match='is a file: give a folder'):
        start(out / 'mine.txt')
    assert files(out) == {'mine.txt'}


@pytest.mark.parametrize('name', ['../a', 'a/../../b', '/tmp/a', '..\\a', 'C:/a', '.', ''])
def test_names_that_lead_out_are_refused(src, out, name):
    with pytest.raises(ConversionError, match='leads out'), start(out) as conversion:
        conversion.copy(name, src)
    assert not list(out.parent.glob('[ab]'))


def test_links_that_lead_out_are_refused(src, out, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    with start(out) as conversion:
        conversion.copy('a', src)
    os.symlink(tmp_path / 'elsewhere', out / 'images')
    for write in (lambda c: c.copy('images/a', src), lambda c: c.table('images/a', [])):
        with pytest.raises(ConversionError, match='by a symbolic link'), start(out) as conversion:
            write(conversion)
    assert not list((tmp_path / 'elsewhere').iterdir())


def test_two_sources_of_one_name(src, out):
    with pytest.raises(ConversionError, match='would be written twice'):
        copy(out, 'a', 'a', source=src)


def test_the_error_shows_twenty_and_keeps_all():
    error = ConversionError('table', [f'row {i}' for i in range(25)])
    assert str(error).splitlines()[0] == 'table: cannot be converted'
    assert str(error).splitlines()[-2:] == ['  row 19', '  ... and 5 more']
    assert len(error.problems) == 25


@pytest.mark.parametrize('victim', ['../victim', 'images/../../victim', RECORD])
def test_a_record_that_names_what_lies_outside_deletes_nothing(src, out, tmp_path, victim):
    copy(out, 'a', 'old', source=src)
    (tmp_path / 'victim').write_text('kept')
    record = json.loads((out / RECORD).read_text())
    record['files'][victim] = record['files']['a']
    (out / RECORD).write_text(json.dumps(record))
    copy(out, 'a', source=src)
    assert (tmp_path / 'victim').read_text() == 'kept'
    assert files(out) == {'a', CHECKSUMS, RECORD}


@pytest.mark.parametrize(
    'content', ['', 'nonsense', '[]', '{"title": "of another program"}', '{"arguments": {}, "files": {"a": 3}}']
)
def test_a_record_of_another_program_is_refused(out, content):
    out.mkdir()
    (out / RECORD).write_text(content)
    with pytest.raises(ConversionError, match=r'conversion\.json.*\n.*not written by this tool, or is damaged: delete'):
        start(out)


@pytest.mark.parametrize('name', [RECORD, CHECKSUMS, JOURNAL, f'a/../{RECORD}'])
def test_names_of_its_own_files_are_refused(src, out, name):
    for write in (lambda c: c.copy(name, src), lambda c: c.table(name, [])):
        with pytest.raises(ConversionError, match='is the name of a file that this tool writes'), start(out) as made:
            write(made)


def test_parts_of_a_killed_run_go_and_others_stay(src, out):
    with pytest.raises(KeyboardInterrupt):
        stop(out, 'a', source=src)
    for name in ('a.7.part', 'b/c.123.part', 't.jsonl.9.part', f'{RECORD}.8.part', 'mine.part', 'mine.5.part'):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text('half')
    with start(out) as conversion:
        conversion.copy('a', src)
        conversion.copy('b/c', src)
        conversion.table('t.jsonl', [])
    assert files(out) == {'a', 'b/c', 't.jsonl', CHECKSUMS, RECORD, 'mine.part', 'mine.5.part'}


def test_noted_problems_name_their_file(src, out):
    problems = []
    with start(out) as conversion:
        conversion.copy('a', src)
        for name in ('../b', 'a', RECORD):
            with noting(problems):
                conversion.copy(name, src)
    assert [problem.split()[0] for problem in problems] == ['../b', 'a', RECORD]
