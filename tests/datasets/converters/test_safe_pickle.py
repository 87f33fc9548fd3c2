"""Plain pickles: what Python 2 wrote is read, what could run code is refused by name, and claims cost nothing."""

import copyreg
import os
import pickle
import pickletools
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmseg_textseg.datasets.converters import ConversionError
from mmseg_textseg.datasets.converters.safe_pickle import OPCODES, load_plain_pickle

# As Python 2.7 writes them: protocol 0 is text, 1 and 2 are binary; its str has opcodes of its own (S, T, U).
READ = {
    'protocol 0': (
        b"(lp0\n(dp1\nS'ref_id'\np2\nI0\nsS'split'\np3\nS'train'\np4\nsS'sent_ids'\np5\n(lp6\nI7\naI8\nasa.",
        [dict(ref_id=0, split='train', sent_ids=[7, 8])],
    ),
    'protocol 1': (
        b']q\x00}q\x01(U\x06ref_idq\x02K\x00U\x05splitq\x03U\x05trainq\x04ua.',
        [dict(ref_id=0, split='train')],
    ),
    'protocol 2, a key again from the memo': (
        b'\x80\x02]q\x00(}q\x01U\x06ref_idq\x02K\x00s}q\x03h\x02M\x10\x27se.',
        [dict(ref_id=0), dict(ref_id=10000)],
    ),
    'memo of protocol 0': (b"(lp0\nS'a'\np1\nag1\na.", ['a', 'a']),
    'long memo index': (b'\x80\x02]r\x00\x01\x00\x00(U\x01ar\x01\x01\x00\x00j\x01\x01\x00\x00e.', ['a', 'a']),
    'numbers of protocol 0': (
        b'(lI-3\naL123456789012L\naF0.5\naI01\naI00\naNa.',
        [-3, 123456789012, 0.5, True, False, None],
    ),
    'numbers of protocol 2': (
        b'\x80\x02](J\xfd\xff\xff\xff\x8a\x05\x14\x1a\x99\xbe\x1cG?\xe0\x00\x00\x00\x00\x00\x00\x88\x89e.',
        [-3, 123456789012, 0.5, True, False],
    ),
    'tuples': (
        b'\x80\x02](\x29K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87(K\x01te.',
        [(), (1,), (1, 2), (1, 2, 3), (1,)],
    ),
    'unicode of protocol 0': (b'Vcaf\xe9 \\u2019\np0\n.', 'café ’'),
    'unicode of protocol 2': (b'\x80\x02X\x05\x00\x00\x00caf\xc3\xa9q\x00.', 'café'),
    'str in UTF-8': (b'\x80\x02U\x05caf\xc3\xa9q\x00.', 'café'),
    'str in UTF-8, escaped': (b"S'caf\\xc3\\xa9'\np0\n.", 'café'),
    'str in latin-1': (b'\x80\x02U\x04caf\xe9q\x00.', 'café'),
    'str in latin-1, escaped': (b"S'caf\\xe9'\np0\n.", 'café'),
    'quotes in a str': (b'S"it\'s"\n.', "it's"),
    'long str': (b'T\x03\x00\x00\x00abc.', 'abc'),
    'old dict and list': (b'(dU\x01a(lK\x01as.', dict(a=[1])),
}

# stream, and what the message names
REFUSED = {
    'os.system': (b"cos\nsystem\n(S'touch {}'\ntR.", 'asks for os.system'),
    'posix.system of protocol 2': (b'\x80\x02cposix\nsystem\nq\x00U\x07touch {}\x85R.', 'asks for posix.system'),
    'Python 2 builtin': (b'c__builtin__\neval\n(S\'open("{}", "w")\'\ntR.', 'asks for __builtin__.eval'),
    'name from the stack': (b'\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.', 'asks for builtins.eval'),
    'old-style instance': (b"(S'touch {}'\nios\nsystem\n.", 'asks for os.system'),
    'new-style instance': (
        b'ccopy_reg\n_reconstructor\n(c__main__\nA\nc__builtin__\nobject\nNtR.',
        'asks for copy_reg._rec',
    ),
    'deep inside': (b"(l(dS'sentences'\n((lcsubprocess\nPopen\n(S'touch {}'\ntRasa.", 'asks for subprocess.Popen'),
    'never called': (b'(lcos\nsystem\na.', 'asks for os.system'),
    'a set': (pickle.dumps({1, 2}, 2), 'asks for __builtin__.set'),
    'a set of protocol 4': (pickle.dumps({1, 2}, 4), 'opcode EMPTY_SET'),
    'an array': (pickle.dumps(np.arange(3), 2), 'asks for numpy'),
    'a numpy number': (pickle.dumps(np.int64(3), 4), 'asks for numpy'),
    'a call of a str': (b"S'a'\n(tR.", 'opcode REDUCE'),
    'state for a list': (b'](lb.', 'opcode BUILD'),
    'a persistent id': (b'Pmine\n.', 'opcode PERSID'),
    'a registered extension': (b'\x82\xc8(U\x01atR.', 'opcode EXT1'),
}


@pytest.fixture
def load(tmp_path):
    def load(content, **options):
        path = tmp_path / 'refs.p'
        path.write_bytes(content)
        return load_plain_pickle(path, **options)

    return load


def refusal(load, content, **options):
    with pytest.raises(ConversionError) as caught:
        load(content, **options)
    assert caught.value.heading.endswith('refs.p')
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize('case', READ)
def test_reads_what_python_2_wrote(load, case):
    stream, expected = READ[case]
    value = load(stream)
    assert value == expected
    assert repr(value) == repr(expected)  # True is no 1, and a tuple no list
    assert pickle.loads(stream, encoding='latin-1' if 'latin' in case else 'utf-8') == expected


