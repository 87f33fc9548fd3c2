"""Names of files: their parts, a dataset's rules for them, and which columns are asked for names."""

import pytest

from mmseg_textseg.datasets.annotations import AnnotationError, load_annotations
from mmseg_textseg.datasets.file_names import split_name

RULES = dict(image_name=lambda cell: cell.removeprefix('scan '), mask_name=lambda name: name.replace('a', 'b'))


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('a.png', ('', 'a', '.png')),
        ('sub/case.1.JPG', ('sub', 'case.1', '.JPG')),
        ('sub\\more\\a.bmp', ('sub/more', 'a', '.bmp')),
        ('case.12', ('', 'case.12', '')),
        ('sub/case.1.nii.gz', ('sub', 'case.1', '.nii.gz')),
        ('case.gz', ('', 'case.gz', '')),
        ('case.DCM', ('', 'case', '.DCM')),
        ('train_1', ('', 'train_1', '')),
    ],
)
def test_parts(name, expected):
    assert split_name(name) == expected


@pytest.fixture
def folders(tmp_path):
    for name in ('img/a.tif', 'img/b.tif', 'mask/a.png', 'mask/b.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return dict(image_dir=str(tmp_path / 'img'), mask_dir=str(tmp_path / 'mask'))


@pytest.fixture
def table(tmp_path):
    def write(*lines):
        (tmp_path / 't.csv').write_text('\n'.join(lines))
        return str(tmp_path / 't.csv')

    return write


def problems_of(*args, **kwargs):
    with pytest.raises(AnnotationError) as caught:
        load_annotations(*args, **kwargs)
    return caught.value.problems


def test_names_by_a_rule(tmp_path, folders, table):
    (row,) = load_annotations(table('Image,Text', 'scan a.png,one node'), **folders, **RULES)
    assert (row.image, row.mask) == (str(tmp_path / 'img' / 'a.tif'), str(tmp_path / 'mask' / 'b.png'))


def test_a_folder_is_a_series(tmp_path, folders, table):
    (tmp_path / 'img' / 'series').mkdir()
    (row,) = load_annotations(table('Image,Mask,Text', 'series,a.png,one node'), **folders)
    assert row.image == str(tmp_path / 'img' / 'series')
    (tmp_path / 'img' / 'series.png').touch()
    (row,) = load_annotations(table('Image,Mask,Text', 'series,a.png,one node'), **folders)
    assert row.image == str(tmp_path / 'img' / 'series.png')


def test_the_rule_for_images_needs_no_folder(table):
    (row,) = load_annotations(table('Image,Text', 'scan a.png,one node'), **RULES)
    assert (row.image, row.mask) == ('a.png', None)


def test_an_ending_may_belong_to_the_stem(tmp_path, folders, table):
    (tmp_path / 'img' / 'a.png.tif').touch()
    (row,) = load_annotations(table('Image,Text', 'a.png,one node'), folders['image_dir'])
    assert row.image == str(tmp_path / 'img' / 'a.png.tif')  # closer than a.tif


def test_a_mask_column_goes_before_the_rule(tmp_path, folders, table):
    (row,) = load_annotations(table('Image,Mask,Text', 'scan a,a.png,one node'), **folders, **RULES)
    assert (row.image, row.mask) == (str(tmp_path / 'img' / 'a.tif'), str(tmp_path / 'mask' / 'a.png'))


def test_an_error_shows_the_file_that_was_looked_for(folders, table):
    rules = dict(image_name=lambda cell: f'x{cell}', mask_name=lambda name: f'mask_{name}')
    problems = problems_of(table('Image,Text', 'a.png,one node', 'b.png,'), **folders, **rules)
    assert [problem.split(',')[0] for problem in problems] == [
        *["t.csv row 2: 'Image' is 'a.png'"] * 2,
        *["t.csv row 3: 'Image' is 'b.png'"] * 2,
        "t.csv row 3: 'Text' is empty: expected an expression (or allow_empty_text=True for a text-free baseline)",
    ]
    assert f"the image 'xa.png', no image of that name or stem in {folders['image_dir']}" in problems[0]
    assert f"the mask 'mask_xa.png', no mask of that name or stem in {folders['mask_dir']}" in problems[1]
    (plain, *_) = problems_of(table('Image,Text', 'c.png,one node'), **folders, **RULES)
    assert 'for this dataset' not in plain  # the rule leaves that name as it is


def test_mask_columns_need_no_choice_without_masks(folders, table):
    path = table('Image,Mask,GT,Text', 'a.tif,x,y,one node')
    assert len(load_annotations(path, folders['image_dir'])) == 1
    (problem,) = problems_of(path, **folders)
    assert 'set mask_column to one of them' in problem
    (problem,) = problems_of(path, folders['image_dir'], mask_column='roi')
    assert "mask_column='roi' names no columns" in problem
