"""Runs of tools/test.py compared: ``tools/leaderboard.py``. Needs the extra ``eval``."""

try:
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
    import statsmodels  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"comparing runs needs {error.name}: pip install 'mmseg_textseg[eval]'", name=error.name
    ) from error

from .leaderboard import Comparison, Leaderboard, Options, compare
from .plots import box_plot
from .records import as_json, write_csv
from .report import as_html, as_markdown, markdown, show_interval
from .runs import LeaderboardError, Run, find_runs, read_runs
from .seeds import average_seeds, group_seeds

__all__ = [
    'Comparison',
    'Leaderboard',
    'LeaderboardError',
    'Options',
    'Run',
    'as_html',
    'as_json',
    'as_markdown',
    'average_seeds',
    'box_plot',
    'compare',
    'find_runs',
    'group_seeds',
    'markdown',
    'read_runs',
    'show_interval',
    'write_csv',
]
