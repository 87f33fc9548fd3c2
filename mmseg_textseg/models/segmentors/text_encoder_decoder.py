"""The segmentor that carries text: the one place where it is encoded and handed on."""

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType, OptSampleList, SampleList, add_prefix
from torch import Tensor, nn

from ..mixing import check_mix
from ..text_encoding import check_text_width, encode_samples, uses_text
from ..text_features import TextFeatures


@MODELS.register_module()
class TextEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` plus a text encoder.

    ``text=TextFeatures`` reaches exactly the parts with ``uses_text = True``; a stock ResNet or UPerHead
    never sees it. Token ids are read from the data samples' fields ``text_ids`` and ``text_mask`` (made by
    ``TokenizeText`` and ``PackTextSegInputs``) and padded to the longest of the batch. In prediction a
    sentence is encoded once, also for slide inference.

    Args:
        text_encoder: config of the text encoder; None for a text-free model.
        channels_last: keep images, maps and weights channels-last, which strip convolutions gain most from.
        **kwargs: of :class:`mmseg.models.EncoderDecoder`.

    Raises:
        ValueError: a part needs text and there is no encoder, an encoder serves no part, or widths differ.
        MixingError: the neck or a head cannot read the maps before it, see :func:`check_mix`.
    """

    def __init__(self, text_encoder: OptConfigType = None, channels_last: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.text_encoder = None if text_encoder is None else MODELS.build(text_encoder)
        self._check_text_parts()
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)
        check_mix(self)

    def _check_text_parts(self) -> None:
        parts = {'backbone': self.backbone, 'neck': getattr(self, 'neck', None), 'decode_head': self.decode_head}
        heads = getattr(self, 'auxiliary_head', None)
        heads = heads if isinstance(heads, nn.ModuleList) else [heads]
        parts.update({f'auxiliary_head[{i}]': head for i, head in enumerate(heads)})
        readers = {name: part for name, part in parts.items() if part is not None and uses_text(part)}
        if self.text_encoder is None and readers:
            raise ValueError(
                f'{", ".join(readers)} of this model needs text: set text_encoder=dict(type="BertTextEncoder", ...), '
                'or build the text-free form (text_channels=None, loss_contrast=None)'
            )
        if self.text_encoder is not None and not readers:
            raise ValueError(
                'text_encoder is set but no part of the model uses text; set text_encoder=None, '
                'or a backbone or head that takes text'
            )
        for name, part in readers.items():
            check_text_width(name, part, self.text_encoder)

    def encode_text(self, data_samples: OptSampleList) -> TextFeatures | None:
        """Encode the sentences of a batch; None in a text-free model.

        Raises:
            ValueError: a sample without tokens, or tokenised with another vocabulary.
        """
        if self.text_encoder is None:
            return None
        return encode_samples(self.text_encoder, data_samples)

    def extract_feat(self, inputs: Tensor, text: TextFeatures | None = None):
        """Maps of the backbone and neck for images (B, 3, H, W)."""
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        x = self.backbone(inputs, text=text) if uses_text(self.backbone) else self.backbone(inputs)
        if self.with_neck:
            x = self.neck(x, text=text) if uses_text(self.neck) else self.neck(x)
        return x

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of images or windows; ``predict`` has put the batch's text into the metas."""
        text, pictures = (batch_img_metas[0].get(key) for key in ('text_features', 'pictures'))
        if pictures is None or uses_text(self.backbone) or (self.with_neck and uses_text(self.neck)):
            x = self.extract_feat(inputs, text)
        else:
            _, first, rows = np.unique(pictures, return_index=True, return_inverse=True)
            x = tuple(level[rows.tolist()] for level in self.extract_feat(inputs[first.tolist()]))
        head = dict(text=text) if uses_text(self.decode_head) else {}
        return self.decode_head.predict(x, batch_img_metas, self.test_cfg, **head)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Losses of the decode head and auxiliary heads, prefixed as in MMSegmentation."""
        text = self.encode_text(data_samples)
        x = self.extract_feat(inputs, text)
        heads = {'decode': self.decode_head}
        if self.with_auxiliary_head:
            many = isinstance(self.auxiliary_head, nn.ModuleList)
            heads.update(
                {f'aux_{i}': h for i, h in enumerate(self.auxiliary_head)} if many else {'aux': self.auxiliary_head}
            )
        losses = {}
        for name, head in heads.items():
            extra = dict(text=text) if uses_text(head) else {}
            losses.update(add_prefix(head.loss(x, data_samples, self.train_cfg, **extra), name))
        return losses

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        pictures: list[int] | None = None,
    ) -> SampleList:
        """Predictions at each image's original size, as :meth:`EncoderDecoder.predict`.

        Args:
            inputs: images (B, 3, H, W).
            data_samples: a sample an image.
            pictures: B numbers, equal for equal images. Where neither backbone nor neck uses text, the maps of an
                image are computed once for all its sentences.
        """
        text = self.encode_text(data_samples)
        if text is None:
            return super().predict(inputs, data_samples)
        metas = [{**sample.metainfo, 'text_features': text, 'pictures': pictures} for sample in data_samples]
        return self.postprocess_result(self.inference(inputs, metas), data_samples)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        """Raw logits; without samples (FLOPs, export) a text model sees sentences without tokens."""
        if self.text_encoder is not None and data_samples is None:
            most = getattr(self.backbone, 'num_text_tokens', None)
            text = self.text_encoder.null(inputs.shape[0], **(dict(length=most) if most else {}), like=inputs)
        else:
            text = self.encode_text(data_samples)
        x = self.extract_feat(inputs, text)
        return self.decode_head(x, text=text) if uses_text(self.decode_head) else self.decode_head(x)
