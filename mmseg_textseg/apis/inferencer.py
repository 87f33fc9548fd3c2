"""One call: pictures and sentences to masks."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor

from ..datasets.spacing import SPACING_COLUMNS
from ..evaluation.overlap import foreground_probability
from ..models.fusing import fuse
from ..models.layers.strict_init import match_weights
from ..models.segmentors import TextEncoderDecoder
from ..models.text_encoders import TextCache, quantize_text_encoder
from .config import ConfigError, checkpoint_weights, innermost, load_config
from .model_names import find_model
from .pictures import LOADERS, ImageInput, Picture, PictureLoader
from .prediction import Prediction

# Steps of a test pipeline that a picture and a sentence alone cannot take.
NEED_TRUTH = ('LoadMask', 'LoadMedicalMask', 'LoadAnnotations', 'PickText', 'EvaluateAtNetworkSize')


class Query(NamedTuple):
    """One sentence about one picture.

    Attributes:
        image: as in :meth:`TextSegInferencer.__call__`.
        text: the sentence; ``None`` for a text-free model.
        attributes: other columns of its row in an annotation table: ``slice`` of a volume, ``spacing_mm``.
    """

    image: ImageInput
    text: str | None
    attributes: dict | None = None


class TextSegInferencer:
    """A trained model, ready to be asked.

    >>> segment = TextSegInferencer('configs/phantom/lsms-xs_phantom_96x96.py', 'work_dirs/demo/best.pth')
    >>> segment('slice.png', 'the largest lesion in the right lobe').mask

    A sentence is encoded once for all pictures and calls. A picture is read and resized once for all its sentences,
    and goes through the backbone once where backbone and neck do not use text.

    Args:
        config: config file, a model's name (:func:`~mmseg_textseg.apis.model_names.find_model`), or a Config that
            ``load_config`` made.
        checkpoint: weights; the vocabulary of the text encoder is taken from it. A named model of an index has its own.
        device: e.g. ``'cuda'``; default: an accelerator if there is one.
        text_int8: run the linear layers of the text encoder in int8, on a CPU only: faster and smaller, less exact
            (docs/text_encoders.md).
        fused: fold batch norms into convolutions, :func:`~mmseg_textseg.models.fusing.fuse`: the same but for rounding.

    Raises:
        ConfigError: no such model, a config that makes no masks, a device that is not there, or int8 without text.
        TextEncoderError: int8 on another device than a CPU.
        FusingError: a part of the model cannot be folded.
    """

    def __init__(
        self,
        config: str | Config,
        checkpoint: str | None = None,
        device: str | None = None,
        text_int8: bool = False,
        fused: bool = False,
    ):
        if isinstance(config, Config):
            if checkpoint is None:
                raise ConfigError('no checkpoint given for a Config: give a .pth file')
            cfg = config
        else:
            config, checkpoint = find_model(str(config), checkpoint)
            cfg = load_config(config, checkpoint=checkpoint)
        if cfg.get('test_dataloader') is None:
            raise ConfigError('the config has no test_dataloader, whose pipeline pictures go through: a pretraining?')
        init_default_scope('mmseg')
        self.cfg = cfg
        self.device = device or get_device()
        self.model = MODELS.build(cfg.model)
        state = checkpoint_weights(str(checkpoint))
        match_weights(self.model, state, str(checkpoint))
        self.model.load_state_dict(state, strict=False)
        try:
            self.model.to(self.device).eval()
        except (RuntimeError, AssertionError) as error:  # torch's words for a device that is not there
            raise ConfigError(f'device {self.device!r} cannot be used ({error}): cpu always can') from error
        stock = type(self.model).__module__.startswith('mmseg.')
        ours = isinstance(self.model, TextEncoderDecoder)
        self.uses_text = ours and self.model.text_encoder is not None
        self.text_free = stock or (ours and not self.uses_text)
        if fused:
            self.model = fuse(self.model)
        if text_int8 and not self.uses_text:
            raise ConfigError('text_int8 (--text-int8) is for models with a text encoder; this one has none')
        if self.uses_text:
            # Its weights stay as they are, frozen in training or not; and a prediction writes no files of a training.
            self.model.text_encoder.cache = TextCache()
            if text_int8:
                quantize_text_encoder(self.model.text_encoder)
        self.pipeline = next(innermost(cfg.test_dataloader.dataset)).pipeline
        self.load, self._image_steps, self._text_steps = _split(self.pipeline)

    def __call__(
        self,
        image: ImageInput | Sequence[ImageInput],
        text: str | Sequence[str] | None = None,
        *,
        slice: int | None = None,
        batch_size: int = 8,
        threshold: float | None = None,
        **options,
    ) -> Prediction | list[Prediction]:
        """Segment what sentences name on pictures.

        Args:
            image: one picture, or a list. A picture is a file (PNG, JPEG, TIFF, NIfTI, DICOM, or the folder of a
                DICOM series), an array (H, W, 3) uint8 in BGR order or (H, W) grey, or a PIL image.
            text: one sentence, or a list: several about one picture, or one for each of as many pictures. Only a
                text-free model needs none.
            slice: number of the slice of a volume, from 0.
            batch_size: sentences in one pass of the model.
            threshold: probability above which a pixel is foreground; default: the model's own decision.
            **options: ``window='liver'`` and the other options of
                :class:`~mmseg_textseg.datasets.transforms.LoadMedicalImage`, for pictures of more than 8 bits.

        Returns:
            One prediction for one picture and one sentence, else a list in the order of the sentences or pictures.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no sentence or an empty one, another number of sentences than pictures, an array of another
                shape or type, or a file that is no picture or needs a slice or window.
        """
        many = isinstance(image, (list, tuple))
        several = text is not None and not isinstance(text, str)
        texts = list(text) if several else [text]
        images = list(image) if many else [image]
        if not images:
            raise ValueError('image is an empty list')
        if not texts:
            self._check_text(texts)
        if many and several and len(images) != len(texts):
            raise ValueError(
                f'{len(images)} pictures and {len(texts)} sentences: give one sentence for all pictures, or one for '
                'each; several about one picture need the picture itself, not a list'
            )
        if many and not several:
            texts *= len(images)
        elif several and not many:
            images *= len(texts)
        for one in texts:
            self._check_text(one)
        attributes = None if slice is None else dict(slice=slice)
        queries = (Query(i, t, attributes) for i, t in zip(images, texts, strict=True))
        answers = list(self.stream(queries, batch_size=batch_size, threshold=threshold, **options))
        return answers if many or several else answers[0]

    def stream(
        self, queries: Iterable[Query], *, batch_size: int = 8, threshold: float | None = None, **options
    ) -> Iterator[Prediction]:
        """Answer any number of queries, one batch in memory at a time.

        Queries that follow one another share a batch where their pictures have one size, and what is computed of a
        picture where it is the same: sort them by picture.

        Args:
            queries: pictures and sentences.
            batch_size, threshold, **options: as in :meth:`__call__`.

        Yields:
            A prediction a query, in their order.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size must be 1 or more, got {batch_size}')
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f'threshold must be 0 to 1, got {threshold}')
        batch: list[_Item] = []
        for item in self._items(queries, options):
            if batch and (len(batch) == batch_size or item.sizes != batch[0].sizes):
                yield from self._predict(batch, threshold)
                batch = []
            batch.append(item)
        if batch:
            yield from self._predict(batch, threshold)

    def _check_text(self, text: object) -> None:
        if text is None and self.text_free:
            return
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'text must be a sentence or a list of sentences without empty ones, got {text!r}')

    def _items(self, queries: Iterable[Query], options: dict) -> Iterator['_Item']:
        last = None
        for query in queries:
            self._check_text(query.text)
            if last is None or not _same_picture(query, last):
                picture = self.load(query.image, query.attributes, **options)
                resized = self._image_steps(dict(picture.results))
                last = query
            packed = self._text_steps({**resized, 'text': query.text or ''})
            yield _Item(packed['inputs'], packed['data_samples'], query.text or '', picture)

    @torch.no_grad()
    def _predict(self, items: list['_Item'], threshold: float | None) -> list[Prediction]:
        numbers = [0]
        for before, now in pairwise(items):
            numbers.append(numbers[-1] + (not torch.equal(before.inputs, now.inputs)))
        if self.text_free:
            distinct = [items[numbers.index(number)] for number in dict.fromkeys(numbers)]
            answers = self.model.predict(**self._batch(distinct))
            results = [answers[number] for number in numbers]
        else:
            batch = self._batch(items)
            results = self.model.predict(**batch, **(dict(pictures=numbers) if self.uses_text else {}))
        return [_read(result, item, threshold) for result, item in zip(results, items, strict=True)]

    def _batch(self, items: list['_Item']) -> dict:
        data = dict(inputs=[item.inputs for item in items], data_samples=[item.sample for item in items])
        return self.model.data_preprocessor(data, False)


