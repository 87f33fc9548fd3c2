"""Tables, exponents and files of a record whose numbers are chosen."""

import json

import cv2
import numpy as np
import pytest

from mmseg_textseg.benchmark import growth, report

MACHINE = dict(keeps_freed_memory=True, processor='Some CPU', cores=4, threads=2, torch='2.9', python='3.11', load=0.1)
PEAKS = dict(gemm=100.0, conv3x3=80.0, conv1x1=60.0)


def group(name, axis, seconds, **more):
    """Contenders ``slow`` and ``quick``, four times as fast."""
    values = dict(flops=2_000_000_000, tensor_bytes=3_000_000, **more)
    contenders = dict(slow=dict(seconds=seconds, **values), quick=dict(seconds=[s / 4 for s in seconds], **values))
    return dict(name=name, job='the job', reference='slow', axis=axis, contenders=contenders)


@pytest.fixture
def record():
    groups = [
        group(
            f'case/tiny/{side}/{batch}', dict(pixels=side * side, batch=batch), [b * batch * side**3 for b in (1, 2, 3)]
        )
        for side, batch in ((2, 1), (4, 1), (8, 1), (8, 2))
    ]
    return dict(machine=MACHINE, peaks=PEAKS, repeats=3, warmup=1, groups=groups, failures=['text: it broke'])


def cells(line):
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_a_row():
    slow, quick = report.rows(group('g', {}, [1.0, 2.0, 3.0]), gemm=100.0)
    # 2 GFLOP in 2 s is 1 GFLOP/s, 1 % of what the machine can do.
    assert slow == ['g', 'slow', '2,000 (1,500 to 2,500)', '1,000', '1', '2', '1', '1 %', '3', '-']
    assert quick == ['g', 'quick', '500 (375 to 625)', '250', '4.00 (4.00 to 4.00)', '2', '4', '4 %', '3', '-']


def test_what_was_not_counted_has_a_dash():
    one = group('g', {}, [1.0])
    one['contenders']['quick'].update(flops=None, tensor_bytes=None)
    one['contenders']['slow'].update(flops=0, process_bytes=5_000_000)
    slow, quick = report.rows(one, gemm=100.0)
    assert slow[5:] == ['-', '-', '-', '3', '5']
    assert quick[5:] == ['-', '-', '-', '-', '-']
    assert 'process' in report.table([one], 100.0)
    assert 'process' not in report.table([group('g', {}, [1.0])], 100.0)


def test_exponents(record):
    found = {(s.contender, s.axis, tuple(s.others.items())): s for s in growth.find_series(record['groups'])}
    # Seconds grow as side^3 = pixels^1.5, and as the batch; twice of each for two contenders.
    assert len(found) == 4
    pixels = found['quick', 'pixels', (('batch', 1),)]
    assert (pixels.family, pixels.values) == ('case/tiny', (4, 16, 64))
    assert pixels.seconds == (4.0, 32.0, 256.0)
    assert pixels.exponent == pytest.approx(1.5)
    assert found['slow', 'batch', (('pixels', 64),)].exponent == pytest.approx(1.0)


@pytest.mark.parametrize(
    ('name', 'family'),
    [('a/480/1', 'a'), ('a/tiny/480', 'a/tiny'), ('a-4/x2/4', 'a-4/x2'), ('a/0.5', 'a')],
)
def test_family(name, family):
    assert growth.family(name) == family


def test_other_families_and_lone_points_make_no_series(record):
    alone = [
        group('a/2', dict(pixels=4), [1.0]),
        group('b/4', dict(pixels=16), [2.0]),
        group('c/0', dict(rows=0), [1.0]),
    ]
    assert growth.find_series(alone) == []
    assert report.growth_table(alone) is None


def test_files(record, tmp_path):
    report.write(record, tmp_path / 'out')
    assert json.loads((tmp_path / 'out' / 'benchmark.json').read_text()) == dict(format=1, **record)
    text = (tmp_path / 'out' / 'benchmark.md').read_text()
    lines = text.splitlines()
    assert 'Some CPU, 2 threads of 4 cores' in text
    assert lines.count('## The job') == 1
    row = next(line for line in lines if line.startswith('| case/tiny/4/1') and 'quick' in line)
    assert cells(row)[:3] == ['case/tiny/4/1', 'quick', '32,000 (24,000 to 40,000)']
    grown = next(line for line in lines if line.startswith('| case/tiny ') and 'slow' in line and 'pixels' in line)
    assert cells(grown) == ['case/tiny', 'slow', 'pixels', '4, 16, 64', 'batch 1', '1.50']
    assert '- text: it broke' in lines
    for name in ('ratios.png', 'growth.png'):
        picture = cv2.imread(str(tmp_path / 'out' / name))
        assert len(np.unique(picture)) > 10


def test_nothing_measured(record, tmp_path):
    report.write(record | dict(groups=[], failures=[]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['benchmark.json', 'benchmark.md']
    assert 'matrix products 100' in (tmp_path / 'benchmark.md').read_text()


def test_numbers_that_are_none_are_refused(record, tmp_path):
    record['peaks'] = dict(PEAKS, gemm=float('nan'))
    with pytest.raises(ValueError, match='JSON'):
        report.write(record, tmp_path)
    assert not (tmp_path / 'benchmark.json').exists()
