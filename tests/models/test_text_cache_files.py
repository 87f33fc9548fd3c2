"""Features on disk: found again by later runs and other processes, never by another encoder, never when damaged."""

import gc
import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from text_samples import VOCABULARY, A, B, C, encoded, row_by_row, sample

from mmseg_textseg.models import BertTextEncoder, TextEncoderError
from mmseg_textseg.models.text_encoders import TextCacheError
from mmseg_textseg.models.text_encoders.feature_files import FeatureFiles
from mmseg_textseg.models.text_encoding import encode_samples


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / 'work_dirs' / 'text_cache'


@pytest.fixture
def frozen(tiny_bert, folder):
    """Function (seed, name, **changes of arch) -> a frozen encoder of the folder; the same seed, the same weights."""

    def make(seed=0, name='bert-base-uncased', **changes):
        torch.manual_seed(seed)
        arch = {**tiny_bert, 'vocab_size': VOCABULARY, **changes}
        return BertTextEncoder(name, arch=arch, frozen=True, cache=str(folder))

    return make


def encode(encoder, *batch):
    return encode_samples(encoder, [sample(ids) for ids in batch])


def files(folder) -> list[Path]:
    return sorted(folder.glob('*'))


@pytest.fixture
def written(frozen, folder) -> Path:
    """A file with A and C."""
    encoder = frozen()
    encode(encoder, A, C)
    encoder.train()  # as the Runner does before an epoch
    (path,) = files(folder)
    return path


def test_a_later_run_encodes_nothing_and_gets_the_same(frozen, written):
    encoder = frozen()
    calls = encoded(encoder)
    text = encode(encoder, A, C, A)
    assert calls == []
    expected = row_by_row(encoder, [sample(ids) for ids in (A, C, A)])
    torch.testing.assert_close(text.tokens, expected.tokens, rtol=1e-5, atol=1e-5)
    encode(encoder, B, A)
    assert calls == [1, 1, 1, 1], 'three of row_by_row, and B'


def test_files_are_safetensors_named_by_token_ids(written):
    tensors = load_file(written)
    assert set(tensors) == {'2 7 9 3', '2 7 9 11 12 3'}
    assert tensors['2 7 9 3'].shape == (4, 16)
    with safe_open(written, 'pt') as file:
        header = json.loads(file.metadata()['encoder'])
    assert set(header) == {'format', 'arch', 'weights', 'tokenizer', 'precision'}
    assert (header['tokenizer'], header['arch']['hidden_size']) == ('pretrained:bert-base-uncased', 16)


@pytest.mark.parametrize(
    'other',
    [
        dict(seed=1),
        dict(name='other-bert'),
        dict(hidden_act='relu'),
        dict(layer_norm_eps=1e-3),
        dict(num_attention_heads=4),
    ],
    ids=lambda options: next(iter(options)),
)
def test_another_encoder_reads_nothing_of_it(frozen, written, folder, other, log_lines):
    """Weights, vocabulary, and shape where it changes no tensor."""
    encoder = frozen(**other)
    calls = encoded(encoder)
    text = encode(encoder, A)
    assert calls == [1]
    torch.testing.assert_close(text.tokens, row_by_row(encoder, [sample(A)]).tokens)
    assert [line for line in log_lines if '1 files of other weights' in line]
    encoder.train()
    assert len(files(folder)) == 2, 'both live in one folder'
    assert len({path.name.split('-')[0] for path in files(folder)}) == 2
    again = frozen()
    calls = encoded(again)
    encode(again, A, C)
    assert calls == []


def test_one_weight_of_all_is_enough(frozen, written):
    encoder = frozen()
    with torch.no_grad():
        encoder.bert.encoder.layer[1].output.LayerNorm.bias[3] += 1e-6
    calls = encoded(encoder)
    encode(encoder, A)
    assert calls == [1]


def test_weights_that_come_later_begin_other_files(frozen, written, folder):
    encoder = frozen()
    encode(encoder, B)  # not written yet
    encoder.load_state_dict(frozen(seed=1).state_dict())
    text = encode(encoder, A, B)
    torch.testing.assert_close(text.tokens, row_by_row(encoder, [sample(A), sample(B)]).tokens, rtol=1e-5, atol=1e-5)
    encoder.train()
    found = {path.name.split('-')[0]: set() for path in files(folder)}
    for path in files(folder):
        found[path.name.split('-')[0]] |= set(load_file(path))
    assert sorted(map(len, found.values())) == [2, 3], 'B went to the files of the weights that encoded it'


