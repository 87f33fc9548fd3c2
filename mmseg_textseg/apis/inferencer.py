"""One call: a picture and a sentence to a mask."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from ..models.layers.strict_init import match_weights
from .config import ConfigError, checkpoint_weights, load_config

# Steps of a test pipeline that a picture and a sentence alone cannot take.
NEED_TRUTH = ('LoadMask', 'LoadAnnotations', 'PickText')


class Prediction(NamedTuple):
    """Mask of one sentence on one picture.

    Attributes:
        mask: (H, W) bool, at the picture's own size.
        probability: (H, W) float32, of the foreground.
        text: the sentence.
    """

    mask: np.ndarray
    probability: np.ndarray
    text: str


class TextSegInferencer:
    """A trained model, ready to be asked.

    >>> segment = TextSegInferencer('configs/phantom/lsms-xs_phantom_96x96.py', 'work_dirs/demo/best.pth')
    >>> segment('slice.png', 'the largest lesion in the right lobe').mask

    Args:
        config: config file, or a Config that ``load_config`` made.
        checkpoint: weights; the vocabulary of the text encoder is taken from it.
        device: e.g. ``'cuda'``; default: an accelerator if there is one.
    """

    def __init__(self, config: str | Config, checkpoint: str, device: str | None = None):
        cfg = config if isinstance(config, Config) else load_config(config, checkpoint=checkpoint)
        if cfg.get('test_dataloader') is None:
            raise ConfigError('the config has no test_dataloader, whose pipeline pictures go through: a pretraining?')
        init_default_scope('mmseg')
        self.device = device or get_device()
        self.model = MODELS.build(cfg.model)
        state = checkpoint_weights(checkpoint)
        match_weights(self.model, state, checkpoint)
        self.model.load_state_dict(state, strict=False)
        self.model.to(self.device).eval()
        steps = [dict(s) for s in cfg.test_dataloader.dataset.pipeline if s['type'] not in NEED_TRUTH]
        types = [step['type'] for step in steps]
        if 'LoadImageFromFile' not in types:
            raise ConfigError('the test pipeline has no LoadImageFromFile to replace for arrays')
        self._from_file = Compose(steps)
        steps[types.index('LoadImageFromFile')] = dict(type='LoadImageFromNDArray')
        self._from_array = Compose(steps)

    def __call__(self, image: str | np.ndarray, text: str | Sequence[str]) -> Prediction | list[Prediction]:
        """Segment what a sentence, or each of several, names on one picture.

        Args:
            image: file, or array (H, W, 3) uint8 in BGR order, or (H, W) grey.
            text: one sentence or several; several run as one batch.

        Returns:
            One prediction for a sentence, a list for a sequence of them.

        Raises:
            FileNotFoundError: no such file.
            ValueError: an empty sentence, an array of another shape or type, or a file that is no picture.
        """
        texts = [text] if isinstance(text, str) else list(text)
        if not texts or any(not isinstance(t, str) or not t.strip() for t in texts):
            raise ValueError(f'text must be a sentence or a list of sentences without empty ones, got {text!r}')
        samples = [self._prepare(image, t) for t in texts]
        with torch.no_grad():
            results = self.model.test_step(pseudo_collate(samples))
        predictions = [self._read(result, t) for result, t in zip(results, texts, strict=True)]
        return predictions[0] if isinstance(text, str) else predictions

    def _prepare(self, image: str | np.ndarray, text: str) -> dict:
        if isinstance(image, np.ndarray):
            if image.ndim == 2:
                image = np.repeat(image[..., None], 3, axis=2)
            if image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f'image must be (H, W, 3) or (H, W), got shape {image.shape}')
            if image.dtype != np.uint8:
                raise ValueError(f'image must be uint8, 0 to 255, got {image.dtype}')
            return self._from_array(dict(img=image, text=text))
        if not os.path.isfile(image):
            raise FileNotFoundError(f'no picture at {image}')
        try:
            return self._from_file(dict(img_path=str(image), text=text))
        except AssertionError as error:  # mmcv's word for a file that does not decode
            raise ValueError(f'{image} is not a picture that can be read') from error

    def _read(self, result, text: str) -> Prediction:
        logits = result.seg_logits.data.float()
        # One channel is a probability already: post-processing has applied the sigmoid.
        probability = logits[0] if len(logits) == 1 else logits.softmax(0)[1:].sum(0)
        mask = result.pred_sem_seg.data[0] != 0
        return Prediction(mask.cpu().numpy(), probability.cpu().numpy(), text)
