"""How much a made dataset's words tell: one that is said of nearly every lesion tells nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

WORDS = ('size', 'shape', 'boundary', 'density', 'spread')
MONOTONOUS, MANY = 0.9, 20


def word_shares(tables: Mapping[str, Sequence[dict]]) -> list[str]:
    """Lines for people: of each attribute the share of each word, with a warning above 90 % of 20 or more.

    Args:
        tables: rows by split, of ``write_expressions``. A mask counts once; those of several lesions or none do not,
            but for texts on whole pictures.
    """
    counts: dict[str, Counter] = {name: Counter() for name in WORDS}
    seen = set()
    for split, rows in tables.items():
        for row in rows:
            if (split, row['mask']) not in seen and (row['fits'] == 'one' or row['kind'] == 'picture'):
                seen.add((split, row['mask']))
                for name in WORDS:
                    if row.get(name) is not None:
                        counts[name][row[name]] += 1
    lines = []
    for name, words in counts.items():
        total = words.total()
        if not total:
            continue
        told = ', '.join(f'{word} {100 * count / total:.0f} %' for word, count in words.most_common())
        lines.append(f'{name}, known of {total:,} of {len(seen):,}: {told}')
        word, most = words.most_common(1)[0]
        if total >= MANY and most > MONOTONOUS * total:
            lines.append(
                f'  warning: nearly all are {word}, which tells little; measures.{name}* or its place in `full` and '
                '`partial` of the template change that'
            )
    return lines
