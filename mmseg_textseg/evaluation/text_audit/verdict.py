"""What the figures say, in sentences that claim no more than they do."""

import math
from collections.abc import Sequence

from .audit import Audit
from .conditions import WITHOUT
from .effects import Effect

SHOWN = 3  # attributes named that most is lost without
FEW_GROUPS = 10  # with fewer, bootstrap intervals come out too narrow


def verdict(audit: Audit) -> list[str]:
    """A few sentences, percent."""
    told = [
        f'Full text: Dice {percent(audit.full.value)}{_range(audit.full.low, audit.full.high)}, {audit.items:,} items '
        f'of {audit.groups:,} {audit.noun}{"s" * (audit.groups != 1)}.'
    ]
    effects = {effect.condition.name: effect for effect in audit.effects if effect.changed}
    told += _image_alone(list(effects.values()))
    told += _contradiction(effects['contradicted'], audit) if 'contradicted' in effects else []
    told += _rewording(effects['paraphrased']) if 'paraphrased' in effects else []
    told += _attributes([effect for effect in effects.values() if effect.condition.kind == WITHOUT])
    if audit.groups < FEW_GROUPS:
        told.append(f'Only {audit.groups} {audit.noun}{"s" * (audit.groups != 1)}: intervals are too narrow then.')
    return told


def _image_alone(effects: Sequence[Effect]) -> list[str]:
    blind = sorted(
        (effect for effect in effects if effect.condition.kind == 'blind'), key=lambda effect: -effect.difference.value
    )
    if not blind:
        return ['No text-blind condition (empty, constant, shuffled): nothing is said of the image alone.']
    # One that changes few sentences has too little to say to be taken for its luck.
    most = max(effect.changed for effect in blind)
    best = next(effect for effect in blind if 2 * effect.changed >= most)
    others = [effect for effect in blind if effect is not best]
    rest = ', '.join(
        f'{one.condition.title} {percent(one.dice)} (full text {percent(one.full)}, {one.changed:,} items)'
        for one in others
    )
    which = f'the best of the text-blind conditions; {rest}' if others else 'the only text-blind condition'
    return [
        f'Image alone gives {percent(best.dice)}: {best.condition.title}, {which}.',
        _explained(best, [effect for effect in effects if effect is not best]),
    ]


def _explained(best: Effect, others: Sequence[Effect]) -> str:
    gain, (_, low, high, _) = -best.difference.value, best.difference
    what = f'{percent(gain)} of {percent(best.full)} Dice{_range(-high, -low)}, {best.changed:,} items'
    if math.isnan(low):
        return f'Full text gives {percent(gain)} points more; so few items give no interval, and no answer.'
    if best.clear and gain > 0:
        return (
            f'Text explains {what}. That is an upper bound: the model was trained neither for sentences without words '
            'nor for those of another image. The fair comparison is a text-free model trained on the same images.'
        )
    if best.clear:
        return f'The text does harm: without it Dice is {percent(-gain)} higher{_range(low, high)}.'
    heard = [effect for effect in others if effect.clear]
    if not heard:
        return f'No sign that the text is used: {what}, is not told apart from 0.'
    most = min(heard, key=lambda effect: effect.difference.value)
    return (
        f'No sign that the true sentence helps: {what}, is not told apart from 0. The text is used, though: '
        f'{most.condition.title} {_signed(most)}.'
    )


def _contradiction(effect: Effect, audit: Audit) -> list[str]:
    told = [
        f'Contradicted text: {percent(effect.dice)} where the true sentence gives {percent(effect.full)}, difference '
        f'{_signed(effect)}, {effect.changed:,} items{"" if effect.clear else ": no sign that it is noticed"}.'
    ]
    if audit.followed is not None:
        items, own, other = audit.followed.items, audit.followed.own, audit.followed.other
        told.append(
            f'{items:,} contradicted sentences name something else annotated in the same image; what is marked then '
            f'has a Dice of {percent(other)} with that, and of {percent(own)} with what the true sentence means: the '
            f'model {"follows" if other > own else "does not follow"} the words.'
        )
    return told


def _rewording(effect: Effect) -> list[str]:
    told = f'Paraphrased text: {_signed(effect)}, {effect.changed:,} items.'
    before, after = effect.full_words.unfamiliar, effect.words.unfamiliar
    if after > before:
        told += (
            f' {percent(after)} % of its words are unknown to the vocabulary or fall to pieces, {percent(before)} % '
            'of the full text: a loss may come of that.'
        )
    return [told]


def _attributes(effects: Sequence[Effect]) -> list[str]:
    lost = sorted(
        (effect for effect in effects if effect.difference.high < 0), key=lambda effect: effect.difference.value
    )
    told = []
    if lost:
        most = ', '.join(f'{effect.condition.title} {_signed(effect)}' for effect in lost[:SHOWN])
        told.append(f'Attributes left out one at a time; most is lost {most}.')
    unused = [effect.condition.title for effect in effects if not effect.clear]
    if unused:
        told.append(f'No difference told apart from 0: {", ".join(unused)}.')
    return told


def percent(share: float, sign: str = '') -> str:
    """A fraction of 1 in percent, '-' where undefined."""
    return '-' if math.isnan(share) else f'{round(100 * share, 1) + 0.0:{sign}.1f}'  # + 0.0 for the sign of -0.0


def _range(low: float, high: float) -> str:
    return '' if math.isnan(low) else f' (95 % interval {percent(low)} to {percent(high)})'


def _signed(effect: Effect) -> str:
    value, low, high, _ = effect.difference
    interval = '' if math.isnan(low) else f' ({percent(low, "+")} to {percent(high, "+")})'
    return percent(value, '+') + interval
