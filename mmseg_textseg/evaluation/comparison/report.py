"""A leaderboard for people: markdown, and a page that needs no other file."""

import base64
import html
from collections.abc import Mapping, Sequence

from prettytable import PrettyTable, TableStyle

from .alignment import describe
from .leaderboard import Leaderboard
from .measures import Measure
from .significance import MOST_BCA, Interval, Outcome

STARS_SAID = '* p < .05, ** p < .01, *** p < .001'

Table = tuple[list[str], list[list[str]]]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Leaderboard</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.2rem; margin-top: 2.2rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right; white-space: pre; }}
th:first-child, td:first-child {{ text-align: left; }}
thead th {{ border-bottom: 2px solid #555; }} tbody tr:hover {{ background: #f3f6fa; }}
img {{ max-width: 100%; }} li, p {{ max-width: 46rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def as_markdown(board: Leaderboard) -> str:
    """Tables, remarks and how they were made."""
    parts = ['# Leaderboard', markdown(headline(board)), legend(board)]
    for measure in board.measures:
        if measure.formula and len(board.runs) > 1:
            table = markdown(against_reference(board, measure))
            parts += [f'## {measure.heading}: against {board.reference}', table, *all_runs(board, measure)]
    if board.remarks:
        parts += ['## Remarks', '\n'.join(f'- {remark}' for remark in board.remarks)]
    return '\n\n'.join([*parts, '## How', how(board)]) + '\n'


def as_html(board: Leaderboard, plots: Mapping[str, bytes]) -> str:
    """The same as a page, with the plots in it and where the runs came from.

    Args:
        board: what to show.
        plots: PNG files by metric.
    """
    parts = ['<h1>Leaderboard</h1>', _html(headline(board)), _paragraph(legend(board))]
    for measure in board.measures:
        if not measure.formula or (len(board.runs) == 1 and measure.name not in plots):
            continue
        parts.append(f'<h2>{html.escape(measure.heading)}</h2>')
        if len(board.runs) > 1:
            parts.append(_paragraph(f'Against {board.reference}:'))
            parts += [_html(against_reference(board, measure)), *map(_paragraph, all_runs(board, measure))]
        if measure.name in plots:
            data = base64.b64encode(plots[measure.name]).decode()
            parts.append(f'<img alt="box plot of {html.escape(measure.name)}" src="data:image/png;base64,{data}">')
    if board.remarks:
        parts += ['<h2>Remarks</h2>', '<ul>', *(f'<li>{html.escape(one)}</li>' for one in board.remarks), '</ul>']
    parts += ['<h2>How</h2>', _paragraph(how(board)), '<h2>Runs</h2>', _html(sources(board))]
    return PAGE.format(body='\n'.join(parts))


def headline(board: Leaderboard) -> Table:
    """The one table: a row a run, a column a metric."""
    told = any(run.conditions for run in board.runs)
    metrics = [f'{m.heading} ↓' if m.lower else m.heading for m in board.measures]
    head = ['run', *metrics, *(['conditions'] if told else [])]
    rows = []
    for run in board.runs:
        cells = []
        for measure in board.measures:
            pair = board.comparisons.get(measure.name, {}).get(run.name)
            cell = show_interval(board.results[measure.name][run.name].interval, measure)
            # Three places, so that the figures of a column stay below one another.
            cells.append(f'{cell} {pair.stars if pair else "":<3}')
        mark = ' (reference)' if run.name == board.reference and len(board.runs) > 1 else ''
        rows.append([run.name + mark, *cells, *([describe(run)] if told else [])])
    return head, rows


def legend(board: Leaderboard) -> str:
    """What the figures of the table are."""
    items = f'{len(board.runs[0].items):,} items'
    if board.groups.noun != 'item':
        items += f' in {board.groups.count:,} {board.groups.noun}s'
    if board.groups.noun == 'group':
        items += f' by {board.options.group}'
    text = f'{items}. Mean [{100 * board.options.confidence:g} % interval]'
    if any(m.scale == 100 for m in board.measures):
        text += ', percent' if all(m.scale == 100 for m in board.measures) else ', fractions in percent'
    if any(m.lower for m in board.measures):
        text += '; ↓: small is good'
    if len(board.runs) > 1 and any(m.per_item for m in board.measures):
        text += f'. Stars: {test_name(board)} against {board.reference}, {STARS_SAID}'
    return f'{text}.'


def against_reference(board: Leaderboard, measure: Measure) -> Table:
    """Differences from the reference and their tests."""
    found = board.comparisons[measure.name]
    pairs = list(found.values())
    columns = {'run': list(found), 'difference': [show_interval(one.difference, measure, '+') for one in pairs]}
    if measure.per_item:
        columns['p, t-test'] = [show_p(one.t_corrected) for one in pairs]
        columns['p, Wilcoxon'] = [show_p(one.wilcoxon_corrected) for one in pairs]
        columns['stars'] = [one.stars for one in pairs]
    columns[f'{board.groups.noun}s'] = [f'{one.groups:,}' for one in pairs]
    if any(one.dropped for one in pairs):
        columns['items dropped'] = [f'{one.dropped:,}' for one in pairs]
    if any(one.remark for one in pairs):
        columns['remark'] = [one.remark for one in pairs]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def all_runs(board: Leaderboard, measure: Measure) -> list[str]:
    """A sentence on the tests over all runs, or none."""
    found = board.all_runs.get(measure.name)
    if found is None or found.runs < 3 or found.groups < 2:
        return []
    between, within = found.runs - 1, found.runs * (found.groups - 1)
    anova = _outcome(f'one-way ANOVA F({between}, {within})', found.anova)
    friedman = _outcome(f"Friedman's chi-squared({between})", found.friedman)
    return [f'All {found.runs} runs alike? {anova}; {friedman}.']


def sources(board: Leaderboard) -> Table:
    """Where the runs came from."""
    rows = []
    for run in board.runs:
        told = [run.summary.get(key) or {} for key in ('config', 'checkpoint')]
        rows.append([run.name, *(f'{one.get("path", "?")} ({str(one.get("sha256", "?"))[:8]})' for one in told)])
    return ['run', 'config (sha256)', 'checkpoint (sha256)'], rows


def how(board: Leaderboard) -> str:
    """The methods, in words."""
    options, noun = board.options, board.groups.noun
    whole = '' if noun == 'item' else f', each {noun} with all its items'
    text = (
        f'Means weigh every item the same. Intervals: bootstrap over {noun}s{whole}, {options.resamples:,} resamples, '
        f'seed {options.seed}, BCa; percentile where BCa is degenerate or there are more than {MOST_BCA:,} {noun}s.'
    )
    if len(board.runs) > 1:
        best = 'chosen by name' if options.reference else f'the best by {board.measures[0].heading}'
        value = 'of items' if noun == 'item' else f'of {noun}s, each the mean over its items'
        text += (
            f' Differences are run - reference, the reference {best}. Tests are two-sided, on pairs {value}; p '
            f'{"are not corrected" if options.correction == "none" else f"are corrected by {options.correction}"} over '
            'the comparisons of one metric. One-way ANOVA takes the runs for independent samples.'
        )
    return text


def test_name(board: Leaderboard) -> str:
    """Of the test that gives the stars, and how p are corrected: ``'paired t-test (holm)'``."""
    name = 'paired t-test' if board.options.test == 't-test' else 'Wilcoxon signed-rank test'
    return name if board.options.correction == 'none' else f'{name} ({board.options.correction})'


def show_interval(interval: Interval, measure: Measure, sign: str = '') -> str:
    """``'57.13 [55.01, 59.20]'``; a dash where there is no value."""
    if interval.value != interval.value:
        return '–'
    value, low, high = (f'{measure.scale * number:{sign}.2f}' for number in interval[:3])
    return value if interval.method is None else f'{value} [{low}, {high}]'


def show_p(p: float) -> str:
    """Three decimals; a dash where undefined."""
    return '–' if p != p else '< 0.001' if p < 0.001 else f'{p:.3f}'


def _outcome(name: str, outcome: Outcome) -> str:
    if outcome.p != outcome.p:
        return f'{name} undefined'
    p = show_p(outcome.p)
    return f'{name} = {outcome.statistic:.2f}, p {p if p.startswith("<") else f"= {p}"}'


def markdown(table: Table) -> str:
    """A table as markdown, figures to the right."""
    head, rows = table
    drawn = PrettyTable([_cell(text) for text in head], align='r')
    drawn.align[_cell(head[0])] = 'l'
    drawn.set_style(TableStyle.MARKDOWN)
    drawn.add_rows([[_cell(text) for text in row] for row in rows])
    return drawn.get_string()


def _cell(text: str) -> str:
    return text.replace('|', '\\|').replace('\n', ' ')


def _html(table: Table) -> str:
    head, rows = table

    def line(cells: Sequence[str], tag: str) -> str:
        return f'<tr>{"".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)}</tr>'

    body = '\n'.join(line(row, 'td') for row in rows)
    return f'<div class="wide"><table>\n<thead>{line(head, "th")}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _paragraph(text: str) -> str:
    return f'<p>{html.escape(text)}</p>'
