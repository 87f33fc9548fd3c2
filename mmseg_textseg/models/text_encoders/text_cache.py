"""Sentences are encoded once, however often they are asked about. B batch, T tokens, C text width."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ..text_features import TextFeatures
from .feature_files import FeatureFiles


class TextCache:
    """Features of an encoder whose weights stay as they are, by token ids.

    A text encoder has one as its attribute ``cache``; a frozen :class:`BertTextEncoder` makes its own. In evaluation
    mode a sentence's features are the same in every batch, but for rounding: padding is masked. They are computed
    without autocast and kept on the CPU, so that half precision is never handed to a run in float32.

    When a weight changes, all is forgotten. That is known by the address and the version of each tensor, which
    ``load_state_dict``, initialisation, optimizers and moves change; a write through ``.data`` is not seen.

    Args:
        folder: of safetensors files that later runs find again (:class:`FeatureFiles`); the encoder needs an
            ``identity()`` then. None keeps features in memory only.
        most_bytes: of memory (20 tokens of 768 numbers take 60 KiB); beyond, the sentence that was not asked for the
            longest goes first.
    """

    def __init__(self, folder: str | None = None, most_bytes: int = 256 * 2**20):
        self.folder = folder
        self.most_bytes = most_bytes
        self.clear()

    def clear(self) -> None:
        """Forget all that is in memory; files stay."""
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()  # (T, C) each, without padding
        self._bytes = 0
        self._stamp: tuple = ()
        self._buffers: list[Tensor] = []
        self._files: FeatureFiles | None = None

    def __getstate__(self) -> dict:
        # A copy of a model, such as its moving average, has weights of its own; an open file cannot be copied.
        return dict(folder=self.folder, most_bytes=self.most_bytes)

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __len__(self) -> int:
        return len(self._known)

    def write(self) -> None:
        """Put into files what is not there yet; without a folder, nothing."""
        if self._files is not None:
            self._files.write()

    def encode(self, encoder: nn.Module, ids: Tensor, mask: Tensor, sentences: list[bytes]) -> TextFeatures:
        """Features of a batch, without gradient.

        Args:
            encoder: in evaluation mode, ``encoder(ids, mask) -> TextFeatures``.
            ids, mask: (B, T), a sentence each; their longest may be shorter than T.
            sentences: of :func:`~mmseg_textseg.models.text_encoding.sentence_keys`, equal for equal sentences.

        Raises:
            TextCacheError: a file is damaged or cannot be written.
        """
        self._watch(encoder)
        rows = {sentence: row for row, sentence in reversed(list(enumerate(sentences)))}
        found = {sentence: tokens for sentence in rows if (tokens := self._find(sentence)) is not None}
        new = {sentence: row for sentence, row in rows.items() if sentence not in found}
        if new and self._files is not None:
            self._files.refresh()
            found.update((s, tokens) for s in new if (tokens := self._files.read(s)) is not None)
            new = {sentence: row for sentence, row in new.items() if sentence not in found}
        if new:
            found.update(self._encode(encoder, ids, mask, new))
        for sentence, tokens in found.items():
            self._remember(sentence, tokens)
        width = next(iter(found.values()))
        padded = width.new_zeros(*ids.shape, width.shape[1])  # (B, T, C)
        for row, sentence in zip(padded, sentences, strict=True):
            row[: len(found[sentence])] = found[sentence]
        return TextFeatures.from_tokens(padded.to(ids.device), mask)

    def _watch(self, encoder: nn.Module) -> None:
        stamp = _stamp(encoder)
        if stamp == self._stamp:
            return
        buffers = list(encoder.buffers())
        # DDP writes buffers anew at each step, mostly with what was there.
        same = len(buffers) == len(self._buffers) and all(map(torch.equal, buffers, self._buffers))
        if same and stamp[:2] == self._stamp[:2]:
            self._stamp = stamp
            return
        self.write()
        self.clear()
        if self.folder is not None:
            self._files = FeatureFiles(self.folder, encoder.identity())
        self._stamp = stamp
        self._buffers = [buffer.clone() for buffer in buffers]

    def _find(self, sentence: bytes) -> Tensor | None:
        if sentence in self._known or self._files is None:
            return self._known.get(sentence)
        return self._files.read(sentence)

    def _encode(self, encoder: nn.Module, ids: Tensor, mask: Tensor, new: dict[bytes, int]) -> dict[bytes, Tensor]:
        lengths = [len(sentence) // 8 for sentence in new]
        picked, longest = list(new.values()), max(1, *lengths)
        with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
            tokens = encoder(ids[picked, :longest], mask[picked, :longest]).tokens.cpu()
        # clone: a view would keep the whole batch.
        made = {s: t[:length].clone() for s, t, length in zip(new, tokens, lengths, strict=True)}
        if self._files is not None:
            for sentence, one in made.items():
                self._files.add(sentence, one)
        return made

    def _remember(self, sentence: bytes, tokens: Tensor) -> None:
        if sentence in self._known:
            self._known.move_to_end(sentence)
            return
        self._known[sentence] = tokens
        self._bytes += tokens.nbytes
        while self._bytes > self.most_bytes:
            self._bytes -= self._known.popitem(last=False)[1].nbytes


def _stamp(encoder: nn.Module) -> tuple:
    """What changes when features would: the precision of products; of each weight and buffer, address and version."""
    weights, buffers = (
        tuple((t.data_ptr(), t.dtype, 0 if t.is_inference() else t._version) for t in tensors)
        for tensors in (encoder.parameters(), encoder.buffers())
    )
    return matmul_precision(), weights, buffers


def matmul_precision() -> str:
    """What products of float32 matrices are rounded to on this process's backends, e.g. TF32."""
    backends = torch.backends
    if not hasattr(backends.cuda.matmul, 'fp32_precision'):  # before torch 2.9
        return torch.get_float32_matmul_precision()
    return ' '.join(part.fp32_precision for part in (backends, backends.cuda.matmul, backends.mkldnn.matmul))
