"""Plots of a benchmark: ratios to the reference, and growth."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from .growth import Series
from .measure import ratio

DARK, REFERENCE = '#26323f', '#b3261e'
COLUMNS = 3


def ratios(groups: Sequence[dict]) -> bytes:
    """PNG: how many times as fast as its group's reference each contender is, with quartiles.

    Args:
        groups: from :func:`mmseg_textseg.benchmark.measure.measure`.
    """
    labels, spreads = [], []
    for group in groups:
        seconds = {name: found['seconds'] for name, found in group['contenders'].items()}
        for name in seconds:
            if name != group['reference']:
                labels.append(f'{group["name"]}: {name}')
                spreads.append(ratio(seconds, group['reference'], name))
    # matplotlib.figure alone: pyplot would choose a window system, and keep every figure.
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(labels)), layout='constrained')
    axes = figure.add_subplot()
    places = range(len(labels))
    middle = [spread.median for spread in spreads]
    errors = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
    axes.errorbar(middle, places, xerr=errors, fmt='o', color=DARK, markersize=5, capsize=3)
    axes.axvline(1, color=REFERENCE, linewidth=1)
    for label in axes.set_yticks(places, labels):
        label.label1.set_parse_math(False)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter('{x:g}')
    axes.invert_yaxis()
    axes.set_xlabel('times as fast as the reference: median and quartiles of rounds')
    _tidy(axes)
    return _png(figure)


def growth(series: Sequence[Series]) -> bytes:
    """PNG: median seconds against what was swept, one panel a family, axis and values of the other axes."""
    panels = {}
    for one in series:
        panels.setdefault((one.family, one.axis, tuple(one.others.items())), []).append(one)
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    most = max(len(those) for those in panels.values())
    figure = Figure(figsize=(4.5 * columns, (3.4 + 0.17 * most) * lines), layout='constrained')
    for number, ((family, axis, others), those) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(lines, columns, number)
        for one in those:
            axes.plot(one.values, one.seconds, 'o-', label=f'{one.contender}: {one.exponent:.2f}')
        axes.set(xscale='log', yscale='log', xlabel=axis, ylabel='seconds')
        for scale in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            scale('{x:g}')
        values = sorted({value for one in those for value in one.values})
        axes.set_xticks(values, [f'{value:,g}' for value in values], rotation=30)
        axes.set_xticks([], minor=True)
        at = ', '.join(f'{key} {value:g}' for key, value in others)
        axes.set_title(f'{family}{f", {at}" if at else ""}', fontsize=9)
        # Below: curves that grow fill any corner.
        axes.legend(fontsize=7, title='exponent', title_fontsize=7, loc='upper center', bbox_to_anchor=(0.5, -0.28))
        _tidy(axes)
    return _png(figure)


def _tidy(axes) -> None:
    axes.grid(color='#dddddd')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=110, bbox_inches='tight')
    return file.getvalue()
