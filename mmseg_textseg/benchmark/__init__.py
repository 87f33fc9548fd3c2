"""What things cost beside other ways to do the same job: tools/benchmark.py."""

from .group import Group

__all__ = ['Group']
