"""yaml and json files of words: plain values, never objects or calls that they name."""

import pickle

import pytest

from mmseg_textseg.apis import ConfigError, find_model
from mmseg_textseg.datasets.expressions.template import TemplateError, load_template
from mmseg_textseg.datasets.partial_wording import load_wording
from mmseg_textseg.datasets.text_lexicon import LexiconError, load_lexicon
from mmseg_textseg.fileio import load_plain

READERS = dict(
    load_plain=(load_plain, ValueError),
    lexicon=(lambda path: load_lexicon(str(path)), LexiconError),
    template=(lambda path: load_template(str(path)), TemplateError),
    wording=(load_wording, ValueError),
    index=(lambda path: find_model('a_model', roots=[path.parent]), ConfigError),
)


@pytest.mark.parametrize('reader', READERS)
def test_a_yaml_file_calls_nothing(tmp_path, reader):
    read, error = READERS[reader]
    path, marker = tmp_path / 'model-index.yml', tmp_path / 'marker'
    path.write_text(f'size: !!python/object/apply:os.mkdir [{str(marker)!r}]\n')
    with pytest.raises(error, match=r'model-index\.yml.*python/object/apply:os\.mkdir'):
        read(path)
    assert not marker.exists()


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.mark.parametrize('reader', ['load_plain', 'lexicon', 'template', 'wording'])
def test_a_pickle_is_not_opened(tmp_path, reader):
    read, error = READERS[reader]
    path, marker = tmp_path / 'words.pkl', tmp_path / 'marker'
    path.write_bytes(pickle.dumps(Touch(str(marker))))
    with pytest.raises(error, match=r'words\.pkl[^/]*expected a'):
        read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ('name', 'text'),
    [('a.yaml', 'größe: [1, no, null]'), ('a.yml', 'größe: [1, no, ~]'), ('a.json', '{"größe": [1, false, null]}')],
)
def test_plain_values_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding='utf-8')
    assert load_plain(tmp_path / name) == {'größe': [1, False, None]}


@pytest.mark.parametrize(('name', 'text'), [('a.yaml', 'a: b: c'), ('a.json', '{')])
def test_broken_files_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf'{name} is broken'):
        load_plain(tmp_path / name)
