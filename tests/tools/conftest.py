"""A tiny trained-looking model for tools that use one."""

from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope='session')
def tiny_model(tiny_config, checkpoint, phantom) -> SimpleNamespace:
    """``config``, ``checkpoint`` (random weights under which the text matters) and ``data``; read only."""
    return SimpleNamespace(config=Path(tiny_config), checkpoint=Path(checkpoint), data=phantom)
