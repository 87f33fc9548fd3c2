"""A picture of an audit: Dice under every condition, and the difference to the full text with its interval."""

import io

from .audit import Audit

COLOURS = dict(blind='#b3261e', less='#b7791f', other='#2f6db3', without='#5b7553')
MEANING = dict(
    blind='nothing of the sentence left',
    less='less text',
    other='other or untrue words',
    without='one attribute left out',
)
DARK = '#26323f'
LEAST_SPAN = 5  # points to each side of 0, so that tenths of a point look like what they are


def draw(audit: Audit, title: str) -> bytes:
    """A PNG file.

    Raises:
        ImportError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise ImportError("the plot needs matplotlib: pip install 'mmseg_textseg[eval]'", name=error.name) from error
    effects = [effect for effect in audit.effects if effect.changed]
    figure = Figure(figsize=(9, 1.9 + 0.32 * len(effects)), layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
    full = 100 * audit.full.value
    left.axvline(full, color=DARK, linewidth=1)
    right.axvline(0, color=DARK, linewidth=1)
    for place, effect in enumerate(effects):
        colour = COLOURS[effect.condition.kind]
        low, high = 100 * effect.difference.low, 100 * effect.difference.high
        left.barh(place, 100 * effect.dice, color=colour, height=0.6)
        left.plot(100 * effect.full, place, 'D', color='white', markeredgecolor=DARK, markersize=5)
        right.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle='butt')
        right.plot(100 * effect.difference.value, place, 'o', color=colour, markersize=5)
    left.set_yticks(range(len(effects)), [f'{effect.condition.title} ({effect.changed:,})' for effect in effects])
    left.set_ylim(len(effects) - 0.4, -0.6)
    left.set_xlim(0, 100)
    left.set_xlabel('Dice, percent (items whose sentence changed)')
    low, high = right.get_xlim()
    right.set_xlim(min(low, -LEAST_SPAN), max(high, LEAST_SPAN))
    right.set_xlabel('difference to full text, points, 95 % interval')
    for axes in (left, right):
        axes.grid(axis='x', color='#dddddd')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
    right.tick_params(axis='y', length=0)
    kinds = dict.fromkeys(effect.condition.kind for effect in effects)
    marks = [Line2D([], [], color=COLOURS[kind], linewidth=6, label=MEANING[kind]) for kind in kinds]
    marks.append(Line2D([], [], color=DARK, linewidth=1, label=f'full text, all {audit.items:,} items: {full:.1f}'))
    diamond = dict(marker='D', linestyle='', markerfacecolor='white', markeredgecolor=DARK, markersize=5)
    marks.append(Line2D([], [], label='full text, same items', **diamond))
    figure.legend(handles=marks, loc='outside lower center', ncols=3, fontsize=8, frameon=False)
    figure.suptitle(title, x=0.01, ha='left', fontsize=9)
    for text in figure.findobj(lambda part: hasattr(part, 'set_parse_math')):
        text.set_parse_math(False)
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=130)
    return file.getvalue()
