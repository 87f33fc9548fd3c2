"""A page to try a model in the browser: a picture and a sentence in, the mask out.

python tools/webdemo.py CONFIG CHECKPOINT [--port 7860] [--examples TABLE] [--host 0.0.0.0]

It listens on this machine alone unless --host says otherwise, and sends nothing anywhere. Needs gradio:
pip install 'mmseg_textseg[web]'. docs/inference.md
"""

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mmseg_textseg.apis import TextSegInferencer, find_model, load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.apis.examples import find_examples, read_examples
from mmseg_textseg.apis.webdemo import WebDemo
from mmseg_textseg.apis.webpage import build_page, serve


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Try a model in the browser')
    parser.add_argument('config', help='config file, or the name of a model')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; of a model in model-index.yml it is known')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen on; 0.0.0.0: whoever reaches this machine'
    )
    parser.add_argument('--port', type=int, help='default: the first free one from 7860')
    parser.add_argument(
        '--examples',
        metavar='TABLE',
        help="table with columns image and expression; default: the config's test set, or a phantom where that is one",
    )
    parser.add_argument('--images', metavar='DIR', help='pictures of --examples; default: images/ beside the table')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--device', help='default: an accelerator if there is one')
    args = parser.parse_args()
    if args.images and not args.examples:
        parser.error('--images goes with --examples')
    return args


def main() -> None:
    args = parse_args()
    # Ended by a service manager too, it leaves no picture of a user behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with plain_errors(ValueError, ImportError), TemporaryDirectory(prefix='textseg_web_') as folder:
        examples = read_examples(args.examples, args.images) if args.examples else None
        config, checkpoint = find_model(args.config, args.checkpoint)
        cfg = load_config(config, args.cfg_options, checkpoint)
        segment = TextSegInferencer(cfg, checkpoint, args.device)
        if examples is None:
            examples = find_examples(cfg, Path(folder) / 'phantom')
        page = build_page(WebDemo(segment, Path(folder)), examples, Path(config).stem)
        address = serve(page, args.host, args.port)
        if args.host != '127.0.0.1':
            print(f'Whoever reaches {args.host} can use the page; it has no password.')
        print(f'{address}   (Ctrl-C ends it)', flush=True)
        page.block_thread()


if __name__ == '__main__':
    main()