class _Item(NamedTuple):
    """A query ready for the model."""

    inputs: Tensor  # (3, H, W)
    sample: SegDataSample
    text: str
    picture: Picture

    @property
    def sizes(self) -> tuple:
        """What the pictures of a batch must share; the original size, since MMSegmentation warns of others."""
        return self.inputs.shape, tuple(self.sample.ori_shape)


def _split(pipeline: list[dict]) -> tuple[PictureLoader, Compose, Compose]:
    """A test pipeline as its loader, the steps that know nothing of text, and the rest.

    Raises:
        ConfigError: it does not begin with a loader.
    """
    steps = [dict(step) for step in pipeline if step['type'] not in NEED_TRUTH]
    if not steps or steps[0]['type'] not in LOADERS:
        raise ConfigError('the test pipeline must begin with LoadImageFromFile or LoadMedicalImage, to be replaced')
    transforms = [TRANSFORMS.build(step) for step in steps[1:]]
    first = next((i for i, transform in enumerate(transforms) if not _blind_to_text(transform)), len(transforms))
    return PictureLoader(steps[0]), Compose(transforms[:first]), Compose(transforms[first:])


def _blind_to_text(transform) -> bool:
    """Whether a step comes from MMSegmentation or mmcv, and holds no others."""
    return type(transform).__module__.split('.')[0] in ('mmcv', 'mmseg') and not hasattr(transform, 'transforms')


def _same_picture(a: Query, b: Query) -> bool:
    files = isinstance(a.image, (str, os.PathLike)) and isinstance(b.image, (str, os.PathLike))
    if not (a.image is b.image or (files and os.fspath(a.image) == os.fspath(b.image))):
        return False
    return all((a.attributes or {}).get(key) == (b.attributes or {}).get(key) for key in ('slice', *SPACING_COLUMNS))


def _read(result: SegDataSample, item: _Item, threshold: float | None) -> Prediction:
    probability = foreground_probability(result.seg_logits.data)
    mask = result.pred_sem_seg.data[0] != 0 if threshold is None else probability > threshold
    return Prediction(
        mask.cpu().numpy(), probability.cpu().numpy(), item.text, item.picture.shown, item.picture.spacing
    )
