"""Costs of all rows in one process: ``python -m mmseg_textseg.apis.suite.measure REQUEST ANSWER``, both json.

The request: ``rows`` (name -> ``config``, a file, and ``options``, KEY=VALUE), ``training`` (whether to time it). The
answer: name -> costs, or ``dict(error=...)``.
"""

import json
import sys
import traceback
from functools import partial
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from ...fileio import whole_file
from ..config import load_config
from .costs import Subject, count_macs, count_parameters, time_predictions, time_training
from .record import parse_options


def measure(rows: dict[str, dict], training: bool) -> dict[str, dict]:
    """Measure rows; one that fails does not stop the others.

    Args:
        rows: ``config`` and ``options`` by name.
        training: whether to time iterations of training too.
    """
    init_default_scope('mmseg')
    subjects: dict[str, Subject] = {}
    answer: dict[str, dict] = {}
    for name, row in rows.items():
        try:
            subject = Subject(load_config(row['config'], parse_options(row['options'])), training)
            subject.model.eval()
            answer[name] = dict(
                **count_parameters(subject.model),
                **count_macs(partial(subject.predict, 0), subject.model),
                batch_size=subject.batch_size,
                per_epoch=subject.per_epoch,
                device=get_device(),
                threads=torch.get_num_threads(),
            )
            if training:
                subject.model.train()
                subject.load(True)
                subject.step()
                subject.load(False)
            subjects[name] = subject
        except Exception as error:  # a row may be wrong in any way
            if isinstance(error, torch.cuda.OutOfMemoryError) and len(rows) > 1:
                raise  # too much for one process: each row is then measured in its own
            traceback.print_exc()
            answer[name] = dict(error=f'{type(error).__name__}: {error}')
    for name, seconds in time_predictions(subjects).items():
        answer[name]['latency'] = seconds
    for name, seconds in (time_training(subjects) if training else {}).items():
        answer[name]['seconds_per_iteration'] = seconds
    return answer


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))
    answer = measure(**request)
    with whole_file(Path(sys.argv[2]), encoding='utf-8') as file:
        json.dump(answer, file)


if __name__ == '__main__':
    main()
