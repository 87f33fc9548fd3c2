"""Box plots of runs, with the stars of their tests."""

import io

import numpy as np
from matplotlib.figure import Figure

from .leaderboard import Comparison, Leaderboard
from .measures import Measure
from .report import STARS_SAID, test_name

BOX, REFERENCE, DARK, MEAN = '#b9cfe6', '#f2c48d', '#26323f', '#b3261e'
# More points than these hide the boxes.
MOST_POINTS = 300


def box_plot(board: Leaderboard, measure: Measure) -> bytes:
    """A box a run, the best on top: values of groups, the mean with its interval, stars against the reference.

    Returns:
        A PNG file.
    """
    results = board.results[measure.name]
    names = [run.name for run in board.runs]
    scores = [measure.scale * results[name].scores for name in names]
    places = np.arange(len(names))
    crowded = max(map(len, scores)) > MOST_POINTS
    # matplotlib.figure alone: pyplot would choose a window system, and keep every figure.
    figure = Figure(figsize=(8, 1.5 + 0.55 * len(names)), layout='constrained')
    axes = figure.add_subplot()
    drawn = axes.boxplot(
        scores,
        positions=places,
        orientation='horizontal',
        widths=0.6,
        patch_artist=True,
        showfliers=crowded,
        flierprops=dict(marker='.', markersize=3, markeredgecolor=DARK, alpha=0.4),
        medianprops=dict(color=DARK, linewidth=1.5),
        tick_labels=names,
    )
    rng = np.random.default_rng(0)
    for place, name, box, values in zip(places, names, drawn['boxes'], scores, strict=True):
        is_reference = name == board.reference and len(names) > 1
        box.set(facecolor=REFERENCE if is_reference else BOX, edgecolor=DARK)
        if not crowded:
            axes.plot(values, place + rng.uniform(-0.18, 0.18, len(values)), '.', color=DARK, alpha=0.45, markersize=4)
        mean, low, high = (measure.scale * number for number in results[name].interval[:3])
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt='D', color=MEAN, markersize=5, capsize=3)
        mark = 'reference' if is_reference else _mark(board.comparisons[measure.name].get(name))
        axes.text(1.01, place, mark, transform=axes.get_yaxis_transform(), va='center', fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis='x', color='#dddddd')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_xlabel(f'{measure.heading}{", percent" if measure.scale == 100 else ""}, by {board.groups.noun}')
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    figure.suptitle(_caption(board), x=0.01, ha='left', fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=130)
    return file.getvalue()


def _mark(pair: Comparison | None) -> str:
    if pair is None:
        return ''
    return pair.stars or ('no test' if pair.p != pair.p else 'n.s.')


def _caption(board: Leaderboard) -> str:
    text = f'{board.groups.count:,} {board.groups.noun}s. Diamond: mean, {100 * board.options.confidence:g} % interval.'
    return text if len(board.runs) == 1 else f'{text} Stars: {test_name(board)} against the reference, {STARS_SAID}.'
