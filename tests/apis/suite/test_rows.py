"""Which configs are rows, what they are called, and their text over another base."""

import pytest
from mmengine.config import Config

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite import COUNTERPARTS, find_rows
from mmseg_textseg.apis.suite.rows import ROOT, relative, row_names, swap_base


@pytest.fixture
def rows(tmp_path):
    """Two rows of a base, in a folder of a made-up checkout; and a wider base."""
    folder = tmp_path / 'configs' / 'lsms' / 'ablations'
    folder.mkdir(parents=True)
    (folder / '../base.py').write_text('width = 4\nmodel = dict(a=1, b=dict(c=width))\n')
    (tmp_path / 'wide.py').write_text('width = 8\nmodel = dict(a=1, b=dict(c=width))\n')
    (folder / 'no-b_set_9x9.py').write_text("# Why.\n_base_ = '../base.py'  # of the paper\nmodel = dict(b=None)\n")
    (folder / 'twice_set_9x9.py').write_text(
        "_base_ = [\n    '../base.py',\n]\nmodel = dict(b=dict(c=2 * _base_.width))\n"
    )
    return folder


def test_a_folder_as_it_is(rows):
    found = find_rows([str(rows)])
    assert [(row.name, row.source.name, row.base) for row in found] == [
        ('no-b', 'no-b_set_9x9.py', None),
        ('twice', 'twice_set_9x9.py', None),
    ]


def test_over_another_base_the_base_itself_comes_first(rows):
    wide = rows.parents[2] / 'wide.py'
    full, *others = find_rows([str(rows), str(wide)], base=str(wide))
    assert full == ('full', wide.resolve(), None)
    assert [row.name for row in others] == ['no-b', 'twice']
    assert all(row.base == wide.resolve() for row in others)


def test_the_named_data_have_their_counterpart():
    rows = find_rows([str(ROOT / 'configs/mptpn/ablations')], data='phantom')
    assert rows[0].source == ROOT / 'configs/phantom/mptpn-c8_phantom_96x96.py'
    assert 'mptpn-no-msff' in [row.name for row in rows]


def test_every_counterpart_is_there():
    assert [path for path in COUNTERPARTS.values() if not (ROOT / path).is_file()] == []


def test_only_the_base_changes(rows):
    text = (rows / 'no-b_set_9x9.py').read_text()
    assert swap_base(text, 'x/y.py', 'no-b') == "# Why.\n_base_ = 'x/y.py'  # of the paper\nmodel = dict(b=None)\n"
    text = (rows / 'twice_set_9x9.py').read_text()
    assert swap_base(text, 'x/y.py', 'twice') == "_base_ = 'x/y.py'\nmodel = dict(b=dict(c=2 * _base_.width))\n"


def test_a_swapped_row_is_a_config_that_takes_the_widths_of_its_base(rows, tmp_path):
    folder = tmp_path / 'out' / 'twice'
    folder.mkdir(parents=True)
    base = relative((tmp_path / 'wide.py').resolve(), folder)
    assert base == '../../wide.py'
    (folder / 'twice.py').write_text(swap_base((rows / 'twice_set_9x9.py').read_text(), base, 'twice'))
    assert Config.fromfile(folder / 'twice.py').model == dict(a=1, b=dict(c=16))
    assert Config.fromfile(rows / 'twice_set_9x9.py').model == dict(a=1, b=dict(c=8))


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('model = 1\n', 'r.py has no _base_'),
        ("_base_ = ['a.py', 'b.py']\n", 'r.py has 2 files in _base_'),
        ('_base_ = (\n', 'r.py line 1'),
    ],
)
def test_text_that_cannot_be_swapped(text, words):
    with pytest.raises(ConfigError, match=words):
        swap_base(text, 'x.py', 'r.py')


def test_names_are_whole_where_short_ones_do_not_tell_apart(tmp_path):
    paths = [tmp_path / 'lsms_busi_1x1.py', tmp_path / 'lsms_refhl_1x1.py']
    assert row_names(paths) == ['lsms_busi_1x1', 'lsms_refhl_1x1']
    with pytest.raises(ConfigError, match='rows of one name'):
        row_names([tmp_path / 'a/x.py', tmp_path / 'b/x.py'])


def test_refusals(rows, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.txt').write_text('')
    for paths, more, words in (
        ([tmp_path / 'empty'], {}, 'no config'),
        ([tmp_path / 'absent.py'], {}, 'no config file and no folder'),
        ([tmp_path / 'text.txt'], {}, 'no config file and no folder'),
        ([rows], dict(data='moon'), '--data moon: expected one of phantom, busi, monuseg'),
        ([ROOT / 'configs/unet'], dict(data='phantom'), 'is of unet; known are lsms, mptpn'),
        ([ROOT / 'configs/mptpn/ablations', rows], dict(data='phantom'), 'several references'),
        ([rows], dict(base=str(tmp_path / 'absent.py')), 'no config to run the rows over'),
    ):
        with pytest.raises(ConfigError, match=words):
            find_rows([str(path) for path in paths], **more)


def test_a_row_over_a_row_and_a_row_called_full(rows, tmp_path):
    (rows / 'more_set_9x9.py').write_text("_base_ = './no-b_set_9x9.py'\n")
    with pytest.raises(ConfigError, match=r'more_set_9x9.py is over .*no-b_set_9x9.py, another row'):
        find_rows([str(rows)], base=str(tmp_path / 'wide.py'))
    (rows / 'more_set_9x9.py').rename(rows / 'full_set_9x9.py')
    (rows / 'full_set_9x9.py').write_text("_base_ = '../base.py'\n")
    with pytest.raises(ConfigError, match="called 'full'"):
        find_rows([str(rows)], base=str(tmp_path / 'wide.py'))
