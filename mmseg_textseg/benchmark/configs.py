"""Any configs, on made-up images and sentences: prediction, and a step of training."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os.path import splitext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS

from ..apis.config import load_config
from ..apis.suite.costs import forget_text
from ..export.graph import Signature, read_signature
from ..tokenization import SPECIAL
from .group import Group
from .models import samples

# Entries of a made-up vocabulary.
ENTRIES = 1000


class Subject:
    """A config's model with random weights.

    Args:
        path: of the config.
        options: as ``--cfg-options``.

    Raises:
        ConfigError, TextEncoderError, ExportError: it cannot be read, built, or makes no masks.
    """

    def __init__(self, path: str, options: dict | None):
        cfg = load_config(path, options)
        encoder = cfg.model.get('text_encoder')
        if encoder is not None and 'build_from' in (encoder.get('tokenizer') or ()):
            # The table is not here: no words are read, ids are drawn.
            encoder.tokenizer = dict(vocab=[*SPECIAL, *(f'word{i}' for i in range(ENTRIES))])
        self.cfg: Config = cfg
        self.model: BaseSegmentor = MODELS.build(cfg.model).to(get_device())
        self.optim_wrapper: OptimWrapper | None = None

    def data(self, size: int | None, batch: int) -> dict:
        """A batch as the pipelines make it: random images and token ids, a disc each; sides of the config's own."""
        signature = read_signature(self.cfg, self.model, None if size is None else (size, size))
        height, width = signature.size
        found = samples(max(height, width), batch)
        for sample in found:
            sample.gt_sem_seg.data = sample.gt_sem_seg.data[:, :height, :width].contiguous()
            sample.set_metainfo(dict(img_shape=signature.size, ori_shape=signature.size, img_path='made up'))
            self._add_text(sample, signature)
        inputs = [torch.randint(256, (3, height, width), dtype=torch.uint8) for _ in range(batch)]
        return dict(inputs=inputs, data_samples=found)

    def _add_text(self, sample, signature: Signature) -> None:
        if not signature.has_text:
            return
        vocabulary = self.model.text_encoder.bert.config.vocab_size
        sample.text_ids = torch.randint(vocabulary, (signature.max_tokens,))
        sample.text_mask = torch.ones(signature.max_tokens, dtype=torch.bool)

    def predict(self, data: dict) -> list:
        """Masks of a batch, its text encoded anew."""
        forget_text(self.model)
        with torch.no_grad():
            return self.model.test_step(data)

    def step(self, data: dict) -> dict:
        """One iteration of training."""
        return self.model.train_step(data, self.optim_wrapper)

    def train(self, on: bool) -> None:
        """Make the model ready for :meth:`step`, or for :meth:`predict`."""
        self.model.train(on)
        if on and self.optim_wrapper is None:
            self.optim_wrapper = build_optim_wrapper(self.model, self.cfg.optim_wrapper)


def groups(
    configs: Sequence[str],
    sizes: Sequence[int | None] = (None,),
    batches: Sequence[int] = (1, 2),
    cfg_options: dict | None = None,
) -> Iterator[Group]:
    """Configs as contenders, the first the reference; all their models are in memory at once.

    Args:
        configs: files. No data set is needed; of a vocabulary whose table is absent a made-up one takes the place.
        sizes: sides of the images; None is each config's own.
        batches: images.
        cfg_options: as ``--cfg-options``, of all configs.
    """
    stems = [Path(path).stem for path in configs]
    names = stems if len(set(stems)) == len(stems) else [splitext(path)[0] for path in configs]
    subjects = {name: Subject(path, cfg_options) for name, path in zip(names, configs, strict=True)}
    for job, training in (('prediction, text encoded anew, as in test_step', False), ('iteration of training', True)):
        for subject in subjects.values():
            subject.train(training)
        for size in sizes:
            for batch in batches:
                calls: dict[str, Callable[[], object]] = {}
                for name, subject in subjects.items():
                    act = subject.step if training else subject.predict
                    calls[name] = partial(act, subject.data(size, batch))
                axis = dict(batch=batch) if size is None else dict(pixels=size * size, batch=batch)
                where = f'{"own-size" if size is None else size}/{batch}'
                yield Group(f'configs-{"train" if training else "predict"}/{where}', job, calls, names[0], axis)
