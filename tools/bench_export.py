"""Seconds and bytes of a model as PyTorch runs it and as exported, in one process.

python tools/bench_export.py CONFIG [CHECKPOINT] [--format onnx torch] [--threads 1 2] [--repeats 20] [--tokens 12]

One picture and one sentence; the forms take turns, so that other work on the machine meets all of them. Without a
checkpoint the weights are random, which takes as long.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from prettytable import PrettyTable, TableStyle
from scipy.special import expit

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.export import ExportError, MaskGraph, build_model, read_signature
from mmseg_textseg.export.check import feed, random_samples
from mmseg_textseg.export.programs import FILES, INPUTS, Run, open_onnx, open_torch, trace, write_onnx, write_torch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--format', nargs='+', choices=list(FILES), default=['onnx'])
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--tokens', type=int, default=12, help='length of the sentence, special tokens included')
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE')
    return parser.parse_args()


def eager(graph: MaskGraph) -> Run:
    """The model as PyTorch runs it, called as an exported one."""

    def run(arrays: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return graph(*(torch.from_numpy(arrays[name]) for name in INPUTS if name in arrays)).numpy()

    return run


def take_turns(forms: dict[str, Run], arrays: dict[str, np.ndarray], repeats: int) -> dict[str, list[float]]:
    """Seconds of each form; the first round does not count."""
    seconds = {name: [] for name in forms}
    for turn in range(repeats + 1):
        for name, run in forms.items():
            time.sleep(0.05)  # threads of the form before go on spinning for a while, in the way of this one's
            start = time.perf_counter()
            run(arrays)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    args = parse_args()
    with plain_errors(ExportError, ImportError), tempfile.TemporaryDirectory() as folder:
        cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        torch.manual_seed(0)
        model = build_model(cfg, args.checkpoint)
        signature = read_signature(cfg, model, args.size)
        graph = MaskGraph(model, signature)
        start = time.perf_counter()
        program = trace(graph, signature)
        paths = {fmt: Path(folder) / FILES[fmt] for fmt in args.format}
        for fmt, path in paths.items():
            (write_onnx if fmt == 'onnx' else write_torch)(program, path)
        print(f'exported in {time.perf_counter() - start:.0f} s')
        vocabulary = model.text_encoder.bert.config.vocab_size if signature.has_text else None
        arrays = feed(random_samples(signature, vocabulary, 1))
        if signature.has_text:
            arrays['token_ids'] = np.resize(arrays['token_ids'], (1, args.tokens))
            arrays['token_mask'] = np.ones((1, args.tokens), dtype=bool)
        table = PrettyTable(['threads', 'form', 'file, MB', 'median, ms', 'least to most, ms', 'times as fast'])
        table.set_style(TableStyle.MARKDOWN)
        parameters = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
        for threads in args.threads:
            torch.set_num_threads(threads)
            forms, sizes = {'PyTorch': eager(graph)}, {'PyTorch': f'{parameters:.1f} (weights)'}
            for fmt, path in paths.items():
                name = 'onnxruntime' if fmt == 'onnx' else 'torch.export'
                forms[name] = open_onnx(path, threads) if fmt == 'onnx' else open_torch(path)
                sizes[name] = f'{sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / 1e6:.1f}'
                difference = np.abs(expit(forms[name](arrays)) - expit(forms['PyTorch'](arrays))).max()
                print(f'{threads} threads, {name}: largest difference of probability {difference:.1e}')
            seconds = take_turns(forms, arrays, args.repeats)
            first = statistics.median(seconds['PyTorch'])
            for name, found in seconds.items():
                median, least, most = (1e3 * f(found) for f in (statistics.median, min, max))
                row = [threads, name, sizes[name], f'{median:.1f}', f'{least:.1f} to {most:.1f}']
                table.add_row([*row, f'{1e3 * first / median:.1f}'])
    height, width = signature.size
    tokens = f', {args.tokens} tokens' if signature.has_text else ''
    print(f'{args.config}, {height} x {width}, batch 1{tokens}, median of {args.repeats}')
    print(f'torch {torch.__version__}, onnxruntime {onnxruntime.__version__}')
    print(table)


if __name__ == '__main__':
    main()
