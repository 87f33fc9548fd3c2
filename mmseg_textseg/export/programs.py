"""A traced model to a file, and a file to a function of arrays."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from .graph import ExportError, MaskGraph, Signature

INPUTS = ('image', 'token_ids', 'token_mask')
FILES = dict(onnx='model.onnx', torch='model.pt2')
# Arrays by name of input -> log odds (B, H, W).
Run = Callable[[dict[str, np.ndarray]], np.ndarray]


def check_libraries(fmt: str) -> None:
    """Fail before the work.

    Raises:
        ImportError: naming the extra to install.
    """
    if fmt == 'torch':
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"export to ONNX needs {error.name}: pip install 'mmseg_textseg[export]'", name=error.name
        ) from error


def trace(graph: MaskGraph, signature: Signature) -> ExportedProgram:
    """The graph with free batch, token length and, where the signature says so, height and width.

    Raises:
        ExportError: something in the model depends on data or on a size that should be free.
    """
    # Two of each free size: torch.export takes a size of 1 for a constant.
    height, width = signature.size
    example = [torch.rand(2, 3, height, width) * 255]
    batch = Dim('batch')
    image = {0: batch}
    if signature.multiple is not None:
        image |= {axis: signature.multiple * Dim(f'_side{axis}', min=2) for axis in (2, 3)}
    shapes = [image]
    if signature.has_text:
        length = min(5, signature.token_limit)
        example += [torch.zeros(2, length, dtype=torch.int64), torch.ones(2, length, dtype=torch.bool)]
        shapes += [{0: batch, 1: Dim('tokens', max=signature.token_limit)}] * 2
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(graph, tuple(example), dynamic_shapes=tuple(shapes))
    except Exception as error:  # torch.export's errors have no common class
        raise ExportError(f'torch.export cannot trace the model: {error}') from error
    _forget_sources(program)
    return program


def _forget_sources(program: ExportedProgram) -> None:
    """Leave out lines of code and paths of this machine, and the example."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop('stack_trace', None)
    program.example_inputs = None


def write_onnx(program: ExportedProgram, path: Path, opset: int | None = None) -> int:
    """Write an ONNX model; weights of more than 2 GB go into a file beside it.

    Args:
        program: from :func:`trace`.
        path: the file.
        opset: operator set, 18 or later; default: that of PyTorch's exporter.

    Returns:
        The operator set.

    Raises:
        ExportError: the exporter knows no such operator set, or not how to write an operator.
    """
    names = dict(input_names=INPUTS[: len(program.graph_signature.user_inputs)], output_names=['logit'])
    try:
        with torch.no_grad(), _quiet():
            made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=opset, **names)
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f'torch.onnx cannot write the model: {error}') from error
    found = made.model.opset_imports['']
    if opset is not None and found != opset:
        raise ExportError(f"PyTorch's exporter wrote operator set {found}, not {opset}: leave --opset out")
    _tidy(made.model)
    made.save(path)
    return found


def _tidy(model) -> None:
    """Free sizes by name; no lines of code and paths of this machine, no shapes in between under other names."""
    import onnx_ir

    ends = [*model.graph.inputs, *model.graph.outputs]
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in model.graph.outputs:
                value.shape = value.type = None
    axes = dict(image=('batch', 3, 'height', 'width'), logit=('batch', 'height', 'width'))
    for value in ends:
        value.metadata_props.clear()
        known = axes.get(value.name, ('batch', 'tokens'))
        value.shape = onnx_ir.Shape(
            name if isinstance(size, onnx_ir.SymbolicDim) else size
            for name, size in zip(known, value.shape, strict=True)
        )
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def write_torch(program: ExportedProgram, path: Path) -> None:
    """Write a ``.pt2`` file, which needs nothing but torch."""
    with _quiet():
        torch.export.save(program, path)


def open_onnx(path: Path, threads: int | None = None) -> Run:
    """An ONNX model on the CPU.

    Args:
        path: the file.
        threads: of one call; default: all cores.

    Raises:
        ExportError: onnxruntime does not take the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ExportError(
            f'onnxruntime {onnxruntime.__version__} cannot run what was written ({error}): a lower --opset may help'
        ) from error
    return lambda feed: session.run(['logit'], feed)[0]


def open_torch(path: Path) -> Run:
    """A ``.pt2`` file."""
    with _quiet():
        module = torch.export.load(path).module()

    def run(feed: dict[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return module(*(torch.from_numpy(feed[name]) for name in INPUTS if name in feed)).numpy()

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what exporters say of operators that are not in use here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
