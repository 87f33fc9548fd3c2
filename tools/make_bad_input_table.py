"""Write the table of bad input into docs/reliability.md.

python tools/make_bad_input_table.py [--page docs/reliability.md]

The cases are those of tests/reliability; what a user is told is what tests/reliability/test_bad_input.py asks for.
"""

import argparse
import sys
from pathlib import Path

from mmseg_textseg.fileio import whole_file

ROOT = Path(__file__).resolve().parent.parent
BEGIN = '<!-- bad input: written by tools/make_bad_input_table.py -->'
END = '<!-- end of bad input -->'


def fill(page: str, lines: list[str]) -> str:
    """The page with other lines between its markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f'the page needs one line {BEGIN} and one line {END}')
    before, _, rest = page.partition(BEGIN)
    return '\n'.join([before + BEGIN, *lines, '', END]) + rest.partition(END)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description='Write the table of bad input')
    parser.add_argument('--page', type=Path, default=ROOT / 'docs' / 'reliability.md', help='the page with the markers')
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT / 'tests' / 'reliability'))
    from bad_inputs import lines

    page = fill(args.page.read_text(encoding='utf-8'), lines())
    with whole_file(args.page, encoding='utf-8') as file:
        file.write(page)
    print(f'{args.page}: {lines()[0]}')


if __name__ == '__main__':
    main()
