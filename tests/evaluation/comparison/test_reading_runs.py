"""Finding, naming and reading runs."""

import json

import numpy as np
import pytest

from mmseg_textseg.evaluation.comparison import LeaderboardError, find_runs, read_runs


def names(arguments):
    return [name for name, _ in find_runs(list(map(str, arguments)))]


def test_names_are_what_differs_between_the_folders(tmp_path, write_run):
    for path in ('exp/lsms/test', 'exp/unet/test', 'exp/unet/test/shuffled'):
        write_run(tmp_path / path, [0.5])
    exp = tmp_path / 'exp'
    assert names([exp / 'lsms' / 'test', exp / 'unet' / 'test']) == ['lsms/test', 'unet/test', 'unet/test/shuffled']
    (exp / 'unet' / 'test' / 'shuffled' / 'per_sample.csv').unlink()
    assert names([exp / 'lsms' / 'test', exp / 'unet' / 'test']) == ['lsms', 'unet']
    assert names([exp]) == ['lsms', 'unet']
    assert names([exp / 'unet' / 'test']) == ['test']
    # Given twice is once, and the name that was given counts.
    assert names([exp, f'Ours={exp / "lsms" / "test"}']) == ['Ours', 'test']
    assert names([f'All={exp}']) == ['All/lsms/test', 'All/unet/test']


def test_a_run_within_the_folder_of_another_keeps_a_name(tmp_path, write_run):
    write_run(tmp_path / 'r', [0.5])
    write_run(tmp_path / 'r' / 'shuffled', [0.5])
    assert names([tmp_path]) == ['r', 'r/shuffled']


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path, write_run):
    run = write_run(tmp_path / 'lr=1', [0.5])
    assert find_runs([str(run)]) == [('lr=1', run)]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['{}/nowhere'], 'nowhere is no folder'),
        (['{}/empty'], r'no per_sample.csv in or below .*empty'),
        (['={}/a'], 'expected DIR or NAME=DIR'),
        (['x={}/a', 'y={}/a'], "was given two names, 'x' and 'y'"),
        (['x={}/a', 'x={}/b'], "two runs are called 'x'"),
    ],
)
def test_refused_arguments(tmp_path, write_run, arguments, words):
    (tmp_path / 'empty').mkdir()
    for name in 'ab':
        write_run(tmp_path / name, [0.5])
    with pytest.raises(LeaderboardError, match=words):
        find_runs([argument.format(tmp_path) for argument in arguments])


def test_reading(load_runs):
    (run,) = load_runs(
        a=dict(
            dice=[0.25, np.nan],
            ids=['007', 'NA'],
            images=['None', 'null'],
            expressions=['nan', 'left, "upper"\nlobe'],
            columns=dict(case=['A', 'B'], spacing=[1, 2]),
            summary=dict(
                protocols={'lvit': dict(dice=0.25), 'two-class': dict(dice=0.5, miou=None)},
                conditions=dict(shuffled_text=False, partial_text=None, tta=True),
            ),
        )
    )
    assert list(run.items.index) == ['007', 'NA']
    assert list(run.items['image']) == ['None', 'null']
    assert run.items['expression']['NA'] == 'left, "upper"\nlobe'
    np.testing.assert_array_equal(run.items['dice'], [0.25, np.nan])
    np.testing.assert_array_equal(run.items['spacing'], [1.0, 2.0])
    assert list(run.items['case']) == ['A', 'B']
    assert run.conditions == dict(tta=True)
    assert not run.text_changed
    assert run.totals['two_class_dice'] == 0.5
    assert np.isnan(run.totals['two_class_miou'])


def test_unfinished_runs_are_all_named(tmp_path, write_run):
    for name in 'abc':
        write_run(tmp_path / name, [0.5])
    for name in 'ac':
        (tmp_path / name / 'metrics.json').unlink()
    with pytest.raises(LeaderboardError) as error:
        read_runs(find_runs([str(tmp_path)]))
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith('  a: unfinished: no ')
    assert lines[2].startswith('  c: unfinished: no ')


@pytest.mark.parametrize(
    ('file', 'content', 'words'),
    [
        ('metrics.json', '{"dice": 0.5', 'is no json'),
        ('metrics.json', '{"dice": 0.5, "items": 2}', "has no 'protocols'"),
        ('metrics.json', '{"protocols": {"lvit": 0.5}}', "has no 'protocols' with their values"),
        ('metrics.json', '{"protocols": {}, "items": 3}', 'says 3 items, per_sample.csv has 2'),
        ('per_sample.csv', '', 'has no column sample_id, image, expression; it has: nothing'),
        ('per_sample.csv', 'sample_id,image,expression,dice\n', 'has no rows'),
        ('per_sample.csv', 'sample_id,dice\na,1\n', 'has no column image, expression; it has: sample_id, dice'),
        (
            'per_sample.csv',
            'sample_id,image,expression,dice\na,i,t,1\nb,i,t\n',
            'row 3: 3 cells; expected 4, as in the first',
        ),
        ('per_sample.csv', 'sample_id,image,expression\na,i,t,9\n', 'row 2: 4 cells; expected 3'),
        ('per_sample.csv', 'sample_id,image,expression\na,i,"t\n', 'is no csv: unexpected end of data'),
        ('per_sample.csv', 'sample_id,image,expression\na,i,t\na,i,u\n', "row 3: sample_id 'a' stands there twice"),
    ],
)
def test_refused_files(tmp_path, write_run, file, content, words):
    run = write_run(tmp_path / 'a', [0.5, 0.6])
    (run / file).write_text(content)
    with pytest.raises(LeaderboardError, match=words) as error:
        read_runs([('mine', run)])
    assert 'mine: ' in str(error.value)


def test_a_csv_of_another_encoding(tmp_path, write_run):
    run = write_run(tmp_path / 'a', [0.5])
    (run / 'per_sample.csv').write_bytes('sample_id,image,expression\na,i,Länge\n'.encode('latin-1'))
    with pytest.raises(LeaderboardError, match='is no csv'):
        read_runs([('a', run)])


def test_metrics_json_of_an_interrupted_second_test(tmp_path, write_run):
    """per_sample.csv is replaced before metrics.json: a crash between them leaves two runs in one folder."""
    run = write_run(tmp_path / 'a', [0.5, 0.6])
    told = json.loads((run / 'metrics.json').read_text())
    write_run(run, [0.5, 0.6, 0.7])
    (run / 'metrics.json').write_text(json.dumps(told))
    with pytest.raises(LeaderboardError, match=r'says 2 items, per_sample.csv has 3'):
        read_runs([('a', run)])
