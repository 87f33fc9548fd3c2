"""All cases, by the area that they are of, and their table for docs/reliability.md."""

import bad_annotations
import bad_arguments
import bad_configs
import bad_images
import bad_masks
import bad_rows
import bad_text
import bad_volumes
import bad_weights
from bad_input import Case

AREAS: dict[str, list[Case]] = {
    'tables': bad_annotations.CASES,
    'rows': bad_rows.CASES,
    'sentences': bad_text.CASES,
    'images': bad_images.CASES,
    'masks': bad_masks.CASES,
    'volumes': bad_volumes.CASES,
    'configs': bad_configs.CASES,
    'weights': bad_weights.CASES,
    'command line': bad_arguments.CASES,
}


def told(case: Case) -> str:
    """What the page says becomes of a case: the parts of the message that the test asks for."""
    if case.error is None:
        return case.works
    kind = '' if case.error is SystemExit else f'{case.error.__name__}: '
    return f'`{kind}{" … ".join(case.said)}`'


def lines() -> list[str]:
    """The table."""
    rows = [(area, case.wrong, told(case)) for area, cases in AREAS.items() for case in cases]
    cells = [' | '.join(cell.replace('|', r'\|').replace('\u200b', '') for cell in row) for row in rows]
    works = sum(case.error is None for cases in AREAS.values() for case in cases)
    return [
        f'{len(rows)} cases; {works} of them are odd but work.',
        '',
        '| | what is wrong | what the user is told |',
        '|---|---|---|',
        *(f'| {cell} |' for cell in cells),
    ]
