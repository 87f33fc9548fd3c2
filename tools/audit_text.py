"""Is the text used at all, and how? One model under full, shorter, empty, wrong and reworded sentences.

python tools/audit_text.py CONFIG CHECKPOINT --out DIR [--limit 300] [--conditions empty shuffled without]

Writes DIR/audit.md (verdict and table), audit.png, items.csv (Dice of each item under each condition) and, last of all,
audit.json. DIR/conditions keeps what is done: the same command goes on where it was stopped. docs/text_audit.md
"""

import argparse
import json
import os.path as osp
import platform
from pathlib import Path

import mmengine
import mmseg
import torch
from mmengine.device import get_device

import mmseg_textseg
from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors, require
from mmseg_textseg.datasets.medical import MedicalImageError
from mmseg_textseg.datasets.text_lexicon import LexiconError, read_lexicon
from mmseg_textseg.evaluation import EvaluationError
from mmseg_textseg.fileio import sha256, whole_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, metavar='DIR', help='default: work_dirs/<config name>/audit')
    parser.add_argument('--split', choices=['test', 'val'], default='test', help='whose dataloader (test)')
    parser.add_argument(
        '--conditions',
        nargs='+',
        metavar='NAME',
        help='half quarter empty constant shuffled contradicted reordered paraphrased without (each attribute), '
        'without:side (one of them); default: all',
    )
    parser.add_argument('--limit', type=int, metavar='N', help='at most so many items, of whole images drawn at random')
    parser.add_argument('--seed', type=int, default=0, help='of that draw and of the bootstrap (0)')
    parser.add_argument(
        '--lexicon', metavar='FILE', help='yaml or json with opposites, synonyms, attributes of your own'
    )
    parser.add_argument('--batch-size', type=int, metavar='N', help="default: the dataloader's")
    parser.add_argument('--device', help='e.g. cpu, cuda:1; default: an accelerator if there is one')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        metavar='KEY=VALUE',
        help='override config values, e.g. test_dataloader.dataset.data_root=DIR',
    )
    args = parser.parse_args(argv)
    for name in ('limit', 'batch_size'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with plain_errors(EvaluationError, ImportError, LexiconError, MedicalImageError):
        run(args)


def run(args: argparse.Namespace) -> None:
    """Audit, print and write."""
    from mmseg_textseg.evaluation import text_audit  # needs the extra `eval`

    cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
    name = osp.splitext(osp.basename(args.config))[0]
    if cfg.model.get('text_encoder') is None:
        print(f'{name} has no text encoder (model.text_encoder): a text-free model, nothing to audit')
        return
    if cfg.get(f'{args.split}_dataloader') is None:
        raise text_audit.AuditError(f'{args.config} has no {args.split}_dataloader: a pretraining, or another --split')
    require(cfg, (args.split,), weights=False)
    lexicon = None if args.lexicon is None else read_lexicon(args.lexicon)
    conditions = text_audit.make_conditions(text_audit.partial_options(cfg, args.split), lexicon)
    if args.conditions:
        conditions = text_audit.select(conditions, args.conditions)
    out = args.out or Path('work_dirs') / name / 'audit'
    options = text_audit.AuditOptions(args.split, args.limit, args.seed, args.batch_size, args.device or get_device())
    (out / 'audit.json').unlink(missing_ok=True)  # its presence means that all the rest is of the same run
    audit = text_audit.audit_text(cfg, args.checkpoint, conditions, out, options)
    print(text_audit.as_text(audit), *text_audit.verdict(audit), sep='\n')
    title = f'{name}, {args.split} split'
    text_audit.write_items(audit, conditions, out / 'items.csv')
    with whole_file(out / 'audit.md', encoding='utf-8') as file:
        file.write(text_audit.as_markdown(audit, title))
    with whole_file(out / 'audit.png', 'wb') as file:
        file.write(text_audit.draw(audit, title))
    info = dict(
        name=name,
        config=dict(path=args.config, sha256=sha256(args.config)),
        checkpoint=dict(path=args.checkpoint, sha256=sha256(args.checkpoint)),
        split=args.split,
        limit=args.limit,
        seed=args.seed,
        lexicon=args.lexicon,
        versions=dict(
            mmseg_textseg=mmseg_textseg.__version__,
            mmengine=mmengine.__version__,
            mmseg=mmseg.__version__,
            torch=torch.__version__,
            python=platform.python_version(),
        ),
    )
    with whole_file(out / 'audit.json', encoding='utf-8') as file:
        json.dump(text_audit.as_json(audit, info), file, indent=2)
    print(f'written to {out}: audit.md, audit.png, items.csv, audit.json')


if __name__ == '__main__':
    main()
