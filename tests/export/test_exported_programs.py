"""ONNX and .pt2 files of tiny models against the segmentor: any batch, any length, padding, sizes, names."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mmseg_textseg.export.check import Sample, compare, feed, predict, random_samples
from mmseg_textseg.export.graph import ExportError
from mmseg_textseg.export.programs import open_onnx, open_torch, trace, write_onnx, write_torch

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 22
AS_ONNX = ['lsms', 'mptpn-attention', pytest.param('mptpn', marks=pytest.mark.slow)]


@pytest.fixture(scope='module')
def exported(build, tmp_path_factory):
    """Function name -> model, signature and the file; each is exported once."""
    folder, known = tmp_path_factory.mktemp('onnx'), {}

    def exported(name: str):
        if name not in known:
            model, signature, graph = build(name)
            write_onnx(trace(graph, signature), folder / f'{name}.onnx')
            known[name] = model, signature, folder / f'{name}.onnx'
        return known[name]

    return exported


@pytest.mark.parametrize('name', AS_ONNX)
def test_onnx_equals_the_segmentor(exported, name):
    """Exported with batch 2 and 5 tokens; run with batches of 1, 3 and 5, and 3 to 8 tokens."""
    model, signature, path = exported(name)
    run = open_onnx(path)
    groups = {'three': random_samples(signature, VOCABULARY, 3), 'five': random_samples(signature, VOCABULARY, 5)}
    found = compare(run, model, groups)
    assert {(case['batch'], case['tokens']) for case in found} >= {(3, 8), (5, 8), (1, 3), (1, 8)}
    samples = groups['three']
    expected = np.stack([predict(model, sample) for sample in samples])
    assert expected.std() > 0.1
    assert np.abs(expected[0] - expected[2]).max() > 0.05
    # Another sentence is another answer.
    said = run(feed([samples[0]._replace(ids=torch.tensor([2, 6, 3]))]))
    other = run(feed([samples[0]._replace(ids=torch.tensor([2, 7, 3]))]))
    assert np.abs(said - other).max() > 1e-2


@pytest.mark.parametrize('name', AS_ONNX)
def test_padding_never_matters(exported, name):
    """Neither its ids nor how much of it there is; nor do other pictures of the batch."""
    _, signature, path = exported(name)
    run = open_onnx(path, threads=1)
    (sample,) = random_samples(signature, VOCABULARY, 1)
    alone = run(feed([sample]))[0]
    for longer in ([0, 0, 0, 0], [7, 9, 11, 6, 8]):
        arrays = feed([sample, *random_samples(signature, VOCABULARY, 2)])
        ids = np.concatenate([sample.ids.numpy(), longer])
        arrays['token_ids'] = np.stack([ids, np.roll(ids, 1), ids])
        arrays['token_mask'] = np.arange(len(ids)) < np.array([[len(sample.ids)], [len(ids)], [2]])
        assert np.abs(run(arrays)[0] - alone).max() < 5e-5


@pytest.mark.parametrize('name', AS_ONNX)
def test_names_sizes_and_nothing_of_this_machine(exported, name):
    _, signature, path = exported(name)
    side = signature.size[0]
    made = onnx.load(path)
    onnx.checker.check_model(made, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*made.graph.input, *made.graph.output)
    }
    assert shapes == dict(
        image=['batch', 3, side, side],
        token_ids=['batch', 'tokens'],
        token_mask=['batch', 'tokens'],
        probability=['batch', side, side],
    )
    types = [value.type.tensor_type.elem_type for value in (*made.graph.input, *made.graph.output)]
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT]
    content = path.read_bytes()
    for trace_of in (str(ROOT), sys.prefix, 'site-packages', '.py'):
        assert trace_of.encode() not in content


def test_the_file_is_little_more_than_the_weights(exported):
    model, _, path = exported('lsms')
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    assert weights < path.stat().st_size < weights + 400_000


@pytest.mark.parametrize('name', ['one-conv', pytest.param('lsms', marks=pytest.mark.slow)])
def test_free_sizes(build, name, tmp_path):
    model, signature, graph = build(name, dynamic_size=True)
    write_onnx(trace(graph, signature), tmp_path / 'model.onnx')
    vocabulary = VOCABULARY if signature.has_text else None
    groups = {str(size): random_samples(signature, vocabulary, 2, size) for size in ((32, 48), (96, 64), (64, 64))}
    run = open_onnx(tmp_path / 'model.onnx')
    assert max(case['max_difference'] for case in compare(run, model, groups)) < 5e-5
    assert run(feed(groups['(32, 48)'])).shape == (2, 32, 48)
    dims = onnx.load(tmp_path / 'model.onnx').graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_param for d in dims] == ['batch', 'height', 'width']


def test_the_operator_set(build, tmp_path):
    _, signature, graph = build('one-conv')
    program = trace(graph, signature)
    for opset in (18, 21):
        assert write_onnx(program, tmp_path / 'model.onnx', opset) == opset
        assert onnx.load(tmp_path / 'model.onnx').opset_import[0].version == opset
    with pytest.raises(ExportError, match=r'wrote operator set .*, not 99: leave --opset out'):
        write_onnx(program, tmp_path / 'model.onnx', 99)


LOAD = """
import sys
for name in ('mmseg', 'mmengine', 'mmcv', 'mmseg_textseg', 'transformers', 'einops'):
    sys.modules[name] = None
import numpy, torch
module = torch.export.load(sys.argv[1]).module()
arrays = numpy.load(sys.argv[2])
with torch.no_grad():
    made = module(*(torch.from_numpy(arrays[n]) for n in ('image', 'token_ids', 'token_mask')))
numpy.save(sys.argv[3], made.numpy())
"""


def test_pt2_equals_the_segmentor_and_needs_torch_alone(build, tmp_path):
    model, signature, graph = build('mptpn-attention')
    path = tmp_path / 'model.pt2'
    write_torch(trace(graph, signature), path)
    samples = random_samples(signature, VOCABULARY, 3)
    found = compare(open_torch(path), model, dict(random=samples))
    assert max(case['max_difference'] for case in found) < 5e-5
    np.savez(tmp_path / 'arrays.npz', **feed(samples))
    command = [sys.executable, '-c', LOAD, path, tmp_path / 'arrays.npz', tmp_path / 'made.npy']
    subprocess.run(command, check=True, cwd=tmp_path)
    expected = np.stack([predict(model, sample) for sample in samples])
    assert np.abs(np.load(tmp_path / 'made.npy') - expected).max() < 5e-5
    content = path.read_bytes()
    assert str(ROOT).encode() not in content
    assert b'site-packages' not in content
    with pytest.raises(Exception, match=r'tokens|dimension|size|expected'):
        open_torch(path)(feed([Sample(samples[0].image, torch.arange(17) % VOCABULARY)]))


def test_what_cannot_be_traced(build, monkeypatch):
    _, signature, graph = build('one-conv')
    monkeypatch.setattr(graph.model.backbone, 'forward', lambda x: (x if x.sum() > 0 else -x,))
    with pytest.raises(ExportError, match=r'cannot trace the model: .*data-dependent'):
        trace(graph, signature)
