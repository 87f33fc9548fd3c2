"""ONNX and .pt2 files of tiny models against the segmentor: any batch, any length, padding, sizes, names."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from scipy.special import expit

from mmseg_textseg.export.check import Sample, compare, feed, predict, random_samples
from mmseg_textseg.export.graph import ExportError
from mmseg_textseg.export.programs import open_onnx, open_torch, trace, write_onnx, write_torch

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 22
# The first test of each pays for its export, 5 to 10 seconds.
EVERY = [pytest.param(name, marks=pytest.mark.slow) for name in ('lsms', 'mptpn', 'mptpn-attention')]


@pytest.mark.parametrize('name', EVERY)
def test_onnx_equals_the_segmentor(exported, name):
    """Exported with batch 2 and 5 tokens; run with batches of 1, 3 and 5, and 3 to 8 tokens."""
    model, signature = exported(name).model, exported(name).signature
    run = open_onnx(exported(name).path)
    groups = {'three': random_samples(signature, VOCABULARY, 3), 'five': random_samples(signature, VOCABULARY, 5)}
    found = compare(run, model, groups, tolerance=1e-3)
    assert {(case['batch'], case['tokens']) for case in found} >= {(3, 8), (5, 8), (1, 3), (1, 8)}
    samples = groups['three']
    expected = np.stack([predict(model, sample) for sample in samples])
    assert expected.std() > 0.1
    assert np.abs(expected[0] - expected[2]).max() > 0.05
    # Another sentence is another answer.
    said = run(feed([samples[0]._replace(ids=torch.tensor([2, 6, 3]))]))
    other = run(feed([samples[0]._replace(ids=torch.tensor([2, 7, 3]))]))
    assert np.abs(said - other).max() > 1e-2


@pytest.mark.parametrize('name', EVERY)
def test_padding_never_matters(exported, name):
    """Neither its ids nor how much of it there is; nor do other pictures of the batch."""
    signature, run = exported(name).signature, open_onnx(exported(name).path, threads=1)
    (sample,) = random_samples(signature, VOCABULARY, 1)
    alone = expit(run(feed([sample]))[0])
    for longer in ([0, 0, 0, 0], [7, 9, 11, 6, 8]):
        arrays = feed([sample, *random_samples(signature, VOCABULARY, 2)])
        ids = np.concatenate([sample.ids.numpy(), longer])
        arrays['token_ids'] = np.stack([ids, np.roll(ids, 1), ids])
        arrays['token_mask'] = np.arange(len(ids)) < np.array([[len(sample.ids)], [len(ids)], [2]])
        assert np.abs(expit(run(arrays)[0]) - alone).max() < 5e-5


@pytest.mark.parametrize('name', EVERY)
def test_names_sizes_and_nothing_of_this_machine(exported, name):
    path, side = exported(name).path, exported(name).signature.size[0]
    sides = ['height', 'width'] if name == 'lsms' else [side, side]
    made = onnx.load(path)
    onnx.checker.check_model(made, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*made.graph.input, *made.graph.output)
    }
    assert shapes == dict(
        image=['batch', 3, *sides],
        token_ids=['batch', 'tokens'],
        token_mask=['batch', 'tokens'],
        logit=['batch', *sides],
    )
    types = [value.type.tensor_type.elem_type for value in (*made.graph.input, *made.graph.output)]
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT]
    content = path.read_bytes()
    for trace_of in (str(ROOT), sys.prefix, 'site-packages', '.py'):
        assert trace_of.encode() not in content


@pytest.mark.slow
def test_the_file_is_little_more_than_the_weights(exported):
    weights = sum(p.numel() * p.element_size() for p in exported('lsms').model.parameters())
    assert weights < exported('lsms').path.stat().st_size < weights + 400_000


@pytest.mark.slow
def test_sizes_of_lsms_are_free(exported):
    made = exported('lsms')
    sizes = ((32, 48), (96, 64), (64, 64))
    groups = {str(size): random_samples(made.signature, VOCABULARY, 2, size) for size in sizes}
    run = open_onnx(made.path)
    assert max(case['max_difference'] for case in compare(run, made.model, groups)) < 5e-5
    assert run(feed(groups['(32, 48)'])).shape == (2, 32, 48)


def test_the_operator_set(build, tmp_path):
    _, signature, graph = build('one-conv')
    program = trace(graph, signature)
    assert write_onnx(program, tmp_path / 'model.onnx', 18) == 18
    assert onnx.load(tmp_path / 'model.onnx').opset_import[0].version == 18
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


@pytest.mark.slow
def test_pt2_equals_the_segmentor_and_needs_torch_alone(build, tmp_path):
    model, signature, graph = build('one-conv-text')
    path = tmp_path / 'model.pt2'
    write_torch(trace(graph, signature), path)
    samples = random_samples(signature, VOCABULARY, 3)
    found = compare(open_torch(path), model, dict(random=samples))
    assert max(case['max_difference'] for case in found) < 5e-5
    np.savez(tmp_path / 'arrays.npz', **feed(samples))
    command = [sys.executable, '-c', LOAD, path, tmp_path / 'arrays.npz', tmp_path / 'made.npy']
    subprocess.run(command, check=True, cwd=tmp_path)
    expected = np.stack([predict(model, sample) for sample in samples])
    assert np.abs(expit(np.load(tmp_path / 'made.npy')) - expected).max() < 5e-5
    content = path.read_bytes()
    assert str(ROOT).encode() not in content
    assert b'site-packages' not in content
    with pytest.raises(Exception, match='to be <= 16, but got 17'):
        open_torch(path)(feed([Sample(samples[0].image, torch.arange(17) % VOCABULARY)]))


def test_what_cannot_be_traced(build, monkeypatch):
    _, signature, graph = build('one-conv')
    monkeypatch.setattr(graph.model.backbone, 'forward', lambda x: (x if x.sum() > 0 else -x,))
    with pytest.raises(ExportError, match=r'cannot trace the model: .*data-dependent'):
        trace(graph, signature)
