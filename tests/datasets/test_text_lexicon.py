"""The lexicon: what the default holds, and what a user's file may hold."""

import re

import pytest

from mmseg_textseg.datasets.text_lexicon import ATTRIBUTES, LexiconError, load_lexicon, read_lexicon


def test_opposites_lead_away_and_the_first_pair_counts():
    lexicon = load_lexicon()
    assert all(word != other for word, other in lexicon.opposites.items())
    assert lexicon.opposites['largest'] == 'smallest'
    assert lexicon.opposites['smallest'] == 'largest'
    assert lexicon.opposites['segment iii'] == 'segment VI'
    assert lexicon.opposites['small'] == 'large', "'big' comes later"
    assert lexicon.opposites['oval'] == 'irregular'
    assert lexicon.opposites['irregular'] == 'round'


def test_synonyms_are_the_others_of_the_group():
    synonyms = load_lexicon(dict(synonyms=[['Clear', 'sharp', 'well  defined']])).synonyms
    assert synonyms == {
        'clear': ('sharp', 'well defined'),
        'sharp': ('Clear', 'well defined'),
        'well defined': ('Clear', 'sharp'),
    }


def test_sections_of_a_file_take_the_place_of_the_default(tmp_path):
    path = tmp_path / 'words.yaml'
    path.write_text('opposites:\n  - [hot, cold]\n')
    lexicon = load_lexicon(str(path))
    assert lexicon.opposites == {'hot': 'cold', 'cold': 'hot'}
    assert lexicon.attributes == {name: tuple(words) for name, words in ATTRIBUTES.items()}
    assert read_lexicon(str(path)) == {'opposites': [['hot', 'cold']]}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('antonyms: []', 'expected the sections opposites, synonyms, attributes or some of them, got antonyms'),
        ('- a', 'got a list'),
        ('opposites: [[large, small, tiny]]', "opposites: ['large', 'small', 'tiny']; expected 2 different words"),
        ('opposites: [[large, large]]', 'expected 2 different words'),
        ('opposites: large', "opposites is 'large'; expected a list of lists"),
        ('synonyms: [[lesion]]', 'expected at least two different words'),
        ('attributes: {number: [no, one]}', 'in yaml, quote yes, no, on and off'),
        ('attributes: [size]', 'expected name: [word, ...]'),
        ('a: b: c', 'expected a yaml or json file'),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / 'words.yaml'
    path.write_text(text)
    with pytest.raises(LexiconError, match=re.escape(message)) as error:
        load_lexicon(str(path))
    assert str(error.value).startswith(str(path))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='no lexicon at'):
        read_lexicon(str(tmp_path / 'gone.yaml'))
