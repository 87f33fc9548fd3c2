"""For tools made of other tools: run one, read what one wrote."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> None:
    """Run ``python <command>`` at the repository's root, saying so; stop with it."""
    print('\n$ python', *command, flush=True)
    done = subprocess.run([sys.executable, *command], cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)


def train_once(config: str, work_dir: Path, *arguments: str) -> tuple[str, float]:
    """Train, go on with an interrupted training, or leave a finished one as it is.

    Returns:
        Path of the last checkpoint; seconds that the (last part of the) training took.
    """
    last, done = work_dir / 'last_checkpoint', work_dir / 'trained'
    if not done.is_file():
        start = time.time()
        resume = ['--resume'] if last.is_file() else []
        run('tools/train.py', config, '--work-dir', str(work_dir), *resume, *arguments)
        done.write_text(str(time.time() - start), encoding='utf-8')
    return last.read_text(encoding='utf-8').strip(), float(done.read_text(encoding='utf-8'))


def read_scores(folder: Path) -> tuple[dict, list[dict]]:
    """metrics.json and per_sample.csv of a run of tools/test.py."""
    with (folder / 'per_sample.csv').open(newline='', encoding='utf-8') as file:
        return json.loads((folder / 'metrics.json').read_text(encoding='utf-8')), list(csv.DictReader(file))


def make_easy_phantom(folder: str) -> None:
    """The phantom of the demos; a whole one stays, an interrupted one is made anew."""
    options = ['--cases', '120', '--size', '96', '--seed', '0', '--difficulty', 'easy', '--lesions', '2', '4']
    unfinished = (ROOT / folder).is_dir() and not (ROOT / folder / 'phantom.json').is_file()
    run('tools/make_phantom.py', '--out', folder, *options, *(['--overwrite'] if unfinished else []))
