"""Made-up runs, written as tools/test.py writes them."""

import csv
import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def _quick_correction(monkeypatch):
    """statsmodels collects garbage in each call of multipletests: half a second with all that tests have loaded."""
    monkeypatch.setattr('gc.collect', lambda *_: 0)


@pytest.fixture
def write_run():
    """Function (folder, dice, ...) -> folder: a finished run with two items an image, unless ``images`` says otherwise.

    ``columns``: further columns; ``summary``: further keys of metrics.json. NaN becomes an empty cell.
    """

    def write(folder, dice, images=None, expressions=None, ids=None, columns=None, summary=None):
        dice = np.asarray(dice, float)
        number = range(len(dice))
        table = dict(
            sample_id=ids or [f's{i}' for i in number],
            image=images or [f'i{i // 2}.png' for i in number],
            expression=expressions or [f'lesion {i}' for i in number],
            dice=dice,
            iou=dice / (2 - dice),
            **(columns or {}),
        )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / 'per_sample.csv').open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(table)
            for row in zip(*table.values(), strict=True):
                writer.writerow(['' if value != value else value for value in row])
        told = dict(protocols=dict(lvit=dict(dice=pd.Series(dice).mean())), items=len(dice))
        (folder / 'metrics.json').write_text(json.dumps({**told, **(summary or {})}), encoding='utf-8')
        return folder

    return write


@pytest.fixture
def load_runs(tmp_path, write_run):
    """Function (name=scores or a dict of write_run's arguments) -> runs."""
    from mmseg_textseg.evaluation.comparison import read_runs

    def load(**runs):
        found = []
        for name, told in runs.items():
            told = told if isinstance(told, dict) else dict(dice=told)
            found.append((name, write_run(tmp_path / name, **told)))
        return read_runs(found)

    return load


@pytest.fixture
def scores():
    """Function (seed, shift=0, items=24) -> Dice of that many items: runs of several seeds go up and down together."""

    def draw(seed, shift=0.0, items=24):
        hard = np.random.default_rng(99).normal(0.6, 0.1, items)
        return np.clip(hard + shift + np.random.default_rng(seed).normal(0, 0.03, items), 0, 1).round(6)

    return draw
