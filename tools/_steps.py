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

    ``work_dir/run.json`` says which run the folder is of, and whether it is finished.

    Returns:
        Path of the last checkpoint; seconds that the (last part of the) training took.
    """
    last, record = work_dir / 'last_checkpoint', work_dir / 'run.json'
    command = [config, *arguments]
    known = json.loads(record.read_text(encoding='utf-8')) if record.is_file() else dict(command=command)
    if known['command'] != command:
        sys.exit(f'{work_dir} is of another run ({" ".join(known["command"])}): delete it, or name another folder')
    if 'seconds' not in known:
        work_dir.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(known), encoding='utf-8')
        start = time.time()
        resume = ['--resume'] if last.is_file() else []
        run('tools/train.py', config, '--work-dir', str(work_dir), *resume, *arguments)
        known['seconds'] = round(time.time() - start, 1)
        record.write_text(json.dumps(known), encoding='utf-8')
    return last.read_text(encoding='utf-8').strip(), known['seconds']


def read_scores(folder: Path) -> tuple[dict, list[dict]]:
    """metrics.json and the rows of per_sample.csv of a run of tools/test.py --out."""
    with (folder / 'per_sample.csv').open(newline='', encoding='utf-8') as file:
        return json.loads((folder / 'metrics.json').read_text(encoding='utf-8')), list(csv.DictReader(file))


def make_easy_phantom(folder: str) -> None:
    """The phantom of the demos; a whole one stays, an interrupted one is made anew."""
    options = ['--cases', '120', '--size', '96', '--seed', '0', '--difficulty', 'easy', '--lesions', '2', '4']
    unfinished = (ROOT / folder).is_dir() and not (ROOT / folder / 'phantom.json').is_file()
    run('tools/make_phantom.py', '--out', folder, *options, *(['--overwrite'] if unfinished else []))
