"""Annotation tables: cells, and the images and masks that rows name."""

import os
from pathlib import Path

from bad_annotations import GOOD, HEAD, bad, objects, odd, xlsx


def loop(folder: Path) -> None:
    os.symlink('loop.png', folder / 'img' / 'loop.png')


def folder_like_a_picture(folder: Path) -> None:
    (folder / 'img' / 'c.png').mkdir()


def two_of_a_stem(folder: Path) -> None:
    for name in ('c.jpg', 'c.bmp'):
        (folder / 'img' / name).touch()


CASES = [
    bad(
        'an unquoted comma in a sentence',
        't.csv',
        GOOD + 'a.png,one, and two\n',
        't.csv row 3: 3 cells under a header of 2',
        'quote a cell',
    ),
    bad(
        'xlsx with formulas that were never calculated',
        't.xlsx',
        xlsx(['a.png', '="the"&" lesion"']),
        "t.xlsx row 2: 'expression' is empty",
        'open and save the file in a spreadsheet program',
        'expected an expression',
    ),
    bad(
        'xlsx with merged cells',
        't.xlsx',
        xlsx(['a.png', 'the lesion'], ['a.png', 'another'], merge='A2:A3'),
        "t.xlsx row 3: 'image' is empty",
        'unmerge them, and fill every row',
        'expected a file name',
    ),
    bad(
        'a number for a file name',
        't.xlsx',
        xlsx([17, 'the lesion']),
        "row 2: 'image' is 17 (int), not text",
        'format the cell as text',
        'expected a file name',
    ),
    bad(
        'a number for a sentence',
        't.csv',
        HEAD + 'a.png,12.5\n',
        "t.csv row 2: 'expression' is '12.5', without a letter",
        'expected an expression',
    ),
    bad(
        'a number for a sentence in xlsx',
        't.xlsx',
        xlsx(['a.png', 3.5]),
        "t.xlsx row 2: 'expression' is 3.5 (float), not text",
        'expected an expression',
    ),
    bad(
        '#N/A of a spreadsheet',
        't.csv',
        HEAD + 'a.png,#N/A\n',
        "t.csv row 2: 'expression' is the spreadsheet error #N/A",
        'expected an expression',
    ),
    bad(
        'a json row that is no object',
        't.json',
        objects('x', 3),
        't.json row 2',
        'expected an object with named values, found int',
    ),
    bad(
        'jsonl with a list in a line',
        't.jsonl',
        '["a", "x"]\n',
        't.jsonl row 1',
        'expected an object with named values, found list',
    ),
    bad(
        'an image that is not there',
        't.csv',
        HEAD + 'c.png,x\n',
        "t.csv row 2: 'image' is 'c.png', no image of that name or stem",
        'add the file or mend the cell',
    ),
    bad(
        'a mask that is not there',
        't.csv',
        'image,mask,text\na.png,c.png,x\n',
        "t.csv row 2: 'mask' is 'c.png', no mask of that name or stem",
        'add the file or mend the cell',
    ),
    bad(
        'a path that leads out of the folder (..)',
        't.csv',
        HEAD + '../../x.png,x\n',
        "t.csv row 2: 'image' is '../../x.png'",
        'leads out of the image folder',
        'name a file inside it',
    ),
    bad(
        'an absolute path outside the folder',
        't.csv',
        HEAD + '/etc/passwd,x\n',
        "t.csv row 2: 'image' is '/etc/passwd'",
        'leads out of the image folder',
        'name a file inside it',
    ),
    bad(
        'a symbolic link that leads to itself',
        't.csv',
        HEAD + 'loop.png,x\n',
        "t.csv row 2: 'image' is 'loop.png'",
        'a symbolic link that leads to no image',
        'mend the link or the cell',
        more=loop,
    ),
    odd('such a link beside the images, in no row', 't.csv', GOOD, 'Left alone.', 'the lesion', more=loop),
    bad(
        'a folder named like a picture',
        't.csv',
        HEAD + 'c.png,x\n',
        "t.csv row 2: 'image' is 'c.png', which is a folder",
        'expected the file of a picture',
        more=folder_like_a_picture,
    ),
    bad(
        'two files of the stem that a row names',
        't.csv',
        HEAD + 'c,x\n',
        'by stem may be the image c.bmp or c.jpg',
        'write the exact name',
        more=two_of_a_stem,
    ),
    bad(
        'a file name of 5,000 characters',
        't.csv',
        HEAD + 'c' * 5000 + ',x\n',
        "t.csv row 2: 'image' is 'ccc",
        '(5,002 characters)',
        'add the file or mend the cell',
    ),
    odd(
        'a row that stands twice',
        't.csv',
        GOOD + 'a.png,the lesion\n',
        'Used twice; the log says how many there are.',
        'the lesion',
        'the lesion',
    ),
]
