"""Flips and right-angle rotations that keep the expression true; docs/augmentation.md explains them."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from ..direction_words import LATERALITIES, DirectionWordError, rewrite
from ..turns import canonical_turn, compose_turns, inverse_turn

# np.rot90's k, after a transposition of rows and columns or not.
_QUARTERS = {None: 0, 'rot90': 1, 'diagonal': 2, 'rot270': 3}
_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def turn_array(array: np.ndarray, turn: str) -> np.ndarray:
    """An array (H, W, ...) turned, as a new contiguous array; a quarter turn gives (W, H, ...)."""
    turn = canonical_turn(turn)
    # Every mirror is a rotation after the horizontal one.
    mirror = turn not in _QUARTERS
    quarters = _QUARTERS[compose_turns('horizontal', turn) if mirror else turn]
    if array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,)):  # OpenCV is ten times faster
        array = cv2.flip(array, 1) if mirror else array
        return cv2.rotate(array, _ROTATIONS[quarters]) if quarters else array.copy()
    array = np.flip(array, 1) if mirror else array
    return np.rot90(array, quarters).copy()


def _turn_results(results: dict, turn: str) -> None:
    """Turn the image and all label maps in place, and tell the new shape."""
    others = [key for key in ('gt_bboxes', 'gt_keypoints') if results.get(key) is not None]
    if others:
        raise ValueError(
            f'{results.get("img_path", "sample")}: {", ".join(others)} cannot be turned, only the image and label maps'
        )
    results['img'] = turn_array(results['img'], turn)
    for key in dict.fromkeys([*results.get('seg_fields', []), 'gt_seg_map']):
        if results.get(key) is not None:
            results[key] = turn_array(results[key], turn)
    if 'img_shape' in results:
        results['img_shape'] = results['img'].shape[:2]


@TRANSFORMS.register_module()
class SwapDirectionWords(BaseTransform):
    """Rewrite the direction words of the expression after a flip or a right-angle rotation.

    Belongs after ``RandomFlip`` or :class:`RandomRightAngle` and before ``TokenizeText``. It reads what they wrote
    into the results, so ``RandomRotFlip``, ``RandomRotate`` and others that write nothing pass unnoticed.

    Applied again it changes nothing, and says so where the picture was flipped anew in between.

    Required Keys:

    - flip, flip_direction
    - text, or texts
    - img, gt_seg_map (for ``on_refusal='undo'``)

    Added Keys:

    - text_turn (str or None: the turn that the text was rewritten for)

    Modified Keys:

    - text, texts
    - img, img_shape, flip, flip_direction, right_angle, the label maps of seg_fields (where a turn is undone)

    Args:
        laterality: whose sides the words of anatomy name, ``'image'`` or ``'patient'``; see
            :func:`mmseg_textseg.datasets.direction_words.rewrite`.
        on_refusal: for a sentence that cannot be rewritten: ``'error'``, or ``'undo'``, which turns picture and label
            maps back and leaves the sentence as it was.
        anatomy: further words (lower case) that count as anatomy.

    Raises:
        DirectionWordError: naming image and word, if a sentence cannot be rewritten.
        ValueError: if there was no flip before, or another one since the text was rewritten.
        KeyError: if there is no text.
    """

    def __init__(self, laterality: str = 'image', on_refusal: str = 'error', anatomy: Sequence[str] = ()) -> None:
        if laterality not in LATERALITIES:
            raise ValueError(f"laterality is {laterality!r}; expected 'image' or 'patient'")
        if on_refusal not in ('error', 'undo'):
            raise ValueError(f"on_refusal is {on_refusal!r}; expected 'error' or 'undo'")
        if isinstance(anatomy, str):
            raise ValueError(f'anatomy is {anatomy!r}; expected a list of words')
        self.laterality = laterality
        self.on_refusal = on_refusal
        self.anatomy = tuple(word.lower() for word in anatomy)
        self._told = False

    def transform(self, results: dict) -> dict:
        """Rewrite ``results['text']`` and ``results['texts']``."""
        where = results.get('img_path', 'sample')
        turn = _turn_of(results, where)
        if 'text_turn' in results:
            if results['text_turn'] != turn:
                raise ValueError(
                    f'SwapDirectionWords: the text of {where} was rewritten for the turn {results["text_turn"]!r}, and '
                    f'the picture is now {turn!r}: flip once, before the one SwapDirectionWords'
                )
            return results
        texts = {key: results[key] for key in ('text', 'texts') if key in results}
        if not texts:
            raise KeyError(f'SwapDirectionWords needs an expression under the key "text" or "texts", for {where}')
        if turn is not None:
            try:
                results.update({key: self._rewritten(value, turn) for key, value in texts.items()})
            except DirectionWordError as error:
                if self.on_refusal == 'error':
                    error.where = where
                    raise
                self._undo(results, turn, where, error)
                turn = None
        results['text_turn'] = turn
        return results

    def _rewritten(self, texts: str | Sequence[str], turn: str) -> str | list[str]:
        if isinstance(texts, str):
            return rewrite(texts, turn, self.laterality, self.anatomy)
        return [rewrite(text, turn, self.laterality, self.anatomy) for text in texts]

    def _undo(self, results: dict, turn: str, where: str, error: DirectionWordError) -> None:
        if results.get('swap_seg_labels'):
            raise ValueError(
                f'{where}: RandomFlip exchanged labels (swap_seg_labels), which on_refusal="undo" cannot turn back'
            ) from error
        _turn_results(results, inverse_turn(turn))
        results.update(flip=False, flip_direction=None)
        if 'right_angle' in results:
            results['right_angle'] = None
        if not self._told:
            self._told = True
            print_log(f'SwapDirectionWords turned a picture back: {error} (said once).', logger='current', level=20)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(laterality={self.laterality!r}, on_refusal={self.on_refusal!r}, '
            f'anatomy={self.anatomy})'
        )


def _turn_of(results: dict, where: str) -> str | None:
    """The turn of the picture, as RandomFlip or RandomRightAngle wrote it down; None if it was left as it was."""
    if 'flip' not in results:
        raise ValueError(
            f'SwapDirectionWords: {where} has no key "flip": it belongs after RandomFlip or RandomRightAngle (without '
            'RandomApply round them: their own "prob" decides whether they act)'
        )
    turn = canonical_turn(str(results['flip_direction'])) if results['flip'] else None
    if results.get('right_angle', turn) != turn:
        raise ValueError(
            f'SwapDirectionWords: {where} was turned by {results["right_angle"]!r} and flipped after that, which hides '
            'the turn: put RandomFlip before RandomRightAngle'
        )
    return turn


@TRANSFORMS.register_module()
class RandomRightAngle(BaseTransform):
    """Turn image and label maps by 90, 180 or 270 degrees counter-clockwise.

    The turn goes into ``flip`` and ``flip_direction``, together with that of a ``RandomFlip`` before, under the names
    of :func:`mmseg_textseg.datasets.direction_words.rewrite`. So :class:`SwapDirectionWords` knows of it,
    ``TextSegTTAModel`` turns predictions back, and MMSegmentation's own post-processing, which cannot, stops at the
    name instead of giving a turned mask. A picture of H x W becomes W x H by a quarter turn; batches need one size.

    Required Keys:

    - img
    - seg_fields, flip, flip_direction (optional)

    Added Keys:

    - flip, flip_direction
    - right_angle (str or None: the same turn; tells a flip that came after)

    Modified Keys:

    - img, img_shape, the label maps of seg_fields

    Args:
        prob: probability of a turn.
        degrees: the turns to choose from with equal probability: 90, 180, 270.

    Raises:
        ValueError: for a probability or degrees out of range; for boxes or keypoints.
    """

    def __init__(self, prob: float = 0.5, degrees: int | Sequence[int] = (90, 180, 270)) -> None:
        degrees = (degrees,) if isinstance(degrees, int) else tuple(degrees)
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}; expected 0 to 1')
        if not degrees or not set(degrees) <= {90, 180, 270}:
            raise ValueError(f'degrees is {degrees}; expected some of 90, 180, 270')
        self.prob = prob
        self.degrees = degrees

    @cache_randomness
    def _draw(self) -> str | None:
        # The global generator is the one that mmcv's transforms share and MMEngine seeds.
        if np.random.random() >= self.prob:  # noqa: NPY002
            return None
        return canonical_turn(f'rot{self.degrees[np.random.randint(len(self.degrees))]}')  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Turn ``results['img']`` and the label maps."""
        if 'text_turn' in results:
            raise ValueError(
                f'RandomRightAngle: the text of {results.get("img_path", "sample")} was rewritten already: put '
                'SwapDirectionWords after it'
            )
        turn = self._draw()
        if turn is not None:
            _turn_results(results, turn)
        before = results['flip_direction'] if results.get('flip') else None
        total = compose_turns(before, turn)
        results.update(flip=total is not None, flip_direction=total, right_angle=total)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(prob={self.prob}, degrees={self.degrees})'