def test_one_str_that_is_no_utf_8_makes_all_latin_1(load):
    assert load(b'\x80\x02](U\x05caf\xc3\xa9U\x04caf\xe9e.') == ['cafÃ©', 'café']


@pytest.mark.parametrize('case', REFUSED)
def test_what_could_run_code_is_named_and_not_run(load, tmp_path, case):
    stream, named = REFUSED[case]
    made = tmp_path / 'made'
    stream = stream.replace(b'{}', os.fsencode(made))
    copyreg.add_extension('os', 'system', 200)
    try:
        problem = refusal(load, stream)
    finally:
        copyreg.remove_extension('os', 'system', 200)
    assert named in problem
    assert 'could run code' in problem
    assert not made.exists()


def test_the_dangerous_streams_are_dangerous(tmp_path):
    """Else the test above would pass for streams that do nothing."""
    made = tmp_path / 'made'
    stream, _ = REFUSED['os.system']
    pickle.loads(stream.replace(b'{}', os.fsencode(made)))
    assert made.exists()


def test_every_other_opcode_is_refused_by_name(load):
    refused = [opcode for opcode in pickletools.opcodes if opcode.name not in OPCODES]
    assert {'REDUCE', 'BUILD', 'NEWOBJ', 'NEWOBJ_EX', 'OBJ', 'EXT4', 'BINPERSID', 'BYTEARRAY8'} <= {
        o.name for o in refused
    }
    for opcode in refused:
        assert f'opcode {opcode.name}:' in refusal(load, opcode.code.encode('latin-1'))


@pytest.mark.parametrize('stream', [stream for stream, _ in READ.values()] + [pickle.dumps([dict(a=1.5)], 5)])
def test_a_file_that_was_cut_off_says_so(load, stream):
    for length in range(len(stream)):
        problem = refusal(load, stream[:length])
        assert 'copy it anew' in problem
    assert f'ends early, after {len(stream) - 1} bytes' in refusal(load, stream[:-1])


@pytest.mark.parametrize(
    'stream', [b'<!DOCTYPE html>', b'\xff\xd8\xff', b'a.', b'g7\n.', b'I1x\n.', b'](((.', b'}]Ns.', b'Sa\n.']
)
def test_what_is_no_pickle_says_so(load, stream):
    assert 'is no readable pickle' in refusal(load, stream)


CLAIMS = {
    'memo index': (b'\x80\x02]r\xff\xff\xff\xff.', []),
    'bytes': (b'\x80\x04\x8e' + (1 << 40).to_bytes(8, 'little') + b'x', None),
    'str': (b'T\xff\xff\xff\x7fx', None),
    'unicode': (b'X\xff\xff\xff\xffx', None),
    'long': (b'\x8b\xff\xff\xff\x7fx', None),
    'frame': (b'\x80\x04\x95' + (1 << 40).to_bytes(8, 'little') + b'].', []),
}


@pytest.mark.parametrize('case', CLAIMS)
def test_a_claimed_size_allocates_nothing(load, case):
    stream, expected = CLAIMS[case]
    tracemalloc.start()
    try:
        if expected is None:
            assert 'ends early' in refusal(load, stream)
        else:
            assert load(stream) == expected
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_the_file_times_a_hundred_or_so(load):
    stream = b'(' + b']\x94' * 50_000 + b'l.'
    tracemalloc.start()
    try:
        assert len(load(stream)) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 200 * len(stream)
    finally:
        tracemalloc.stop()


def test_a_nest_that_unfolds_without_end_is_refused(load):
    laughs = ['lol']
    for _ in range(40):
        laughs = [laughs, laughs]
    stream = pickle.dumps(laughs, 2)
    assert len(stream) < 500
    assert 'unfolds to more than 50,000,000 values' in refusal(load, stream)
    itself: list = []
    itself.append(dict(again=itself))
    assert 'unfolds' in refusal(load, pickle.dumps(itself, 2))
    assert 'nested too deep' in refusal(load, b'(' * 100_000 + b'l' * 100_000 + b'.')


@pytest.mark.parametrize('stream', [b'}K\x01\x85Ns.', b'}(K\x01\x85Nu.', b'(K\x01\x85Nd.', b'}(U\x01aNK\x01\x85Nu.'])
def test_a_tuple_as_a_key_is_refused(load, stream):
    """Python's hash of tuples within tuples has no limit of depth: of a million the process dies."""
    assert 'tuple as a key' in refusal(load, stream)
    assert pickle.loads(stream)[(1,)] is None


@pytest.mark.parametrize(
    ('value', 'count'), [(7, 1), ([], 1), (['a', 'b'], 3), (dict(a=1, b=[2, 3]), 7), ((1, (2,)), 4), ([[1, 2]] * 3, 10)]
)
def test_values_are_counted_at_each_place(load, value, count):
    stream = pickle.dumps(value, 2)
    assert load(stream, max_values=count) == value
    assert f'more than {count - 1:,} values' in refusal(load, stream, max_values=count - 1)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        load_plain_pickle(tmp_path / 'nowhere.p')


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_of_any_protocol(tmp_path_factory, value, protocol):
    path = tmp_path_factory.getbasetemp() / 'plain.p'
    path.write_bytes(pickle.dumps(value, protocol))
    assert load_plain_pickle(path) == value


@given(codes=st.lists(st.sampled_from([opcode.code.encode('latin-1') for opcode in pickletools.opcodes]) | st.binary()))
def test_any_bytes_are_read_or_refused(tmp_path_factory, codes):
    path = tmp_path_factory.getbasetemp() / 'any.p'
    path.write_bytes(b''.join(codes))
    with suppress(ConversionError):  # any other error fails the test
        load_plain_pickle(path)
