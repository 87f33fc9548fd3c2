"""Config and checkpoint to a folder that needs neither."""

import json
import os
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS

from ..apis.config import checkpoint_weights, innermost
from ..fileio import sha256
from ..models.layers import match_weights
from ..tokenization import load_tokenizer
from ..version import __version__
from .check import TOLERANCE, Sample, compare, random_samples, real_samples
from .folder import ABOUT, SCRIPT, TOKENIZER, check_folder, whole_folder
from .graph import MaskGraph, Signature, read_signature
from .programs import FILES, check_libraries, open_onnx, open_torch, trace, write_onnx, write_torch
from .tokenizer import write_tokenizer

# Steps of a test pipeline that the graph, the tokenizer or the script stand for, or that need the truth.
KNOWN_STEPS = (
    'LoadImageFromFile',
    'LoadMask',
    'LoadAnnotations',
    'PickText',
    'Resize',
    'TokenizeText',
    'EvaluateAtNetworkSize',
    'PackTextSegInputs',
    'PackSegInputs',
)
IMAGE = (
    'RGB, 0 to 255, not normalised: that is in the graph. Pictures are resized to image_size by bilinear interpolation '
    "(OpenCV's INTER_LINEAR)."
)
IDS = f'What {TOKENIZER} gives, special tokens included; shorter sentences of a batch are padded with any ids.'
LOGIT = (
    "Log odds of the foreground. Resize them to the picture's size (INTER_LINEAR), then take the sigmoid: a pixel is "
    'foreground where that is above the threshold.'
)
MASK = 'True where a real token stands, False on padding.'


def build_model(cfg: Config, checkpoint: str | None) -> EncoderDecoder:
    """A segmentor on the CPU, in evaluation mode; without a checkpoint its weights are random."""
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    if checkpoint is not None:
        state = checkpoint_weights(checkpoint)
        match_weights(model, state, checkpoint)
        model.load_state_dict(state, strict=False)
    return model.eval()


def export(
    cfg: Config,
    checkpoint: str,
    out: str | os.PathLike,
    fmt: str = 'onnx',
    size: Sequence[int] | None = None,
    dynamic_size: bool = False,
    opset: int | None = None,
    overwrite: bool = False,
    tolerance: float = TOLERANCE,
) -> dict:
    """Write a model, compare it with the segmentor, and only then let the folder have its name.

    Args:
        cfg: from ``load_config(..., checkpoint=checkpoint)``.
        checkpoint: weights, which must fill the model.
        out: folder; new, empty, or with ``overwrite`` any.
        fmt: ``'onnx'``, or ``'torch'`` for ``torch.export``'s ``.pt2``.
        size: height and width; default: those of the test pipeline.
        dynamic_size: let height and width vary.
        opset: operator set of ONNX; default: the exporter's.
        overwrite: replace the files of an export in ``out``; others stay.
        tolerance: largest difference of a probability from the segmentor's that is allowed.

    Returns:
        What ``export.json`` says.

    Raises:
        ExportError: the model cannot be exported so, or says something else than the segmentor.
        FileExistsError: ``out`` is not empty.
        ImportError: without the libraries of the format.
    """
    out = Path(out)
    check_libraries(fmt)
    check_folder(out, overwrite)
    model = build_model(cfg, checkpoint)
    signature = read_signature(cfg, model, size, dynamic_size)
    graph = MaskGraph(model, signature)
    with whole_folder(out) as folder:
        path, program, about = folder / FILES[fmt], trace(graph, signature), {}
        if fmt == 'onnx':
            about['opset'] = write_onnx(program, path, opset)
            shutil.copyfile(Path(__file__).with_name('onnx_predict.py'), folder / SCRIPT)
        else:
            write_torch(program, path)
        real = real_samples(cfg, signature, 4)
        groups = {**_random_groups(model, signature), 'test set': real}
        checks = compare((open_onnx if fmt == 'onnx' else open_torch)(path), model, groups, tolerance)
        if signature.has_text:
            tokenizer = load_tokenizer(model.text_encoder.tokenizer_source)
            sentences = [sample.text for sample in real if sample.text]
            about['text'] = write_tokenizer(tokenizer, signature.max_tokens, folder / TOKENIZER, sentences)
        about = _describe(cfg, signature, graph, (tolerance, checks), dict(format=fmt, model=path.name, **about))
        about['config'], about['checkpoint'] = (
            dict(path=str(name), sha256=sha256(name)) for name in (cfg.filename, checkpoint)
        )
        (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
    return about


def _random_groups(model: EncoderDecoder, signature: Signature) -> dict[str, list[Sample]]:
    vocabulary = model.text_encoder.bert.config.vocab_size if signature.has_text else None
    groups = dict(random=random_samples(signature, vocabulary, 3))
    if signature.multiple is not None:
        other = (2 * signature.multiple, 3 * signature.multiple)
        groups['random, other size'] = random_samples(signature, vocabulary, 2, other)
    return groups


def _describe(
    cfg: Config, signature: Signature, graph: MaskGraph, checked: tuple[float, list[dict]], about: dict
) -> dict:
    """export.json, but for the files it was made of."""
    height, width = signature.size
    sides = ['height', 'width'] if signature.multiple else [height, width]
    dataset = next(innermost(cfg.test_dataloader.dataset))
    meta = {**DATASETS.get(dataset.type).METAINFO, **(dataset.get('metainfo') or {})}
    inputs = dict(image=dict(dtype='float32', shape=['batch', 3, *sides], content=IMAGE))
    if signature.has_text:
        inputs['token_ids'] = dict(dtype='int64', shape=['batch', 'tokens'], content=IDS)
        inputs['token_mask'] = dict(dtype='bool', shape=['batch', 'tokens'], content=MASK)
        about['text'] |= dict(max_tokens=signature.max_tokens, token_limit=signature.token_limit)
    tolerance, runs = checked
    libraries = ['torch', 'transformers', *(('onnx', 'onnxscript', 'onnxruntime') if 'opset' in about else ())]
    return dict(
        format=about['format'],
        model=about['model'],
        opset=about.get('opset'),
        inputs=inputs,
        output=dict(logit=dict(dtype='float32', shape=['batch', *sides], content=LOGIT)),
        image_size=[height, width],
        size_multiple=signature.multiple,
        threshold=graph.threshold,
        classes=list(meta.get('classes') or ()),
        text=about.get('text'),
        other_steps=[step['type'] for step in dataset.pipeline if step['type'] not in KNOWN_STEPS],
        check=dict(tolerance=tolerance, max_difference=max(run['max_difference'] for run in runs), runs=runs),
        versions={
            'python': platform.python_version(),
            'mmseg_textseg': __version__,
            **{name: version(name) for name in libraries},
        },
    )
