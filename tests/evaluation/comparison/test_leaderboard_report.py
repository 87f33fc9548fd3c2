"""What is written: markdown, html, csv, json, pictures."""

import csv
import io
import json
import re

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmseg_textseg.evaluation.comparison import (
    Options,
    as_html,
    as_json,
    as_markdown,
    box_plot,
    compare,
    read_runs,
    write_csv,
)


@pytest.fixture
def board(load_runs, scores):
    def told(seed, shift, **summary):
        hd95 = np.random.default_rng(seed).uniform(2, 9, 24)
        hd95[seed] = np.nan
        return dict(dice=scores(seed, shift), columns=dict(boundary_hd95_mm=hd95), summary=summary)

    runs = load_runs(
        unet=told(3, -0.15),
        shuffled=told(2, -0.01, conditions=dict(shuffled_text=True), config=dict(path='c.py', sha256='0123456789')),
        lsms=told(1, 0.0),
    )
    return compare(runs, Options(metrics=('dice', 'boundary_hd95_mm'), resamples=300))


def cells(line):
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_markdown(board):
    text = as_markdown(board)
    head, _, *rows = text.split('\n\n')[1].splitlines()
    assert cells(head) == ['run', 'Dice', 'boundary_hd95_mm ↓', 'conditions']
    assert [cells(row)[0] for row in rows] == ['lsms (reference)', 'shuffled', 'unet']
    for row in rows:
        name = cells(row)[0].split()[0]
        value, low, high, _ = board.results['dice'][name].interval
        told = f'{100 * value:.2f} [{100 * low:.2f}, {100 * high:.2f}]'
        stars = board.comparisons['dice'][name].stars if name != 'lsms' else ''
        assert cells(row)[1] == f'{told} {stars}'.strip()
        assert cells(row)[2].startswith(f'{board.results["boundary_hd95_mm"][name].interval.value:.2f} [')
    assert cells(rows[2])[1].endswith('***')
    assert cells(rows[1])[3] == 'shuffled text'
    assert '24 items in 12 images. Mean [95 % interval], fractions in percent' in text
    against = text.split('## Dice: against lsms\n\n')[1].splitlines()
    assert cells(against[0]) == ['run', 'difference', 'p, t-test', 'p, Wilcoxon', 'stars', 'images']
    difference = board.comparisons['dice']['unet'].difference
    told = [f'{100 * number:+.2f}' for number in difference[:3]]
    assert cells(against[3])[:3] == ['unet', f'{told[0]} [{told[1]}, {told[2]}]', '< 0.001']
    anova = board.all_runs['dice'].anova
    assert f'one-way ANOVA F(2, 33) = {anova.statistic:.2f}' in text
    assert 'items dropped' in text
    assert '- shuffled: its sentences were changed on purpose (shuffled text)' in text
    assert '300 resamples, seed 0, BCa' in text


def test_names_cannot_break_the_tables(tmp_path, write_run):
    runs = read_runs([('a|b <i>x</i> {0}', write_run(tmp_path / 'a', [0.5, 0.6, 0.7, 0.9]))])
    board = compare(runs, Options(metrics=('dice',), resamples=100))
    assert 'a\\|b' in as_markdown(board)
    page = as_html(board, {})
    assert 'a|b &lt;i&gt;x&lt;/i&gt; {0}' in page
    assert '<i>' not in page
    assert box_plot(board, board.measures[0])


def test_html_holds_everything(board):
    plots = {m.name: box_plot(board, m) for m in board.measures}
    page = as_html(board, plots)
    assert page.count('data:image/png;base64,') == 2
    # Nothing is fetched: no address and no other file.
    assert not re.search(r'(src|href)="(?!data:)|https?://|@import|url\(', page)
    names = re.findall(r'<tr><td>(\w+)', page.split('<h2>')[0])
    assert names == ['lsms', 'shuffled', 'unet']
    assert '<td>c.py (01234567)</td>' in page
    assert re.findall(r'<h2>(.*?)</h2>', page) == ['Dice', 'boundary_hd95_mm', 'Remarks', 'How', 'Runs']


