"""Transforms of the expression before it is tokenised."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PickText(BaseTransform):
    """Choose one of the expressions that mean the same mask.

    For datasets with ``expressions='group'``. Where ``text`` is there already, nothing changes, so one
    pipeline serves both kinds.

    Required Keys:

    - texts (or text)

    Added Keys:

    - text

    Args:
        mode: ``'random'``, anew each time (numpy's global generator, which MMEngine seeds in every worker),
            or ``'first'``, for validation.

    Raises:
        ValueError: if the results hold neither key, or no list of expressions.
    """

    def __init__(self, mode: str = 'random') -> None:
        if mode not in ('random', 'first'):
            raise ValueError(f"mode is {mode!r}; expected 'random' or 'first'")
        self.mode = mode

    @cache_randomness
    def _choose(self, count: int) -> int:
        # The global generator is the one that mmcv's transforms share and MMEngine seeds.
        return int(np.random.randint(count))  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Set ``results['text']``."""
        if 'text' in results:
            return results
        texts = results.get('texts')
        if not isinstance(texts, (list, tuple)) or not texts:
            raise ValueError(
                f"PickText: {results.get('img_path', 'sample')} has no 'text', and 'texts' is {texts!r}; expected a "
                "list of expressions, as TextSegDataset(expressions='group') gives"
            )
        results['text'] = texts[0 if self.mode == 'first' else self._choose(len(texts))]
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(mode={self.mode!r})'
