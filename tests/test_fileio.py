"""Files appear whole or not at all: whatever goes wrong on the way, what was there before stays."""

import errno
import resource
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from mmseg_textseg.fileio import sha256, whole_file, write_png


@contextmanager
def disk_full(after: int):
    """Writing beyond ``after`` bytes of any file fails, half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_appears_only_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'a.txt'
    with whole_file(path, encoding='utf-8') as file:
        file.write('größte\n')
        file.flush()
        assert not path.exists()
        file.write('second\n')
    assert path.read_text(encoding='utf-8') == 'größte\nsecond\n'
    assert names(path.parent) == ['a.txt']


def test_the_old_file_stays_until_the_end(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old and long')
    with whole_file(path) as file:
        file.write('new')
        file.flush()
        assert path.read_text() == 'old and long'
    assert path.read_text() == 'new'
    assert names(tmp_path) == ['a.txt']


def test_options_of_open_are_passed_on(tmp_path):
    with whole_file(tmp_path / 'a.csv', newline='\r\n', encoding='utf-16') as file:
        file.write('é\n')
    assert (tmp_path / 'a.csv').read_bytes().decode('utf-16') == 'é\r\n'
    with whole_file(tmp_path / 'a.bin', 'wb') as file:
        file.write(b'\x00\xff')
    assert (tmp_path / 'a.bin').read_bytes() == b'\x00\xff'


def test_names_that_differ_in_their_ending_do_not_meet(tmp_path):
    with whole_file(tmp_path / 'a.csv') as table, whole_file(tmp_path / 'a.json') as summary:
        table.write('table')
        summary.write('summary')
    assert (tmp_path / 'a.csv').read_text() == 'table'
    assert (tmp_path / 'a.json').read_text() == 'summary'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('old', [None, 'old'])
def test_an_error_in_the_block_leaves_what_was_there(tmp_path, error, old):
    path = tmp_path / 'a.txt'
    if old:
        path.write_text(old)
    with pytest.raises(error), whole_file(path) as file:  # noqa: PT012
        file.write('half of it')
        raise error
    assert names(tmp_path) == (['a.txt'] if old else [])
    assert not old or path.read_text() == old


def test_an_error_in_writing_the_rest_leaves_what_was_there(tmp_path):
    """The last bytes are written when the file is closed, after the block."""
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with disk_full(after=10), pytest.raises(OSError) as error, whole_file(path) as file:
        file.write('more than ten bytes')
    assert error.value.errno == errno.EFBIG
    assert names(tmp_path) == ['a.txt']
    assert path.read_text() == 'old'


def test_a_name_that_is_a_folder_is_an_error(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(IsADirectoryError), whole_file(tmp_path / 'a') as file:
        file.write('x')
    assert names(tmp_path) == ['a']


@pytest.mark.parametrize('shape', [(40, 30), (40, 30, 3)])
def test_png_round_trip(tmp_path, noise, shape):
    picture = noise if len(shape) == 3 else noise[..., 0]
    path = tmp_path / 'new' / 'a.png'
    write_png(path, picture)
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), picture)
    assert names(path.parent) == ['a.png']
    write_png(path, 255 - picture)
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 255 - picture)


def test_png_of_a_view_and_under_a_plain_string(tmp_path, noise):
    write_png(str(tmp_path / 'a.png'), noise[::2, :, ::-1])
    assert np.array_equal(cv2.imread(str(tmp_path / 'a.png')), noise[::2, :, ::-1])


def test_a_picture_that_cannot_be_encoded_leaves_what_was_there(tmp_path, noise, monkeypatch):
    path = tmp_path / 'a.png'
    write_png(path, noise)
    before = path.read_bytes()
    with pytest.raises((OSError, cv2.error)):
        write_png(path, np.zeros((0, 4), np.uint8))
    monkeypatch.setattr(cv2, 'imencode', lambda *_: (False, None))
    with pytest.raises(OSError, match=r'could not encode .*a\.png'):
        write_png(path, noise)
    assert path.read_bytes() == before
    assert names(tmp_path) == ['a.png']


def test_a_png_that_cannot_be_written_leaves_what_was_there(tmp_path, noise):
    path = tmp_path / 'a.png'
    write_png(path, noise[:2])
    before = path.read_bytes()
    with disk_full(after=100), pytest.raises(OSError) as error:
        write_png(path, noise)
    assert error.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert names(tmp_path) == ['a.png']
    with pytest.raises(OSError):
        write_png(path / 'b.png', noise)  # its folder is a file


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'abc')
    assert sha256(str(path)) == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert sha256('https://example.org/weights.pth') is None
