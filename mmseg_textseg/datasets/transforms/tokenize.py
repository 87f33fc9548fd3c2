"""Sentence to token ids, in the data pipeline."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from ...tokenization import TextTokenizer, TokenizerSource, load_tokenizer

REMEMBERED = 16384  # sentences; some 6 MB


@TRANSFORMS.register_module()
class TokenizeText(BaseTransform):
    """Token ids of ``text``, unpadded: the segmentor pads to the longest of the batch.

    Sentences come again in every epoch, and tables repeat them, so the ids of the first 16,384 different ones are kept
    in each process. Copies of the transform (worker processes that are spawned) begin without.

    Required Keys:

    - text (str)

    Added Keys:

    - text_ids (np.int64, (T,)), special tokens included
    - text_mask (np.bool_, (T,)), True everywhere
    - tokenizer (str): names the vocabulary; the text encoder refuses another one

    Args:
        tokenizer: a source as in :mod:`mmseg_textseg.tokenization`; the same one as the text encoder's.
        max_tokens: longest result, special tokens included. LSMS is silent; its precursor uses 20.
    """

    def __init__(self, tokenizer: TokenizerSource, max_tokens: int = 20):
        if max_tokens < 3:
            raise ValueError(f'max_tokens must be at least 3 (two are special), got {max_tokens}')
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._warned = False
        self._backend: TextTokenizer | None = None
        self._known: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_backend': None, '_known': {}}

    def transform(self, results: dict) -> dict:
        text = results.get('text')
        if not isinstance(text, str):
            raise KeyError(
                f'TokenizeText needs a sentence under the key "text", got {type(text).__name__} for '
                f'{results.get("img_path", "an image without a path")}; lists of sentences go through PickText first'
            )
        if self._backend is None:
            self._backend = load_tokenizer(self.tokenizer)
        ids = self._known.get(text)
        if ids is None:
            ids = self._encode(text)
            # Of an epoch in random order, replacing old sentences by new ones would find no more.
            if len(self._known) < REMEMBERED:
                self._known[text] = ids
        # A copy: later transforms may write into it.
        results['text_ids'] = ids.copy()
        results['text_mask'] = np.ones(len(ids), dtype=bool)
        results['tokenizer'] = self._backend.fingerprint
        return results

    def _encode(self, text: str) -> np.ndarray:
        ids, full = self._backend.encode(text, self.max_tokens)
        if full > self.max_tokens and not self._warned:
            self._warned = True
            shown = text if len(text) <= 300 else f'{text[:300]}...'
            print_log(
                f'TokenizeText cuts sentences to {self.max_tokens} tokens; the first one met has {full}: "{shown}". '
                'Raise max_tokens to keep the end (said once).',
                logger='current',
                level=30,
            )
        return ids

    def __repr__(self) -> str:
        source = self.tokenizer if isinstance(self.tokenizer, str) else f'{{{", ".join(self.tokenizer)}}}'
        return f'{self.__class__.__name__}(tokenizer={source}, max_tokens={self.max_tokens})'
