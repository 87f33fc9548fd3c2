"""Exponential pseudo-label iteration (EPI) of LViT (III-B): labels for images that have none, made while training."""

import logging

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor
from torch.utils.data import Dataset

from ..datasets.transforms.views import MOVING, transform_names
from ..models.mixing import untouched
from .runner import TextSegRunner

# A fixed Resize is the same at every visit.
_MOVES = (*(part for part in MOVING if part not in ('pad', 'rescale', 'resize')), 'randomresize', 'rightangle')
# Of a probability in 16 bits. In half precision a hundredth of a difference near 0.5 would often round to nothing.
_STEPS = 65535


@HOOKS.register_module()
class EPIHook(Hook):
    """Before each iteration, give the unlabelled items of the batch the pseudo label P_t > threshold,

        P_t = beta P_t-1 + (1 - beta) P,    P_0 = P,

    P the foreground's probability that the model predicts now (evaluation mode, no gradient) and P_t-1 that of the
    item's last visit. An item is unlabelled where its mask is ``ignore_index`` everywhere (``HideMask``), and has
    ``labelled=False`` in its metainfo from then on, which ``LViTHead(loss_lv=...)`` reads. Works with any
    ``EncoderDecoder`` of one foreground class.

    The probabilities are kept in 16 bits (100 KB an item of 224 x 224). In distributed training each process has its
    own, of the items that it met. :class:`TextSegRunner` saves them with checkpoints, and goes on with them.

    Args:
        beta: 0.99 in the paper.
        begin: iterations that pass before the first pseudo label, in which the labelled items alone train the model
            that makes it.
        threshold: probability above which a pixel is foreground; None for the decode head's (0.5 for two channels).

    Raises:
        ValueError: the training pipeline moves pixels at random (flips, rotations, crops), so that probabilities of
            one pixel's visits are of different places; or items have no ``sample_id``.
    """

    def __init__(self, beta: float = 0.99, begin: int = 0, threshold: float | None = None):
        if not 0 <= beta < 1:
            raise ValueError(f'beta is {beta}; expected 0 (the newest prediction alone) up to, but not, 1')
        if begin < 0:
            raise ValueError(f'begin is {begin}; expected a number of iterations')
        self.beta, self.begin, self.threshold = beta, begin, threshold
        self.probabilities: dict[str, Tensor] = {}  # sample_id -> (H, W)

    def before_train(self, runner: Runner) -> None:
        """Refuse pipelines that move pixels at random; tell of a runner that forgets."""
        if not isinstance(runner, TextSegRunner):
            print_log(
                f'checkpoints of {type(runner).__name__} have no pseudo labels, and a training that is resumed makes '
                'them anew: runner_type = "TextSegRunner" saves them',
                logger='current',
                level=logging.WARNING,
            )
        steps = [step for part in _parts(runner.train_dataloader.dataset) for step in part.pipeline.transforms]
        moving = [
            name for name in dict.fromkeys(transform_names(steps)) if any(part in name.lower() for part in _MOVES)
        ]
        if moving:
            raise ValueError(
                f'EPIHook averages what is predicted for a pixel at every visit, but {", ".join(moving)} in the '
                'training pipeline may move it: leave it out'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Put pseudo labels into ``data_batch``, in place.

        Args:
            runner: its ``iter`` is compared with ``begin``.
            batch_idx: not used.
            data_batch: ``inputs``, a list of tensors (3, H, W), and ``data_samples``.
        """
        if runner.iter < self.begin:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        ignore = model.decode_head.ignore_index
        samples = data_batch['data_samples']
        chosen = [i for i, sample in enumerate(samples) if bool((sample.gt_sem_seg.data == ignore).all())]
        if not chosen:
            return
        inputs, samples = [data_batch['inputs'][i] for i in chosen], [samples[i] for i in chosen]
        threshold = self.threshold
        if threshold is None:
            threshold = model.decode_head.threshold if model.decode_head.out_channels == 1 else 0.5
        for sample, prob in zip(samples, foreground_probability(model, inputs, samples), strict=True):
            mask = (self.update(sample, prob) > threshold)[None].to(sample.gt_sem_seg.data)
            sample.gt_sem_seg = PixelData(data=mask)
            sample.set_metainfo(dict(labelled=False))

    def update(self, sample: SegDataSample, prob: Tensor) -> Tensor:
        """P_t (H, W) in float32 of an item, from P (H, W); kept for its next visit."""
        name = sample.metainfo.get('sample_id')
        if name is None:
            raise ValueError(
                f'EPIHook: {sample.metainfo.get("img_path", "an item")} has no sample_id, by which its pseudo label '
                'is known: use TextSegDataset and PackTextSegInputs'
            )
        prob = prob.detach().float().cpu()
        former = self.probabilities.get(name)
        if former is not None:
            if former.shape != prob.shape:
                raise ValueError(
                    f'EPIHook: {name} was {tuple(former.shape)} at its last visit and is {tuple(prob.shape)} now '
                    '(height, width): train at one size'
                )
            prob = self.beta * (former.float() / _STEPS) + (1 - self.beta) * prob
        self.probabilities[name] = (prob * _STEPS).round().to(torch.uint16)
        return prob

    def resume_state(self) -> dict[str, Tensor]:
        """The probabilities."""
        return self.probabilities

    def resume_from(self, state: dict[str, Tensor]) -> None:
        """Take the probabilities of the run that is resumed, from whatever device."""
        self.probabilities = {name: value.cpu() for name, value in state.items()}


def foreground_probability(model: EncoderDecoder, inputs: list[Tensor], samples: SampleList) -> list[Tensor]:
    """What a segmentor predicts for training images, as they enter it; its mode and the samples stay as they were.

    Args:
        model: of one foreground class.
        inputs: images (3, H_i, W_i), before the data preprocessor.
        samples: with ``text_ids`` and ``text_mask`` in a text model.

    Returns:
        Probabilities of the foreground, (H_i, W_i) each.

    Raises:
        ValueError: the model has several foreground classes.
    """
    if model.decode_head.out_channels > 2:
        raise ValueError(
            f'pseudo labels are of one foreground class; the decode head has {model.decode_head.out_channels} channels'
        )
    # Copies without masks: the preprocessor of training pads masks in place.
    copies = []
    for sample in samples:
        copy = SegDataSample(metainfo=sample.metainfo)
        copy.set_data({key: sample.get(key) for key in ('text_ids', 'text_mask') if key in sample})
        copies.append(copy)
    with untouched(model):
        data = model.data_preprocessor(dict(inputs=inputs, data_samples=copies), True)
        logits = model(data['inputs'], data['data_samples'], mode='tensor').float()
    logits = resize(
        logits, size=data['inputs'].shape[2:], mode='bilinear', align_corners=model.decode_head.align_corners
    )
    probs = logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1]
    # Padding is at right and bottom.
    return [prob[: image.shape[1], : image.shape[2]] for prob, image in zip(probs, inputs, strict=True)]


def _parts(dataset: Dataset) -> list[Dataset]:
    """The datasets inside ConcatDataset, RepeatDataset and their like."""
    if hasattr(dataset, 'datasets'):
        return [part for one in dataset.datasets for part in _parts(one)]
    return _parts(dataset.dataset) if hasattr(dataset, 'dataset') else [dataset]