def test_json(board):
    text = json.dumps(as_json(board), allow_nan=False)
    told = json.loads(text)
    assert told['reference'] == 'lsms'
    assert [run['name'] for run in told['runs']] == ['lsms', 'shuffled', 'unet']
    assert told['metrics'][1] == dict(name='boundary_hd95_mm', percent=False, lower_is_better=True)
    found = {(one['run'], one['metric']): one for one in told['results']}
    interval = board.results['dice']['unet'].interval
    assert [found['unet', 'dice'][key] for key in ('value', 'low', 'high', 'interval')] == list(interval)
    pair = next(one for one in told['comparisons'] if (one['run'], one['metric']) == ('unet', 'dice'))
    one = board.comparisons['dice']['unet']
    assert (pair['t_p'], pair['t_p_corrected'], pair['stars']) == (one.t.p, one.t_corrected, '***')
    assert pair['wilcoxon_p_corrected'] == one.wilcoxon_corrected
    assert told['all_runs'][0]['anova_p'] == board.all_runs['dice'].anova.p
    assert told['options']['seed'] == 0


def test_csv(board):
    file = io.StringIO()
    write_csv(board, file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row['run'] for row in rows] == ['lsms', 'shuffled', 'unet']
    assert all(None not in row and None not in row.values() for row in rows)
    assert rows[0]['dice_t_p'] == ''
    one = board.comparisons['dice']['unet']
    assert float(rows[2]['dice']) == board.results['dice']['unet'].interval.value
    assert float(rows[2]['dice_difference_low']) == one.difference.low
    assert float(rows[2]['dice_wilcoxon_p']) == one.wilcoxon.p
    assert rows[2]['boundary_hd95_mm_dropped_items'] == '2'


def test_undefined_values_are_a_dash_and_null(load_runs, axes_of):
    runs = load_runs(a=[0.5, 0.6], b=dict(dice=[np.nan, np.nan], summary=dict(protocols=dict(lvit=dict(dice=None)))))
    board = compare(runs, Options(metrics=('dice',), resamples=100))
    row = next(line for line in as_markdown(board).splitlines() if line.startswith('| b'))
    assert cells(row)[1] == '–'
    told = as_json(board)
    json.dumps(told, allow_nan=False)
    assert [one['value'] for one in told['results']] == [pytest.approx(0.55), None]
    file = io.StringIO()
    write_csv(board, file)
    assert list(csv.DictReader(io.StringIO(file.getvalue())))[1]['dice'] == ''
    assert [text.get_text() for text in axes_of(board, board.measures[0]).texts] == ['reference', 'no test']


@pytest.fixture
def axes_of(monkeypatch):
    """Function (board, measure) -> axes of its box plot: pixels alone would not tell whose box is whose."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))

    def draw(board, measure):
        picture = cv2.imdecode(np.frombuffer(box_plot(board, measure), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[0] > 200 < picture.shape[1]
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
        (axes,) = figures[-1].axes
        return axes

    return draw


def test_box_plot_shows_boxes_marks_and_order(board, axes_of):
    axes = axes_of(board, board.measures[0])
    assert [label.get_text() for label in axes.get_yticklabels()] == ['lsms', 'shuffled', 'unet']
    assert axes.yaxis_inverted()
    marks = [text.get_text() for text in axes.texts]
    assert marks == ['reference', board.comparisons['dice']['shuffled'].stars or 'n.s.', '***']
    medians = [line.get_xdata()[0] for line in axes.lines if list(line.get_xdata()) == [line.get_xdata()[0]] * 2]
    for name in ('lsms', 'unet'):
        assert np.isclose(medians, 100 * np.median(board.results['dice'][name].scores)).any()
    diamonds = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == 'D']
    assert diamonds == pytest.approx([100 * board.results['dice'][run.name].interval.value for run in board.runs])
    assert 'Dice, percent, by image' in axes.get_xlabel()
