"""Command-line tools that share a process, and what they leave behind."""

import csv
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'

# Runs the scripts whose argv it reads, one a line, as a shell would, and answers with how each ended.
SHELL = """
import contextlib, io, json, runpy, sys, traceback
for line in sys.stdin:
    sys.argv, text, code = json.loads(line), io.StringIO(), 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            print(stop.code if isinstance(stop.code, str) else '')
        except BaseException:
            code = 1
            traceback.print_exc()
    print('END' + json.dumps(dict(code=code, output=text.getvalue())), flush=True)
"""

# sitecustomize.py of every process here: mmengine's printed configs as they are, but each laid out once.
LAID_OUT_ONCE = """
from yapf.yapflib import yapf_api
known, lay_out = {}, yapf_api.FormatCode
def FormatCode(text, **options):
    if text not in known:
        known[text] = lay_out(text, **options)
    return known[text]
yapf_api.FormatCode = FormatCode
"""


def environment(folder: Path) -> dict[str, str]:
    """Environment of the processes: this checkout, no network; ``folder`` gets what they import at their start."""
    (folder / 'sitecustomize.py').write_text(LAID_OUT_ONCE)
    settings = dict(PYTHONPATH=f'{folder}{os.pathsep}{ROOT}', HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1')
    return {**os.environ, **settings, 'https_proxy': 'http://127.0.0.1:9', 'http_proxy': 'http://127.0.0.1:9'}


@contextmanager
def shell(cwd: Path, env: dict[str, str]):
    """Function argv -> ``code`` and ``output`` of a script; all of them in one process."""
    process = subprocess.Popen(
        [sys.executable, '-c', SHELL], cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(*argv) -> SimpleNamespace:
        process.stdin.write(json.dumps(list(map(str, argv))) + '\n')
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith('END'):
                return SimpleNamespace(**json.loads(line.removeprefix('END')))
        raise AssertionError(f'the process died in {argv}')

    with process:
        yield run


def steps(work_dir: Path) -> list[dict]:
    """Training iterations that the newest run in a work dir has logged."""
    log = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    return [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]


def table(folder: Path) -> list[dict]:
    with (folder / 'per_sample.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))