def test_another_precision_has_files_of_its_own(frozen, written):
    encoder = frozen().double()
    calls = encoded(encoder)
    assert encode(encoder, A).tokens.dtype == torch.float64
    assert calls == [1]
    torch.set_float32_matmul_precision('medium')
    try:
        encoder = frozen()
        calls = encoded(encoder)
        encode(encoder, A)
        assert calls == [1]
    finally:
        torch.set_float32_matmul_precision('highest')


def test_a_file_renamed_to_our_key_is_refused(frozen, written, folder):
    other = frozen(seed=1)
    encode(other, A)
    other.train()
    (theirs,) = (path for path in files(folder) if path != written)
    forged = folder / f'{written.name.split("-")[0]}-forged.safetensors'
    shutil.move(theirs, forged)
    with pytest.raises(TextCacheError, match=r'forged\.safetensors.*names another one.*Delete it'):
        encode(frozen(), A)


def test_a_file_without_our_header_is_refused(frozen, written):
    save_file(load_file(written), written)
    with pytest.raises(TextCacheError, match='names another one'):
        encode(frozen(), A)


def cut(path: Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    'damage',
    [lambda p: cut(p, 0), lambda p: cut(p, 5), lambda p: cut(p, 300), lambda p: cut(p, -1), lambda p: flip(p, -3)],
    ids=['empty', 'length', 'header', 'last byte', 'a bit'],
)
def test_a_damaged_file_is_named_with_the_mend(frozen, written, damage):
    damage(written)
    with pytest.raises(TextCacheError, match=r'is damaged .*delete this file') as error:
        encode(frozen(), A, C)
    assert str(written) in str(error.value)
    assert isinstance(error.value, TextEncoderError), 'our tools print it without a traceback'
    written.unlink()
    encode(frozen(), A, C)


def test_a_pickle_is_never_loaded(frozen, written):
    torch.save({'2 7 9 3': torch.zeros(4, 16)}, written)
    with pytest.raises(TextCacheError, match='is damaged'):
        encode(frozen(), A)


def test_a_folder_that_cannot_be_written_is_named(frozen, folder):
    folder.parent.mkdir()
    folder.write_text('a file where the folder should be')
    encoder = frozen()
    encode(encoder, A)
    with pytest.raises(TextCacheError, match=r'text_cache.*cannot be written.*model\.text_encoder\.cache'):
        encoder.train()
    folder.unlink()
    encoder.train()
    assert len(files(folder)) == 1, 'nothing was lost meanwhile'


def test_nothing_is_written_twice_or_for_nothing(frozen, folder):
    """mmengine's loop over iterations says train() before each of them; only a change of mode writes."""
    encoder = frozen()
    encoder.train()
    assert not folder.exists()
    for _ in range(3):
        encode(encoder, A, C)
        encoder.train()
    assert not folder.exists()
    encoder.eval()
    assert [len(load_file(path)) for path in files(folder)] == [2]
    encode(encoder, A, B)
    encoder.eval()
    encoder.train()
    assert sorted(len(load_file(path)) for path in files(folder)) == [1, 2]


def test_what_is_pending_is_written_when_the_run_ends(frozen, folder):
    encoder = frozen()
    encode(encoder, A)
    assert not folder.exists()
    del encoder
    gc.collect()
    assert len(files(folder)) == 1


def test_much_is_written_without_waiting(tmp_path):
    made = FeatureFiles(str(tmp_path), dict(weights='a'), most_pending=3 * 4 * 8)
    for number in range(7):
        made.add(torch.tensor([number]).numpy().tobytes(), torch.full((1, 8), float(number)))
    assert sorted(len(load_file(path)) for path in files(tmp_path)) == [3, 3]
    assert len(made) == 7
    for number in range(7):
        assert made.read(torch.tensor([number]).numpy().tobytes()).eq(number).all()


def test_files_of_another_process_are_found_while_running(frozen, folder):
    one, other = frozen(), frozen()
    calls = encoded(other)
    encode(other, A)
    encode(one, B)
    one.train()
    encode(other, B)
    assert calls == [1]


def _encode_many(encoder, start: int) -> None:
    for number in range(start, start + 8):
        encode(encoder, [2, number % 12 + 5, 3], [2, number % 12 + 5, 9, 3])
        encoder.train(number % 2 == 0)


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='needs fork')
def test_processes_write_at_once(frozen, folder):
    encoder = frozen()
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=_encode_many, args=(encoder, start)) for start in (0, 4, 8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert all(path.suffix == '.safetensors' for path in files(folder)), 'no half-written file is left'
    later = frozen()
    calls = encoded(later)
    _encode_many(later, 0)
    _encode_many(later, 4)
    assert calls == []
    torch.testing.assert_close(
        encode(later, [2, 5, 9, 3]).tokens, row_by_row(later, [sample([2, 5, 9, 3])]).tokens, rtol=1e-5, atol=1e-5
    )
